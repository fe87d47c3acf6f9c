//! Auctions: what is sold, the bids, how it came out, and who is told.

mod bids;
mod json;
mod live;
mod notifications;
mod shown;
mod terms;

use super::answer::Call;
use super::query::{Query, digits};
use super::table::{Auction, Media};
use super::{RequestBody, accounts};
use crate::http::Response;
use souk_proto::{Code, Failure};

/// Calls the handler of a route of the auctions.
pub(super) async fn answer(
    call: &Call<'_>,
    auction: Auction,
    parameter: &str,
    (media, body): (Media, RequestBody),
) -> Result<Response, Failure> {
    let id = || auction_id(parameter);
    let fields = |body| accounts::fields(media, body);
    match auction {
        Auction::Create => shown::create(call, fields(&body)?).await,
        Auction::List => shown::list(call).await,
        Auction::Get => shown::get(call, id()?).await,
        Auction::Edit => shown::edit(call, id()?, fields(&body)?).await,
        Auction::Cancel => shown::cancel(call, id()?).await,
        Auction::SetPicture => shown::set_picture(call, id()?, media, body).await,
        Auction::DropPicture => shown::drop_picture(call, id()?).await,
        Auction::Watch => shown::watch(call, id()?, true).await,
        Auction::Unwatch => shown::watch(call, id()?, false).await,
        Auction::Bid => bids::place(call, id()?, fields(&body)?).await,
        Auction::Bids => bids::list(call, id()?).await,
        Auction::Settlement => bids::settlement(call, id()?).await,
        Auction::Live => live::live(call, id()?).await,
        Auction::Notifications => notifications::list(call).await,
        Auction::ReadNotifications => notifications::read(call, fields(&body)?).await,
    }
}

/// The auction that a path names.
fn auction_id(parameter: &str) -> Result<u64, Failure> {
    digits(parameter).filter(|id| *id != 0).ok_or_else(|| Failure::new(Code::AuctionNotFound))
}

/// A number of a query, if it is there.
fn number(query: &Query<'_>, name: &str) -> Result<Option<u64>, Failure> {
    let Some(text) = query.get(name)? else { return Ok(None) };
    let wrong = || Failure::field(name, format!("The {name} is a whole number."));
    digits(text).map(Some).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::{auction_id, number};
    use crate::routes::query::Query;
    use souk_proto::Code;

    #[test]
    fn what_is_no_id_names_no_auction() {
        assert_eq!(auction_id("7"), Ok(7));
        for bad in ["", "0", "x", "+7", "-7", "7.0", "99999999999999999999"] {
            assert_eq!(auction_id(bad).expect_err(bad).code, Code::AuctionNotFound, "{bad}");
        }
    }

    #[test]
    fn numbers_of_a_query_are_digits() {
        let read = |raw| number(&Query::read(Some(raw)).expect("valid"), "after");
        assert_eq!(
            (read(""), read("after=0"), read("after=12")),
            (Ok(None), Ok(Some(0)), Ok(Some(12)))
        );
        for bad in
            ["after=", "after=-1", "after=1e3", "after=99999999999999999999", "after=1&after=2"]
        {
            assert_eq!(read(bad).expect_err(bad).field, "after", "{bad}");
        }
    }
}
