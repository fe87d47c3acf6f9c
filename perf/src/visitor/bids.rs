//! Requests about auctions.

use super::Asks;
use crate::scenario::Kind;
use crate::tlv;
use memchr::memmem;
use rand::RngExt;

/// Writes a request and says which auction it is about; nothing for other kinds.
pub fn write(kind: Kind, connection: usize, asks: &mut Asks<'_>) -> Option<u64> {
    let Asks { play, rng, rest } = asks;
    match kind {
        Kind::Bid => {
            let (auction, amount) = play.offer(rng);
            let user = play.bidder(connection as u64);
            let id = play.cast.ids[usize::try_from(user - 1).expect("members are few")];
            tlv::bid(auction, id, amount, rest.out);
            Some(auction)
        }
        Kind::Offer => {
            let (auction, amount) = play.offer(rng);
            let user = play.bidder(rng.random());
            let line = format!("POST /api/v1/auctions/{auction}/bids");
            rest.json(&line, Some(user), format_args!("{{\"amount\":{amount}}}"));
            Some(auction)
        }
        Kind::Watch => {
            let auction = play.cast.auctions[0];
            rest.watch(auction);
            Some(auction)
        }
        _ => None,
    }
}

/// Whether a bid was refused because another one was faster.
pub fn is_late(problem: &[u8]) -> bool {
    let has = |code: &[u8]| memmem::find(problem, code).is_some();
    has(b"\"bid_too_low\"") || has(b"\"already_leading\"")
}
