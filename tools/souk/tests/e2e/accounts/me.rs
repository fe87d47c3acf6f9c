//! `GET`, `PATCH` and `DELETE /api/v1/me`, and the form at `/update`.

use super::person::{PASSWORD, Person, client, log_in, register};
use super::{refused, refused_field, stack, unlimited};
use serde_json::json;
use ureq::http::Method;

#[test]
fn the_profile_is_read_and_edited_with_its_version() {
    let stack = stack();
    let client = client(&stack);
    let ada = Person::new(&client, "ada");
    let first = ada.get("/api/v1/me");
    let tag = first.header("etag").to_owned();
    assert_eq!(first.json()["version"], 1);
    let unchanged = ada.send(Method::GET, "/api/v1/me", &[("if-none-match", &tag)], &[]);
    assert_eq!((unchanged.status, unchanged.body.len()), (304, 0));

    let edit = |tag: &str, body: &str| {
        let headers = [("if-match", tag), ("content-type", "application/json")];
        ada.send(Method::PATCH, "/api/v1/me", &headers, body.as_bytes())
    };
    let edited = edit(&tag, r#"{"nickname":"Countess","username":"lovelace"}"#);
    assert_eq!(edited.status, 200, "{edited:?}");
    let user = edited.json();
    assert_eq!((&user["nickname"], &user["username"]), (&json!("Countess"), &json!("lovelace")));
    assert_eq!(user["version"], 2);
    assert_eq!(ada.me(), user);
    refused(&edit(&tag, r#"{"nickname":"Late"}"#), 412, "version_conflict");
    assert_eq!(edit(edited.header("etag"), r#"{"nickname":"Ada"}"#).status, 200);

    assert_eq!(client.get("/api/v1/users/by-name/ada").status, 404, "the old name is free");
    assert_eq!(client.get("/api/v1/users/by-name/lovelace").status, 200);
    register(&client, "ada");
    let taken = ada.json(Method::PATCH, "/api/v1/me", &json!({"username": "ada"}));
    refused(&taken, 409, "username_taken");
    refused_field(&ada.json(Method::PATCH, "/api/v1/me", &json!({"username": "x"})), "username");
    refused_field(&ada.json(Method::PATCH, "/api/v1/me", &json!({"rating": 5000})), "rating");
    assert_eq!(ada.me()["nickname"], "Ada");
}

#[test]
fn without_a_valid_session_there_is_no_profile() {
    let stack = stack();
    let client = client(&stack);
    let ada = Person::new(&client, "ada");
    refused(&client.get("/api/v1/me"), 401, "unauthenticated");
    let mut forged = ada.token.clone();
    let last = if forged.ends_with('A') { 'B' } else { 'A' };
    forged.replace_range(forged.len() - 1.., &last.to_string());
    for token in ["", "x", "Bearer", forged.as_str(), &"A".repeat(66), &"A".repeat(4000)] {
        let bearer = format!("Bearer {token}");
        let me = client.send(Method::GET, "/api/v1/me", &[("authorization", &bearer)], &[]);
        assert!(refused(&me, 401, "unauthenticated")["detail"].is_string());
        assert!(me.header("www-authenticate").starts_with("Bearer"));
    }
    assert_eq!(ada.send(Method::POST, "/api/v1/logout", &[], &[]).status, 204);
    refused(&ada.get("/api/v1/me"), 401, "unauthenticated");
}

#[test]
fn a_deleted_account_is_gone_with_all_its_sessions() {
    let stack = stack();
    let client = client(&stack);
    let ada = Person::new(&client, "ada");
    let phone = Person::again(&client, "ada");
    assert_eq!(client.get("/api/v1/users/by-name/ada").status, 200);
    let wrong = ada.json(Method::DELETE, "/api/v1/me", &json!({"password": "not the one"}));
    refused(&wrong, 403, "wrong_password");
    let gone = ada.json(Method::DELETE, "/api/v1/me", &json!({"password": PASSWORD}));
    assert_eq!(gone.status, 204, "{gone:?}");
    refused(&ada.get("/api/v1/me"), 401, "unauthenticated");
    refused(&phone.get("/api/v1/me"), 401, "unauthenticated");
    refused(&client.get("/api/v1/users/by-name/ada"), 404, "user_not_found");
    refused(&client.get(&format!("/api/v1/users/{}", ada.id)), 404, "user_not_found");
    refused(&log_in(&client, "ada", PASSWORD), 401, "wrong_credentials");
    assert_ne!(Person::new(&client, "ada").id, ada.id, "the name is free, the number is not");
}

#[test]
fn the_form_at_update_edits_the_profile() {
    let stack = stack();
    let client = client(&stack);
    let ada = Person::new(&client, "ada");
    let kind = [("content-type", "application/x-www-form-urlencoded")];
    let done = ada.send(Method::POST, "/update", &kind, b"username=ada&nickname=Formed&version=1");
    assert_eq!((done.status, done.header("location")), (303, "/profile"), "{done:?}");
    assert_eq!(ada.me()["nickname"], "Formed");
    let late = ada.send(Method::POST, "/update", &kind, b"username=ada&nickname=Late&version=1");
    assert!(late.header("location").contains("error=version_conflict"), "{late:?}");
    let json = ada.send(Method::GET, "/profile", &[("accept", "application/json")], &[]);
    assert_eq!(json.json()["nickname"], "Formed");
}

#[test]
fn without_a_cache_the_answers_are_the_same() {
    let stack = unlimited().daemon_arg("--no-cache").start().expect("the stack starts");
    let client = client(&stack);
    let ada = Person::new(&client, "ada");
    let edit = ada.json(Method::PATCH, "/api/v1/me", &json!({"nickname": "Fresh"}));
    assert_eq!(edit.status, 200);
    assert_eq!(ada.me()["nickname"], "Fresh");
    assert_eq!(client.get("/api/v1/users/by-name/ada").json()["nickname"], "Fresh");
    assert_eq!(client.get("/api/v1/users/by-name/nobody").status, 404);
    register(&client, "nobody");
    assert_eq!(client.get("/api/v1/users/by-name/nobody").status, 200);
}
