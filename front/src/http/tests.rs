//! Heads and bodies together, read the way a connection reads them: every verdict is also reached
//! when the same bytes arrive one by one.

mod accepted;
mod properties;
mod refused;

use super::{BodyDecoder, Framing, Method, Version, body, head};
use souk_proto::Code;

/// The most body bytes that these tests take.
const LIMIT: u64 = 64;

/// One request as read.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    method: Method,
    version: Version,
    path: String,
    query: Option<String>,
    host: String,
    framing: Framing,
    expect_continue: bool,
    persistent: bool,
    fields: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

/// What became of a connection's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Outcome {
    requests: Vec<Seen>,
    /// The refusal that ended the connection.
    refused: Option<Code>,
    /// Bytes that no complete request accounts for.
    left: usize,
}

/// Reads requests out of pieces until they end or one is refused.
fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let mut buffer = Vec::new();
    let mut outcome = Outcome { requests: Vec::new(), refused: None, left: 0 };
    let mut open: Option<(Seen, BodyDecoder)> = None;
    for piece in pieces {
        buffer.extend_from_slice(piece);
        if let Err(refusal) = advance(&mut buffer, &mut open, &mut outcome.requests) {
            outcome.refused = Some(refusal.code);
            return outcome;
        }
    }
    outcome.left = buffer.len();
    outcome
}

fn advance(
    buffer: &mut Vec<u8>,
    open: &mut Option<(Seen, BodyDecoder)>,
    requests: &mut Vec<Seen>,
) -> Result<(), super::Refusal> {
    loop {
        let Some((mut seen, mut decoder)) = open.take() else {
            let Some((head, used)) = head::parse(buffer)? else {
                return Ok(());
            };
            assert!(used <= buffer.len());
            buffer.drain(..used);
            body::check_length(head.framing, LIMIT)?;
            *open = Some((see(&head), BodyDecoder::new(head.framing, LIMIT)));
            continue;
        };
        while !decoder.is_done() && !buffer.is_empty() {
            let progress = decoder.decode(buffer)?;
            assert!(progress.used > 0 && progress.data.end <= progress.used);
            assert_eq!(progress.done, decoder.is_done());
            seen.body.extend_from_slice(&buffer[progress.data]);
            buffer.drain(..progress.used);
        }
        if !decoder.is_done() {
            *open = Some((seen, decoder));
            return Ok(());
        }
        requests.push(seen);
    }
}

fn see(head: &head::Head) -> Seen {
    Seen {
        method: head.method,
        version: head.version,
        path: head.path().to_owned(),
        query: head.query().map(str::to_owned),
        host: head.host().to_owned(),
        framing: head.framing,
        expect_continue: head.expect_continue,
        persistent: head.persistent,
        fields: head.fields().map(|(name, value)| (name.to_owned(), value.to_vec())).collect(),
        body: Vec::new(),
    }
}

/// Reads the bytes at once and one by one, and holds that it makes no difference.
fn read_both_ways(bytes: &[u8]) -> Outcome {
    let whole = read([bytes]);
    assert_eq!(read(bytes.chunks(1)), whole, "cut: {}", bytes.escape_ascii());
    whole
}
