//! From a method's number to its service and back: decodes the message, runs the service as a task
//! of its own, queues its answer.

use crate::context::Context;
use crate::services::{accounts, auctions, leaderboard};
use crate::session::core::Call;
use crate::session::link::{Link, Ticket};
use crate::session::stream::BodyStream;
use prost::Message;
use souk_meter::{Request, Stage};
use souk_proto::accounts::GetPictureRequest;
use souk_proto::common::{Empty, ReadyAnswer, ReadyRequest};
use souk_proto::limits::STREAM_CHUNK;
use souk_proto::{Code, Failure, Method};
use souk_trace::within;
use std::rc::Rc;
use std::time::Instant;

/// Starts a request, or refuses it if its message cannot be read.
pub(crate) fn start(link: &Rc<Link>, call: &Call, payload: &[u8]) {
    let _entered = call.trace.enter();
    let started = match call.method {
        Method::Ready => unary(link, call, payload, ready),
        Method::CreateUser => unary(link, call, payload, accounts::create_user),
        Method::Login => unary(link, call, payload, accounts::login),
        Method::Logout => unary(link, call, payload, accounts::logout),
        Method::GetMe => unary(link, call, payload, accounts::get_me),
        Method::EditMe => unary(link, call, payload, accounts::edit_me),
        Method::SetPicture => upload(link, call, payload, accounts::set_picture),
        Method::DropPicture => unary(link, call, payload, accounts::drop_picture),
        Method::ChangePassword => unary(link, call, payload, accounts::change_password),
        Method::DeleteMe => unary(link, call, payload, accounts::delete_me),
        Method::ListSessions => unary(link, call, payload, accounts::list_sessions),
        Method::RevokeSession => unary(link, call, payload, accounts::revoke_session),
        Method::RevokeOtherSessions => unary(link, call, payload, accounts::revoke_other_sessions),
        Method::GetUser => unary(link, call, payload, accounts::get_user),
        Method::GetUserByName => unary(link, call, payload, accounts::get_user_by_name),
        Method::SearchUsers => unary(link, call, payload, accounts::search_users),
        Method::GetPicture => get_picture(link, call, payload),
        Method::GetPage => unary(link, call, payload, leaderboard::get_page),
        Method::GetNeighbours => unary(link, call, payload, leaderboard::get_neighbours),
        Method::GetRank => unary(link, call, payload, leaderboard::get_rank),
        Method::GetDistribution => unary(link, call, payload, leaderboard::get_distribution),
        Method::ListSeasons => unary(link, call, payload, leaderboard::list_seasons),
        Method::WatchBoard => {
            watch(link, call, payload, leaderboard::watch_board, leaderboard::Watch::next)
        }
        Method::SetRating => unary(link, call, payload, leaderboard::set_rating),
        Method::SetRatings => unary(link, call, payload, leaderboard::set_ratings),
        Method::RecordMatch => unary(link, call, payload, leaderboard::record_match),
        Method::HideUser => unary(link, call, payload, leaderboard::hide_user),
        Method::CreateAuction => unary(link, call, payload, auctions::create_auction),
        Method::EditAuction => unary(link, call, payload, auctions::edit_auction),
        Method::CancelAuction => unary(link, call, payload, auctions::cancel_auction),
        Method::GetAuction => unary(link, call, payload, auctions::get_auction),
        Method::ListAuctions => unary(link, call, payload, auctions::list_auctions),
        Method::PlaceBids => unary(link, call, payload, auctions::place_bids),
        Method::ListBids => unary(link, call, payload, auctions::list_bids),
        Method::GetBidder => unary(link, call, payload, auctions::get_bidder),
        Method::GetSettlement => unary(link, call, payload, auctions::get_settlement),
        Method::SetWatched => unary(link, call, payload, auctions::set_watched),
        Method::SetAuctionPicture => upload(link, call, payload, auctions::set_auction_picture),
        Method::DropAuctionPicture => unary(link, call, payload, auctions::drop_auction_picture),
        Method::WatchAuction => {
            watch(link, call, payload, auctions::watch_auction, auctions::Watch::next)
        }
        Method::ListNotifications => unary(link, call, payload, auctions::list_notifications),
        Method::ReadNotifications => unary(link, call, payload, auctions::read_notifications),
    };
    if let Err(failure) = started {
        souk_meter::refused(call.method as usize, failure.code as usize);
        link.refuse(call.id, &failure);
    }
}

/// Whether work may stop anywhere: it changes nothing that another request could see half done.
fn is_abortable(method: Method) -> bool {
    method.is_idempotent() || method == Method::Login
}

/// The request's message, and its times so far.
fn decode<Q: Message + Default>(call: &Call, payload: &[u8]) -> Result<(Q, Request), Failure> {
    let meter = Request::begin(call.method as usize, call.began);
    meter.received(payload.len());
    meter.lap_at(Stage::Queue, souk_meter::recent());
    let message = Q::decode(payload).map_err(|error| {
        tracing::warn!(method = ?call.method, %error, "malformed message");
        Failure::new(Code::MalformedMessage)
    })?;
    souk_meter::mark().into_iter().for_each(|now| meter.lap_at(Stage::Decode, now));
    Ok((message, meter))
}

/// One message in, one message out.
fn unary<Q, A, S>(link: &Rc<Link>, call: &Call, payload: &[u8], service: S) -> Result<(), Failure>
where
    Q: Message + Default + 'static,
    A: Message,
    S: AsyncFnOnce(&Context, Q, Instant) -> Result<A, Failure> + 'static,
{
    let (request, meter) = decode::<Q>(call, payload)?;
    let ticket = link.ticket(call, meter);
    let context = Rc::clone(link.shard().context());
    let deadline = call.deadline;
    let work = within(ticket.trace(), async move {
        let answer = ticket.measure(service(&context, request, deadline)).await;
        ticket.answer(&answer);
    });
    link.start(call, None, work, is_abortable(call.method));
    Ok(())
}

/// Whether this daemon can serve.
async fn ready(cx: &Context, _: ReadyRequest, _: Instant) -> Result<ReadyAnswer, Failure> {
    let health = cx.stores().health().await;
    Ok(ReadyAnswer { database: health.database, redis: health.redis })
}

/// A message and a stream in, one message out.
fn upload<Q, A, S>(link: &Rc<Link>, call: &Call, payload: &[u8], service: S) -> Result<(), Failure>
where
    Q: Message + Default + 'static,
    A: Message,
    S: AsyncFnOnce(&Context, Q, BodyStream, Instant) -> Result<A, Failure> + 'static,
{
    let (request, meter) = decode::<Q>(call, payload)?;
    let ticket = link.ticket(call, meter);
    let context = Rc::clone(link.shard().context());
    let deadline = call.deadline;
    let (sender, body) = if call.streams {
        let (sender, body) = link.body();
        (Some(sender), body)
    } else {
        (None, BodyStream::of([]))
    };
    let work = within(ticket.trace(), async move {
        let answer = ticket.measure(service(&context, request, body, deadline)).await;
        ticket.answer(&answer);
    });
    link.start(call, sender, work, false);
    Ok(())
}

/// One message in, a message and a stream out.
fn get_picture(link: &Rc<Link>, call: &Call, payload: &[u8]) -> Result<(), Failure> {
    let (request, meter) = decode::<GetPictureRequest>(call, payload)?;
    let ticket = link.ticket(call, meter);
    let context = Rc::clone(link.shard().context());
    let deadline = call.deadline;
    let work = within(ticket.trace(), async move {
        send_picture(&context, request, deadline, ticket).await;
    });
    // Not abortable: an open that is dropped on the ring loses its descriptor. The stream ends by
    // itself at the next item when nobody waits for it.
    link.start(call, None, work, false);
    Ok(())
}

async fn send_picture(
    context: &Context,
    request: GetPictureRequest,
    deadline: Instant,
    ticket: Ticket,
) {
    let found = ticket.measure(accounts::get_picture(context, request, deadline)).await;
    let (head, file) = match found {
        Ok(found) => found,
        Err(failure) => return ticket.answer::<()>(&Err(failure)),
    };
    ticket.head(&head);
    let items = async {
        let mut sent = 0;
        while sent < head.length {
            let bytes = file.read_at(sent, Vec::with_capacity(STREAM_CHUNK)).await?;
            if bytes.is_empty() {
                return Err(Failure::new(Code::Internal));
            }
            ticket.item(&bytes).await?;
            sent += bytes.len() as u64;
        }
        Ok(())
    };
    let end = ticket.measure(items).await;
    ticket.end(end);
}

/// One message in, an empty message and a stream of news out: `service` begins to watch, `next`
/// tells the next news.
fn watch<Q, W, A, S, N>(
    link: &Rc<Link>,
    call: &Call,
    payload: &[u8],
    service: S,
    next: N,
) -> Result<(), Failure>
where
    Q: Message + Default + 'static,
    W: 'static,
    A: Message,
    S: AsyncFnOnce(&Context, Q, Instant) -> Result<W, Failure> + 'static,
    N: AsyncFn(&mut W, &Context) -> Result<Option<A>, Failure> + 'static,
{
    let (request, meter) = decode::<Q>(call, payload)?;
    let mut ticket = link.ticket(call, meter);
    let context = Rc::clone(link.shard().context());
    let deadline = call.deadline;
    let work = within(ticket.trace(), async move {
        let mut watch = match ticket.measure(service(&context, request, deadline)).await {
            Ok(watch) => watch,
            Err(failure) => return ticket.answer::<()>(&Err(failure)),
        };
        ticket.head(&Empty {});
        ticket.measured();
        let news = async {
            while let Some(news) = next(&mut watch, &context).await? {
                ticket.item(&news.encode_to_vec()).await?;
            }
            Ok(())
        };
        let end = news.await;
        ticket.end(end);
    });
    // Abortable: of what stands still no item would ever notice that nobody waits.
    link.start(call, None, work, true);
    Ok(())
}
