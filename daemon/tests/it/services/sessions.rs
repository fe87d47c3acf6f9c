//! Sessions: listed, ended, and over in time.

use super::{asked_by, code, holder, in_shop, soon, stranger};
use data_encoding::HEXLOWER;
use souk_proto::Code;
use souk_proto::accounts::{RevokeSessionRequest, Session};
use souk_proto::common::Caller;
use soukd::services::accounts;
use std::time::Duration;

async fn list(shop: &super::Shop, caller: &Caller) -> Vec<Session> {
    accounts::list_sessions(&shop.cx, asked_by(caller), soon()).await.expect("list").items
}

fn revoke(caller: &Caller, session_id: &str) -> RevokeSessionRequest {
    RevokeSessionRequest { caller: Some(caller.clone()), session_id: session_id.into() }
}

#[test]
fn each_login_is_listed_with_its_device_and_the_current_one_is_marked() {
    in_shop(async |shop| {
        let first = shop.enter("ann").await;
        shop.clock.pass(Duration::from_secs(5));
        let agent = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";
        let address = std::net::Ipv6Addr::from_bits(0x2001_0db8 << 96 | 7).octets().to_vec();
        let caller = Caller { address, agent: agent.into(), ..Caller::default() };
        let second = holder(&shop.login(caller, "ann", "password").await.expect("login"));

        let items = list(shop, &second).await;
        let shown: Vec<_> = items
            .iter()
            .map(|item| (item.device.as_str(), item.address.as_str(), item.current))
            .collect();
        assert_eq!(
            shown,
            [("Firefox on Linux", "2001:db8::7", true), ("curl", "192.0.2.1", false)]
        );
        assert_eq!(items[0].created_at_ms, 1_800_000_005_000);
        assert_eq!(items[1].last_seen_at_ms, 1_800_000_000_000);
        assert!(items.iter().all(|item| item.id.len() == 32));
        assert!(list(shop, &first).await[1].current);
    });
}

#[test]
fn a_revoked_session_is_over_at_once_and_others_stay() {
    in_shop(async |shop| {
        let (mine, stolen, other) =
            (shop.enter("ann").await, shop.again("ann").await, shop.again("ann").await);
        let id = list(shop, &stolen).await.into_iter().find(|item| item.current).expect("it").id;
        accounts::revoke_session(&shop.cx, revoke(&mine, &id), soon()).await.expect("revoke");
        assert_eq!(code(shop.me(&stolen).await), Code::Unauthenticated);
        assert!(shop.me(&other).await.is_ok());
        let again = accounts::revoke_session(&shop.cx, revoke(&mine, &id), soon()).await;
        assert_eq!(code(again), Code::SessionNotFound);

        accounts::revoke_other_sessions(&shop.cx, asked_by(&mine), soon()).await.expect("revoke");
        assert_eq!(code(shop.me(&other).await), Code::Unauthenticated);
        assert_eq!(list(shop, &mine).await.len(), 1);
    });
}

#[test]
fn nobody_ends_the_sessions_of_others() {
    in_shop(async |shop| {
        let (ann, bob) = (shop.enter("ann").await, shop.enter("bob").await);
        let id = list(shop, &bob).await[0].id.clone();
        for id in [id.as_str(), "", "zz", &HEXLOWER.encode(&[0; 16]), &"é".repeat(16)] {
            let refused = accounts::revoke_session(&shop.cx, revoke(&ann, id), soon()).await;
            assert_eq!(code(refused), Code::SessionNotFound, "{id}");
        }
        assert!(shop.me(&bob).await.is_ok());
    });
}

#[test]
fn logging_out_ends_the_session_and_may_be_repeated() {
    in_shop(async |shop| {
        let (caller, other) = (shop.enter("ann").await, shop.again("ann").await);
        accounts::logout(&shop.cx, asked_by(&caller), soon()).await.expect("logout");
        assert_eq!(code(shop.me(&caller).await), Code::Unauthenticated);
        accounts::logout(&shop.cx, asked_by(&caller), soon()).await.expect("again");
        assert!(shop.me(&other).await.is_ok());
        let nobody = accounts::logout(&shop.cx, asked_by(&stranger(1)), soon()).await;
        assert_eq!(code(nobody), Code::Unauthenticated);
    });
}

#[test]
fn a_session_ends_with_its_time_and_a_clock_set_back_does_not_end_it() {
    in_shop(async |shop| {
        let caller = shop.enter("ann").await;
        shop.clock.set_back(3_600_000);
        assert!(shop.me(&caller).await.is_ok(), "issued in the future, as it looks");
        shop.clock.set_back(-3_600_000);
        shop.clock.pass(Duration::from_secs(2_592_000 - 1));
        assert!(shop.me(&caller).await.is_ok());
        shop.clock.pass(Duration::from_secs(1));
        assert_eq!(code(shop.me(&caller).await), Code::Unauthenticated);
    });
}

#[test]
fn a_forged_or_missing_token_is_nobody() {
    in_shop(async |shop| {
        let caller = shop.enter("ann").await;
        let middle = caller.token.len() / 2;
        let other = if caller.token.as_bytes()[middle] == b'A' { "B" } else { "A" };
        let mut forged = caller.token.clone();
        forged.replace_range(middle..=middle, other);
        for token in [String::new(), forged, "garbage".into(), caller.device.clone()] {
            let refused = shop.me(&Caller { token, ..caller.clone() }).await;
            assert_eq!(code(refused), Code::Unauthenticated);
        }
    });
}

#[test]
fn last_seen_is_written_once_a_minute() {
    in_shop(async |shop| {
        let caller = shop.enter("ann").await;
        shop.clock.pass(Duration::from_secs(59));
        shop.me(&caller).await.expect("me");
        assert_eq!(list(shop, &caller).await[0].last_seen_at_ms, 1_800_000_000_000);
        shop.clock.pass(Duration::from_secs(1));
        shop.me(&caller).await.expect("me");
        // It is written off the answer's path, so it may take a few more requests to be seen.
        let mut seen = 0;
        for _ in 0..1_000 {
            seen = list(shop, &caller).await[0].last_seen_at_ms;
            if seen != 1_800_000_000_000 {
                break;
            }
        }
        assert_eq!(seen, 1_800_000_060_000);
    });
}
