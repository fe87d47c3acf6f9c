//! Every row of the accounts API on the whole stack: what it gives, and how it says no.

mod http;
mod limits;
mod me;
mod password;
pub mod person;
pub mod picture;
mod register;
mod sessions;
mod users;

use crate::client::Answer;
use serde_json::{Value, json};
use souk_stack::{Stack, StackBuilder};

/// A stack for tests that do not test limits.
pub fn unlimited() -> StackBuilder {
    Stack::builder().daemon_arg("--no-limits")
}

/// Starts a stack without limits.
pub fn stack() -> Stack {
    unlimited().start().expect("the stack starts")
}

/// Checks a problem answer: status, code, and that it is a whole RFC 9457 document.
#[track_caller]
pub fn refused(answer: &Answer, status: u16, code: &str) -> Value {
    let body = answer.json();
    assert_eq!(answer.status, status, "{body}");
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert_eq!(body["code"], json!(code), "{body}");
    assert_eq!(body["status"], json!(status));
    for key in ["type", "title", "detail"] {
        assert!(body[key].as_str().is_some_and(|text| !text.is_empty()), "{key}: {body}");
    }
    body
}

/// Checks that a field was refused.
#[track_caller]
pub fn refused_field(answer: &Answer, field: &str) {
    let body = refused(answer, 400, "invalid_field");
    assert_eq!(body["field"], json!(field), "{body}");
}
