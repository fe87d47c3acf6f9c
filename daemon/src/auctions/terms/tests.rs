use super::{edited, new};
use souk_db::auctions::{MONEY_MAX, Terms};
use souk_proto::Failure;
use souk_proto::auctions::{CreateAuctionRequest, EditAuctionRequest, SoftClose, Step};

const NOW: i64 = 1_800_000_000_000;
const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

fn step(from: i64, step: i64) -> Step {
    Step { from, step }
}

fn request() -> CreateAuctionRequest {
    CreateAuctionRequest {
        caller: None,
        title: "  A lamp ".into(),
        description: "Brass.\n\tWorks.".into(),
        currency: "EUR".into(),
        start_price: 1_000,
        increments: vec![step(0, 50), step(5_000, 100)],
        reserve: Some(2_000),
        buy_now: Some(9_000),
        start_at_ms: 0,
        end_at_ms: NOW + DAY,
        soft_close: Some(SoftClose { window_s: 30, extensions: 10 }),
    }
}

fn asked(change: impl FnOnce(&mut CreateAuctionRequest)) -> Result<Terms, Failure> {
    let mut request = request();
    change(&mut request);
    new(request, NOW)
}

#[test]
fn what_is_asked_for_becomes_the_terms() {
    let terms = asked(|_| ()).expect("terms");
    assert_eq!((terms.title.as_str(), terms.currency.as_str()), ("A lamp", "EUR"));
    assert_eq!((terms.start_at_ms, terms.end_at_ms), (NOW, NOW + DAY));
    assert_eq!((terms.soft_window_ms, terms.extensions_max), (30_000, 10));
    assert_eq!((terms.reserve, terms.buy_now), (Some(2_000), Some(9_000)));
    assert_eq!(terms.increments.len(), 2);
    let late = asked(|it| it.start_at_ms = NOW - HOUR).expect("a moment ago");
    assert_eq!(late.start_at_ms, NOW, "it begins now");
    let later = asked(|it| (it.start_at_ms, it.end_at_ms) = (NOW + DAY, NOW + 2 * DAY));
    assert_eq!(later.expect("terms").start_at_ms, NOW + DAY);
    let plain = asked(|it| (it.reserve, it.buy_now, it.soft_close) = (None, None, None));
    let plain = plain.expect("terms");
    assert_eq!((plain.reserve, plain.buy_now, plain.soft_window_ms), (None, None, 0));
}

#[test]
fn the_edges_of_every_range_are_inside() {
    type Change = fn(&mut CreateAuctionRequest);
    let inside: &[Change] = &[
        |it| it.title = "é".repeat(120),
        |it| it.description = "é".repeat(4_000),
        |it| (it.start_price, it.reserve, it.buy_now) = (MONEY_MAX, Some(MONEY_MAX), None),
        |it| (it.start_price, it.reserve, it.buy_now) = (1, Some(1), Some(2)),
        |it| it.increments = (0..16).map(|from| step(from, MONEY_MAX)).collect(),
        |it| it.increments = vec![step(0, 1), step(MONEY_MAX, 1)],
        |it| it.reserve = Some(9_000),
        |it| it.end_at_ms = NOW + 1_000,
        |it| it.end_at_ms = NOW + 90 * DAY,
        |it| (it.start_at_ms, it.end_at_ms) = (NOW + 365 * DAY, NOW + 366 * DAY),
        |it| it.soft_close = Some(SoftClose { window_s: 1, extensions: 1 }),
        |it| it.soft_close = Some(SoftClose { window_s: 3_600, extensions: 1_000 }),
    ];
    for (number, change) in inside.iter().enumerate() {
        assert!(asked(change).is_ok(), "{number}: {:?}", asked(change));
    }
}

#[test]
fn what_no_auction_can_have_is_refused_with_its_field() {
    type Change = fn(&mut CreateAuctionRequest);
    let outside: &[(&str, Change)] = &[
        ("title", |it| it.title = " ".into()),
        ("title", |it| it.title = "é".repeat(121)),
        ("title", |it| it.title = "two\nlines".into()),
        ("title", |it| it.title = "a\u{202e}b".into()),
        ("description", |it| it.description = "é".repeat(4_001)),
        ("description", |it| it.description = "a\0b".into()),
        ("currency", |it| it.currency = "ABC".into()),
        ("currency", |it| it.currency = String::new()),
        ("start_price", |it| it.start_price = 0),
        ("start_price", |it| it.start_price = -1),
        ("start_price", |it| it.start_price = MONEY_MAX + 1),
        ("start_price", |it| it.start_price = i64::MAX),
        ("increment", |it| it.increments = Vec::new()),
        ("increment", |it| it.increments = (0..17).map(|from| step(from, 1)).collect()),
        ("increment", |it| it.increments = vec![step(1, 1)]),
        ("increment", |it| it.increments = vec![step(-1, 1)]),
        ("increment", |it| it.increments = vec![step(0, 0)]),
        ("increment", |it| it.increments = vec![step(0, -5)]),
        ("increment", |it| it.increments = vec![step(0, MONEY_MAX + 1)]),
        ("increment", |it| it.increments = vec![step(0, 1), step(0, 2)]),
        ("increment", |it| it.increments = vec![step(0, 1), step(9, 1), step(5, 1)]),
        ("increment", |it| it.increments = vec![step(0, 1), step(MONEY_MAX + 1, 1)]),
        ("reserve", |it| it.reserve = Some(999)),
        ("reserve", |it| it.reserve = Some(0)),
        ("reserve", |it| it.reserve = Some(-1)),
        ("reserve", |it| it.reserve = Some(i64::MAX)),
        ("buy_now", |it| it.buy_now = Some(0)),
        ("buy_now", |it| (it.buy_now, it.reserve) = (Some(1_000), None)),
        ("buy_now", |it| it.buy_now = Some(1_999)),
        ("buy_now", |it| it.buy_now = Some(i64::MIN)),
        ("start_at", |it| it.start_at_ms = NOW - HOUR - 1),
        ("start_at", |it| it.start_at_ms = -1),
        ("start_at", |it| it.start_at_ms = NOW + 365 * DAY + 1),
        ("start_at", |it| it.start_at_ms = i64::MAX),
        ("end_at", |it| it.end_at_ms = 0),
        ("end_at", |it| it.end_at_ms = i64::MIN),
        ("end_at", |it| it.end_at_ms = i64::MAX),
        ("end_at", |it| it.end_at_ms = NOW + 999),
        ("end_at", |it| it.end_at_ms = NOW + 90 * DAY + 1),
        ("soft_close", |it| it.soft_close = Some(SoftClose { window_s: 0, extensions: 1 })),
        ("soft_close", |it| it.soft_close = Some(SoftClose { window_s: 3_601, extensions: 1 })),
        ("soft_close", |it| it.soft_close = Some(SoftClose { window_s: 1, extensions: 0 })),
        ("soft_close", |it| it.soft_close = Some(SoftClose { window_s: 1, extensions: 1_001 })),
    ];
    for (number, (field, change)) in outside.iter().enumerate() {
        let refused = asked(change).expect_err(field);
        assert_eq!(refused.field, *field, "{number}: {refused:?}");
        assert!(!refused.detail.is_empty());
    }
}

#[test]
fn an_edit_changes_what_it_names_and_nothing_else() {
    let old = asked(|_| ()).expect("terms");
    assert_eq!(edited(&old, EditAuctionRequest::default(), NOW), Ok(old.clone()));
    // Later the start has passed, which is nobody's fault.
    let title = EditAuctionRequest { title: Some("Two lamps".into()), ..Default::default() };
    let expected = Terms { title: "Two lamps".into(), ..old.clone() };
    assert_eq!(edited(&old, title, NOW + 2 * HOUR), Ok(expected));
    let away = EditAuctionRequest {
        reserve: Some(0),
        buy_now: Some(0),
        soft_close: Some(SoftClose::default()),
        ..Default::default()
    };
    let expected =
        Terms { reserve: None, buy_now: None, soft_window_ms: 0, extensions_max: 0, ..old.clone() };
    assert_eq!(edited(&old, away, NOW), Ok(expected));
}

#[test]
fn an_edit_is_held_to_the_same_ranges_and_to_what_it_leaves() {
    let old = asked(|_| ()).expect("terms");
    type Change = fn(&mut EditAuctionRequest);
    let outside: &[(&str, Change)] = &[
        ("title", |it| it.title = Some(String::new())),
        ("description", |it| it.description = Some("x".repeat(4_001))),
        ("currency", |it| it.currency = Some("eur".into())),
        ("start_price", |it| it.start_price = Some(0)),
        ("reserve", |it| it.start_price = Some(2_001)),
        ("reserve", |it| it.reserve = Some(-1)),
        ("buy_now", |it| it.reserve = Some(9_001)),
        ("increment", |it| it.increments = vec![step(0, 0)]),
        ("soft_close", |it| it.soft_close = Some(SoftClose { window_s: 5, extensions: 0 })),
        ("start_at", |it| it.start_at_ms = Some(NOW - 2 * HOUR)),
        ("end_at", |it| it.start_at_ms = Some(NOW + DAY)),
        ("end_at", |it| it.end_at_ms = Some(NOW)),
        ("end_at", |it| it.end_at_ms = Some(NOW + 91 * DAY)),
    ];
    for (number, (field, change)) in outside.iter().enumerate() {
        let mut request = EditAuctionRequest::default();
        change(&mut request);
        let refused = edited(&old, request, NOW).expect_err(field);
        assert_eq!(refused.field, *field, "{number}: {refused:?}");
    }
    let mut passed = EditAuctionRequest { end_at_ms: Some(NOW + HOUR), ..Default::default() };
    let refused = edited(&old, passed.clone(), NOW + HOUR).expect_err("the end has passed");
    assert_eq!(refused.field, "end_at");
    passed.end_at_ms = Some(NOW + HOUR + 1);
    assert!(edited(&old, passed, NOW + HOUR).is_ok());
}
