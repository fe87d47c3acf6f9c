//! Ratings and boards: what histories do not show.

use crate::harness::{
    create, game, join_all, named, on_a_ring, set, settings, soon, stack, stack_of_its_own,
    verified, with_stores,
};
use souk_db::leaderboard::{ALL_TIME, Place, RateError, Side};
use souk_db::operator::{OperatorError, recount, seasons, tokens};
use souk_db::{StoreSettings, Stores};
use souk_stack::Stack;
use std::process::Command;

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

#[test]
fn an_event_of_yesterday_is_forgotten() {
    let stack = stack();
    with_stores(&settings(&stack), async |stores| {
        let ann = create(stores, "ann").await.id;
        for (digest, rating) in [(1, 1100), (2, 1200)] {
            let event = named(set(ann, rating), "e", digest);
            let rated = stores.leaderboard.rate(event, soon()).await.unwrap();
            assert_eq!((rated.after, rated.repeated), (vec![rating], false));
            stack.sql("UPDATE rating_events SET at = NOW() - INTERVAL 25 HOUR").unwrap();
        }
        stores.leaderboard.look(soon()).await.unwrap();
        while stack.sql("SELECT COUNT(*) FROM rating_events").unwrap().trim() != "0" {
            tokio::task::yield_now().await;
        }
    });
}

#[test]
fn in_a_group_each_event_builds_on_the_one_before_and_failures_touch_no_neighbour() {
    let stack = stack();
    with_stores(&settings(&stack), async |stores| {
        let (ann, bob) = (create(stores, "ann").await.id, create(stores, "bob").await.id);
        let events = vec![
            set(ann, 1010),
            game(ann, bob, 10),
            set(1 << 40, 1000),
            game(ann, bob, 950),
            named(game(bob, ann, 20), "e", 1),
            named(game(bob, ann, 20), "e", 1),
            named(game(bob, ann, 30), "e", 2),
        ];
        let rates = events.into_iter().map(|it| Box::pin(stores.leaderboard.rate(it, soon())));
        let mut outcomes = join_all(rates.collect()).await.into_iter();
        let mut next = || outcomes.next().unwrap().map(|it| (it.before, it.after, it.repeated));
        assert_eq!(next(), Ok((vec![1000], vec![1010], false)));
        assert_eq!(next(), Ok((vec![1010, 1000], vec![1020, 990], false)));
        assert_eq!(next(), Err(RateError::Missing(1 << 40)));
        assert_eq!(next(), Err(RateError::OutOfRange));
        assert_eq!(next(), Ok((vec![990, 1020], vec![1010, 1000], false)));
        assert_eq!(next(), Ok((vec![990, 1020], vec![1010, 1000], true)));
        assert_eq!(next(), Err(RateError::OtherEvent));
        verified(&stack).await;
    });
}

/// Many matches and resets of few players, from stores of its own, and players who come and go.
async fn stir(settings: StoreSettings, users: Vec<u64>, salt: usize) {
    let stores = Stores::open(&settings).await.unwrap();
    for round in 0..12 {
        let passer = create(&stores, &format!("passer{salt}.{round}")).await.id;
        let at = |n: usize| users[(n * 7 + salt * 3 + round) % users.len()];
        let event = |n: usize| match n % 3 {
            0 => set(at(n), 1000 + i32::try_from(n % 4).unwrap()),
            1 => named(game(at(n), at(n + 1), 1), &format!("{round}.{n}"), 1),
            _ => game(at(n + 1), at(n), 2),
        };
        let rates = (0..40).map(|n| Box::pin(stores.leaderboard.rate(event(n), soon()))).collect();
        for rated in join_all(rates).await {
            // Both stores name the same events, of which some are of other players.
            assert!(matches!(rated, Ok(_) | Err(RateError::OtherEvent)), "{rated:?}");
        }
        let hidden = round % 2 == 0;
        stores.leaderboard.hide(at(round), hidden, "mod", "", soon()).await.unwrap();
        stores.accounts.delete(passer, soon()).await.unwrap();
    }
    stores.close().await;
}

#[test]
fn counts_are_right_whoever_writes_at_the_same_time() {
    let stack = stack();
    let settings = StoreSettings { cache_enabled: false, ..settings(&stack) };
    let users = with_stores(&settings, async |stores| {
        let mut users = Vec::new();
        for n in 0..6 {
            users.push(create(stores, &format!("user{n}")).await.id);
        }
        users
    });
    let url = stack.mysql_url();
    let first = on_a_ring(async { seasons::start(&url, "one", None, None).await.unwrap() });
    let threads: Vec<_> = (0..2)
        .map(|salt| {
            let (settings, users) = (settings.clone(), users.clone());
            std::thread::spawn(move || on_a_ring(stir(settings, users, salt)))
        })
        .collect();
    let archive = "SELECT * FROM season_ratings WHERE season = ";
    let frozen = on_a_ring(async {
        recount::verify(&url, true).await.unwrap();
        seasons::end(&url, first).await.unwrap();
        let frozen = stack.sql(&format!("{archive}{first}")).unwrap();
        seasons::start(&url, "two", None, None).await.unwrap();
        frozen
    });
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    on_a_ring(verified(&stack));
    assert_eq!(stack.sql(&format!("{archive}{first}")).unwrap(), frozen, "it has ended");
}

#[test]
fn what_is_counted_wrong_is_found_and_repaired() {
    let stack = stack();
    with_stores(&settings(&stack), async |stores| {
        create(stores, "ann").await;
        stack.sql("UPDATE rating_counts SET players = 7").unwrap();
        stack.sql("INSERT INTO rating_counts VALUES (0, 1200, 1)").unwrap();
        let url = stack.mysql_url();
        let found = recount::verify(&url, true).await.unwrap();
        let told = |it: &recount::Difference| (it.board, it.rating, it.counted, it.found);
        let told: Vec<_> = found.differences.iter().map(told).collect();
        assert_eq!((found.players, told), (1, vec![(0, 1000, 7, 1), (0, 1200, 1, 0)]));
        verified(&stack).await;
        let counts = stores.leaderboard.counts(ALL_TIME, soon()).await.unwrap();
        assert_eq!(counts.players, [(1000, 1)]);
    });
}

#[test]
fn while_redis_hangs_ratings_change_and_afterwards_nobody_reads_an_old_one() {
    let mut stack = stack();
    with_stores(&settings(&stack), async |stores| {
        let ann = create(stores, "ann").await.id;
        stores.accounts.by_id(ann, soon()).await.unwrap().unwrap();
        let signal = |stack: &mut Stack, signal: &str| {
            let pid = stack.redis().pid().expect("it runs").to_string();
            assert!(Command::new("kill").args([signal, &*pid]).status().unwrap().success());
        };
        signal(&mut stack, "-STOP");
        for rating in [1100, 1200] {
            stores.leaderboard.rate(set(ann, rating), soon()).await.unwrap();
            let found = stores.accounts.by_id(ann, soon()).await.unwrap().unwrap();
            assert_eq!(found.rating, rating);
        }
        assert_eq!(stack.sql("SELECT version FROM unfenced_users").unwrap().trim(), "3");
        signal(&mut stack, "-CONT");
        while !stores.health().await.redis {}
        stores.leaderboard.look(soon()).await.unwrap();
        assert_eq!(stack.sql("SELECT COUNT(*) FROM unfenced_users").unwrap().trim(), "0");
        let found = stores.accounts.by_id(ann, soon()).await.unwrap().unwrap();
        assert_eq!((found.rating, found.version), (1200, 3));
        stores.leaderboard.rate(set(ann, 1300), soon()).await.unwrap();
        let found = stores.accounts.by_id(ann, soon()).await.unwrap().unwrap();
        assert_eq!(found.rating, 1300);
        assert_eq!(stack.sql("SELECT COUNT(*) FROM unfenced_users").unwrap().trim(), "0");
    });
}

#[test]
fn a_page_reads_its_own_lines_and_no_others_at_any_depth_and_among_any_ties() {
    let stack = stack_of_its_own();
    stack
        .sql(
            "INSERT INTO users (username, nickname, password_hash, rating, created_at, updated_at) \
             SELECT CONCAT('u', seq), '', '', IF(seq < 1500, 1000, seq), NOW(), NOW() \
             FROM seq_1_to_3000; \
             INSERT INTO rating_counts SELECT 0, rating, COUNT(*) FROM users GROUP BY rating; \
             INSERT INTO boards (id, name, starts_at) VALUES (1, 'season', NOW()); \
             INSERT INTO season_ratings SELECT 1, id, username, rating FROM users; \
             ANALYZE TABLE users, season_ratings",
        )
        .unwrap();
    let place = |rating, name: &str| Some(Place { rating, username: name.to_owned() });
    let places = [None, place(2500, "u2500"), place(1000, "u5"), place(1000, "u8")];
    let ratings = 1501; // rows of the counts, which every page sums up
    with_stores(&settings(&stack), async |stores| {
        for (board, place) in [0, 1].into_iter().flat_map(|b| places.iter().map(move |p| (b, p))) {
            for side in [Side::After, Side::Before] {
                let before = lines_read(&stack);
                let slice = stores.leaderboard.slice(board, place.as_ref(), side, 10, soon());
                assert_eq!(slice.await.unwrap().lines.len(), 10);
                let read = lines_read(&stack) - before;
                assert!(read <= ratings + 20, "{read} of {board} {place:?} {side:?}");
            }
        }
    });
}

/// Rows that the server has read so far one after another.
fn lines_read(stack: &Stack) -> u64 {
    let status = stack.sql("SHOW GLOBAL STATUS LIKE 'Handler_read_%'").unwrap();
    let of = |line: &str| {
        let (name, rows) = line.split_once('\t')?;
        let counted = matches!(name, "Handler_read_next" | "Handler_read_prev");
        counted.then(|| rows.trim().parse::<u64>().expect("a number"))
    };
    status.lines().filter_map(of).sum()
}

#[test]
fn tokens_are_listed_and_revoked_and_only_their_hash_is_kept() {
    let stack = stack();
    with_stores(&settings(&stack), async |stores| {
        let url = stack.mysql_url();
        let text = tokens::create(&url, "service", "games").await.unwrap();
        assert!(text.starts_with("souk_") && text.len() == "souk_".len() + 43, "{text}");
        let refused = tokens::create(&url, "king", "").await;
        assert!(matches!(refused, Err(OperatorError::Refused(_))));
        let look = stores.leaderboard.look(soon()).await.unwrap();
        assert_eq!(look.tokens.len(), 1);
        assert_eq!(look.tokens[0].role, "service");
        let id = look.tokens[0].id;
        assert!(tokens::revoke(&url, id).await.unwrap());
        assert!(!tokens::revoke(&url, id).await.unwrap());
        assert_eq!(stores.leaderboard.look(soon()).await.unwrap().tokens, []);
        let listed = tokens::list(&url).await.unwrap();
        assert_eq!((listed.len(), listed[0].label.as_str()), (1, "games"));
        assert!(listed[0].revoked_at.is_some());
    });
}

#[test]
fn seasons_do_not_meet_and_end_once() {
    let stack = stack();
    on_a_ring(async {
        let url = stack.mysql_url();
        let far = 4_000_000_000_000;
        let first = seasons::start(&url, "one", None, Some(far)).await.unwrap();
        for (at, until) in [(None, None), (Some(far - 1), None), (Some(0), Some(far))] {
            let refused = seasons::start(&url, "two", at, until).await;
            assert!(matches!(refused, Err(OperatorError::Refused(_))), "{refused:?}");
        }
        let second = seasons::start(&url, "two", Some(far), None).await.unwrap();
        seasons::end(&url, first).await.unwrap();
        for id in [ALL_TIME, first, second] {
            assert!(matches!(seasons::end(&url, id).await, Err(OperatorError::Refused(_))));
        }
        let ids: Vec<u64> = seasons::list(&url).await.unwrap().iter().map(|it| it.id).collect();
        assert_eq!(ids, [first, second]);
    });
}
