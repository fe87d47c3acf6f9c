//! The page for people, in a browser: on a desktop and on a phone, by pointer and by keyboard.

use super::{eventually, page, people, program, rated};
use crate::accounts::person::client;
use crate::accounts::stack;
use crate::browser::Scripts;
use crate::browser::window::walk;
use fantoccini::wd::Locator::{Css, XPath};

/// The line of a player on the board.
fn player(name: &str, rating: &str) -> String {
    format!("//table[@id='board']//tr[contains(., '@{name}') and contains(., '{rating}')]")
}

#[test]
fn somebody_looks_at_the_board_finds_a_player_and_sees_ratings_move() {
    let stack = stack();
    let client = client(&stack);
    let ids = people(&client, &["ann", "bob", "cid"]);
    let service = program(&stack, &client, "service");
    rated(&service, ids[1], 1500);
    eventually("all are seen", || page(&client, "")["total"] == 3);
    walk(&stack.http(), Scripts::Allowed, async |window| {
        window.open("/leaderboard").await;
        window.find(XPath(&player("bob", "1,500"))).await;
        window.find(Css("#live:not([hidden])")).await;
        rated(&service, ids[2], 2345);
        window.find(XPath(&player("cid", "2,345"))).await;
        window.fill("#username", "ann").await;
        window.press("#find [type=submit]").await;
        window.find(XPath("//tr[contains(@class, 'chosen') and contains(., '@ann')]")).await;
        window.find(Css("#plot path, #plot rect")).await;
        assert!(window.fits().await, "nothing sticks out of a desktop's window");
        window.panorama("leaderboard").await;
        window
            .on_a_phone(async |phone| {
                assert!(phone.fits().await, "nothing sticks out of a phone's");
                phone.panorama("leaderboard-phone").await;
            })
            .await;
        window.fill("#username", "nobody_at_all").await;
        window.press("#find [type=submit]").await;
        window.find(Css("#find [role=alert]:not([hidden]), #username-error:not([hidden])")).await;
    });
}
