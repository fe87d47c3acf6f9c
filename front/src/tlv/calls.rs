//! What is asked of the daemons for a connection.

use crate::connection::Thread;
use crate::routes::user_of_token;
use crate::upstream::CallContext;
use souk_proto::accounts::{CallerRequest, User};
use souk_proto::auctions::{
    AuctionRequest, BidOutcome, BidOutcomes, Bidder, Offer, PlaceBidsRequest,
};
use souk_proto::common::Caller;
use souk_proto::{Code, Failure, Method};
use souk_trace::{Context, within};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Instant;

/// An answer for the session.
pub enum Done {
    /// Whose session it is, and its token.
    Who(Result<(u64, String), Failure>),
    /// The bids of one auction.
    Bids(u64, Result<Vec<BidOutcome>, Failure>),
}

/// A call under way.
pub type Calling = Pin<Box<dyn Future<Output = Done>>>;

/// Whose calls they are.
pub struct Asker {
    /// What the connections of the thread share.
    pub thread: Rc<Thread>,
    /// The client's address, as the link carries it.
    pub address: Vec<u8>,
}

impl Asker {
    /// Who asks, as every request says it.
    pub fn caller(&self, token: &str) -> Caller {
        Caller { address: self.address.clone(), token: token.to_owned(), ..Caller::default() }
    }

    /// Asks whose session this is.
    pub fn who(&self, token: String, trace: u128) -> Calling {
        let (thread, caller) = (self.thread.clone(), Some(self.caller(&token)));
        Box::pin(async move {
            let key = user_of_token(&token).unwrap_or_default();
            let asked = CallerRequest { caller };
            let answer = call::<_, User>(&thread, Method::GetMe, key, &asked, trace, "TLV AUTH");
            Done::Who(answer.await.map(|user| (user.id, token)))
        })
    }

    /// Asks for the pseudonym that a session's user has in an auction; also the trace of that.
    pub fn bidder(
        &self,
        token: &str,
        auction: u64,
        trace: u128,
    ) -> impl Future<Output = Result<(Context, String), Failure>> + use<> {
        let (thread, caller) = (self.thread.clone(), Some(self.caller(token)));
        async move {
            let asked = AuctionRequest { caller, auction_id: auction };
            let name = "TLV SUBSCRIBE";
            let answer =
                call::<_, Bidder>(&thread, Method::GetBidder, auction, &asked, trace, name);
            let context = Context { trace_id: trace, span: None };
            answer.await.map(|bidder| (context, bidder.pseudonym))
        }
    }

    /// Asks to place bids of this user.
    pub fn bids(
        &self,
        (user, token): &(u64, String),
        auction: u64,
        offers: Vec<Offer>,
        trace: u128,
    ) -> Calling {
        let (thread, caller) = (self.thread.clone(), Some(self.caller(token)));
        let asked = PlaceBidsRequest { caller, auction_id: auction, offers, user_id: *user };
        Box::pin(async move {
            let answer = call::<_, BidOutcomes>(
                &thread,
                Method::PlaceBids,
                auction,
                &asked,
                trace,
                "TLV BID",
            );
            Done::Bids(auction, answer.await.map(|outcomes| outcomes.items))
        })
    }
}

/// Asks the shard that owns `key`, in a trace of its own.
async fn call<Q: prost::Message, A: prost::Message + Default>(
    thread: &Thread,
    method: Method,
    key: u64,
    request: &Q,
    trace: u128,
    name: &'static str,
) -> Result<A, Failure> {
    let (trace, mut span) = thread.tracer.arrive(None, trace, || name.into());
    let deadline = Instant::now() + thread.app.settings.timeouts.request();
    let context = CallContext { deadline, trace };
    let answer = within(trace, thread.app.upstream.call(method, key, request, context)).await;
    let failed = answer.as_ref().err().filter(|failure| failure.code == Code::Internal);
    if let (Some(span), Some(failure)) = (&mut span, failed) {
        span.fail(failure.code.name());
    }
    answer
}
