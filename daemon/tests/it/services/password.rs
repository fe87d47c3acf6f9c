//! Changing the password and deleting the account.

use super::{Shop, asked_by, code, field, holder, in_shop, on_stores, soon, stranger};
use souk_proto::accounts::{ChangePasswordRequest, DeleteMeRequest, EditMeRequest, GetUserRequest};
use souk_proto::common::{Caller, Empty};
use souk_proto::{Code, Failure};
use soukd::services::accounts;

async fn change(shop: &Shop, caller: &Caller, current: &str, new: &str) -> Result<Empty, Failure> {
    let (current, new) = (current.into(), new.into());
    let request = ChangePasswordRequest { caller: Some(caller.clone()), current, new };
    accounts::change_password(&shop.cx, request, soon()).await
}

/// How many sessions the caller's user has.
async fn sessions(shop: &Shop, caller: &Caller) -> usize {
    accounts::list_sessions(&shop.cx, asked_by(caller), soon()).await.expect("list").items.len()
}

async fn delete(shop: &Shop, caller: &Caller, password: &str) -> Result<Empty, Failure> {
    let request = DeleteMeRequest { caller: Some(caller.clone()), password: password.into() };
    accounts::delete_me(&shop.cx, request, soon()).await
}

#[test]
fn a_changed_password_ends_other_sessions_and_the_old_one_is_good_for_nothing() {
    in_shop(async |shop| {
        let (mine, other) = (shop.enter("ann").await, shop.again("ann").await);
        change(shop, &mine, "password", "another one").await.expect("change");
        assert!(shop.me(&mine).await.is_ok());
        assert_eq!(code(shop.me(&other).await), Code::Unauthenticated);
        // The memo remembers the old password, of a hash that is no more.
        let old = shop.login(stranger(1), "ann", "password").await;
        assert_eq!(code(old), Code::WrongCredentials);
        assert!(shop.login(stranger(1), "ann", "another one").await.is_ok());
    });
}

#[test]
fn a_login_with_the_old_password_that_the_change_overtakes_leaves_no_session() {
    for cache in [true, false] {
        on_stores(
            |settings| settings.cache.enabled = cache,
            async |shop, _| {
                let mine = shop.enter("ann").await;
                let caller = mine.clone();
                let slow = shop.interrupted(async move |other| {
                    change(other, &caller, "password", "another one").await.expect("change");
                });
                let slow = slow.await;
                let (login, hashes) = slow.hashes(slow.login(stranger(1), "ann", "password")).await;
                assert_eq!(code(login), Code::WrongCredentials);
                assert_eq!(hashes, 2, "verified, and once more after the change");
                assert_eq!(sessions(shop, &mine).await, 1);
                slow.cx.close().await;
            },
        );
    }
}

#[test]
fn a_login_whose_hash_is_renewed_meanwhile_succeeds_with_one_session() {
    in_shop(async |shop| {
        let mine = shop.enter("ann").await;
        let slow = shop.interrupted(async |other| {
            let stricter = other.beside(|settings| settings.passwords.passes = 2).await;
            stricter.login(stranger(1), "ann", "password").await.expect("login");
            stricter.cx.close().await;
        });
        let slow = slow.await;
        let answer = slow.login(stranger(1), "ann", "password").await.expect("login");
        assert!(shop.me(&holder(&answer)).await.is_ok());
        assert_eq!(sessions(shop, &mine).await, 3, "mine, the stricter daemon's, and this one");
        slow.cx.close().await;
    });
}

#[test]
fn a_new_nickname_in_the_middle_does_not_stop_a_change_of_the_password() {
    in_shop(async |shop| {
        let mine = shop.enter("ann").await;
        let caller = Some(mine.clone());
        let slow = shop.interrupted(async move |other| {
            let nickname = Some("Ann".into());
            let request = EditMeRequest { caller, nickname, ..EditMeRequest::default() };
            accounts::edit_me(&other.cx, request, soon()).await.expect("edit");
        });
        let slow = slow.await;
        change(&slow, &mine, "password", "another one").await.expect("change");
        assert_eq!(shop.me(&mine).await.expect("me").nickname, "Ann", "both happened");
        assert!(shop.login(stranger(1), "ann", "another one").await.is_ok());
        slow.cx.close().await;
    });
}

#[test]
fn of_two_changes_of_the_password_at_once_one_is_refused() {
    in_shop(async |shop| {
        let mine = shop.enter("ann").await;
        let caller = mine.clone();
        let slow = shop.interrupted(async move |other| {
            change(other, &caller, "password", "the first one").await.expect("change");
        });
        let slow = slow.await;
        let refused = change(&slow, &mine, "password", "the second one").await;
        assert_eq!(code(refused), Code::VersionConflict);
        assert!(shop.login(stranger(1), "ann", "the first one").await.is_ok());
        slow.cx.close().await;
    });
}

#[test]
fn a_password_is_changed_only_by_who_knows_it_to_what_may_be_one() {
    in_shop(async |shop| {
        let mine = shop.enter("ann").await;
        let failure = change(shop, &mine, "wrong one", "another one").await.expect_err("wrong");
        assert_eq!((failure.code, failure.field.as_str()), (Code::WrongPassword, "current"));
        assert_eq!(field(change(shop, &mine, "password", "short").await), "new");
        assert_eq!(field(change(shop, &mine, "", "another one").await), "current");
        let nobody = change(shop, &stranger(1), "password", "another one").await;
        assert_eq!(code(nobody), Code::Unauthenticated);
        assert!(shop.login(stranger(1), "ann", "password").await.is_ok());
    });
}

#[test]
fn a_stolen_session_cannot_guess_the_password_nor_stop_the_owner() {
    in_shop(async |shop| {
        let (owner, thief) = (shop.enter("ann").await, shop.again("ann").await);
        for _ in 0..10 {
            assert_eq!(code(delete(shop, &thief, "a guess").await), Code::WrongPassword);
        }
        assert_eq!(code(delete(shop, &thief, "password").await), Code::TooManyFailures);
        let refused = change(shop, &thief, "password", "another one").await;
        assert_eq!(code(refused), Code::TooManyFailures);
        change(shop, &owner, "password", "another one").await.expect("the owner can");
    });
}

#[test]
fn a_deleted_account_is_gone_with_its_sessions_and_its_name_is_free() {
    in_shop(async |shop| {
        let (mine, other) = (shop.enter("ann").await, shop.again("ann").await);
        let id = shop.me(&mine).await.expect("me").id;
        let failure = delete(shop, &mine, "wrong one").await.expect_err("wrong");
        assert_eq!((failure.code, failure.field.as_str()), (Code::WrongPassword, "password"));
        assert!(shop.me(&mine).await.is_ok());

        delete(shop, &mine, "password").await.expect("delete");
        for caller in [&mine, &other] {
            assert_eq!(code(shop.me(caller).await), Code::Unauthenticated);
        }
        let request = GetUserRequest { caller: None, id };
        let gone = accounts::get_user(&shop.cx, request, soon()).await;
        assert_eq!(code(gone), Code::UserNotFound);
        let login = shop.login(stranger(1), "ann", "password").await;
        assert_eq!(code(login), Code::WrongCredentials);

        let next = shop.create("ann", "password").await.expect("the name is free");
        assert_ne!(next.id, id);
        assert_eq!(code(shop.me(&mine).await), Code::Unauthenticated);
    });
}
