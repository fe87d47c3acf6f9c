//! What holds for every input.

use super::{Outcome, read, read_both_ways};
use crate::http::{BodyDecoder, Framing, head};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// Pieces that requests and attacks on them are made of; strung together they reach far deeper than
/// random bytes.
const PIECES: &[&[u8]] = &[
    b"GET / HTTP/1.1\r\nHost: a\r\n",
    b"POST /a?b HTTP/1.1\r\nHost: a\r\n",
    b"GET / HTTP/1.0\r\n",
    b"PUT http://b/ HTTP/1.1\r\n",
    b"Host: a\r\n",
    b"Content-Length: 5\r\n",
    b"Content-Length: 0\r\n",
    b"Content-Length:5",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n",
    b"Transfer-Encoding:",
    b"transfer-encoding : chunked",
    b"Connection: close\r\n",
    b"Expect: 100-continue\r\n",
    b"X: y\r\n",
    b"5\r\nhello\r\n",
    b"5;a=b\r\nhello\r\n",
    b"0\r\n",
    b"\r\n",
    b"\r\n",
    b"\r\n\r\n",
    b"\r",
    b"\n",
    b"\0",
    b" ",
    b"\t",
    b":",
    b";",
    b"chunked",
    b"hello",
    b"\xff",
    b"%",
];

fn attack() -> impl Strategy<Value = Vec<u8>> {
    vec(select(PIECES), 0..14).prop_map(|pieces| pieces.concat())
}

/// The bytes cut at these places.
fn cut<'a>(bytes: &'a [u8], places: &[Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<_> = places.iter().map(|place| place.index(bytes.len() + 1)).collect();
    places.sort_unstable();
    let mut pieces = Vec::new();
    let mut from = 0;
    for place in places.into_iter().chain([bytes.len()]) {
        pieces.push(&bytes[from..place]);
        from = place;
    }
    pieces
}

/// The values that a careless parser would find for a field: any line end ends a line, a line may
/// have space before its colon, and names are only looked for, not checked.
fn careless_values(text: &[u8], name: &str) -> Vec<String> {
    String::from_utf8_lossy(text)
        .split(['\r', '\n', '\0'])
        .filter_map(|line| line.split_once(':'))
        .filter(|(key, _)| key.trim().eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim().to_ascii_lowercase())
        .collect()
}

#[derive(Clone, Debug)]
struct Chunk {
    data: Vec<u8>,
    extension: &'static str,
    upper: bool,
}

fn chunks() -> impl Strategy<Value = Vec<Chunk>> {
    let extension = select(&["", ";a", "; a=b", " ;a=\"b\"", ";a;b=c"][..]);
    let chunk = (vec(any::<u8>(), 1..300), extension, any::<bool>())
        .prop_map(|(data, extension, upper)| Chunk { data, extension, upper });
    vec(chunk, 0..8)
}

fn encode(chunks: &[Chunk], trailers: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    for Chunk { data, extension, upper } in chunks {
        let size = data.len();
        let size = if *upper { format!("{size:X}") } else { format!("{size:03x}") };
        out.extend_from_slice(format!("{size}{extension}\r\n").as_bytes());
        out.extend_from_slice(data);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"0\r\n");
    for trailer in trailers {
        out.extend_from_slice(trailer.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out
}

proptest! {
    #[test]
    fn garbage_never_panics_and_cuts_never_change_its_verdict(
        bytes in vec(any::<u8>(), 0..300),
    ) {
        read_both_ways(&bytes);
    }

    #[test]
    fn cuts_never_change_what_requests_say(
        bytes in attack(),
        places in vec(any::<Index>(), 0..6),
    ) {
        let whole = read_both_ways(&bytes);
        prop_assert_eq!(read(cut(&bytes, &places)), whole);
    }

    #[test]
    fn a_careless_parser_finds_the_same_framing_in_what_is_accepted(bytes in attack()) {
        let Ok(Some((head, used))) = head::parse(&bytes) else {
            return Ok(());
        };
        let text = &bytes[..used];
        let lengths = careless_values(text, "content-length");
        let codings = careless_values(text, "transfer-encoding");
        match head.framing {
            Framing::None => prop_assert!(lengths.is_empty() && codings.is_empty()),
            Framing::Chunked => prop_assert!(lengths.is_empty() && codings == ["chunked"]),
            Framing::Length(length) => {
                prop_assert!(lengths == [length.to_string()] && codings.is_empty());
            }
        }
        prop_assert!(careless_values(text, "host").len() <= 1);
    }

    #[test]
    fn a_refusal_stands_whatever_follows(bytes in attack(), more in attack()) {
        let before = read([&bytes[..]]);
        let after = read([&[&bytes[..], &more[..]].concat()[..]]);
        if before.refused.is_some() {
            prop_assert_eq!(&after, &before);
        }
        prop_assert!(after.requests.starts_with(&before.requests));
    }

    #[test]
    fn chunked_bodies_come_back_whole_under_any_cuts(
        chunks in chunks(),
        trailers in vec(select(&["A: b", "Digest: x=y", "E:"][..]), 0..3),
        next in vec(any::<u8>(), 0..20),
        places in vec(any::<Index>(), 0..12),
    ) {
        let body: Vec<u8> = chunks.iter().flat_map(|chunk| chunk.data.clone()).collect();
        let encoded = encode(&chunks, &trailers);
        let wire = [&encoded[..], &next[..]].concat();
        let mut decoder = BodyDecoder::new(Framing::Chunked, body.len() as u64);
        let (mut decoded, mut used) = (Vec::new(), 0);
        for mut piece in cut(&wire, &places) {
            while !piece.is_empty() && !decoder.is_done() {
                let progress = decoder.decode(piece).expect("valid chunks");
                decoded.extend_from_slice(&piece[progress.data]);
                piece = &piece[progress.used..];
                used += progress.used;
            }
        }
        prop_assert!(decoder.is_done());
        prop_assert_eq!(decoded, body);
        prop_assert_eq!(used, encoded.len());
    }

    #[test]
    fn no_byte_over_the_limit_is_handed_on(
        chunks in chunks(),
        limit in 0u64..1500,
    ) {
        let total: usize = chunks.iter().map(|chunk| chunk.data.len()).sum();
        let wire = encode(&chunks, &[]);
        let mut decoder = BodyDecoder::new(Framing::Chunked, limit);
        let (mut rest, mut handed) = (&wire[..], 0);
        let refused = loop {
            match decoder.decode(rest) {
                Err(refusal) => break Some(refusal.code),
                Ok(progress) => {
                    handed += progress.data.len() as u64;
                    rest = &rest[progress.used..];
                    if progress.done {
                        break None;
                    }
                }
            }
        };
        prop_assert!(handed <= limit);
        prop_assert_eq!(
            refused,
            (total as u64 > limit).then_some(souk_proto::Code::PayloadTooLarge)
        );
    }
}

#[test]
fn every_mix_of_length_and_coding_is_refused_or_means_one_thing() {
    let lengths = ["", "Content-Length: 5\r\n", "Content-Length: 0\r\n", "Content-Length : 5\r\n"];
    let codings = [
        "",
        "Transfer-Encoding: chunked\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding: x\r\n",
    ];
    for version in ["1.0", "1.1"] {
        for (length, coding) in
            lengths.iter().flat_map(|length| codings.iter().map(move |coding| (*length, *coding)))
        {
            for fields in [[length, coding].concat(), [coding, length].concat()] {
                let request = format!(
                    "POST / HTTP/{version}\r\nHost: a\r\n{fields}\r\n5\r\nhello\r\n0\r\n\r\n"
                );
                let Outcome { requests, .. } = read_both_ways(request.as_bytes());
                let framing = requests.first().map(|seen| seen.framing);
                let expected = match (version, length, coding) {
                    (_, "", "") => Some(Framing::None),
                    (_, "Content-Length: 5\r\n", "") => Some(Framing::Length(5)),
                    (_, "Content-Length: 0\r\n", "") => Some(Framing::Length(0)),
                    ("1.1", "", "Transfer-Encoding: chunked\r\n") => Some(Framing::Chunked),
                    _ => None,
                };
                assert_eq!(framing, expected, "{}", request.escape_default());
            }
        }
    }
}
