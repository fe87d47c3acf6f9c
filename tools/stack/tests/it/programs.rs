//! A program counts as started when it says so, and an early end tells why.

use std::path::PathBuf;
use std::time::Duration;

use souk_stack::{Program, ProgramSpec};

fn shell(script: &str) -> ProgramSpec {
    let mut spec = ProgramSpec::new("demo", PathBuf::from("/bin/sh")).arg("-c").arg(script);
    spec.ready = "demo ready ".into();
    spec
}

#[test]
fn the_addresses_are_read_from_the_ready_line() {
    let line = "echo demo ready http://127.0.0.1:81 bids 127.0.0.1:82";
    let spec = shell(&format!("echo starting >&2; {line}; exec sleep 600"));
    let program = Program::start(&spec).unwrap();
    assert_eq!(program.address(), "127.0.0.1:81");
    assert_eq!((program.other("bids"), program.other("asks")), (Some("127.0.0.1:82"), None));
    assert!(program.status().is_none());
    program.terminate();
    assert!(program.wait(Duration::from_secs(60)).is_some());
}

#[test]
fn an_early_end_is_an_error_that_carries_the_last_lines() {
    let error = Program::start(&shell("echo the port is taken >&2; exit 3")).err().unwrap();
    let error = error.to_string();
    assert!(error.contains("the port is taken") && error.contains("exit status: 3"), "{error}");
}

#[test]
fn a_program_that_stops_when_asked_ends_with_its_own_status() {
    let script = "trap 'exit 0' TERM; echo demo ready x; while :; do sleep 0.05; done";
    let program = Program::start(&shell(script)).unwrap();
    assert!(program.stop().unwrap().success());
}
