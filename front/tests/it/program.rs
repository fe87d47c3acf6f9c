//! The program itself: its ready line, its exit codes and what it says when it cannot start.

use crate::client::Client;
use crate::daemon::{Daemon, SECRET};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

/// A secret file that only we can read.
fn secret() -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), SECRET).expect("written");
    let mode = std::fs::Permissions::from_mode(0o600);
    file.as_file().set_permissions(mode).expect("ours");
    file
}

fn program(secret: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_souk-front"));
    command
        .env("SOUK_LINK_SECRET_FILE", secret)
        .env("SOUK_HTTP_LISTEN", "127.0.0.1:0")
        .env("SOUK_BIDS_LISTEN", "127.0.0.1:0")
        .env("SOUK_HTTP_THREADS", "1")
        .env("SOUK_ADMIN_LISTEN", "")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn outcome(command: &mut Command) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = command.output().expect("it runs");
    (status.code(), String::from_utf8_lossy(&stderr).into_owned())
}

/// Its address, once it serves.
fn ready(child: &mut Child) -> std::net::SocketAddr {
    let mut line = String::new();
    let output = child.stdout.as_mut().expect("piped");
    BufReader::new(output).read_line(&mut line).expect("a line");
    let words: Vec<&str> = line.split_whitespace().collect();
    let ["souk-front", "ready", http, "bids", bids] = words[..] else { panic!("{line}") };
    TcpStream::connect(bids).expect("it listens there, too");
    let address = http.strip_prefix("http://").expect("an URL");
    address.parse().expect("an address")
}

fn terminate(child: &Child) {
    let id = i32::try_from(child.id()).expect("process numbers are small");
    let process = rustix::process::Pid::from_raw(id).expect("not zero");
    rustix::process::kill_process(process, rustix::process::Signal::TERM).expect("ours");
}

#[test]
fn it_says_where_it_serves_and_ends_with_0_when_told_to() {
    let daemon = Daemon::of_users("one", 1);
    let secret = secret();
    let mut child = program(secret.path())
        .args(["--daemon", &daemon.address().to_string()])
        .spawn()
        .expect("it runs");
    let address = ready(&mut child);
    let mut client = Client::connect(address);
    assert_eq!(client.get("/api/v1/users/by-name/ada").status, 200);
    // A second one at the same port is refused, and says what to do.
    let mut second = program(secret.path());
    second.args(["--listen", &address.to_string()]);
    let (code, said) = outcome(&mut second);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("change http.listen"), "{said}");
    terminate(&child);
    client.ends();
    assert_eq!(child.wait().expect("our child").code(), Some(0));
}

/// Takes io_uring away from a program that is not started yet, as container profiles do.
fn without_io_uring(command: &mut Command) {
    const IO_URING_SETUP: i64 = 425; // the same number on every architecture
    let refused = SeccompAction::Errno(1); // EPERM
    let rules = BTreeMap::from([(IO_URING_SETUP, Vec::new())]);
    let here = std::env::consts::ARCH.try_into().expect("an architecture that filters know");
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refused, here).expect("a filter");
    let filter = BpfProgram::try_from(filter).expect("a small program");
    let apply = move || seccompiler::apply_filter(&filter).map_err(std::io::Error::other);
    #[allow(unsafe_code)] // between fork and exec; it allocates nothing and calls only the kernel
    unsafe {
        command.pre_exec(apply);
    }
}

#[test]
fn without_io_uring_it_serves_with_epoll_and_says_so_unless_a_ring_is_demanded() {
    let daemon = Daemon::of_users("one", 1);
    let secret = secret();
    let mut command = program(secret.path());
    command.args(["--daemon", &daemon.address().to_string()]);
    without_io_uring(&mut command);
    let mut child = command.spawn().expect("it runs");
    let mut client = Client::connect(ready(&mut child));
    assert_eq!(client.get("/api/v1/users/by-name/ada").status, 200);
    terminate(&child);
    let Output { status, stderr, .. } = child.wait_with_output().expect("our child");
    let said = String::from_utf8_lossy(&stderr);
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(said.contains("serving with epoll: the kernel refuses"), "{said}");

    let mut command = program(secret.path());
    command.args(["--driver", "uring"]);
    without_io_uring(&mut command);
    let (code, said) = outcome(&mut command);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("kernel.io_uring_disabled"), "{said}");
}

#[test]
fn its_lines_to_the_journal_have_a_priority_and_neither_time_nor_colour() {
    let (secret, log) = (secret(), tempfile::NamedTempFile::new().expect("a temporary file"));
    let about = log.as_file().metadata().expect("open");
    let mut child = program(secret.path())
        .args(["--daemon", "127.0.0.1:1"])
        .env("JOURNAL_STREAM", format!("{}:{}", about.dev(), about.ino()))
        .stderr(log.reopen().expect("open"))
        .spawn()
        .expect("it runs");
    ready(&mut child);
    terminate(&child);
    assert_eq!(child.wait().expect("our child").code(), Some(0));
    let said = std::fs::read_to_string(log.path()).expect("text");
    assert!(said.lines().any(|line| line.starts_with("<4> WARN souk_front")), "{said}");
    assert!(said.lines().any(|line| line.starts_with("<6> INFO souk_front")), "{said}");
    assert!(!said.contains('\x1b'), "{said}");
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let secret = secret();
    let (sender, received) = std::sync::mpsc::channel();
    let daemon = Daemon::start("one", 1, move |event| {
        let _ = sender.send(event.kind);
    });
    let mut child = program(secret.path())
        .args(["--daemon", &daemon.address().to_string()])
        .env("SOUK_TIMEOUTS_DRAIN_S", "300")
        .env("SOUK_TIMEOUTS_REQUEST_S", "60")
        .spawn()
        .expect("it runs");
    let mut client = Client::connect(ready(&mut child));
    client.ask("GET", "/api/v1/users/by-name/ada");
    received.recv().expect("the request");
    terminate(&child);
    // The log says when the first signal was taken; before that, two could become one.
    let log = BufReader::new(child.stderr.take().expect("piped"));
    assert!(log.lines().any(|line| line.expect("text").contains("stopping")));
    terminate(&child);
    assert_eq!(child.wait().expect("our child").code(), Some(1));
}

#[test]
fn settings_that_cannot_work_are_refused_by_name_with_exit_code_2() {
    let secret = secret();
    let open = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(open.path(), SECRET).expect("written");
    let mode = std::fs::Permissions::from_mode(0o644);
    open.as_file().set_permissions(mode).expect("ours");
    let mut cases = Vec::new();
    for (arguments, named) in [
        (["--driver", "kqueue"], "http.driver"),
        (["--threads", "9999"], "http.threads"),
        (["--daemon", "nowhere"], "link.daemons"),
        (["--config", "/does/not/exist.toml"], "/does/not/exist.toml"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_souk-front"));
        command.env("SOUK_LINK_SECRET_FILE", secret.path()).args(arguments);
        cases.push((command, named));
    }
    cases.push((program(Path::new("")), "link.secret_file"));
    cases.push((program(open.path()), "others can read it"));
    for (mut command, named) in cases {
        let (code, said) = outcome(&mut command);
        assert_eq!(code, Some(2), "{said}");
        // The reason is one line; the log may have come before it.
        let reason = said.lines().last().expect("a reason");
        assert!(reason.starts_with("souk-front: ") && reason.contains(named), "{said}");
    }
}

#[test]
fn the_settings_in_force_can_be_printed() {
    let mut child = program(Path::new("/a/secret"))
        .args(["--print-config", "--threads", "3"])
        .spawn()
        .expect("it runs");
    let mut printed = String::new();
    child.stdout.take().expect("piped").read_to_string(&mut printed).expect("text");
    assert_eq!(child.wait().expect("our child").code(), Some(0));
    let printed: toml::Table = printed.parse().expect("TOML");
    assert_eq!(printed["http"]["threads"].as_integer(), Some(3));
    assert_eq!(printed["link"]["secret_file"].as_str(), Some("/a/secret"));
}

#[test]
fn connections_are_cut_to_the_open_files_and_only_a_chosen_number_is_warned_about() {
    let daemon = Daemon::of_users("one", 1);
    let secret = secret();
    for (chosen, level) in [("50000", "INFO"), ("3000", "WARN")] {
        let mut child = Command::new("sh")
            .args(["-c", "ulimit -n 256; exec \"$0\" --daemon \"$1\""])
            .args([env!("CARGO_BIN_EXE_souk-front"), &daemon.address().to_string()])
            .env("SOUK_LINK_SECRET_FILE", secret.path())
            .env("SOUK_HTTP_LISTEN", "127.0.0.1:0")
            .env("SOUK_BIDS_LISTEN", "127.0.0.1:0")
            .env("SOUK_HTTP_THREADS", "1")
            .env("SOUK_CONNECTIONS_MAX", chosen)
            .env("SOUK_LOG_FORMAT", "human")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it runs");
        ready(&mut child);
        terminate(&child);
        let mut said = String::new();
        child.stderr.take().expect("piped").read_to_string(&mut said).expect("text");
        assert_eq!(child.wait().expect("our child").code(), Some(0), "{said}");
        let line = said.lines().find(|line| line.contains("connections=192")).expect("a line");
        assert!(line.contains(level), "{said}");
    }
}
