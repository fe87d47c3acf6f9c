//! Who may change ratings, what to, and once.

use super::super::{code, field, soon, stranger};
use super::{Club, by, in_club, named, to};
use souk_proto::common::Caller;
use souk_proto::leaderboard::{
    MatchDone, RatingChange, RecordMatchRequest, SetRatingRequest, SetRatingsRequest,
};
use souk_proto::{Code, Failure};
use soukd::services::leaderboard;

async fn play(
    club: &Club<'_>,
    event_id: &str,
    (winner, loser): (u64, u64),
    draw: bool,
) -> Result<MatchDone, Failure> {
    let caller = Some(club.program.clone());
    let request = RecordMatchRequest { caller, event_id: event_id.into(), winner, loser, draw };
    leaderboard::record_match(&club.shop.cx, request, soon()).await
}

/// User, rating before and after, and whether it is an answer given again.
fn told(done: MatchDone) -> [(u64, i32, i32, bool); 2] {
    [done.winner, done.loser].map(|done| {
        let done = done.expect("both players");
        (done.user_id, done.before, done.rating, done.repeated)
    })
}

#[test]
fn only_programs_and_moderators_change_ratings() {
    in_club(async |club| {
        let id = club.enter(&[("ann", 1_000)]).await[0];
        let session = club.shop.again("ann").await;
        let set = async |caller: Option<Caller>| {
            let request = SetRatingRequest { caller, change: Some(to(id, 1_500)) };
            leaderboard::set_rating(&club.shop.cx, request, soon()).await
        };
        let unknown = format!("souk_{}", "A".repeat(43));
        for token in ["", "souk_", &unknown, &club.program.token[..47]] {
            let caller = Caller { token: token.into(), ..stranger(1) };
            assert_eq!(code(set(Some(caller)).await), Code::Unauthenticated, "{token:?}");
        }
        assert_eq!(code(set(None).await), Code::Unauthenticated);
        assert_eq!(code(set(Some(session)).await), Code::MissingRole);
        assert_eq!(club.rank(id).await.expect("rank").rating, 1_000);
        assert_eq!(set(Some(club.moderator.clone())).await.expect("set").rating, 1_500);

        // A token is known as soon as it is made, and unknown soon after it is revoked.
        let new = super::token(club.stack, "service", 9);
        set(Some(new.clone())).await.expect("a new token");
        club.stack.sql("UPDATE service_tokens SET revoked_at = UTC_TIMESTAMP(3)").expect("revoked");
        club.shop.cx.boards().refresh(club.shop.cx.stores()).await.expect("look");
        assert_eq!(code(set(Some(new)).await), Code::Unauthenticated);
    });
}

#[test]
fn a_change_of_ones_own_shows_in_the_rank_at_once() {
    in_club(async |club| {
        let ids = club.enter(&[("ann", 1_000), ("bob", 1_100), ("cid", 1_200)]).await;
        assert_eq!(club.rank(ids[0]).await.expect("rank").rank, 3);
        for (rating, rank, ties) in [(1_150, 2, 0), (1_200, 1, 1), (5_000, 1, 0), (100, 3, 0)] {
            let done = club.set(to(ids[0], rating)).await.expect("set");
            assert_eq!(done.rating, rating);
            let found = club.rank(ids[0]).await.expect("rank");
            assert_eq!(
                (found.rank, found.rating, found.ties, found.total),
                (rank, rating, ties, 3)
            );
        }
    });
}

#[test]
fn a_rating_stays_within_its_range() {
    in_club(async |club| {
        let id = club.enter(&[("ann", 1_000)]).await[0];
        for (wrong, of) in [
            (to(id, 99), "rating"),
            (to(id, 5_001), "rating"),
            (to(id, i32::MIN), "rating"),
            (RatingChange { change: None, ..to(id, 0) }, "rating"),
            (by(id, 4_901), "delta"),
            (by(id, i32::MAX), "delta"),
            (by(id, i32::MIN), "delta"),
            (by(id, 4_001), "delta"),
            (by(id, -901), "delta"),
            (named(by(id, 1), &"x".repeat(65)), "event_id"),
            (named(by(id, 1), "two words"), "event_id"),
        ] {
            assert_eq!(field(club.set(wrong.clone()).await), of, "{wrong:?}");
        }
        assert_eq!(club.rank(id).await.expect("rank").rating, 1_000);
        assert_eq!(club.set(by(id, 4_000)).await.expect("set").rating, 5_000);
        let done = club.set(by(id, -4_900)).await.expect("set");
        assert_eq!((done.before, done.rating, done.repeated), (5_000, 100, false));
        assert_eq!(code(club.set(to(999, 1_000)).await), Code::UserNotFound);
    });
}

#[test]
fn an_event_counts_once_and_its_name_stands_for_one_change() {
    in_club(async |club| {
        let ids = club.enter(&[("ann", 1_000), ("bob", 1_000)]).await;
        let first = club.set(named(by(ids[0], 10), "e1")).await.expect("set");
        assert_eq!((first.before, first.rating, first.repeated), (1_000, 1_010, false));
        let again = club.set(named(by(ids[0], 10), "e1")).await.expect("again");
        assert_eq!((again.before, again.rating, again.repeated), (1_000, 1_010, true));
        for other in [by(ids[0], 11), by(ids[1], 10), to(ids[0], 1_010)] {
            assert_eq!(code(club.set(named(other, "e1")).await), Code::EventConflict);
        }
        assert_eq!(code(play(club, "e1", (ids[0], ids[1]), false).await), Code::EventConflict);
        assert_eq!(club.rank(ids[0]).await.expect("rank").rating, 1_010);
    });
}

#[test]
fn a_batch_is_answered_in_order_each_item_alone() {
    in_club(async |club| {
        let ids = club.enter(&[("ann", 1_000), ("bob", 1_000)]).await;
        let answers = club
            .set_all(vec![
                to(ids[0], 1_500),
                to(999, 1_500),
                by(ids[0], 100),
                to(ids[1], 99),
                named(by(ids[1], 7), "b1"),
                named(by(ids[1], 7), "b1"),
                named(by(ids[1], 8), "b1"),
            ])
            .await;
        let ratings: Vec<_> = answers
            .iter()
            .map(|answer| match answer {
                Ok(done) => Ok((done.user_id, done.before, done.rating, done.repeated)),
                Err(failure) => Err(failure.code),
            })
            .collect();
        assert_eq!(
            ratings,
            [
                Ok((ids[0], 1_000, 1_500, false)),
                Err(Code::UserNotFound),
                Ok((ids[0], 1_500, 1_600, false)),
                Err(Code::InvalidField),
                Ok((ids[1], 1_000, 1_007, false)),
                Ok((ids[1], 1_000, 1_007, true)),
                Err(Code::EventConflict),
            ]
        );
        for items in [Vec::new(), vec![by(ids[0], 1); 1_001]] {
            let request = SetRatingsRequest { caller: Some(club.program.clone()), items };
            let refused = leaderboard::set_ratings(&club.shop.cx, request, soon()).await;
            assert_eq!(field(refused), "items");
        }
        let many = club.set_all(vec![by(ids[0], 1); 1_000]).await;
        assert!(many.iter().all(Result::is_ok));
        assert_eq!(club.rank(ids[0]).await.expect("rank").rating, 2_600);
        let (counted, recounted) = club.tables();
        assert_eq!(counted, recounted);
    });
}

#[test]
fn a_match_changes_both_ratings_by_elo() {
    in_club(async |club| {
        let ids = club.enter(&[("ann", 1_400), ("bob", 1_000), ("cid", 100)]).await;
        let (ann, bob, cid) = (ids[0], ids[1], ids[2]);
        let won = told(play(club, "m1", (bob, ann), false).await.expect("match"));
        assert_eq!(won, [(bob, 1_000, 1_029, false), (ann, 1_400, 1_371, false)]);
        let again = told(play(club, "m1", (bob, ann), false).await.expect("match"));
        assert_eq!(again, [(bob, 1_000, 1_029, true), (ann, 1_400, 1_371, true)]);
        assert_eq!(code(play(club, "m1", (ann, bob), false).await), Code::EventConflict);
        assert_eq!(code(play(club, "m1", (bob, ann), true).await), Code::EventConflict);
        let floor = told(play(club, "m2", (bob, cid), false).await.expect("match"));
        assert_eq!(floor[1], (cid, 100, 100, false));
        assert_eq!(club.rank(bob).await.expect("rank").rank, 2);

        // Of a draw it does not matter who is named first.
        club.set_all(vec![to(ann, 1_400), to(bob, 1_000)]).await;
        let drawn = told(play(club, "m3", (bob, ann), true).await.expect("match"));
        assert_eq!(drawn, [(bob, 1_000, 1_013, false), (ann, 1_400, 1_387, false)]);
        let swapped = told(play(club, "m3", (ann, bob), true).await.expect("match"));
        assert_eq!(swapped, [(ann, 1_400, 1_387, true), (bob, 1_000, 1_013, true)]);
    });
}

#[test]
fn a_match_needs_a_name_and_two_players() {
    in_club(async |club| {
        let ids = club.enter(&[("ann", 1_000), ("bob", 1_000)]).await;
        assert_eq!(field(play(club, "", (ids[0], ids[1]), false).await), "event_id");
        assert_eq!(field(play(club, "a b", (ids[0], ids[1]), false).await), "event_id");
        assert_eq!(field(play(club, "m", (ids[0], ids[0]), true).await), "loser");
        for (players, at_fault) in [((999, ids[0]), "winner"), ((ids[0], 999), "loser")] {
            let failure = play(club, "m", players, false).await.expect_err("nobody");
            assert_eq!((failure.code, failure.field.as_str()), (Code::UserNotFound, at_fault));
        }
        assert_eq!(club.rank(ids[0]).await.expect("rank").rating, 1_000);
    });
}
