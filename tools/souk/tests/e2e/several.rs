//! Several fronts and several daemons are one Souk.

use crate::accounts::person::{PASSWORD, Person, log_in, register};
use crate::accounts::unlimited;
use crate::client::Client;
use serde_json::json;
use ureq::http::Method;

#[test]
fn two_fronts_and_two_daemons_of_two_shards_are_one_souk() {
    let mut stack = unlimited()
        .daemons(2)
        .fronts(2)
        .daemon_set("daemon.shards", 2)
        .front_set("http.threads", 2)
        .start()
        .expect("the stack starts");
    let clients: Vec<_> = stack.fronts().iter().map(|it| Client::new(it.address())).collect();
    for number in 0..20 {
        register(&clients[number % 2], &format!("user_{number}"));
    }
    for number in 0..20 {
        let path = format!("/api/v1/users/by-name/user_{number}");
        assert_eq!(clients[(number + 1) % 2].get(&path).status, 200);
    }
    let ada = Person::new(&clients[0], "ada");
    let elsewhere = Person { client: &clients[1], id: ada.id, token: ada.token.clone() };
    for round in 0..20 {
        let nickname = format!("Ada {round}");
        let edit = ada.json(Method::PATCH, "/api/v1/me", &json!({"nickname": nickname}));
        assert_eq!(edit.status, 200);
        assert_eq!(elsewhere.me()["nickname"], nickname, "an acknowledged edit is seen anywhere");
    }
    assert_eq!(elsewhere.send(Method::POST, "/api/v1/logout", &[], &[]).status, 204);
    assert_eq!(ada.get("/api/v1/me").status, 401, "a session ends everywhere at once");

    stack.daemons()[0].stop().expect("stops");
    for number in 0..20 {
        let name = format!("user_{number}");
        let by_name = clients[number % 2].get(&format!("/api/v1/users/by-name/{name}"));
        assert_eq!(by_name.status, 200, "the other daemon takes over");
        assert_eq!(log_in(&clients[number % 2], &name, PASSWORD).status, 200);
    }
    stack.restart_daemon(0).expect("starts again");
    assert_eq!(clients[0].get("/api/v1/users/by-name/user_0").status, 200);
}
