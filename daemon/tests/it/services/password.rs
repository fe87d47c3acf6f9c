//! Changing the password and deleting the account.

use super::{Shop, code, field, in_shop, soon, stranger};
use souk_proto::accounts::{ChangePasswordRequest, DeleteMeRequest, GetUserRequest};
use souk_proto::common::{Caller, Empty};
use souk_proto::{Code, Failure};
use soukd::services::accounts;

async fn change(shop: &Shop, caller: &Caller, current: &str, new: &str) -> Result<Empty, Failure> {
    let (current, new) = (current.into(), new.into());
    let request = ChangePasswordRequest { caller: Some(caller.clone()), current, new };
    accounts::change_password(&shop.cx, request, soon()).await
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
