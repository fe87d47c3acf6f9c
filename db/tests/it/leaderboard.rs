//! Ratings and boards: what histories do not show.

use crate::harness::{create, named, set, settings, soon, stack, with_stores};
use souk_db::leaderboard::{ALL_TIME, RateError};

#[test]
fn an_event_changes_ratings_once_and_another_of_its_name_is_refused() {
    let stack = stack();
    with_stores(&settings(&stack), async |stores| {
        let board = &stores.leaderboard;
        let ann = create(stores, "ann").await.id;
        let first = board.rate(named(set(ann, 1500), "\"e\\", 1), soon()).await.unwrap();
        assert_eq!((&first.before[..], &first.after[..]), (&[1000][..], &[1500][..]));
        assert_eq!(first.boards.iter().map(|it| it.board).collect::<Vec<_>>(), [ALL_TIME]);
        let found = stores.accounts.by_id(ann, soon()).await.unwrap().unwrap();
        assert_eq!((found.rating, found.version), (1500, 2));
        board.rate(set(ann, 1700), soon()).await.unwrap();
        let again = board.rate(named(set(ann, 1500), "\"e\\", 1), soon()).await.unwrap();
        assert!(again.repeated);
        assert_eq!((again.before, again.after), (first.before, first.after));
        let other = board.rate(named(set(ann, 1600), "\"e\\", 2), soon()).await;
        assert_eq!(other, Err(RateError::OtherEvent));
        let found = stores.accounts.by_id(ann, soon()).await.unwrap().unwrap();
        assert_eq!((found.rating, found.version), (1700, 3));
    });
}
