//! The list of sessions, and revoking them.

use super::person::{Person, client};
use super::{refused, stack};
use serde_json::Value;
use ureq::http::Method;

fn list(person: &Person) -> Vec<Value> {
    let answer = person.get("/api/v1/me/sessions");
    assert_eq!(answer.status, 200, "{answer:?}");
    let body = answer.json();
    assert!(body["next_cursor"].is_null());
    body["items"].as_array().expect("items").clone()
}

#[test]
fn sessions_are_listed_and_revoked_one_by_one_or_all_others() {
    let stack = stack();
    let client = client(&stack);
    let laptop = Person::new(&client, "ada");
    let agent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
    let body = br#"{"username":"ada","password":"correct horse"}"#;
    let headers = [("user-agent", agent), ("content-type", "application/json")];
    let phone = client.send(Method::POST, "/api/v1/login", &headers, body).json();
    let tablet = Person::again(&client, "ada");
    let phone = Person {
        client: &client,
        id: laptop.id,
        token: phone["token"].as_str().expect("a token").into(),
    };

    let sessions = list(&laptop);
    assert_eq!(sessions.len(), 3);
    let current: Vec<_> = sessions.iter().filter(|session| session["current"] == true).collect();
    assert_eq!(current.len(), 1);
    for session in &sessions {
        assert_eq!(session["address"], "127.0.0.1");
        assert!(session["created_at"].as_str().is_some_and(|time| time.ends_with('Z')));
        assert!(session["last_seen_at"].is_string() || session["last_seen"].is_string());
    }
    let fox = sessions
        .iter()
        .find(|session| session["device"].as_str().is_some_and(|name| name.contains("Firefox")))
        .expect("the device has a name");
    let path = format!("/api/v1/me/sessions/{}", fox["id"].as_str().expect("an id"));
    let other = Person::new(&client, "bob");
    refused(&other.delete(&path), 404, "session_not_found");
    assert_eq!(phone.me()["username"], "ada");
    assert_eq!(laptop.delete(&path).status, 204);
    refused(&phone.get("/api/v1/me"), 401, "unauthenticated");
    refused(&laptop.delete(&path), 404, "session_not_found");
    assert!(laptop.delete("/api/v1/me/sessions/nonsense").status / 100 == 4);

    assert_eq!(laptop.delete("/api/v1/me/sessions").status, 204);
    refused(&tablet.get("/api/v1/me"), 401, "unauthenticated");
    assert_eq!(list(&laptop).len(), 1);
    assert_eq!(other.me()["username"], "bob", "others are not touched");
}
