//! Every bound of the HTTP syntax, with its reason.

/// Largest request head in bytes, from the first empty line tolerated before it to the empty line
/// that ends it. Browsers and proxies stay below 8 KiB; twice that leaves room for cookies.
pub const MAX_HEAD: usize = 16 * 1024;

/// Longest request target in bytes. RFC 9112 asks for at least 8,000.
pub const MAX_TARGET: usize = 8 * 1024;

/// Most header fields in one head. Browsers send about 20.
pub const MAX_FIELDS: usize = 100;

/// Heads with up to this many fields are parsed into a small table on the stack.
pub const USUAL_FIELDS: usize = 24;

/// Most empty lines skipped before a request line. RFC 9112 asks for at least one, for old clients
/// that end a body with an extra line; more are no request.
pub const MAX_LEADING_EMPTY_LINES: usize = 4;

/// Most digits of a chunk size: 16 hexadecimal digits already fill 64 bits.
pub const MAX_CHUNK_SIZE_DIGITS: u8 = 16;

/// Most bytes of chunk extensions in one body. They are read and ignored, so they are pure cost.
pub const MAX_CHUNK_EXTENSIONS: u32 = 4 * 1024;

/// Most bytes of the trailer section. Trailers are checked and thrown away.
pub const MAX_TRAILERS: u32 = 8 * 1024;

/// Most pairs in a query string or a form. The largest form here has 4 fields.
pub const MAX_PAIRS: usize = 64;
