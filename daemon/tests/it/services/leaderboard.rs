//! The leaderboard.

mod faults;
mod moderation;
mod order;
mod ratings;
mod seasons;
mod together;
mod watch;

use super::{Shop, on_stores, soon};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use souk_proto::Failure;
use souk_proto::common::{Caller, Error};
use souk_proto::leaderboard::rating_change::Change;
use souk_proto::leaderboard::rating_outcome::Outcome;
use souk_proto::leaderboard::{
    GetPageRequest, GetRankRequest, Page, Rank, RatingChange, RatingDone, SetRatingRequest,
    SetRatingsRequest,
};
use souk_stack::Stack;
use soukd::services::leaderboard;

const ALL_TIME: u64 = 0;

/// A shop with a program that may change ratings and a moderator.
struct Club<'a> {
    shop: &'a Shop,
    stack: &'a mut Stack,
    program: Caller,
    moderator: Caller,
}

/// Runs a test on stores of its own with a program's and a moderator's token.
fn in_club(test: impl AsyncFnOnce(&mut Club<'_>)) {
    on_stores(|_| (), async |shop, stack| test(&mut Club::of(shop, stack)).await);
}

/// Somebody with a new token of this role.
fn token(stack: &Stack, role: &str, number: u8) -> Caller {
    let text = format!("souk_{}", BASE64URL_NOPAD.encode(&[number; 32]));
    let hash = HEXLOWER.encode(blake3::hash(text.as_bytes()).as_bytes());
    let sql = format!(
        "INSERT INTO service_tokens (role, label, hash, created_at) \
         VALUES ('{role}', 'test', UNHEX('{hash}'), UTC_TIMESTAMP(3))"
    );
    stack.sql(&sql).expect("a token");
    Caller { token: text, ..Caller::default() }
}

fn to(user_id: u64, rating: i32) -> RatingChange {
    RatingChange { user_id, change: Some(Change::Rating(rating)), event_id: String::new() }
}

fn by(user_id: u64, delta: i32) -> RatingChange {
    RatingChange { user_id, change: Some(Change::Delta(delta)), event_id: String::new() }
}

fn named(change: RatingChange, event_id: &str) -> RatingChange {
    RatingChange { event_id: event_id.into(), ..change }
}

impl<'a> Club<'a> {
    fn of(shop: &'a Shop, stack: &'a mut Stack) -> Club<'a> {
        let (program, moderator) = (token(stack, "service", 1), token(stack, "admin", 2));
        Club { shop, stack, program, moderator }
    }

    /// New users with these names and ratings; their ids.
    async fn enter(&self, users: &[(&str, i32)]) -> Vec<u64> {
        let mut ids = Vec::new();
        for (name, _) in users {
            ids.push(self.shop.create(name, "password").await.expect("create").id);
        }
        let items = ids.iter().zip(users).map(|(id, (_, rating))| to(*id, *rating)).collect();
        for done in self.set_all(items).await {
            done.expect("set");
        }
        ids
    }

    async fn set(&self, change: RatingChange) -> Result<RatingDone, Failure> {
        self.set_at(self.shop, change).await
    }

    /// The same through another daemon.
    async fn set_at(&self, shop: &Shop, change: RatingChange) -> Result<RatingDone, Failure> {
        let caller = Some(self.program.clone());
        let request = SetRatingRequest { caller, change: Some(change) };
        leaderboard::set_rating(&shop.cx, request, soon()).await
    }

    async fn set_all(&self, items: Vec<RatingChange>) -> Vec<Result<RatingDone, Failure>> {
        let request = SetRatingsRequest { caller: Some(self.program.clone()), items };
        let answer = leaderboard::set_ratings(&self.shop.cx, request, soon()).await;
        let outcome = |outcome| match outcome {
            Some(Outcome::Done(done)) => Ok(done),
            Some(Outcome::Failed(error)) => Err(Failure::from(error)),
            None => Err(Failure::from(Error::default())),
        };
        answer.expect("outcomes").items.into_iter().map(|item| outcome(item.outcome)).collect()
    }

    async fn page(&self, request: GetPageRequest) -> Result<Page, Failure> {
        leaderboard::get_page(&self.shop.cx, request, soon()).await
    }

    async fn rank(&self, user_id: u64) -> Result<Rank, Failure> {
        rank_at(self.shop, ALL_TIME, user_id).await
    }

    /// What the tables themselves say: "rating players" of each rating, twice.
    fn tables(&self) -> (String, String) {
        let counted = "SELECT rating, players FROM rating_counts WHERE board = 0 AND players <> 0 \
                       ORDER BY rating";
        let recounted = "SELECT rating, COUNT(*) FROM users WHERE id NOT IN \
                         (SELECT user_id FROM hidden_users) GROUP BY rating ORDER BY rating";
        [counted, recounted].map(|sql| self.stack.sql(sql).expect("counts")).into()
    }
}

async fn rank_at(shop: &Shop, board: u64, user_id: u64) -> Result<Rank, Failure> {
    let request = GetRankRequest { caller: None, board, user_id };
    leaderboard::get_rank(&shop.cx, request, soon()).await
}

/// Rank, name and rating of each line.
fn lines(page: &Page) -> Vec<(u64, &str, i32)> {
    page.items.iter().map(|it| (it.rank, it.username.as_str(), it.rating)).collect()
}
