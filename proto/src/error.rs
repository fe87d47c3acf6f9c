//! Every error that Souk can answer: one code, whose fault, whether a retry can help, a safe text.

use crate::common;

/// Whose doing an error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The request: the same request will fail again.
    Client,
    /// Souk itself: a defect, or a limit of this process.
    Souk,
    /// A store that Souk needs.
    Store,
}

/// Whether trying again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Not without changing the request.
    Never,
    /// After a pause.
    Later,
}

/// One line of the error table.
struct Entry {
    code: Code,
    name: &'static str,
    fault: Fault,
    retry: Retry,
    text: &'static str,
}

macro_rules! codes {
    ($(
        $variant:ident = $number:literal, $name:literal, $fault:ident, $retry:ident, $text:literal;
    )+) => {
        /// A stable error code. The number goes over the link, the name to HTTP clients.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u16)]
        pub enum Code {
            $(#[doc = $text] $variant = $number,)+
        }

        const TABLE: &[Entry] = &[
            $(Entry {
                code: Code::$variant,
                name: $name,
                fault: Fault::$fault,
                retry: Retry::$retry,
                text: $text,
            },)+
        ];
    };
}

codes! {
    Internal = 1, "internal", Souk, Never, "Something went wrong on our side. It has been logged.";
    MalformedMessage = 2, "malformed_message", Souk, Never, "A link message could not be read.";
    UnknownMethod = 3, "unknown_method", Souk, Never, "The daemon does not know this method.";
    Busy = 4, "busy", Souk, Later, "The service is at its limit. Try again shortly.";
    DeadlineExceeded = 5, "deadline_exceeded", Souk, Later, "The request took too long and was dropped.";
    Unavailable = 6, "unavailable", Souk, Later, "No daemon can be reached. Try again shortly.";
    StoreUnavailable = 7, "store_unavailable", Store, Later, "A store cannot be reached. Try again shortly.";
    Cancelled = 8, "cancelled", Client, Never, "The request was cancelled.";

    InvalidField = 32, "invalid_field", Client, Never, "A field of the request is not valid.";
    Unauthenticated = 33, "unauthenticated", Client, Never, "Log in first: there is no valid session.";
    WrongCredentials = 34, "wrong_credentials", Client, Never, "The username or the password is wrong.";
    WrongPassword = 35, "wrong_password", Client, Never, "The password is wrong.";
    UserNotFound = 36, "user_not_found", Client, Never, "There is no such user.";
    SessionNotFound = 37, "session_not_found", Client, Never, "There is no such session.";
    PictureNotFound = 38, "picture_not_found", Client, Never, "There is no such picture.";
    UsernameTaken = 39, "username_taken", Client, Never, "This username is taken. Choose another.";
    VersionConflict = 40, "version_conflict", Client, Never, "It was changed meanwhile. Read it again, then repeat the change.";
    RateLimited = 41, "rate_limited", Client, Later, "Too many requests. Slow down.";
    TooManyFailures = 42, "too_many_failures", Client, Later, "Too many failed attempts. Wait before the next one.";
    PictureUnsupported = 43, "picture_unsupported", Client, Never, "Pictures can be PNG, JPEG, WebP or GIF.";
    PictureTooLarge = 44, "picture_too_large", Client, Never, "Pictures can have up to 5 MiB and 6000×6000 pixels.";
    PictureInvalid = 45, "picture_invalid", Client, Never, "The picture is damaged or cut off.";
    BoardNotFound = 46, "board_not_found", Client, Never, "There is no such board.";
    NotRanked = 47, "not_ranked", Client, Never, "This user is not on this board.";
    EventConflict = 48, "event_conflict", Client, Never, "This event_id was used for another change.";
    MissingRole = 49, "missing_role", Client, Never, "This needs a token with another role.";
    AuctionNotFound = 50, "auction_not_found", Client, Never, "There is no such auction.";
    AuctionNotStarted = 51, "auction_not_started", Client, Later, "The auction has not begun.";
    AuctionEnded = 52, "auction_ended", Client, Never, "The auction has ended.";
    AuctionCancelled = 53, "auction_cancelled", Client, Never, "The seller cancelled the auction.";
    AuctionHasBids = 54, "auction_has_bids", Client, Never, "The auction has bids and cannot be changed any more.";
    BidTooLow = 55, "bid_too_low", Client, Never, "The bid is below the minimum.";
    AlreadyLeading = 56, "already_leading", Client, Never, "Yours is the highest bid already.";
    OwnAuction = 57, "own_auction", Client, Never, "Sellers cannot bid on their own auctions.";
    NotSeller = 58, "not_seller", Client, Never, "Only the seller can do this.";
    CurrencyMismatch = 59, "currency_mismatch", Client, Never, "The auction is in another currency.";
    WrongBidder = 60, "wrong_bidder", Client, Never, "The bid names another user than the session.";
    ClockSkew = 61, "clock_skew", Souk, Later, "A clock on our side is wrong. Try again shortly.";
    SettlementNotFound = 62, "settlement_not_found", Client, Never, "The auction is not settled.";

    BadRequest = 64, "bad_request", Client, Never, "The request is not valid HTTP.";
    RouteNotFound = 65, "route_not_found", Client, Never, "There is nothing at this path.";
    MethodNotAllowed = 66, "method_not_allowed", Client, Never, "This path does not take this method.";
    PayloadTooLarge = 67, "payload_too_large", Client, Never, "The body is larger than this path takes.";
    UnsupportedMediaType = 68, "unsupported_media_type", Client, Never, "This path does not take a body of this type.";
    HeadTooLarge = 69, "head_too_large", Client, Never, "The request head is over 16 KiB.";
    TargetTooLong = 70, "target_too_long", Client, Never, "The request target is over 8 KiB.";
    RequestTimeout = 71, "request_timeout", Client, Never, "The request did not arrive in time.";
    NotImplemented = 72, "not_implemented", Client, Never, "This method is not known here.";
    VersionNotSupported = 73, "version_not_supported", Client, Never, "HTTP/1.0 and HTTP/1.1 are spoken here.";
    ExpectationFailed = 74, "expectation_failed", Client, Never, "The only expectation known is 100-continue.";
    CrossSite = 75, "cross_site", Client, Never, "Writes from other sites are refused.";
    TooManyConnections = 76, "too_many_connections", Client, Later, "Too many connections. Close some first.";
    MalformedBody = 77, "malformed_body", Client, Never, "The body is not what its type says.";
    Forbidden = 78, "forbidden", Client, Never, "This is not allowed for you.";
    MalformedFrame = 79, "malformed_frame", Client, Never, "The frame has not the length that its type has.";
    UnknownFrame = 80, "unknown_frame", Client, Never, "Frames of this type are not known here.";
}

impl Code {
    /// Every code.
    pub fn all() -> impl Iterator<Item = Code> {
        TABLE.iter().map(|entry| entry.code)
    }

    /// The code with this number; unknown numbers (a newer peer's) become [`Code::Internal`].
    pub fn from_number(number: u32) -> Code {
        TABLE
            .iter()
            .find(|entry| u32::from(entry.code as u16) == number)
            .map_or(Code::Internal, |entry| entry.code)
    }

    fn entry(self) -> &'static Entry {
        TABLE.iter().find(|entry| entry.code == self).unwrap_or(&TABLE[0])
    }

    /// The name that clients see; it never changes.
    pub fn name(self) -> &'static str {
        self.entry().name
    }

    /// Whose doing it is.
    pub fn fault(self) -> Fault {
        self.entry().fault
    }

    /// Whether trying again can help.
    pub fn retry(self) -> Retry {
        self.entry().retry
    }

    /// What to tell the client when there is nothing more precise to say.
    pub fn text(self) -> &'static str {
        self.entry().text
    }
}

/// An error on its way to the client. Everything in it is safe to show.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {}", code.name(), self.text())]
pub struct Failure {
    /// What kind of error.
    pub code: Code,
    /// What exactly is wrong; empty means the code's own text.
    pub detail: String,
    /// The input field at fault; empty for none.
    pub field: String,
    /// When a retry can help, in milliseconds from now; 0 means unknown.
    pub retry_after_ms: u32,
}

impl Failure {
    /// A failure that says no more than its code.
    pub fn new(code: Code) -> Failure {
        Failure { code, detail: String::new(), field: String::new(), retry_after_ms: 0 }
    }

    /// A failure with a text of its own, safe to show.
    pub fn because(code: Code, detail: impl Into<String>) -> Failure {
        Failure { detail: detail.into(), ..Failure::new(code) }
    }

    /// An [`Code::InvalidField`]: which field, and what is wrong and how to mend it.
    pub fn field(field: impl Into<String>, detail: impl Into<String>) -> Failure {
        Failure { field: field.into(), ..Failure::because(Code::InvalidField, detail) }
    }

    /// The same failure with the time after which a retry can help.
    pub fn retry_after(mut self, pause: std::time::Duration) -> Failure {
        self.retry_after_ms = u32::try_from(pause.as_millis()).unwrap_or(u32::MAX).max(1);
        self
    }

    /// The text to show.
    pub fn text(&self) -> &str {
        if self.detail.is_empty() { self.code.text() } else { &self.detail }
    }
}

impl From<Code> for Failure {
    fn from(code: Code) -> Failure {
        Failure::new(code)
    }
}

impl From<&Failure> for common::Error {
    fn from(failure: &Failure) -> common::Error {
        common::Error {
            code: u32::from(failure.code as u16),
            detail: failure.detail.clone(),
            field: failure.field.clone(),
            retry_after_ms: failure.retry_after_ms,
        }
    }
}

impl From<common::Error> for Failure {
    fn from(error: common::Error) -> Failure {
        Failure {
            code: Code::from_number(error.code),
            detail: error.detail,
            field: error.field,
            retry_after_ms: error.retry_after_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Code, Failure, TABLE};
    use crate::common;
    use std::collections::HashSet;

    #[test]
    fn names_and_numbers_are_unique_and_found_again() {
        let names: HashSet<_> = Code::all().map(Code::name).collect();
        assert_eq!(names.len(), TABLE.len());
        for code in Code::all() {
            assert_eq!(Code::from_number(u32::from(code as u16)), code);
        }
        assert_eq!(Code::from_number(9999), Code::Internal);
    }

    #[test]
    fn a_failure_survives_the_link() {
        let failure = Failure::field("username", "is too short");
        let message = common::Error::from(&failure);
        assert_eq!(Failure::from(message), failure);
    }
}
