//! Every bound of the routes, with its reason. Sizes are in bytes.

use std::time::Duration;

/// Longest JSON or form body. The longest sensible one (a user with every field at its limit, each
/// character escaped) is about 2 KiB.
pub const FORM_MAX: u64 = 16 * 1024;

/// Longest body where none is needed: read and dropped, so that careless clients are served.
pub const IGNORED_BODY_MAX: u64 = 4 * 1024;

/// Longest picture, as the daemon takes it.
pub const PICTURE_MAX: u64 = 5 * 1024 * 1024;

/// Bytes of a multipart form that are not the picture: boundaries, part heads, the hidden fields.
pub const MULTIPART_EXTRA_MAX: u64 = 64 * 1024;

/// Longest multipart form.
pub const MULTIPART_MAX: u64 = PICTURE_MAX + MULTIPART_EXTRA_MAX;

/// How often the multipart parser may ask again after the end of the body. It goes on by at least
/// one stage of a part each time, and there are fewer stages than this.
pub const ASKED_AFTER_END_MAX: u32 = 16;

/// Fields of one JSON object or form. No route takes more than ten.
pub const FIELDS_MAX: usize = 32;

/// Bytes of a User-Agent that go over the link: enough to tell devices apart.
pub const AGENT_MAX: usize = 256;

/// Addresses of an X-Forwarded-For chain that are looked at. Longer chains are not honest.
pub const FORWARDED_MAX: usize = 32;

/// Users on one page of a search, at most and unless asked for.
pub const PAGE_MAX: u32 = 100;
/// See [`PAGE_MAX`].
pub const PAGE_DEFAULT: u32 = 20;

/// Time for a picture to go up: a phone on a slow line sends 5 MiB at about 1 Mbit/s in 42 s.
pub const UPLOAD_DEADLINE: Duration = Duration::from_secs(60);

/// How long a browser keeps the device cookie; browsers cut longer times to 400 days.
pub const DEVICE_COOKIE_AGE: Duration = Duration::from_secs(400 * 24 * 3600);

/// Lines on one page of a board, at most and unless asked for. 500 lines fit a frame of the link
/// even with the longest names.
pub const BOARD_PAGE_MAX: u32 = 500;
/// See [`BOARD_PAGE_MAX`].
pub const BOARD_PAGE_DEFAULT: u32 = 100;

/// Neighbours on either side of a user, at most and unless asked for.
pub const RADIUS_MAX: u32 = 100;
/// See [`RADIUS_MAX`].
pub const RADIUS_DEFAULT: u32 = 10;

/// Ratings that one request may change.
pub const RATINGS_MAX: usize = 1_000;

/// Longest body of such a request: 1,000 items with ids and event ids at their longest take 150 KB.
pub const BATCH_MAX: u64 = 256 * 1024;

/// Longest event id, in characters.
pub const EVENT_ID_MAX: usize = 64;

/// Largest amount of money in minor units: the sum of three of them is still exact in a double.
pub const MONEY_MAX: i64 = 1_000_000_000_000_000;

/// Rows of a table of increments: one for each decade of prices that there can be.
pub const STEPS_MAX: usize = 16;

/// Longest id of a bid, in characters.
pub const BID_ID_MAX: usize = 64;

/// Bids on one page of an auction's history, at most and unless asked for. 500 of them fit a frame
/// of the link even with the longest names.
pub const BIDS_PAGE_MAX: u32 = 500;
/// See [`BIDS_PAGE_MAX`].
pub const BIDS_PAGE_DEFAULT: u32 = 100;
