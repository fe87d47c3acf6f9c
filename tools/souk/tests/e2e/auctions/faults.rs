//! Every process is killed at random under bids, and every acknowledged bid is there afterwards.
//!
//! Bidders write down what was acknowledged, in the words of the HTTP answer; the operator's audit
//! compares that with the database. A canary takes one acknowledged bid away and must be found out.

use super::port::{Port, bid64, number};
use super::{PATIENCE, eventually, in_ms, open, verify};
use crate::accounts::person::{Person, client};
use crate::accounts::unlimited;
use crate::client::Client;
use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use souk_stack::Stack;
use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long processes are killed, in seconds, unless `SOUK_FAULT_SECONDS` says otherwise.
const SECONDS: u64 = 25;
/// Bids that a connection of the binary port has under way.
const PIPELINE: usize = 16;

/// Random numbers without a crate: good enough to pick a victim (Marsaglia, xorshift, 2003).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// What all who take part know.
struct Show {
    auctions: Vec<u64>,
    /// Above what was offered at each.
    amounts: Vec<AtomicU64>,
    stop: AtomicBool,
    acknowledged: AtomicU64,
}

impl Show {
    /// An auction and an amount that was not offered there before.
    fn choose(&self, dice: &mut Dice) -> (u64, u64) {
        let at = usize::try_from(dice.below(self.auctions.len() as u64)).expect("small");
        let amount = self.amounts[at].fetch_add(1 + dice.below(20), Ordering::Relaxed);
        (self.auctions[at], amount)
    }

    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    fn note(&self, acks: &mut Vec<Value>, ack: Value) {
        acks.push(ack);
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
    }
}

/// Ends the show however the test ends.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Bids over HTTP. A bid whose outcome is not known is repeated under its id until it is.
fn over_http(show: &Show, address: &str, token: &str, seed: u64) -> Vec<Value> {
    let client = Client::new(address);
    let person = Person { client: &client, id: 0, token: token.to_owned() };
    let (mut dice, mut acks) = (Dice(seed), Vec::new());
    for round in 0_u64.. {
        let (auction, amount) = show.choose(&mut dice);
        let mut body = json!({"amount": amount, "bid_id": format!("h{seed}-{round}")});
        if dice.below(4) == 0 {
            body["max_amount"] = (amount + dice.below(100)).into();
        }
        loop {
            if !show.goes_on() {
                return acks;
            }
            match send(&person, address, auction, &body) {
                Some((200 | 201, answer)) => show.note(&mut acks, answer),
                Some((409, _)) => {}
                Some((401 | 500.., _)) | None => {
                    thread::sleep(Duration::from_millis(5));
                    continue;
                }
                Some((status, answer)) => panic!("{status}: {answer}"),
            }
            break;
        }
    }
    acks
}

/// Posts a bid; nothing when the front dies meanwhile.
fn send(person: &Person<'_>, address: &str, auction: u64, body: &Value) -> Option<(u16, Value)> {
    let mut wire = crate::wire::Wire::open(address).ok()?;
    let line = format!("POST /api/v1/auctions/{auction}/bids");
    wire.write_json(&line, &person.token, &body.to_string()).ok()?;
    let heard = wire.hear().ok()?;
    Some((heard.status, serde_json::from_str(&heard.body).ok()?))
}

/// Bids over the binary port, many at a time. What a lost connection did not answer is asked for
/// again under its tag.
fn over_frames(show: &Show, address: &str, who: (u64, &str), seed: u64) -> Vec<Value> {
    let (user, token) = who;
    let (mut dice, mut acks) = (Dice(seed), Vec::new());
    let mut open: Vec<(u64, u64, u64)> = Vec::new();
    let mut tag = seed << 32;
    while show.goes_on() || !open.is_empty() {
        let Some(mut port) = enter(address, token) else {
            if !show.goes_on() {
                break;
            }
            thread::sleep(Duration::from_millis(10));
            continue;
        };
        loop {
            while open.len() < PIPELINE && show.goes_on() {
                let (auction, amount) = show.choose(&mut dice);
                tag += 1;
                open.push((auction, amount, tag));
            }
            let bids = open.iter().flat_map(|(auction, amount, tag)| {
                bid64(*auction, user, i64::try_from(*amount).expect("small"), 0, *tag)
            });
            let bids: Vec<u8> = bids.collect();
            if open.is_empty() || port.0.write_all(&bids).is_err() {
                break;
            }
            let mut again = Vec::new();
            for (place, bid) in open.iter().enumerate() {
                match port.try_hear() {
                    Ok((2, payload)) => show.note(
                        &mut acks,
                        json!({
                            "auction_id": number(&payload[26..34]),
                            "bid_id": format!("tlv-{}", bid.2),
                            "sequence": number(&payload[1..9]),
                            "price": number(&payload[9..17]),
                            "head": HEXLOWER.encode(&payload[42..74]),
                        }),
                    ),
                    Ok((3, payload)) => {
                        let code = number(&payload[..2]);
                        assert!([33, 52, 55, 56].contains(&code), "code {code}");
                        if code == 33 {
                            again.push(*bid);
                        }
                    }
                    Ok((10, _)) => again.push(*bid),
                    Ok(other) => panic!("{other:?}"),
                    Err(_) => {
                        again.extend(&open[place..]);
                        break;
                    }
                }
            }
            let lost = !again.is_empty();
            open = again;
            if lost {
                thread::sleep(Duration::from_millis(5));
                break;
            }
        }
    }
    acks
}

/// A connection that is known to be this user's.
fn enter(address: &str, token: &str) -> Option<Port> {
    let stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let mut port = Port(stream);
    port.0.write_all(&super::port::frame(4, token.as_bytes())).ok()?;
    let (kind, _) = port.try_hear().ok()?;
    (kind == 4).then_some(port)
}

/// Kills processes and starts them again: one of each kind, then at random.
fn havoc(stack: &mut Stack, seconds: u64, seed: u64) -> Vec<&'static str> {
    let mut dice = Dice(seed);
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut done = Vec::new();
    while Instant::now() < end {
        thread::sleep(Duration::from_millis(500 + dice.below(1_500)));
        let index = usize::try_from(dice.below(2)).expect("0 or 1");
        let face = dice.below(6);
        match [0, 2, 4, 5].get(done.len()).copied().unwrap_or(face) {
            0 | 1 => {
                stack.daemons()[index].kill();
                thread::sleep(Duration::from_millis(dice.below(500)));
                stack.restart_daemon(index).expect("starts again");
                done.push("soukd");
            }
            2 | 3 => {
                stack.fronts()[index].kill();
                thread::sleep(Duration::from_millis(dice.below(500)));
                stack.restart_front(index).expect("starts again");
                done.push("souk-front");
            }
            4 => {
                stack.redis().kill();
                thread::sleep(Duration::from_millis(dice.below(1_000)));
                stack.redis().restart().expect("starts again");
                done.push("redis");
            }
            _ => {
                stack.mariadb().kill();
                thread::sleep(Duration::from_millis(dice.below(1_000)));
                stack.mariadb().restart().expect("starts again");
                done.push("mariadb");
            }
        }
    }
    done
}

#[test]
fn no_acknowledged_bid_is_lost_whatever_is_killed() {
    let seconds = std::env::var("SOUK_FAULT_SECONDS").ok().and_then(|s| s.parse().ok());
    let seconds = seconds.unwrap_or(SECONDS);
    let mut stack =
        unlimited().own_mariadb().daemons(2).fronts(2).start().expect("the stack starts");
    let client = client(&stack);
    let sam = Person::new(&client, "sam");
    let people: Vec<(u64, String)> = (0..12)
        .map(|number| Person::new(&client, &format!("bidder_{number}")))
        .map(|person| (person.id, person.token))
        .collect();
    // Some end in the midst of it, with bids that move the end.
    let soft = json!({"window_s": 1, "extensions": 3});
    let ends = |number: u64| in_ms(i64::try_from(2_000 + number * 1_000).expect("small"));
    let auctions: Vec<u64> = (0..60)
        .map(|number| match number % 3 {
            0 => open(&sam, &json!({"increment": 1, "end_at": ends(number), "soft_close": soft})),
            1 => open(&sam, &json!({"increment": 7, "reserve": 3_000})),
            _ => open(&sam, &json!({"increment": 1})),
        })
        .collect();
    let amounts = auctions.iter().map(|_| AtomicU64::new(100)).collect();
    let (stop, acknowledged) = (AtomicBool::new(false), AtomicU64::new(0));
    let show = Show { auctions, amounts, stop, acknowledged };
    let http: Vec<String> = stack.fronts().iter().map(|f| f.address().to_owned()).collect();
    let ports = stack.bids_addresses();
    let seed = u64::from(std::process::id()) * 7919 + 1;
    println!("seed {seed}");
    let acks: Vec<Value> = thread::scope(|scope| {
        let _ends = Ends(&show.stop);
        let (show, http, ports) = (&show, &http, &ports);
        let bidders: Vec<_> = people
            .iter()
            .zip(1_u64..)
            .map(|((id, token), number)| {
                let at = usize::try_from(number % 2).expect("0 or 1");
                scope.spawn(move || match number % 3 {
                    0 => over_http(show, &http[at], token, number),
                    _ => over_frames(show, &ports[at], (*id, token), number),
                })
            })
            .collect();
        let done = havoc(&mut stack, seconds, seed);
        println!("killed: {done:?}");
        assert!(done.len() >= 4, "not all kinds of processes were killed: {done:?}");
        let before = show.acknowledged.load(Ordering::Relaxed);
        eventually("bids are acknowledged again", || {
            show.acknowledged.load(Ordering::Relaxed) > before + 50
        });
        show.stop.store(true, Ordering::Relaxed);
        bidders.into_iter().flat_map(|bidder| bidder.join().expect("no bidder failed")).collect()
    });
    assert!(acks.len() > 200, "{} bids are too few to say anything", acks.len());
    println!("{} bids acknowledged", acks.len());
    let file = stack.dir().join("acks.jsonl");
    let lines: String = acks.iter().map(|ack| format!("{ack}\n")).collect();
    fs::write(&file, lines).expect("written");
    let file = file.to_str().expect("a path").to_owned();
    let due = "SELECT COUNT(*) FROM auctions WHERE phase = 'open' \
               AND ends_at_ms < UNIX_TIMESTAMP(NOW(3)) * 1000 - 1000";
    eventually("what has ended is settled", || stack.sql(due).is_ok_and(|n| n.trim() == "0"));
    let audit = verify(&stack, &["--all", "--acks", &file]);
    assert_eq!(audit.code, Some(0), "{audit:?}");

    drop_one(&stack, &acks);
    let audit = verify(&stack, &["--all", "--acks", &file]);
    assert_eq!(audit.code, Some(1), "one bid was dropped: {audit:?}");
    assert!(audit.stdout.contains("acknowledged bid is not there"), "{audit:?}");
    assert_eq!(verify(&stack, &["--all"]).code, Some(0), "only the acknowledgements tell");
}

/// The canary: the last bid of an auction that goes on vanishes, and all else is as before it.
fn drop_one(stack: &Stack, acks: &[Value]) {
    let acknowledged: Vec<(u64, u64)> = acks
        .iter()
        .filter_map(|ack| Some((ack["auction_id"].as_u64()?, ack["sequence"].as_u64()?)))
        .collect();
    let open = stack
        .sql("SELECT id, sequence FROM auctions WHERE phase = 'open' AND sequence > 1")
        .expect("listed");
    let numbers = |line: &str| {
        let (id, sequence) = line.split_once('\t')?;
        Some((id.parse().ok()?, sequence.parse().ok()?))
    };
    let mut open = open.lines().filter_map(numbers);
    let (id, sequence): (u64, u64) =
        open.find(|last| acknowledged.contains(last)).expect("the last bid of one is known");
    stack
        .sql(&format!(
            "DELETE FROM bids WHERE auction_id = {id} AND sequence = {sequence}; \
             UPDATE auctions a JOIN bids b ON b.auction_id = a.id AND b.sequence = {sequence} - 1 \
             SET a.sequence = b.sequence, a.price = b.price, a.leader_id = b.leader_id, \
               a.leader_max = b.leader_max, a.extended = b.extended, a.head = b.head, \
               a.last_at_ms = b.at_ms WHERE a.id = {id}"
        ))
        .expect("dropped");
}
