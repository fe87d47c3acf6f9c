//! The binary port's frames, as far as a bidder needs them: `front/TLV.md` describes them all. As
//! with HTTP, the generator shares no code with what it measures.

use crate::engine::{Response, Wrong};

/// Types of the frames that answer a bid: RESULT, ERROR, BUSY.
pub const ANSWERS: &[u8] = &[RESULT, ERROR, BUSY];

const BID: u8 = 1;
const RESULT: u8 = 2;
const ERROR: u8 = 3;
const AUTH: u8 = 4;
const BUSY: u8 = 10;

/// Error codes of bids that came too late to be the highest: nobody's fault.
const BID_TOO_LOW: u16 = 55;
const ALREADY_LEADING: u16 = 56;

/// Says who bids on this connection.
pub fn auth(token: &str, out: &mut Vec<u8>) {
    let length = u8::try_from(token.len()).expect("tokens are short");
    out.extend_from_slice(&[AUTH, length]);
    out.extend_from_slice(token.as_bytes());
}

/// Bids.
///
/// # Panics
/// If an id is over 32 bits.
pub fn bid(auction: u64, user: u64, amount: i64, out: &mut Vec<u8>) {
    let id = |id: u64| u32::try_from(id).expect("this frame has room for 32 bits").to_be_bytes();
    out.extend_from_slice(&[BID, 16]);
    out.extend_from_slice(&id(auction));
    out.extend_from_slice(&id(user));
    out.extend_from_slice(&amount.to_be_bytes());
}

/// Whether a bid was accepted.
///
/// # Errors
/// [`Wrong::Declined`] when another bid was faster.
pub fn judge(answer: &Response<'_>) -> Result<(), Wrong> {
    match (u8::try_from(answer.status), answer.body) {
        (Ok(RESULT), [1, ..]) => Ok(()),
        (Ok(ERROR), [high, low, ..]) => match u16::from_be_bytes([*high, *low]) {
            BID_TOO_LOW | ALREADY_LEADING => Err(Wrong::Declined),
            _ => Err(Wrong::Content("the bid was refused")),
        },
        (Ok(BUSY), _) => Err(Wrong::Status),
        _ => Err(Wrong::Content("this answers no bid")),
    }
}
