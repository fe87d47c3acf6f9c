//! Boards against a naive model, over random histories.

use crate::harness::{
    game, named, new_user, set, settings, soon, stack, username, verified, with_stores,
};
use proptest::prelude::*;
use souk_db::leaderboard::{
    ALL_TIME, FIRST_RATING, Place, RATING_MAX, RATING_MIN, RateError, RatingEvent, Side,
};
use souk_db::operator::seasons;
use souk_db::{StoreSettings, Stores};
use souk_stack::Stack;
use std::collections::BTreeMap;

#[derive(Debug, Clone)]
enum Step {
    Create,
    Delete(usize),
    Rename(usize),
    Set(usize, i32),
    Add(usize, i32),
    Game(usize, usize, i32),
    Hide(usize, bool),
    StartSeason,
    EndSeason,
    /// An earlier event again, with another digest or the same.
    Again(usize, bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let user = 0..12usize;
    // Few ratings, so that there are ties.
    let rating = prop_oneof![4 => (9..13i32).prop_map(|n| n * 100), 1 => 0..6000i32];
    let step = prop_oneof![
        4 => Just(Step::Create),
        1 => user.clone().prop_map(Step::Delete),
        2 => user.clone().prop_map(Step::Rename),
        6 => (user.clone(), rating).prop_map(|(user, rating)| Step::Set(user, rating)),
        4 => (user.clone(), -900..900i32).prop_map(|(user, delta)| Step::Add(user, delta)),
        6 => (user.clone(), user.clone(), 0..40i32).prop_map(|(a, b, n)| Step::Game(a, b, n)),
        3 => (user, any::<bool>()).prop_map(|(user, hidden)| Step::Hide(user, hidden)),
        1 => Just(Step::StartSeason),
        1 => Just(Step::EndSeason),
        2 => (0..30usize, any::<bool>()).prop_map(|(event, same)| Step::Again(event, same)),
    ];
    prop::collection::vec(step, 1..60)
}

struct User {
    id: u64,
    name: String,
    rating: i32,
    is_there: bool,
    hidden: bool,
}

#[derive(Default)]
struct Season {
    id: u64,
    ended: bool,
    lines: BTreeMap<usize, i32>,
    /// Names that players had when it ended.
    names: Vec<String>,
}

/// What is known of a sent event: who, and what came of it.
struct Sent {
    users: Vec<u64>,
    before: Vec<i32>,
    after: Vec<i32>,
}

#[derive(Default)]
struct Model {
    users: Vec<User>,
    seasons: Vec<Season>,
    sent: Vec<Sent>,
}

/// A line as the model has it: rating, name as it is ordered, user.
type Row = (i32, String, u64);

impl Model {
    fn board(&self, season: Option<&Season>) -> Vec<Row> {
        let row = |user: &User, rating| (rating, user.name.clone(), user.id);
        let mut rows: Vec<Row> = match season {
            None => {
                let there = self.users.iter().filter(|user| user.is_there && !user.hidden);
                there.map(|user| row(user, user.rating)).collect()
            }
            Some(season) => {
                let name = |n: usize| season.names.get(n).unwrap_or(&self.users[n].name).clone();
                let seen = season.lines.iter().filter(|(n, _)| !self.users[**n].hidden);
                seen.map(|(&n, &rating)| (rating, name(n), self.users[n].id)).collect()
            }
        };
        rows.sort_by_key(|(rating, name, _)| (-rating, name.to_ascii_uppercase()));
        rows
    }

    async fn rate(
        &mut self,
        stores: &Stores,
        users: &[usize],
        decide: impl Fn(&[i32]) -> Vec<i32> + Clone + 'static,
    ) {
        let ids: Vec<u64> = users.iter().map(|&user| self.users[user].id).collect();
        let event =
            RatingEvent { users: ids.clone(), decide: Box::new(decide.clone()), once: None };
        let name = format!("event {}", self.sent.len());
        let answer = stores.leaderboard.rate(named(event, &name, 1), soon()).await;
        if let Some(&gone) = users.iter().find(|&&user| !self.users[user].is_there) {
            assert_eq!(answer, Err(RateError::Missing(self.users[gone].id)));
            return;
        }
        let before: Vec<i32> = users.iter().map(|&user| self.users[user].rating).collect();
        let after = decide(&before);
        if !after.iter().all(|rating| (RATING_MIN..=RATING_MAX).contains(rating)) {
            assert_eq!(answer, Err(RateError::OutOfRange));
            return;
        }
        let rated = answer.unwrap();
        assert_eq!((&rated.before, &rated.after, rated.repeated), (&before, &after, false));
        for (&user, &rating) in users.iter().zip(&after) {
            self.users[user].rating = rating;
        }
        if let Some(season) = self.seasons.iter_mut().find(|season| !season.ended) {
            let of = |user| season.lines.get(user).copied().unwrap_or(FIRST_RATING);
            let before: Vec<i32> = users.iter().map(of).collect();
            for (&user, rating) in users.iter().zip(decide(&before)) {
                season.lines.insert(user, rating.clamp(RATING_MIN, RATING_MAX));
            }
        }
        self.sent.push(Sent { users: ids, before, after });
    }

    async fn again(&self, stores: &Stores, event: usize, same: bool) {
        let Some(sent) = self.sent.get(event) else { return };
        let first = set(sent.users[0], 2000);
        let event = RatingEvent { users: sent.users.clone(), ..first };
        let name =
            format!("event {}", self.sent.iter().position(|s| std::ptr::eq(s, sent)).unwrap());
        let digest = if same { 1 } else { 2 };
        let answer = stores.leaderboard.rate(named(event, &name, digest), soon()).await;
        if same {
            let rated = answer.unwrap();
            assert_eq!((&rated.before, &rated.after), (&sent.before, &sent.after));
            assert!(rated.repeated && rated.boards.is_empty());
        } else {
            assert_eq!(answer, Err(RateError::OtherEvent));
        }
    }

    async fn take(&mut self, stores: &Stores, url: &str, step: &Step) {
        let there = |user: &usize| *user < self.users.len();
        match *step {
            Step::Create => {
                // All characters that a name may have, so that the order of names shows.
                let n = self.users.len();
                let name = format!("n{}{n}", ["", "_", ".", "-", "z", "a"][n % 6]);
                let id = stores.accounts.create(new_user(&name), soon()).await.unwrap().id;
                let (rating, is_there, hidden) = (FIRST_RATING, true, false);
                self.users.push(User { id, name, rating, is_there, hidden });
            }
            Step::Delete(user) if there(&user) && self.users[user].is_there => {
                stores.accounts.delete(self.users[user].id, soon()).await.unwrap();
                self.users[user].is_there = false;
                for season in self.seasons.iter_mut().filter(|season| !season.ended) {
                    season.lines.remove(&user);
                }
            }
            Step::Rename(user) if there(&user) && self.users[user].is_there => {
                let (id, old) = (self.users[user].id, self.users[user].name.clone());
                let name = format!("{}{}", ["a", "z"][user % 2], self.users.len());
                let change = username(&name);
                stores.accounts.change(id, None, change, soon()).await.unwrap();
                self.users[user].name = name;
                // Somebody else takes the old name.
                let other = stores.accounts.create(new_user(&old), soon()).await.unwrap().id;
                let (rating, is_there, hidden) = (FIRST_RATING, true, false);
                self.users.push(User { id: other, name: old, rating, is_there, hidden });
            }
            Step::Set(user, rating) if there(&user) => {
                self.rate(stores, &[user], move |_| vec![rating]).await;
            }
            Step::Add(user, delta) if there(&user) => {
                self.rate(stores, &[user], move |now| vec![now[0] + delta]).await;
            }
            Step::Game(winner, loser, points)
                if winner != loser && there(&winner) && there(&loser) =>
            {
                let decide = move |now: &[i32]| (game(0, 1, points).decide)(now);
                self.rate(stores, &[winner, loser], decide).await;
            }
            Step::Hide(user, hidden) if there(&user) => {
                let user = &mut self.users[user];
                let done = stores.leaderboard.hide(user.id, hidden, "mod", "why", soon()).await;
                if user.is_there {
                    done.unwrap();
                    user.hidden = hidden;
                } else {
                    assert_eq!(done, Err(RateError::Missing(user.id)));
                }
            }
            Step::StartSeason if self.seasons.iter().all(|season| season.ended) => {
                let id = seasons::start(url, "season", None, None).await.unwrap();
                self.seasons.push(Season { id, ..Season::default() });
            }
            Step::EndSeason => {
                if let Some(season) = self.seasons.iter_mut().find(|season| !season.ended) {
                    seasons::end(url, season.id).await.unwrap();
                    season.ended = true;
                    season.names = self.users.iter().map(|user| user.name.clone()).collect();
                }
            }
            Step::Again(event, same) => self.again(stores, event, same).await,
            _ => {}
        }
    }

    async fn compare(&self, stores: &Stores) {
        check(stores, ALL_TIME, &self.board(None)).await;
        for season in &self.seasons {
            check(stores, season.id, &self.board(Some(season))).await;
        }
    }
}

async fn check(stores: &Stores, board: u64, rows: &[Row]) {
    let mut players = BTreeMap::new();
    for (rating, ..) in rows {
        *players.entry(*rating).or_insert(0) += 1;
    }
    let counts = stores.leaderboard.counts(board, soon()).await.unwrap();
    assert_eq!(counts.players, players.into_iter().collect::<Vec<(i32, u64)>>());
    for side in [Side::After, Side::Before] {
        let mut walked: Vec<Row> = Vec::new();
        let mut from: Option<Place> = None;
        loop {
            let slice = stores.leaderboard.slice(board, from.as_ref(), side, 3, soon()).await;
            let slice = slice.unwrap();
            assert_eq!((slice.total, slice.version), (rows.len() as u64, counts.version));
            let best = slice.lines.first().map_or(i32::MAX, |line| line.rating);
            let above = rows.iter().filter(|(rating, ..)| *rating > best).count();
            assert_eq!(slice.above, above as u64);
            let edge = match side {
                Side::After => slice.lines.last(),
                Side::Before => slice.lines.first(),
            };
            let Some(edge) = edge else { break };
            from = Some(Place { rating: edge.rating, username: edge.username.clone() });
            let lines: Vec<Row> =
                slice.lines.iter().map(|l| (l.rating, l.username.clone(), l.user_id)).collect();
            match side {
                Side::After => walked.extend(lines),
                Side::Before => walked.splice(0..0, lines).for_each(drop),
            }
        }
        assert_eq!(walked, rows, "board {board}, {side:?}");
    }
    for (rating, name, user) in rows {
        let place = stores.leaderboard.place_of(board, *user, soon()).await.unwrap();
        assert_eq!(place, Some(Place { rating: *rating, username: name.clone() }));
    }
}

fn emptied(stack: &Stack) {
    for table in ["users", "season_ratings", "rating_events", "hidden_users", "rating_counts"] {
        stack.sql(&format!("DELETE FROM {table}")).unwrap();
    }
    stack.sql("DELETE FROM boards WHERE id > 0").unwrap();
}

#[test]
fn boards_are_what_sorting_and_counting_the_players_gives() {
    let stack = stack();
    // Without the cache nobody waits for copies to end, so that there is time for more cases.
    let settings = StoreSettings { cache_enabled: false, ..settings(&stack) };
    let mut config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    config.cases = (config.cases / 4).max(1); // each is some dozens of transactions
    config.max_shrink_iters = 200;
    proptest!(config, |(steps in steps())| {
        emptied(&stack);
        with_stores(&settings, async |stores| {
            let mut model = Model::default();
            for (n, step) in steps.iter().enumerate() {
                model.take(stores, &stack.mysql_url(), step).await;
                if n % 8 == 0 {
                    model.compare(stores).await;
                }
            }
            model.compare(stores).await;
            verified(&stack).await;
        });
    });
}
