//! The chain over an auction's bids, and the names under which bidders are shown in it. It is made
//! of what everybody may see, so everybody can check it:
//!
//! - `head 0 = BLAKE3("souk auction ID\n")`
//! - `head n = BLAKE3("HEAD ID N BIDDER AMOUNT PRICE LEADER AT_MS ENDS_AT_MS\n")`
//!
//! with `HEAD` the head before in lower-case hex, `BIDDER` and `LEADER` pseudonyms, and numbers in
//! decimal digits.

use super::BidRow;
use data_encoding::{BASE32_NOPAD, HEXLOWER};
use std::io::Write;

/// The head of an auction without bids.
pub fn first_head(auction_id: u64) -> [u8; 32] {
    *blake3::hash(format!("souk auction {auction_id}\n").as_bytes()).as_bytes()
}

/// The head after this bid, from the one before it. The bid's own head is not looked at.
pub fn next_head(head: &[u8; 32], salt: &[u8; 16], bid: &BidRow) -> [u8; 32] {
    let mut line = Vec::with_capacity(256);
    let (bidder, leader) = (pseudonym(salt, bid.bidder_id), pseudonym(salt, bid.leader_id));
    let BidRow { auction_id, sequence, amount, price, at_ms, ends_at_ms, .. } = bid;
    let head = HEXLOWER.encode(head);
    writeln!(
        line,
        "{head} {auction_id} {sequence} {bidder} {amount} {price} {leader} {at_ms} {ends_at_ms}"
    )
    .expect("memory takes any line");
    *blake3::hash(&line).as_bytes()
}

/// The name under which a user is shown in the auction with this salt: "bidder-" and 8 characters.
pub fn pseudonym(salt: &[u8; 16], user_id: u64) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(salt).update(&user_id.to_be_bytes());
    let mut name = String::with_capacity(15);
    name.push_str("bidder-");
    BASE32_NOPAD.encode_append(&hasher.finalize().as_bytes()[..5], &mut name);
    name.make_ascii_lowercase();
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with another implementation of BLAKE3, from the lines as the documentation has them.
    #[test]
    fn heads_and_names_are_those_that_anybody_computes() {
        let salt = std::array::from_fn(|n| u8::try_from(n).unwrap_or_default());
        assert_eq!(pseudonym(&salt, 12), "bidder-4mguamol");
        assert_eq!(pseudonym(&salt, (1 << 53) - 1), "bidder-cayb5bck");
        let mut head = first_head(7);
        let hex = "fc44ddf6caf3b7bbb2ebcbf525340e2ac50c5867c27576fa27717c93076f4886";
        assert_eq!(HEXLOWER.encode(&head), hex);
        let bids = [
            (1, 12, 100, 0, "c98d6bd73066773de84b8bf8751923296d951653e1f1be6a71f5994597f6d2c0"),
            (
                2,
                (1 << 53) - 1,
                250,
                1,
                "6a10d00a1896f7c6ba692a601709b38055e17347707820ddbef59f026cb5b724",
            ),
        ];
        for (sequence, bidder_id, amount, after, hex) in bids {
            let bid = BidRow {
                auction_id: 7,
                sequence,
                bidder_id,
                amount,
                max_amount: 999,
                price: amount,
                leader_id: bidder_id,
                at_ms: 1_800_000_000_000 + after,
                ends_at_ms: 1_800_003_600_000,
                head: [0; 32],
                bid_id: Some("not part of it".to_owned()),
            };
            head = next_head(&head, &salt, &bid);
            assert_eq!(HEXLOWER.encode(&head), hex);
        }
    }
}
