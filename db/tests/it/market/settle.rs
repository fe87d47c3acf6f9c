//! Auctions end once, and rightly.

use super::scene::{HOUR, SELLER, T0, bid, number, put_up, terms};
use crate::harness::{join_all, on_a_ring, settings, soon, stack, with_stores};
use souk_db::Stores;
use souk_db::auctions::{
    AuctionError, NotificationKind, Outcome, Phase, Settled, SettlementRow, Terms,
};

const END: i64 = T0 + HOUR;

#[test]
fn each_outcome_is_recorded_and_told() {
    let stack = stack();
    with_stores(&settings(&stack), async |stores| {
        let it = &stores.auctions;
        let mut sold = put_up(stores, &terms()).await;
        bid(&stack, &mut sold, &[(1, 1_000, 2_500, 1), (2, 2_100, 2_400, 2)]);
        let mut low = put_up(stores, &terms()).await;
        bid(&stack, &mut low, &[(1, 1_000, 1_999, 1), (2, 1_500, 1_500, 2)]);
        let empty = put_up(stores, &terms()).await;
        let cases = [
            (&sold, Outcome::Sold, Some(1), 2_450),
            (&low, Outcome::ReserveNotMet, None, 0),
            (&empty, Outcome::NoBids, None, 0),
        ];
        let due = it.due(END - 1, 10, soon()).await.unwrap();
        assert_eq!(due, [0_u64; 0]);
        assert_eq!(it.settle(sold.id, END - 1, soon()).await, Ok(Settled::Not));
        assert_eq!(it.due(END, 2, soon()).await.unwrap(), [sold.id, low.id]);
        for (row, outcome, winner_id, price) in cases {
            let settled = SettlementRow {
                auction_id: row.id,
                outcome,
                seller_id: SELLER,
                winner_id,
                currency: "EUR".to_owned(),
                price,
                bids: row.sequence,
                head: row.head,
                settled_at_ms: END,
            };
            assert_eq!(it.settlement(row.id, soon()).await, Ok(None));
            let now = it.settle(row.id, END, soon()).await;
            assert_eq!(now, Ok(Settled::Now(settled.clone())));
            let before = it.settle(row.id, END + 5, soon()).await;
            assert_eq!(before, Ok(Settled::Before(settled.clone())));
            assert_eq!(it.settlement(row.id, soon()).await, Ok(Some(settled)));
            let row = it.row(row.id, soon()).await.unwrap().unwrap();
            assert_eq!((row.phase, row.outcome), (Phase::Ended, Some(outcome)));
        }
        assert_eq!(it.due(END, 10, soon()).await.unwrap(), [0_u64; 0]);
        let edit = it.edit(empty.id, SELLER, None, &terms(), T0, soon()).await;
        assert_eq!(edit, Err(AuctionError::Over(Phase::Ended)));
        assert_eq!(it.settle(999, END, soon()).await, Ok(Settled::Gone));

        let (told, unread) = it.notifications(1, 0, 10, soon()).await.unwrap();
        let [won] = &told[..] else { panic!("{told:?}") };
        assert_eq!((won.kind, won.auction_id, won.price), (NotificationKind::Won, sold.id, 2_450));
        assert_eq!((&*won.title, &*won.currency, won.at_ms), ("A lamp ☂", "EUR", END));
        assert!(!won.is_read && unread == 1);
        let (told, unread) = it.notifications(SELLER, 0, 10, soon()).await.unwrap();
        let kinds: Vec<_> = told.iter().map(|it| (it.kind, it.auction_id)).collect();
        let not_sold = NotificationKind::NotSold;
        let sold_out = NotificationKind::SoldOut;
        assert_eq!(kinds, [(not_sold, empty.id), (not_sold, low.id), (sold_out, sold.id)]);
        assert_eq!(unread, 3);
        assert_eq!(it.notifications(2, 0, 10, soon()).await.unwrap(), (Vec::new(), 0));
    });
}

#[test]
fn a_cancelled_auction_is_never_settled() {
    let stack = stack();
    with_stores(&settings(&stack), async |stores| {
        let id = put_up(stores, &terms()).await.id;
        stores.auctions.cancel(id, SELLER, T0, soon()).await.unwrap();
        assert_eq!(stores.auctions.due(END, 10, soon()).await.unwrap(), [0_u64; 0]);
        assert_eq!(stores.auctions.settle(id, END, soon()).await, Ok(Settled::Gone));
        assert_eq!(number(&stack, "SELECT COUNT(*) FROM settlements"), 0);
    });
}

#[test]
fn notifications_are_read_in_pages_and_marked() {
    let stack = stack();
    with_stores(&settings(&stack), async |stores| {
        let it = &stores.auctions;
        let mut rows = Vec::new();
        for _ in 0..130 {
            rows.push(put_up(stores, &terms()).await.id);
        }
        let settles = rows.iter().map(|&id| Box::pin(it.settle(id, END, soon())));
        for settled in join_all(settles.collect()).await {
            assert!(matches!(settled, Ok(Settled::Now(_))), "{settled:?}");
        }
        let (first, unread) = it.notifications(SELLER, 0, 101, soon()).await.unwrap();
        assert_eq!((first.len(), unread), (101, 100));
        assert!(first.windows(2).all(|pair| pair[0].id > pair[1].id));
        let middle = first[50].id;
        it.read_notifications(SELLER, middle, soon()).await.unwrap();
        let (again, unread) = it.notifications(SELLER, 0, 101, soon()).await.unwrap();
        assert_eq!(unread, 50);
        assert!(again.iter().all(|it| it.is_read == (it.id <= middle)));
        let (rest, _) = it.notifications(SELLER, first[100].id, 101, soon()).await.unwrap();
        assert_eq!(rest.len(), 29);
        assert!(rest.iter().all(|it| it.id < first[100].id && it.is_read));
        it.read_notifications(1, u64::MAX, soon()).await.unwrap();
        assert_eq!(it.notifications(SELLER, 0, 1, soon()).await.unwrap().1, 50);
    });
}

#[test]
fn an_auction_is_settled_once_by_whoever_comes_first() {
    let stack = stack();
    let settings = settings(&stack);
    let ids = with_stores(&settings, async |stores| {
        let mut ids = Vec::new();
        for n in 0..20 {
            let end_at_ms = if n % 4 == 0 { END + HOUR } else { END };
            let mut row = put_up(stores, &Terms { end_at_ms, ..terms() }).await;
            if n % 2 == 0 {
                bid(&stack, &mut row, &[(1, 3_000, 3_000, 1)]);
            }
            ids.push(row.id);
        }
        ids
    });
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (settings, ids) = (settings.clone(), ids.clone());
            std::thread::spawn(move || {
                on_a_ring(async {
                    let stores = Stores::open(&settings).await.unwrap();
                    let settles = ids.iter().map(|&id| {
                        let stores = &stores;
                        Box::pin(async move {
                            let first = stores.auctions.settle(id, END, soon()).await.unwrap();
                            let again = stores.auctions.settle(id, END, soon()).await.unwrap();
                            (first, again)
                        })
                    });
                    let done = join_all(settles.collect()).await;
                    stores.close().await;
                    done
                })
            })
        })
        .collect();
    let done: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    for (place, id) in ids.iter().enumerate() {
        let firsts = done.iter().map(|it| &it[place].0);
        let now = firsts.filter(|it| matches!(it, Settled::Now(_))).count();
        let is_over = place % 4 != 0;
        assert_eq!(now, usize::from(is_over), "auction {id}");
        for (_, again) in done.iter().map(|it| &it[place]) {
            assert_eq!(matches!(again, Settled::Before(_)), is_over, "{again:?}");
        }
    }
    assert_eq!(number(&stack, "SELECT COUNT(*) FROM settlements"), 15);
    assert_eq!(number(&stack, "SELECT COUNT(*) FROM notifications WHERE kind = 'won'"), 5);
    assert_eq!(number(&stack, "SELECT COUNT(*) FROM notifications"), 20);
}
