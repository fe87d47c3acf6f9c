//! Somebody with an account and a session.

use crate::client::{Answer, Client};
use serde_json::{Value, json};
use souk_stack::Stack;
use ureq::http::Method;

/// The password of every person here.
pub const PASSWORD: &str = "correct horse";

/// Somebody who is logged in.
pub struct Person<'a> {
    pub client: &'a Client,
    pub id: u64,
    pub token: String,
}

/// A client of the stack's first front.
pub fn client(stack: &Stack) -> Client {
    Client::new(stack.address())
}

/// Logs in; the answer as it is.
pub fn log_in(client: &Client, username: &str, password: &str) -> Answer {
    client.post("/api/v1/login", &json!({"username": username, "password": password}))
}

/// Registers.
pub fn register(client: &Client, username: &str) -> Value {
    let body = json!({"username": username, "password": PASSWORD});
    let answer = client.post("/api/v1/users", &body);
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()
}

impl Person<'_> {
    /// Registers and logs in.
    pub fn new<'a>(client: &'a Client, username: &str) -> Person<'a> {
        register(client, username);
        Person::again(client, username)
    }

    /// Logs in once more.
    pub fn again<'a>(client: &'a Client, username: &str) -> Person<'a> {
        let answer = log_in(client, username, PASSWORD);
        assert_eq!(answer.status, 200, "{answer:?}");
        let body = answer.json();
        let token = body["token"].as_str().expect("a token").to_owned();
        Person { client, id: body["user"]["id"].as_u64().expect("an id"), token }
    }

    /// A request with the session and these headers.
    pub fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let bearer = format!("Bearer {}", self.token);
        let mut all = vec![("authorization", bearer.as_str())];
        all.extend_from_slice(headers);
        self.client.send(method, path, &all, body)
    }

    /// A request with the session and a JSON body.
    pub fn json(&self, method: Method, path: &str, body: &Value) -> Answer {
        let body = body.to_string();
        self.send(method, path, &[("content-type", "application/json")], body.as_bytes())
    }

    /// GET with the session.
    pub fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], &[])
    }

    /// DELETE with the session.
    pub fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, &[], &[])
    }

    /// The own profile.
    pub fn me(&self) -> Value {
        let answer = self.get("/api/v1/me");
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }
}
