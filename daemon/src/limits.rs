//! Every bound of the daemon, with its reason.

/// Items of a request's body that wait for their service. A picture of 5 MiB in chunks of 32 KiB
/// is 160 items; the whole of it may come before its service first looks.
pub const BODY_ITEMS_MAX: usize = 256;
