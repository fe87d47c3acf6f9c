use super::{CloseCode, WebSocket};
use crate::limits::WEBSOCKET_MESSAGE_MAX;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

/// A client's frame: first byte, payload, and a mask or none.
fn frame(first: u8, payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
    let flag = if mask.is_some() { 0x80 } else { 0 };
    let mut bytes = vec![first];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length @ ..=125), _) => bytes.push(flag | length),
        (_, Ok(length)) => {
            bytes.push(flag | 126);
            bytes.extend(length.to_be_bytes());
        }
        _ => {
            bytes.push(flag | 127);
            bytes.extend((payload.len() as u64).to_be_bytes());
        }
    }
    let mask = mask.inspect(|mask| bytes.extend(mask)).unwrap_or_default();
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    frame(first, payload, Some([0x12, 0x34, 0x56, 0x78]))
}

/// What a WebSocket says to these bytes, and whether it is over then.
fn answer(bytes: &[u8]) -> (Vec<u8>, bool) {
    let mut socket = WebSocket::new();
    socket.receive(bytes);
    (socket.take_output().unwrap_or_default(), socket.is_over())
}

fn close(code: u16) -> Vec<u8> {
    let [high, low] = code.to_be_bytes();
    vec![0x88, 2, high, low]
}

const FIN_TEXT: u8 = 0x81;
const TEXT: u8 = 0x01;
const FIN_REST: u8 = 0x80;
const REST: u8 = 0x00;
const FIN_BINARY: u8 = 0x82;
const FIN_PING: u8 = 0x89;

#[test]
fn what_is_said_goes_out_unmasked_in_frames_of_the_right_length() {
    for length in [0, 1, 125, 126, 65_535, 65_536] {
        let text = "x".repeat(length);
        let mut socket = WebSocket::new();
        socket.say(text.as_bytes());
        assert_eq!(socket.take_output(), Some(frame(FIN_TEXT, text.as_bytes(), None)));
        assert_eq!(socket.take_output(), None);
    }
    let mut socket = WebSocket::new();
    socket.ping();
    assert_eq!(socket.take_output(), Some(vec![0x89, 0]));
}

#[test]
fn valid_messages_are_taken_in_silence_and_pings_answered() {
    let largest = vec![b'x'; WEBSOCKET_MESSAGE_MAX];
    for silent in [
        masked(FIN_TEXT, "täxt".as_bytes()),
        masked(FIN_BINARY, b"\xff\x00"),
        masked(FIN_TEXT, &largest),
        masked(FIN_TEXT, b""),
        [masked(TEXT, b"a\xc3"), masked(REST, b"\xa4"), masked(FIN_REST, b"b")].concat(),
        masked(0x8a, b"a pong nobody asked for"),
    ] {
        assert_eq!(answer(&silent), (vec![], false));
    }
    let between = [masked(TEXT, b"a"), masked(FIN_PING, b"?"), masked(FIN_REST, b"b")].concat();
    assert_eq!(answer(&between), (vec![0x8a, 1, b'?'], false));
}

#[test]
fn what_breaks_the_rules_ends_it_with_the_code_that_says_which() {
    let over = vec![b'x'; WEBSOCKET_MESSAGE_MAX + 1];
    let half = vec![b'x'; WEBSOCKET_MESSAGE_MAX / 2 + 1];
    let split = [masked(TEXT, b"\xed"), masked(FIN_REST, b"\xa0\x80")].concat();
    let huge = vec![FIN_TEXT, 0xff, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
    #[rustfmt::skip]
    let table: Vec<(&str, Vec<u8>, u16)> = vec![
        ("unmasked", frame(FIN_TEXT, b"a", None), 1002),
        ("unmasked ping", frame(FIN_PING, b"", None), 1002),
        ("a reserved bit", masked(0xc1, b"a"), 1002),
        ("an unknown data frame", masked(0x83, b""), 1002),
        ("an unknown control frame", masked(0x8b, b""), 1002),
        ("a ping in pieces", masked(0x09, b""), 1002),
        ("a long ping", masked(FIN_PING, &[0; 126]), 1002),
        ("a rest of nothing", masked(FIN_REST, b"a"), 1002),
        ("a text within a text", [masked(TEXT, b"a"), masked(FIN_TEXT, b"b")].concat(), 1002),
        ("no UTF-8", masked(FIN_TEXT, b"\xff"), 1007),
        ("half a character", masked(FIN_TEXT, b"a\xc3"), 1007),
        ("no UTF-8 in pieces", split, 1007),
        ("too long", masked(FIN_TEXT, &over), 1009),
        ("too long by its head alone", huge, 1009),
        ("too long in pieces", [masked(TEXT, &half), masked(FIN_REST, &half)].concat(), 1009),
    ];
    for (what, bytes, code) in table {
        assert_eq!(answer(&bytes), (close(code), true), "{what}");
    }
}

#[test]
fn a_close_is_returned_and_nothing_follows_it() {
    let mut socket = WebSocket::new();
    socket.receive(&masked(0x88, &[0x03, 0xe8, b'b', b'y', b'e']));
    assert!(socket.is_over());
    let said = socket.take_output().expect("a close");
    assert_eq!((said[0], &said[2..4]), (0x88, &[0x03, 0xe8][..]));
    socket.say(b"late");
    socket.receive(&masked(FIN_PING, b""));
    assert_eq!(socket.take_output(), None);

    let mut socket = WebSocket::new();
    socket.close(CloseCode::Away);
    assert_eq!(socket.take_output(), Some(close(1001)));
    assert!(!socket.is_over(), "the client has not answered");
    socket.say(b"late");
    assert_eq!(socket.take_output(), None);
    socket.receive(&masked(0x88, &[0x03, 0xe9]));
    assert!(socket.is_over());
}

proptest! {
    #[test]
    fn any_bytes_are_taken_without_panic_and_nothing_grows(
        pieces in vec(vec(any::<u8>(), 0..300), 0..20),
    ) {
        let mut socket = WebSocket::new();
        for piece in &pieces {
            socket.receive(piece);
            prop_assert!(socket.wire.input.len() - socket.wire.used <= piece.len());
            // At most a pong for each ping, and a close.
            let said = socket.take_output().map_or(0, |output| output.len());
            prop_assert!(said <= 2 * piece.len() + 8);
        }
    }

    #[test]
    fn how_the_bytes_are_cut_makes_no_difference(
        texts in vec((0..4u8, vec(any::<u8>(), 0..200)), 1..6),
        cuts in vec(any::<Index>(), 0..8),
        broken in any::<Option<(Index, u8)>>(),
    ) {
        let mut bytes: Vec<u8> = texts
            .iter()
            .flat_map(|(kind, payload)| match kind {
                0 => masked(FIN_BINARY, payload),
                1 => masked(FIN_PING, &payload[..payload.len().min(125)]),
                2 => [masked(0x02, payload), masked(FIN_REST, payload)].concat(),
                _ => masked(FIN_TEXT, payload),
            })
            .collect();
        if let Some((at, byte)) = broken {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let outcome = |pieces: &[&[u8]]| {
            let mut socket = WebSocket::new();
            pieces.iter().for_each(|piece| socket.receive(piece));
            (socket.take_output(), socket.is_over())
        };
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
        cuts.sort_unstable();
        let mut rest = &bytes[..];
        let mut pieces = Vec::new();
        let mut from = 0;
        for cut in cuts {
            let (piece, after) = rest.split_at(cut - from);
            pieces.push(piece);
            (rest, from) = (after, cut);
        }
        pieces.push(rest);
        let (whole, cut) = (outcome(&[&bytes]), outcome(&pieces));
        prop_assert_eq!(whole.1, cut.1);
        // Pings that come together may be answered by one pong, the last one's.
        prop_assert_eq!(whole.0.is_some(), cut.0.is_some());
    }

    #[test]
    fn what_is_cut_off_says_nothing(payload in vec(any::<u8>(), 0..125), at in any::<Index>()) {
        let whole = masked(FIN_PING, &payload);
        let (said, over) = answer(&whole[..at.index(whole.len())]);
        prop_assert_eq!((said, over), (vec![], false));
    }
}
