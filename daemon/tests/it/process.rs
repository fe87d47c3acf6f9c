//! How soukd starts, says what it cannot do, and stops.

use crate::client::Client;
use souk_proto::accounts::{GetUserByNameRequest, SetPictureRequest, User};
use souk_proto::common::Caller;
use souk_proto::{Flags, Header, Kind, Method};
use souk_stack::Stack;
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

/// Runs soukd to its end with the settings of this stack's first daemon, changed.
fn run(stack: &Stack, changes: &[(&str, &str)], arguments: &[&str]) -> Output {
    let mut config = stack.daemon_config(0, "127.0.0.1:0");
    for (key, value) in changes {
        config.set(key, *value);
    }
    let file = tempfile::NamedTempFile::new_in(stack.dir()).expect("a file");
    config.write(file.path()).expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_soukd"));
    command.arg("--config").arg(file.path()).args(arguments).output().expect("it runs")
}

fn refused(output: &Output, code: i32, parts: &[&str]) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert!(output.stdout.is_empty());
    for part in parts {
        assert!(text.contains(part), "\"{part}\" is missing in: {text}");
    }
}

#[test]
fn what_cannot_be_done_at_the_start_is_said_with_how_to_fix_it() {
    let stack = Stack::stores().expect("stores");
    std::fs::create_dir_all(stack.dir().join("state")).expect("a directory");
    refused(&run(&stack, &[], &[]), 1, &["souk migrate"]);
    refused(&run(&stack, &[], &["--shards", "999"]), 2, &["daemon.shards", "999", "0 to 256"]);
    refused(&run(&stack, &[("daemon.colour", "red")], &[]), 2, &["colour"]);
    let secret = ("link.secret_file", "/does/not/exist");
    refused(&run(&stack, &[secret], &[]), 2, &["/does/not/exist"]);
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound").to_string();
    refused(&run(&stack, &[], &["--listen", &address]), 1, &[&address, "link.listen"]);
    let nowhere = ("mysql.url", "mysql://root@127.0.0.1:1/souk");
    refused(&run(&stack, &[nowhere], &[]), 1, &["mysql.url"]);
}

#[test]
fn a_redis_that_is_away_at_the_start_is_named_and_public_reads_are_served() {
    let away = "unix:///does/not/exist.sock";
    let builder = Stack::builder().fronts(0).daemon_set("redis.url", away);
    let stack = builder.start().expect("a daemon");
    let insert = "INSERT INTO users (username, nickname, password_hash, created_at, updated_at) \
                  VALUES ('ann', 'Ann', 'none', UTC_TIMESTAMP(3), UTC_TIMESTAMP(3))";
    stack.sql(insert).expect("a user");
    let daemon = &stack.daemons()[0];
    let log = daemon.log();
    assert!(log.contains("no connection to Redis") && log.contains(away), "{log}");
    let secret = std::fs::read(stack.link_secret_file()).expect("the secret");
    let (mut client, _) = Client::connect(daemon.address(), &secret);
    let request = GetUserByNameRequest { caller: Some(Caller::default()), username: "ann".into() };
    let user: User = client.call(Method::GetUserByName, &request).expect("public");
    assert_eq!(user.username, "ann");
    let ready = client.ready();
    assert!(ready.database && !ready.redis, "{ready:?}");
}

#[test]
fn print_config_shows_the_settings_as_they_came_together() {
    let stack = Stack::stores().expect("stores");
    let output = run(&stack, &[], &["--shards", "3", "--no-cache", "--print-config"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success());
    assert!(text.contains("shards = 3") && text.contains("enabled = false"), "{text}");
}

/// A link with an upload in flight, its id, and the daemon's answer to a stop: GOAWAY and PING.
fn stop_with_an_upload_in_flight(stack: &Stack) -> (Client, u64, Header) {
    let daemon = &stack.daemons()[0];
    let secret = std::fs::read(stack.link_secret_file()).expect("the secret");
    let (mut client, _) = Client::connect(daemon.address(), &secret);
    let (caller, _) = client.register("in.flight");
    let request = SetPictureRequest { caller: Some(caller), length: 0 };
    let id = client.ask(Method::SetPicture, Flags::STREAM, &request);
    // The answer to a later request says that the earlier one has started.
    assert!(client.ready().database);
    daemon.terminate();
    let go_away = client.next().expect("a GOAWAY");
    assert!(go_away.reason().contains("stopping"), "{go_away:?}");
    let ping = client.next().expect("a PING").header;
    assert_eq!(ping.kind, Kind::Ping);
    (client, id, ping)
}

#[test]
fn a_stop_finishes_what_is_in_flight_and_what_crossed_the_goaway() {
    let stack = Stack::builder().fronts(0).start().expect("a daemon");
    let (mut client, id, ping) = stop_with_an_upload_in_flight(&stack);
    assert!(client.ready().database, "the front had not read the GOAWAY when it asked");
    client.send_bytes(&Header::new(Kind::Pong, ping.request_id), &[]);
    client.item(id, Flags::END, b"no picture");
    let answer = client.next_of_requests();
    assert_eq!(answer.header.request_id, id);
    assert_eq!(answer.failure().code, souk_proto::Code::PictureUnsupported);
    assert!(client.next().is_none());
    let daemon = &stack.daemons()[0];
    assert_eq!(daemon.wait(PATIENCE).and_then(|status| status.code()), Some(0));
    assert!(TcpStream::connect(daemon.address()).is_err());
}

#[test]
fn a_stop_takes_no_longer_than_its_limit() {
    let builder = Stack::builder().fronts(0).daemon_set("daemon.drain_limit_s", 1);
    let stack = builder.start().expect("a daemon");
    let (mut client, _, _) = stop_with_an_upload_in_flight(&stack);
    assert!(client.next().is_none());
    assert_eq!(stack.daemons()[0].wait(PATIENCE).and_then(|status| status.code()), Some(0));
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let builder = Stack::builder().fronts(0).daemon_set("daemon.drain_limit_s", 600);
    let stack = builder.start().expect("a daemon");
    let (mut client, _, _) = stop_with_an_upload_in_flight(&stack);
    stack.daemons()[0].terminate();
    assert!(client.next().is_none());
    assert_eq!(stack.daemons()[0].wait(PATIENCE).and_then(|status| status.code()), Some(1));
}
