use super::{Asked, Bid, Broken, Event, FRAME_MAX, NotNow, Placed, Refused, Told, Type};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::HashMap;

/// The document, whose vectors are checked here.
const DOCUMENT: &str = include_str!("../../../front/TLV.md");

fn hex(text: &str) -> Vec<u8> {
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    let pairs = (0..digits.len()).step_by(2).map(|at| &digits[at..at + 2]);
    pairs.map(|pair| u8::from_str_radix(pair, 16).expect("hex")).collect()
}

/// The vectors: bytes, name, fields.
fn vectors() -> Vec<(Vec<u8>, &'static str, Fields)> {
    let (_, rest) = DOCUMENT.split_once("```vectors\n").expect("the vectors");
    let (block, _) = rest.split_once("```").expect("their end");
    let lines: Vec<&str> = block.lines().collect();
    let pairs = lines.chunks(2).map(|two| {
        let [bytes, meaning] = two else { panic!("a vector without a meaning: {two:?}") };
        let mut words = meaning.split_whitespace();
        let name = words.next().expect("a name");
        let fields = words.map(|word| word.split_once('=').expect("a field")).collect();
        (hex(bytes), name, Fields(fields))
    });
    pairs.collect()
}

struct Fields(HashMap<&'static str, &'static str>);

impl Fields {
    fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    fn text(&self, name: &str) -> &'static str {
        self.0.get(name).unwrap_or_else(|| panic!("no field {name}"))
    }

    fn get<T: std::str::FromStr>(&self, name: &str) -> T {
        self.text(name).parse().unwrap_or_else(|_| panic!("{name} is no number"))
    }

    fn bid(&self, kind: Type) -> Bid {
        let wide = kind == Type::Bid64;
        Bid {
            kind,
            auction: self.get("auction"),
            user: self.get("user"),
            amount: self.get("amount"),
            max: if wide { self.get("max") } else { 0 },
            tag: if wide { self.get("tag") } else { 0 },
        }
    }

    fn told(&self, name: &str) -> Option<Told<'static>> {
        let flag = |name| self.get::<u8>(name) == 1;
        Some(match name {
            "RESULT" => Told::Result(Placed {
                sequence: self.get("sequence"),
                price: self.get("price"),
                leading: flag("leading"),
                repeated: flag("repeated"),
                ends_at_ms: self.get("ends_at"),
                auction: self.get("auction"),
                tag: self.get("tag"),
                head: hex(self.text("head")).try_into().expect("a hash"),
            }),
            "ERROR" => Told::Error(Refused {
                code: self.get("code"),
                of: self.get("of"),
                price: self.get("price"),
                minimum: self.get("minimum"),
                auction: self.get("auction"),
                tag: self.get("tag"),
            }),
            "AUTH" if self.has("version") => {
                Told::Auth { version: self.get("version"), user: self.get("user") }
            }
            "EVENT" => Told::Event(Event {
                auction: self.get("auction"),
                sequence: self.get("sequence"),
                since: self.get("since"),
                price: self.get("price"),
                minimum: self.get("minimum"),
                start_at_ms: self.get("start_at"),
                ends_at_ms: self.get("ends_at"),
                now_ms: self.get("now"),
                extended: self.get("extended"),
                state: self.get("state"),
                outcome: self.get("outcome"),
                flags: self.get("flags"),
            }),
            "BUSY" => Told::Busy(NotNow {
                retry_after_ms: self.get("retry_after"),
                code: self.get("code"),
                of: self.get("of"),
                auction: self.get("auction"),
                tag: self.get("tag"),
            }),
            _ => return None,
        })
    }
}

fn check_asked(bytes: &[u8], asked: Asked) {
    let mut encoded = Vec::new();
    asked.encode(&mut encoded);
    assert_eq!(encoded, bytes, "{asked:?}");
    assert_eq!(Asked::decode(bytes), Ok(Some((asked, bytes.len()))));
}

fn check_told(bytes: &[u8], told: Told) {
    let mut encoded = Vec::new();
    told.encode(&mut encoded);
    assert_eq!(encoded, bytes, "{told:?}");
    assert_eq!(Told::decode(bytes), Ok(Some((told, bytes.len()))));
}

#[test]
fn the_vectors_of_the_document_are_these_frames_in_both_directions() {
    let mut seen = Vec::new();
    for (bytes, name, fields) in vectors() {
        seen.push(bytes[0]);
        match name {
            "BID" => check_asked(&bytes, Asked::Bid(fields.bid(Type::Bid))),
            "BID64" => check_asked(&bytes, Asked::Bid(fields.bid(Type::Bid64))),
            "AUTH" if fields.has("token") => {
                check_asked(&bytes, Asked::Auth(fields.text("token").as_bytes()));
            }
            "PING" => check_asked(&bytes, Asked::Ping(&hex(fields.text("bytes")))),
            "PONG" => check_told(&bytes, Told::Pong(&hex(fields.text("bytes")))),
            "SUBSCRIBE" => {
                let (auction, after) = (fields.get("auction"), fields.get("after"));
                check_asked(&bytes, Asked::Subscribe { auction, after });
            }
            _ => check_told(&bytes, fields.told(name).unwrap_or_else(|| panic!("{name}"))),
        }
    }
    for kind in Type::ALL {
        assert!(seen.contains(&(kind as u8)), "no vector of {}", kind.name());
    }
}

#[test]
fn the_lengths_in_the_document_are_those_of_the_frames() {
    for kind in Type::ALL {
        let row = format!("| {} | {} |", kind as u8, kind.name());
        assert!(DOCUMENT.contains(&row), "{row}");
    }
    for (bytes, name, fields) in vectors() {
        let from =
            if fields.told(name).is_some() && !fields.has("token") { "server" } else { "client" };
        if matches!(name, "PING" | "PONG") || fields.has("token") {
            continue;
        }
        let row = format!("| {} | {name} | {from} | {} bytes |", bytes[0], bytes.len() - 2);
        assert!(DOCUMENT.contains(&row), "{row}");
    }
}

#[test]
fn a_wrong_type_or_length_shows_before_the_payload_comes() {
    for number in 0..=u8::MAX {
        let known = matches!(number, 1 | 4 | 5 | 7 | 9);
        let head = [number];
        let outcome = Asked::decode(&head);
        assert_eq!(outcome, if known { Ok(None) } else { Err(Broken::Unknown(number)) });
        for length in 0..=u8::MAX {
            let fits = match number {
                1 | 7 => length == 16,
                9 => length == 40,
                4 => length > 0,
                _ => true,
            };
            if known && !fits {
                assert_eq!(Asked::decode(&[number, length]), Err(Broken::Length(number)));
            }
        }
    }
}

#[test]
fn a_client_accepts_longer_payloads_and_types_that_it_does_not_know() {
    for (mut bytes, name, fields) in vectors() {
        let Some(told) = fields.told(name) else { continue };
        assert!(Told::decode(&[bytes[0], 1, 0]).is_err(), "{name} of one byte");
        bytes.extend([7; 9]);
        bytes[1] += 9;
        assert_eq!(Told::decode(&bytes), Ok(Some((told, bytes.len()))));
    }
    assert_eq!(Told::decode(&[200, 2, 1, 1, 9]), Ok(Some((Told::Other(200), 4))));
}

#[test]
fn a_maximum_is_not_shown() {
    let bid = Bid { kind: Type::Bid64, auction: 1, user: 2, amount: 3, max: 987_654, tag: 4 };
    assert!(!format!("{bid:?} {:?}", Asked::Bid(bid)).contains("987654"));
}

proptest! {
    #[test]
    fn bids_come_back_as_they_went(
        (auction, user, tag) in any::<(u64, u64, u64)>(),
        (amount, max) in any::<(i64, i64)>(),
        short in any::<(u32, u32)>(),
    ) {
        let mut bytes = Vec::new();
        let wide = Bid { kind: Type::Bid64, auction, user, amount, max, tag };
        Asked::Bid(wide).encode(&mut bytes);
        prop_assert_eq!(Asked::decode(&bytes), Ok(Some((Asked::Bid(wide), 42))));
        bytes.clear();
        let (auction, user) = (short.0.into(), short.1.into());
        let short = Bid { kind: Type::Bid, auction, user, amount, max: 0, tag: 0 };
        Asked::Bid(short).encode(&mut bytes);
        prop_assert_eq!(Asked::decode(&bytes), Ok(Some((Asked::Bid(short), 18))));
    }

    #[test]
    fn any_bytes_are_no_frame_or_one_within_them(bytes in vec(any::<u8>(), 0..600)) {
        if let Ok(Some((_, used))) = Asked::decode(&bytes) {
            prop_assert!((2..=FRAME_MAX.min(bytes.len())).contains(&used));
            // The frame is what it is whatever follows, and nothing while a byte is missing.
            prop_assert_eq!(Asked::decode(&bytes[..used]), Asked::decode(&bytes));
            for cut in 0..used {
                prop_assert_eq!(Asked::decode(&bytes[..cut]), Ok(None));
            }
        }
        if let Ok(Some((told, used))) = Told::decode(&bytes) {
            prop_assert!((2..=FRAME_MAX.min(bytes.len())).contains(&used));
            prop_assert_eq!(Told::decode(&bytes[..used]), Ok(Some((told, used))));
            for cut in 0..used {
                prop_assert_eq!(Told::decode(&bytes[..cut]), Ok(None));
            }
        }
    }
}
