//! `souk top` in a real terminal: what it draws, how it ends, what it leaves.

use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZero;
use std::os::fd::OwnedFd;
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use souk_stack::Stack;

use crate::client::Client;
use crate::command::{souk, souk_command};

/// Only a failing test waits this long.
const PATIENCE: Duration = Duration::from_secs(60);

/// A terminal with `souk top` in it.
struct Terminal {
    main: File,
    other: OwnedFd,
    before: LocalModes,
    screen: Arc<Mutex<vt100::Parser>>,
    souk: Child,
}

impl Terminal {
    fn start(dir: &str, columns: u16, rows: u16) -> Terminal {
        let main = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&main).unwrap();
        unlockpt(&main).unwrap();
        let name = ptsname(&main, Vec::new()).unwrap();
        let other = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        let other = OwnedFd::from(other);
        tcsetwinsize(&main, size(columns, rows)).unwrap();
        let before = tcgetattr(&other).unwrap().local_modes;
        let end = || other.try_clone().unwrap();
        let mut command = souk_command(&["top", "--dir", dir]);
        let souk = command.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        let main = File::from(main);
        let screen = Arc::new(Mutex::new(vt100::Parser::new(cells(rows), cells(columns), 0)));
        let (mut bytes, shown) = (main.try_clone().unwrap(), screen.clone());
        std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(count @ 1..) = bytes.read(&mut chunk) {
                shown.lock().unwrap().process(&chunk[..count]);
            }
        });
        Terminal { main, other, before, screen, souk }
    }

    fn text(&self) -> String {
        self.screen.lock().unwrap().screen().contents()
    }

    fn wait_for(&self, part: &str) {
        let until = Instant::now() + PATIENCE;
        while !self.text().contains(part) {
            assert!(Instant::now() < until, "{part} is not shown:\n{}", self.text());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.souk), signal).unwrap();
    }

    fn resize(&self, columns: u16, rows: u16) {
        self.screen.lock().unwrap().screen_mut().set_size(cells(rows), cells(columns));
        tcsetwinsize(&self.main, size(columns, rows)).unwrap();
        // The kernel tells those whose terminal it is in name too; ours was only lent one.
        self.signal(Signal::WINCH);
    }

    /// Waits for the end; the terminal must be as it was.
    fn ended(mut self) -> ExitStatus {
        let until = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.souk.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < until, "it does not end:\n{}", self.text());
            std::thread::sleep(Duration::from_millis(20));
        };
        assert_eq!(tcgetattr(&self.other).unwrap().local_modes, self.before);
        let until = Instant::now() + PATIENCE;
        while self.screen.lock().unwrap().screen().alternate_screen() {
            assert!(Instant::now() < until, "the other screen is not left");
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(!self.screen.lock().unwrap().screen().hide_cursor());
        status
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // A test that fails must not leave it behind.
        self.souk.kill().ok();
        self.souk.wait().ok();
    }
}

fn cells(count: u16) -> NonZero<u16> {
    NonZero::new(count).unwrap()
}

fn size(columns: u16, rows: u16) -> Winsize {
    Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 }
}

#[test]
fn it_shows_requests_resizes_and_outlives_the_programs_that_it_shows() {
    let mut stack = Stack::builder().daemon_set("limits.enabled", false).start().unwrap();
    let dir = stack.dir().to_str().unwrap().to_owned();
    let mut terminal = Terminal::start(&dir, 80, 24);
    terminal.wait_for("souk-front 0.1.0, soukd 0.1.0");
    terminal.wait_for("mysql up  redis up");
    let client = Client::new(stack.address());
    let until = Instant::now() + PATIENCE;
    while !terminal.text().contains("GET /api/v1/users") {
        assert!(Instant::now() < until, "{}", terminal.text());
        assert_eq!(client.get("/api/v1/users/by-name/nobody").status, 404);
    }
    terminal.wait_for("latency over time");
    // Too small for anything but the summary, and large again.
    terminal.resize(40, 4);
    terminal.wait_for("p50");
    terminal.resize(120, 40);
    terminal.wait_for("latency over time");

    stack.fronts()[0].kill();
    terminal.wait_for("souk-front does not answer");
    terminal.wait_for("soukd 0.1.0");
    stack.restart_front(0).unwrap();
    terminal.wait_for("souk-front 0.1.0, soukd 0.1.0");
    terminal.main.write_all(b"q").unwrap();
    assert_eq!(terminal.ended().code(), Some(0));
}

#[test]
fn every_way_to_end_it_gives_the_terminal_back() {
    let stack = Stack::builder().start().unwrap();
    let dir = stack.dir().to_str().unwrap();
    for key in [b"q", b"\x1b", b"\x03"] {
        let mut terminal = Terminal::start(dir, 80, 24);
        terminal.wait_for("souk top");
        terminal.main.write_all(key).unwrap();
        assert_eq!(terminal.ended().code(), Some(0), "{key:?}");
    }
    for signal in [Signal::TERM, Signal::INT] {
        let terminal = Terminal::start(dir, 80, 24);
        terminal.wait_for("souk top");
        terminal.signal(signal);
        assert_eq!(terminal.ended().code(), Some(0), "{signal:?}");
    }
}

#[test]
fn without_a_terminal_it_says_what_to_use_instead() {
    let outcome = souk(&["top"]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.contains("souk latency --watch"), "{outcome:?}");
}
