//! A real browser walks the pages on the whole stack.
//!
//! Nothing waits by the clock: every step waits for what the page shows. With
//! `SOUK_SCREENSHOTS=DIR` the walks leave pictures of the pages there.

pub mod window;

use std::path::Path;

use fantoccini::key::Key;
use fantoccini::wd::Locator::{Css, XPath};
use souk_stack::Stack;
use window::{Api, Window, walk};

const PASSWORD: &str = "a few words in a row";

#[test]
fn a_shopper_registers_logs_in_edits_uploads_revokes_and_logs_out_in_a_browser() {
    let stack = Stack::builder().start().expect("the stack starts");
    let api = Api::new(&stack.http());
    api.register("taken.name", PASSWORD);
    walk(&stack.http(), Scripts::Allowed, async |window| {
        register(&window).await;
        log_out(&window).await;
        log_in_by_keyboard(&window).await;
        let phone = api.log_in("leyla", PASSWORD);
        edit_names(&window, &api, &phone).await;
        change_picture(&window, &stack.dir().join("upload.png")).await;
        revoke(&window, &api, &phone).await;
        log_out(&window).await;
        window.open("/profile").await;
        window.find(Css("#login")).await;
        assert!(window.url().await.ends_with("/login?next=/profile"));
        stay_on_the_site(&window, &stack.http()).await;
    });
}

#[test]
fn a_shopper_changes_the_password_and_deletes_the_account_in_a_browser() {
    let stack = Stack::builder().start().expect("the stack starts");
    let api = Api::new(&stack.http());
    let fresh = "quite another row of words";
    walk(&stack.http(), Scripts::Allowed, async |window| {
        register(&window).await;
        let phone = api.log_in("leyla", PASSWORD);

        window.fill("#current", "not my password").await;
        window.fill("#new", fresh).await;
        window.press("#secret [type=submit]").await;
        window.find(Css("#current[aria-invalid=true]:focus")).await;
        window.fill("#current", PASSWORD).await;
        window.press("#secret [type=submit]").await;
        window.hears("Password changed. Your other devices are logged out.").await;
        assert_eq!(api.me(&phone).0, 401, "the other session is revoked");
        api.log_in("leyla", fresh);

        window.press("#leave-open").await;
        window.fill("#leave-password", "not my password").await;
        window.press("#leave [type=submit]").await;
        window.find(Css("#leave-password[aria-invalid=true]:focus")).await;
        window.fill("#leave-password", fresh).await;
        window.press("#leave [type=submit]").await;
        window.hears("Your account is gone. Farewell, and come again.").await;
        assert_eq!(api.user("leyla").0, 404, "the account is gone");
    });
}

#[test]
fn a_shopper_registers_logs_in_and_edits_in_a_browser_without_scripts() {
    let stack = Stack::builder().start().expect("the stack starts");
    let api = Api::new(&stack.http());
    walk(&stack.http(), Scripts::Blocked, async |window| {
        window.open("/register").await;
        window.fill("#username", "leyla").await;
        window.fill("#password", PASSWORD).await;
        window.press("#register [type=submit]").await;
        window.find(Css("#login")).await;
        window.fill("#username", "leyla").await;
        window.fill("#password", PASSWORD).await;
        window.press("#login [type=submit]").await;
        window.find(Css("noscript > .hint")).await;
        window.fill("#details #nickname", "Leyla the Weaver").await;
        window.press("#details [type=submit]").await;
        // The page has come back when the button that was pressed has no focus any more.
        window.find(Css("body:not(:has(:focus))")).await;
        assert_eq!(api.user("leyla").1["nickname"], "Leyla the Weaver");
    });
}

/// Whether the page's scripts run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Scripts {
    Allowed,
    Blocked,
}

async fn register(window: &Window) {
    window.open("/").await;
    window.picture("home").await;
    window.press("#hero-visitor .button").await;
    window.fill("#username", "Le").await;
    window.press("#register [type=submit]").await;
    window.find(Css("#username[aria-invalid=true]:focus")).await;
    window.picture("register").await;
    window.fill("#username", "Leyla").await;
    window.fill("#nickname", "ليلى").await;
    window.fill("#password", PASSWORD).await;
    window.press("#register [type=submit]").await;
    window.find(XPath("//h1[.='ليلى']")).await;
    window.find(XPath("//*[@class='handle'][.='@leyla']")).await;
}

async fn log_out(window: &Window) {
    window.press("#logout").await;
    window.hears("You are logged out.").await;
}

async fn log_in_by_keyboard(window: &Window) {
    window.open("/login").await;
    let (tab, enter) = (char::from(Key::Tab), char::from(Key::Enter));
    window.type_into("#username", &format!("leyla{tab}not my password{enter}")).await;
    window.find(Css("#password[aria-invalid=true]:focus")).await;
    window.find(Css("#password-error:not([hidden])")).await;
    window.picture("login").await;
    window.fill("#password", PASSWORD).await;
    window.type_into("#password", &enter.to_string()).await;
    window.find(XPath("//h1[.='ليلى']")).await;
}

/// Whatever `next` says, logging in leads nowhere else.
async fn stay_on_the_site(window: &Window, site: &str) {
    let log_in = async |next: &str| {
        window.open(&format!("/login?next={next}")).await;
        window.fill("#username", "leyla.weaver").await;
        window.fill("#password", PASSWORD).await;
        window.press("#login [type=submit]").await;
        window.find(Css("body:not(:has(#login))")).await;
        window.url().await
    };
    assert_eq!(log_in("/.//evil.example").await, format!("{site}//evil.example"));
    assert_eq!(log_in("//[").await, format!("{site}/profile"));
}

async fn edit_names(window: &Window, api: &Api, phone: &str) {
    window.fill("#username", "taken.name").await;
    window.press("#details [type=submit]").await;
    window.find(Css("#username[aria-invalid=true]:focus")).await;

    window.fill("#username", "leyla.weaver").await;
    window.fill("#nickname", "Leyla").await;
    window.press("#details [type=submit]").await;
    window.hears("Saved.").await;
    window.find(XPath("//h1[.='Leyla']")).await;
    assert_eq!(api.user("leyla.weaver").1["nickname"], "Leyla");

    // Changed on the phone meanwhile: the page says so, shows it, and can then save.
    api.edit(phone, r#"{"nickname":"Leyla on the phone"}"#);
    window.fill("#nickname", "Leyla the Weaver").await;
    window.press("#details [type=submit]").await;
    window.find(XPath("//h1[.='Leyla on the phone']")).await;
    window.find(Css("#details .alert:not([hidden])")).await;
    window.fill("#nickname", "Leyla the Weaver").await;
    window.press("#details [type=submit]").await;
    window.find(XPath("//h1[.='Leyla the Weaver']")).await;
}

async fn change_picture(window: &Window, file: &Path) {
    window.open("/").await;
    let picture = window.shoot_part(".hero .arcade").await;
    window.press("#nav-profile").await;
    window.find(XPath("//h1[.='Leyla the Weaver']")).await;

    // Cut off: the name and the type are a picture's, the content is not a whole one.
    std::fs::write(file, &picture[..picture.len() / 2]).expect("the upload can be written");
    window.type_into("#file", &file.to_string_lossy()).await;
    window.find(Css("#cancel:not([hidden])")).await;
    window.press("#upload").await;
    window.find(Css("#file[aria-invalid=true]:focus")).await;
    window.find(Css("#picture-error:not([hidden])")).await;
    window.press("#cancel").await;

    std::fs::write(file, &picture).expect("the upload can be written");
    window.type_into("#file", &file.to_string_lossy()).await;
    window.find(Css("#preview:not([hidden])")).await;
    window.press("#upload").await;
    window.hears("Your new picture hangs.").await;
    window.find(Css(".summary .avatar img")).await;
    let side = window.width_of_image(".summary .avatar img").await;
    assert_eq!(side, 256, "the picture is served at its size");
    window.picture("profile").await;
    window.portrait("profile-phone").await;

    window.press("#drop-picture").await;
    window.hears("Your picture is removed.").await;
    window.find(Css(".summary:not(:has(img))")).await;
}

async fn revoke(window: &Window, api: &Api, phone: &str) {
    // The phone logged in after the page had read its list.
    window.reload().await;
    window.find(Css("#sessions li:first-child .badge")).await;
    window.press("#sessions li + li .button").await;
    window.find(Css("#sessions:not(:has(li + li))")).await;
    window.find(Css("#sessions-title:focus")).await;
    assert_eq!(api.me(phone).0, 401, "the revoked session is over");
    window.find(Css("#revoke-others[hidden]")).await;
}
