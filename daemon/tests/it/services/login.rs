//! Registration and login: who gets in, what it costs, and who is slowed down.

use super::{Shop, asked_by, code, field, holder, in_shop, on_stores, soon, stranger};
use souk_proto::Code;
use souk_proto::accounts::{CreateUserRequest, GetUserByNameRequest};
use souk_proto::common::Caller;
use soukd::services::accounts;
use std::time::Duration;

#[test]
fn who_registers_can_log_in_in_either_case_and_is_who_they_said() {
    in_shop(async |shop| {
        let made = shop.create("Ann", "correct horse").await.expect("create");
        assert_eq!((made.username.as_str(), made.nickname.as_str()), ("ann", "ann"));
        assert_eq!((made.rating, made.version, made.picture.as_str()), (1000, 1, ""));
        let answer = shop.login(stranger(1), "aNN", "correct horse").await.expect("login");
        assert_eq!(answer.user, Some(made.clone()));
        assert_eq!(answer.expires_at_ms, 1_800_000_000_000 + 2_592_000_000);
        assert_eq!(shop.me(&holder(&answer)).await.expect("me"), made);
    });
}

#[test]
fn a_registration_names_its_first_bad_field() {
    in_shop(async |shop| {
        let create = async |username: &str, password: &str, nickname: Option<&str>| {
            let request = CreateUserRequest {
                caller: None,
                username: username.into(),
                password: password.into(),
                nickname: nickname.map(Into::into),
            };
            accounts::create_user(&shop.cx, request, soon()).await
        };
        let ((), hashes) = shop
            .hashes(async {
                assert_eq!(field(create("a b", "short", Some("")).await), "username");
                assert_eq!(field(create("ann", "short", Some("")).await), "password");
                assert_eq!(field(create("ann", "long enough", Some(" ")).await), "nickname");
            })
            .await;
        assert_eq!(hashes, 0, "nothing was hashed for them");
        let made = create("ann", "long enough", Some("  Ann Ω ")).await.expect("create");
        assert_eq!(made.nickname, "Ann Ω");
    });
}

#[test]
fn a_taken_name_is_refused_in_either_case_without_a_hash() {
    in_shop(async |shop| {
        shop.create("ann", "password").await.expect("create");
        let (again, hashes) = shop.hashes(shop.create("ANN", "password")).await;
        let failure = again.expect_err("taken");
        assert_eq!((failure.code, failure.field.as_str()), (Code::UsernameTaken, "username"));
        assert_eq!(hashes, 0);
    });
}

#[test]
fn an_unknown_user_costs_and_is_answered_like_a_wrong_password() {
    in_shop(async |shop| {
        shop.create("ann", "password").await.expect("create");
        for name in ["ann", "nobody", "no/body", ""] {
            let (refused, hashes) = shop.hashes(shop.login(stranger(1), name, "wrong")).await;
            assert_eq!(code(refused), Code::WrongCredentials, "{name}");
            assert_eq!(hashes, 1, "{name}");
        }
        assert_eq!(field(shop.login(stranger(1), "ann", "").await), "password");
    });
}

#[test]
fn a_verified_password_skips_the_hash_until_the_memo_ends_and_no_other_does() {
    in_shop(async |shop| {
        shop.create("ann", "password").await.expect("create");
        let cost = async |password| {
            let (result, hashes) = shop.hashes(shop.login(stranger(1), "ann", password)).await;
            (result.is_ok(), hashes)
        };
        assert_eq!(cost("password").await, (true, 1));
        assert_eq!(cost("password").await, (true, 0));
        assert_eq!(cost("Password").await, (false, 1));
        assert_eq!(cost("password").await, (true, 0));
        shop.clock.pass(Duration::from_secs(300));
        assert_eq!(cost("password").await, (true, 1));
    });
}

#[test]
fn without_the_memo_each_login_is_hashed() {
    on_stores(
        |settings| settings.passwords.memo_ttl_s = 0,
        async |shop, _| {
            shop.enter("ann").await;
            let (_, hashes) = shop.hashes(shop.again("ann")).await;
            assert_eq!(hashes, 1);
        },
    );
}

#[test]
fn a_login_under_a_new_policy_renews_the_hash_and_the_password_stays() {
    in_shop(async |shop| {
        let made = shop.create("ann", "password").await.expect("create");
        let stricter = shop.beside(|settings| settings.passwords.passes = 2).await;
        let hash = async || {
            let row = shop.cx.stores().accounts.with_hash_by_id(made.id, soon()).await;
            row.expect("read").expect("there").password_hash.expect("with its hash")
        };
        assert!(hash().await.contains("t=1"));
        let answer = stricter.login(stranger(1), "ann", "password").await.expect("login");
        assert!(hash().await.contains("t=2"));
        assert_eq!(answer.user.expect("user").version, made.version + 1);
        let (again, hashes) = stricter.hashes(stricter.login(stranger(1), "ann", "password")).await;
        assert!(again.is_ok());
        assert_eq!(hashes, 0, "the memo is of the new hash");
        stricter.cx.close().await;
    });
}

#[test]
fn strangers_are_stopped_and_cannot_lock_out_a_known_device() {
    in_shop(async |shop| {
        let owner = shop.enter("ann").await;
        for address in 10..20 {
            let refused = shop.login(stranger(address), "ann", "a guess").await;
            assert_eq!(code(refused), Code::WrongCredentials);
        }
        let (refused, hashes) = shop.hashes(shop.login(stranger(99), "ann", "password")).await;
        let failure = refused.expect_err("the budget is spent");
        assert_eq!(failure.code, Code::TooManyFailures);
        assert_eq!(failure.retry_after_ms, 60_000);
        assert_eq!(hashes, 0, "not even tried, though it was right");

        let device = Caller { token: String::new(), ..owner };
        assert!(shop.login(device.clone(), "ann", "password").await.is_ok());
        let of_another = Caller { device: device.device.clone(), ..stranger(99) };
        shop.create("bob", "password").await.expect("create");
        for _ in 0..10 {
            let refused = shop.login(of_another.clone(), "bob", "a guess").await;
            assert_eq!(code(refused), Code::WrongCredentials, "no known device for bob");
        }
        assert_eq!(code(shop.login(of_another, "bob", "a guess").await), Code::TooManyFailures);
        assert!(shop.login(device, "ann", "password").await.is_ok());

        shop.clock.pass(Duration::from_secs(60));
        assert!(shop.login(stranger(99), "ann", "password").await.is_ok(), "one is forgiven");
    });
}

#[test]
fn a_known_device_has_a_budget_of_its_own() {
    in_shop(async |shop| {
        let device = Caller { token: String::new(), ..shop.enter("ann").await };
        for _ in 0..10 {
            let refused = shop.login(device.clone(), "ann", "a guess").await;
            assert_eq!(code(refused), Code::WrongCredentials);
        }
        assert_eq!(code(shop.login(device, "ann", "password").await), Code::TooManyFailures);
        assert!(shop.login(stranger(1), "ann", "password").await.is_ok());
    });
}

#[test]
fn names_that_nobody_has_are_budgeted_like_others() {
    in_shop(async |shop| {
        for address in 10..20 {
            let refused = shop.login(stranger(address), "nobody", "a guess").await;
            assert_eq!(code(refused), Code::WrongCredentials);
        }
        let refused = shop.login(stranger(99), "nobody", "a guess").await;
        assert_eq!(code(refused), Code::TooManyFailures);
    });
}

#[test]
fn guesses_sent_at_once_do_not_get_past_the_budget() {
    in_shop(async |shop| {
        shop.create("ann", "password").await.expect("create");
        let guesses = (0..40).map(|_| Box::pin(shop.login(stranger(1), "ann", "a guess")));
        let codes: Vec<_> = join(guesses.collect()).await.into_iter().map(code).collect();
        let tried = codes.iter().filter(|code| **code == Code::WrongCredentials).count();
        assert_eq!(tried, 10, "one hashing thread: not one more than the budget");
        assert!(
            codes
                .iter()
                .all(|code| { matches!(code, Code::WrongCredentials | Code::TooManyFailures) })
        );
    });
}

#[test]
fn a_full_hash_queue_is_answered_busy_with_a_time() {
    on_stores(
        |settings| {
            settings.passwords.queue = 1;
            // Long enough that all have come before the first is through.
            (settings.passwords.memory_kib, settings.passwords.passes) = (19_456, 20);
        },
        async |shop, _| {
            shop.create("ann", "password").await.expect("create");
            let logins = (0..20).map(|_| Box::pin(shop.login(stranger(1), "ann", "password")));
            let answers = join(logins.collect()).await;
            let busy = answers.iter().filter_map(|answer| answer.as_ref().err());
            assert!(busy.clone().count() > 0);
            for failure in busy {
                assert_eq!(failure.code, Code::Busy);
                assert!(failure.retry_after_ms > 0);
            }
            assert!(answers.iter().any(Result::is_ok));
        },
    );
}

#[test]
fn rates_are_limited_per_address_and_per_user_and_come_back() {
    on_stores(
        |settings| {
            settings.limits.enabled = true;
            (settings.limits.login_per_s, settings.limits.login_burst) = (1, 4);
            (settings.limits.read_per_s, settings.limits.read_burst) = (10, 3);
        },
        async |shop, _| {
            let caller = shop.enter("ann").await;
            let reads = async |caller: &Caller| {
                let mut count = 0;
                while shop.me(caller).await.is_ok() {
                    count += 1;
                }
                count
            };
            assert_eq!(reads(&caller).await, 3);
            let refused = shop.me(&caller).await.expect_err("limited");
            assert_eq!((refused.code, refused.retry_after_ms), (Code::RateLimited, 100));
            let elsewhere = Caller { address: vec![192, 0, 2, 77], ..caller.clone() };
            assert_eq!(code(shop.me(&elsewhere).await), Code::RateLimited, "the same user");
            shop.clock.pass(Duration::from_millis(100));
            assert_eq!(reads(&caller).await, 1);

            assert!(shop.login(stranger(1), "ann", "password").await.is_ok());
            assert!(shop.login(stranger(1), "ann", "password").await.is_ok());
            assert_eq!(code(shop.login(stranger(1), "x", "y").await), Code::RateLimited);
            assert!(shop.login(stranger(2), "ann", "password").await.is_ok());
        },
    );
}

#[test]
fn a_token_that_was_revoked_does_not_spend_what_its_user_may_ask() {
    on_stores(
        |settings| {
            settings.limits.enabled = true;
            (settings.limits.read_per_s, settings.limits.read_burst) = (1, 2);
            (settings.limits.write_per_s, settings.limits.write_burst) = (1, 2);
        },
        async |shop, _| {
            let (owner, stolen) = (shop.enter("ann").await, shop.again("ann").await);
            let from =
                |caller: &Caller, last| Caller { address: vec![192, 0, 2, last], ..caller.clone() };
            accounts::logout(&shop.cx, asked_by(&stolen), soon()).await.expect("logout");
            for last in 10..20 {
                let stolen = from(&stolen, last);
                assert_eq!(code(shop.me(&stolen).await), Code::Unauthenticated);
                accounts::logout(&shop.cx, asked_by(&stolen), soon()).await.expect("is out");
                let request = GetUserByNameRequest { caller: Some(stolen), username: "ann".into() };
                accounts::get_user_by_name(&shop.cx, request, soon()).await.expect("public");
            }
            assert!(shop.me(&from(&owner, 20)).await.is_ok());
            assert!(shop.me(&from(&owner, 21)).await.is_ok());
            assert_eq!(code(shop.me(&from(&owner, 22)).await), Code::RateLimited);
            let edit = accounts::revoke_other_sessions(&shop.cx, asked_by(&owner), soon());
            assert!(edit.await.is_ok());
        },
    );
}

/// All of them at once, in order.
async fn join<F: Future + Unpin>(mut futures: Vec<F>) -> Vec<F::Output> {
    let mut outputs: Vec<_> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(|cx| {
        for (future, output) in futures.iter_mut().zip(&mut outputs) {
            if output.is_none()
                && let std::task::Poll::Ready(ready) = std::pin::Pin::new(future).poll(cx)
            {
                *output = Some(ready);
            }
        }
        match outputs.iter().all(Option::is_some) {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
    outputs.into_iter().flatten().collect()
}

#[test]
fn other_daemons_with_the_same_secret_know_the_token() {
    in_shop(async |shop| {
        let caller = shop.enter("ann").await;
        let other: Shop = shop.beside(|_| ()).await;
        assert_eq!(other.me(&caller).await.expect("me").username, "ann");
        other.cx.close().await;
    });
}
