//! What services answer while a store is away.

use super::{asked_by, code, on_stores, soon, stranger};
use souk_proto::Code;
use souk_proto::accounts::GetUserRequest;
use soukd::services::accounts;

#[test]
fn without_redis_profiles_are_read_and_sessions_are_unavailable() {
    on_stores(
        |_| (),
        async |shop, stack| {
            let caller = shop.enter("ann").await;
            let me = shop.me(&caller).await.expect("me");
            stack.redis().kill();
            for _ in 0..3 {
                let request = GetUserRequest { caller: Some(caller.clone()), id: me.id };
                let found = accounts::get_user(&shop.cx, request, soon()).await;
                assert_eq!(found.expect("from the database"), me);
            }
            let failure = shop.me(&caller).await.expect_err("sessions live in Redis");
            assert_eq!(failure.code, Code::StoreUnavailable);
            assert!(failure.retry_after_ms > 0);
            let listed = accounts::list_sessions(&shop.cx, asked_by(&caller), soon()).await;
            assert_eq!(code(listed), Code::StoreUnavailable);
            let login = shop.login(stranger(1), "ann", "password").await;
            assert_eq!(code(login), Code::StoreUnavailable);
        },
    );
}

#[test]
fn without_the_cache_the_answers_are_the_same() {
    on_stores(
        |settings| settings.cache.enabled = false,
        async |shop, _| {
            let caller = shop.enter("ann").await;
            let (again, hashes) = shop.hashes(shop.login(stranger(1), "ann", "password")).await;
            assert!(again.is_ok());
            assert_eq!(hashes, 0, "the memo needs no cache");
            assert_eq!(shop.me(&caller).await.expect("me").username, "ann");
            accounts::logout(&shop.cx, asked_by(&caller), soon()).await.expect("logout");
            assert_eq!(code(shop.me(&caller).await), Code::Unauthenticated);
        },
    );
}
