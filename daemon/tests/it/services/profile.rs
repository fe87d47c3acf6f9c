//! Profiles: seen by all, changed by their owner.

use super::{Shop, asked_by, code, field, in_shop, soon, stranger};
use souk_proto::accounts::{EditMeRequest, GetUserByNameRequest, GetUserRequest, User};
use souk_proto::common::Caller;
use souk_proto::{Code, Failure};
use soukd::services::accounts;

async fn by_name(shop: &Shop, username: &str) -> Result<User, Failure> {
    let request = GetUserByNameRequest { caller: None, username: username.into() };
    accounts::get_user_by_name(&shop.cx, request, soon()).await
}

async fn by_id(shop: &Shop, id: u64) -> Result<User, Failure> {
    accounts::get_user(&shop.cx, GetUserRequest { caller: None, id }, soon()).await
}

async fn edit(
    shop: &Shop,
    caller: &Caller,
    username: Option<&str>,
    nickname: Option<&str>,
    if_version: Option<u64>,
) -> Result<User, Failure> {
    let request = EditMeRequest {
        caller: Some(caller.clone()),
        username: username.map(Into::into),
        nickname: nickname.map(Into::into),
        if_version,
    };
    accounts::edit_me(&shop.cx, request, soon()).await
}

#[test]
fn anybody_sees_a_user_by_id_and_by_name_in_either_case() {
    in_shop(async |shop| {
        let made = shop.create("ann", "password").await.expect("create");
        for _ in 0..2 {
            assert_eq!(by_id(shop, made.id).await.expect("by id"), made);
            assert_eq!(by_name(shop, "ANN").await.expect("by name"), made);
        }
        assert_eq!(code(by_id(shop, made.id + 1).await), Code::UserNotFound);
        assert_eq!(code(by_id(shop, 0).await), Code::UserNotFound);
        for name in ["nobody", "", "a/b", "%"] {
            assert_eq!(code(by_name(shop, name).await), Code::UserNotFound);
        }
    });
}

#[test]
fn an_edit_is_seen_by_everybody_at_once() {
    in_shop(async |shop| {
        let caller = shop.enter("ann").await;
        let before = by_name(shop, "ann").await.expect("before");
        let edited = edit(shop, &caller, Some("Anna"), Some(" Anna "), None).await.expect("edit");
        assert_eq!((edited.username.as_str(), edited.nickname.as_str()), ("anna", "Anna"));
        assert_eq!(edited.version, before.version + 1);
        assert_eq!(shop.me(&caller).await.expect("me"), edited);
        assert_eq!(by_id(shop, edited.id).await.expect("by id"), edited);
        assert_eq!(by_name(shop, "anna").await.expect("by name"), edited);
        assert_eq!(code(by_name(shop, "ann").await), Code::UserNotFound);
        assert!(shop.login(stranger(1), "anna", "password").await.is_ok());
        assert_eq!(code(shop.login(stranger(1), "ann", "password").await), Code::WrongCredentials);
    });
}

#[test]
fn an_edit_of_a_version_that_is_gone_is_a_conflict_and_changes_nothing() {
    in_shop(async |shop| {
        let caller = shop.enter("ann").await;
        let seen = shop.me(&caller).await.expect("me").version;
        let edited = edit(shop, &caller, None, Some("A"), Some(seen)).await.expect("edit");
        assert_eq!(edited.version, seen + 1);
        let refused = edit(shop, &caller, None, Some("B"), Some(seen)).await;
        assert_eq!(code(refused), Code::VersionConflict);
        assert_eq!(code(edit(shop, &caller, None, None, Some(seen)).await), Code::VersionConflict);
        assert_eq!(shop.me(&caller).await.expect("me"), edited);
        let same = edit(shop, &caller, None, None, Some(edited.version)).await.expect("nothing");
        assert_eq!(same, edited);
    });
}

#[test]
fn a_name_that_somebody_has_is_refused_and_ones_own_is_not() {
    in_shop(async |shop| {
        let (ann, _) = (shop.enter("ann").await, shop.enter("bob").await);
        assert_eq!(code(edit(shop, &ann, Some("BOB"), None, None).await), Code::UsernameTaken);
        assert!(edit(shop, &ann, Some("ANN"), None, None).await.is_ok());
        assert_eq!(field(edit(shop, &ann, Some("a b"), None, None).await), "username");
        assert_eq!(field(edit(shop, &ann, None, Some(" "), None).await), "nickname");
        assert_eq!(shop.me(&ann).await.expect("me").username, "ann");
    });
}

#[test]
fn nobody_edits_without_a_session() {
    in_shop(async |shop| {
        let refused = edit(shop, &stranger(1), None, Some("A"), None).await;
        assert_eq!(code(refused), Code::Unauthenticated);
        let refused = edit(shop, &stranger(1), Some("a b"), None, None).await;
        assert_eq!(code(refused), Code::Unauthenticated, "before the fields are looked at");
        let refused = accounts::get_me(&shop.cx, asked_by(&stranger(1)), soon()).await;
        assert_eq!(code(refused), Code::Unauthenticated);
    });
}
