//! The pages for people, in a browser: on a desktop and on a phone.

use super::{accepted, eventually, in_ms, open};
use crate::accounts::person::{PASSWORD, Person, client, register};
use crate::accounts::stack;
use crate::browser::Scripts;
use crate::browser::window::{Window, walk};
use fantoccini::wd::Locator::{Css, XPath};
use serde_json::json;

async fn log_in(window: &Window, name: &str) {
    window.open("/login?next=/auctions").await;
    window.fill("#username", name).await;
    window.fill("#password", PASSWORD).await;
    window.press("#login [type=submit]").await;
    window.find(Css("#main")).await;
    while !window.url().await.ends_with("/auctions") {
        window.find(Css("body")).await;
    }
}

/// Something on the page that says this.
fn saying(text: &str) -> String {
    format!("//*[not(self::script)][contains(normalize-space(text()), {text:?})]")
}

#[test]
fn a_shopper_bids_is_outbid_and_wins_in_a_browser() {
    let stack = stack();
    let client = client(&stack);
    let [sam, bob] = ["sam", "bob"].map(|name| Person::new(&client, name));
    register(&client, "leyla");
    let soft = json!({"window_s": 3600, "extensions": 1});
    let id = open(
        &sam,
        &json!({"title": "A brass lamp", "start_price": 1_000, "increment": 50,
        "soft_close": soft, "buy_now": 90_000}),
    );
    for (place, title) in
        ["A copper kettle", "Two chairs", "A carpet from Tabriz"].iter().enumerate()
    {
        let hours = 2 + i64::try_from(place).expect("small");
        open(&sam, &json!({"title": title, "end_at": in_ms(hours * 3_600_000)}));
    }
    walk(&stack.http(), Scripts::Allowed, async |window| {
        log_in(&window, "leyla").await;
        window.find(XPath(&saying("A carpet from Tabriz"))).await;
        assert!(window.fits().await, "nothing sticks out of a desktop's window");
        window.panorama("auctions").await;
        window.open(&format!("/auctions/{id}")).await;
        window.find(Css("#live:not([hidden])")).await;
        window.fill("#amount", "10.00").await;
        window.press("#place").await;
        window.find(Css("#lead:not([hidden])")).await;
        accepted(&bob, id, &json!({"amount": 2_000}));
        window.find(Css("#outbid:not([hidden])")).await;
        window.find(XPath("//*[@id='price'][contains(., '20')]")).await;
        window.fill("#amount", "20.10").await;
        window.press("#place").await;
        window
            .find(Css("#amount-error:not([hidden]), [data-error-for='form']:not([hidden])"))
            .await;
        window.fill("#amount", "25.00").await;
        window.fill("#max_amount", "60.00").await;
        window.press("#place").await;
        window.find(Css("#lead:not([hidden])")).await;
        accepted(&bob, id, &json!({"amount": 4_000}));
        window.find(XPath("//*[@id='price'][contains(., '40')]")).await;
        window.find(Css("#plot path, #plot polyline, #plot circle")).await;
        window.find(XPath("//table[@id='bids']/tbody/tr[4]")).await;
        assert!(window.fits().await, "nothing sticks out of a desktop's window");
        window.panorama("auction").await;
        window
            .on_a_phone(async |phone| {
                assert!(phone.fits().await, "nothing sticks out of a phone's");
                phone.panorama("auction-phone").await;
                phone.open("/auctions").await;
                phone.find(XPath(&saying("Two chairs"))).await;
                assert!(phone.fits().await, "nothing sticks out of a phone's");
                phone.panorama("auctions-phone").await;
            })
            .await;
        window.open(&format!("/auctions/{id}")).await;
        window.press("#buy").await;
        window.press("#place").await;
        window.find(XPath("//*[@id='settled'][not(@hidden)]")).await;
        window.panorama("auction-won").await;
    });
    eventually("leyla is told", || {
        let leyla = Person::again(&client, "leyla");
        leyla.get("/api/v1/notifications").json()["unread"] == 1
    });
}
