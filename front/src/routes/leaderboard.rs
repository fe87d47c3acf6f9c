//! The leaderboard: boards, ranks, ratings, seasons, and who is hidden.

mod boards;
mod live;
mod moderation;
mod ratings;

use super::answer::Call;
use super::input::Fields;
use super::query::{Query, digits};
use super::table::{Board, Media};
use super::{RequestBody, accounts};
use crate::http::Response;
use souk_proto::{Code, Failure};

/// Calls the handler of a route of the leaderboard.
pub(super) async fn answer(
    call: &Call<'_>,
    board: Board,
    parameter: &str,
    body: (Media, RequestBody),
) -> Result<Response, Failure> {
    match board {
        Board::Page => boards::page(call).await,
        Board::Around => boards::around(call, parameter).await,
        Board::Rank => boards::rank(call, parameter).await,
        Board::Distribution => boards::distribution(call).await,
        Board::Seasons => boards::seasons(call).await,
        Board::Live => live::live(call).await,
        Board::SetRating => ratings::set(call, parameter, fields(body)?).await,
        Board::SetRatings => ratings::set_many(call, body.1).await,
        Board::Match => ratings::record_match(call, fields(body)?).await,
        Board::Hide => moderation::hide(call, parameter, fields(body)?, true).await,
        Board::Unhide => moderation::hide(call, parameter, fields(body)?, false).await,
    }
}

fn fields((media, body): (Media, RequestBody)) -> Result<Fields, Failure> {
    accounts::fields(media, &body)
}

/// The user that a path names.
fn user_id(parameter: &str) -> Result<u64, Failure> {
    digits(parameter).ok_or_else(|| Failure::new(Code::UserNotFound))
}

/// The board that a query names: that of all time, or a season's.
fn board(query: &Query<'_>) -> Result<u64, Failure> {
    match query.get("season")? {
        None => Ok(0),
        Some(text) => digits(text).filter(|id| *id != 0).ok_or_else(|| {
            Failure::field(
                "season",
                "Give a season's id, or leave it out for the board of all time.",
            )
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::{board, user_id};
    use crate::routes::query::Query;
    use souk_proto::Code;

    #[test]
    fn a_season_is_named_by_its_id_and_no_season_is_all_time() {
        let read = |raw| board(&Query::read(Some(raw)).expect("valid"));
        assert_eq!(read(""), Ok(0));
        assert_eq!(read("season=7"), Ok(7));
        for bad in
            ["season=", "season=0", "season=-1", "season=%2B1", "season=x", "season=1&season=2"]
        {
            assert_eq!(read(bad).expect_err(bad).field, "season", "{bad}");
        }
    }

    #[test]
    fn what_is_no_id_names_no_user() {
        assert_eq!(user_id("7"), Ok(7));
        for bad in ["", "x", "+7", "-7", "7.0", "99999999999999999999"] {
            assert_eq!(user_id(bad).expect_err(bad).code, Code::UserNotFound, "{bad}");
        }
    }
}
