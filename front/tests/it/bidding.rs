//! Those who watch an auction, over event streams and WebSockets.

use crate::client::{Client, token};
use crate::daemon::{Daemon, Event};
use crate::live::{asking, cancelled, daemon, heard, opened, told};
use crate::{Front, drivers};
use serde_json::{Value, json};
use souk_proto::auctions::{AuctionNews, AuctionRequest, Bidder, NewsBid, State};
use souk_proto::{Code, Failure, Kind, Method};
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Error, Message};

const PATH: &str = "/api/v1/auctions/3/live";

/// The news after so many bids, with the last `recent` of them.
fn news(sequence: u64, recent: u64) -> AuctionNews {
    let price = i64::try_from(sequence).expect("small") * 100;
    let name = |sequence: u64| format!("bidder-{}", sequence % 3);
    let bid = |sequence: u64| NewsBid {
        sequence,
        bidder: name(sequence),
        leader: name(sequence),
        ..NewsBid::default()
    };
    AuctionNews {
        auction_id: 3,
        sequence,
        price,
        minimum: price + 100,
        leader: name(sequence),
        state: State::Live.into(),
        ends_at_ms: 1_800_000_600_000,
        now_ms: 1_800_000_000_000,
        recent: (sequence.saturating_sub(recent) + 1..=sequence).map(bid).collect(),
        ..AuctionNews::default()
    }
}

/// The next request to watch, once it is begun.
fn watched(received: &Receiver<Event>) -> Event {
    let event = received.recv().expect("the front asks");
    assert_eq!((event.kind, event.method), (Kind::Request, Some(Method::WatchAuction)));
    let request: AuctionRequest = event.decode();
    assert_eq!(request.auction_id, 3);
    // Whoever begins it is named by address; when it is renewed nobody is.
    let token = request.caller.map(|caller| caller.token).unwrap_or_default();
    assert_eq!(token, "", "the stream is nobody's session");
    event.begin_items();
    event
}

fn sequences(message: &Value) -> Vec<u64> {
    let bids = message["bids"].as_array().into_iter().flatten();
    bids.map(|bid| bid["sequence"].as_u64().expect("a number")).collect()
}

/// The next event: its id and its data.
fn event(client: &mut Client) -> (Option<u64>, Value) {
    let text = String::from_utf8(client.until(b"\n\n")).expect("text");
    let line = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
    let data = line("data: ").expect("data");
    (
        line("id: ").map(|id| id.parse().expect("a number")),
        serde_json::from_str(data).expect("JSON"),
    )
}

#[test]
fn many_watchers_share_one_stream_and_are_told_what_is_new() {
    for driver in drivers() {
        let (daemon, received) = daemon();
        let front = Front::start(driver, &[&daemon]);
        let mut first = Client::connect(front.address());
        first.ask("GET", PATH);
        let stream = watched(&received);
        stream.item(&news(4, 4));
        assert_eq!(first.head().status, 200);
        assert_eq!(first.until(b"\n\n"), b"retry: 2000\n\n");
        let (id, snapshot) = event(&mut first);
        assert_eq!((id, &snapshot["type"]), (Some(4), &json!("snapshot")));
        assert_eq!(sequences(&snapshot), [1, 2, 3, 4]);
        assert_eq!(snapshot.get("you"), None);
        let mut others: Vec<_> =
            (0..20).map(|_| opened(asking(front.address(), PATH, ""))).collect();
        for other in &mut others {
            assert_eq!(told(other)["type"], "snapshot");
        }
        stream.item(&news(6, 2));
        let (id, piece) = event(&mut first);
        assert_eq!((id, &piece["type"]), (Some(6), &json!("bids")));
        assert_eq!((sequences(&piece), &piece["price"]), (vec![5, 6], &json!(600)));
        for other in &mut others {
            assert_eq!(told(other), piece);
        }
        stream.item(&AuctionNews { extended: 1, ends_at_ms: 1_800_000_630_000, ..news(6, 0) });
        let (_, state) = event(&mut first);
        assert_eq!((&state["type"], &state["notices"]), (&json!("state"), &json!(["extended"])));
        // The last who leaves ends the stream.
        drop((first, others));
        cancelled(&received, stream.id);
    }
}

#[test]
fn who_comes_back_is_told_what_came_since_or_sees_a_gap() {
    for driver in drivers() {
        let (daemon, received) = daemon();
        let front = Front::start(driver, &[&daemon]);
        let mut keeper = Client::connect(front.address());
        keeper.ask("GET", PATH);
        let stream = watched(&received);
        stream.item(&news(100, 50));
        keeper.head();
        keeper.until(b"\n\n");
        event(&mut keeper);
        for (after, kind, first) in [
            (90, "bids", Some(91)),
            (100, "state", None),
            (50, "bids", Some(51)),
            (49, "snapshot", Some(51)),
            (101, "snapshot", Some(51)),
        ] {
            let path = format!("{PATH}?after={after}");
            let message = told(&mut opened(asking(front.address(), &path, "")));
            assert_eq!(message["type"], kind, "{after}");
            assert_eq!(sequences(&message).first().copied(), first, "{after}");
        }
        // An event stream's last id goes before what its address says.
        let mut reader = Client::connect(front.address());
        reader.send(format!("GET {PATH}?after=7 HTTP/1.1\r\nhost: a\r\nlast-event-id: 98\r\n\r\n"));
        reader.head();
        reader.until(b"\n\n");
        assert_eq!(sequences(&event(&mut reader).1), [99, 100]);
    }
}

#[test]
fn who_led_is_told_of_being_outbid() {
    for driver in drivers() {
        let (daemon, received) = daemon();
        let front = Front::start(driver, &[&daemon]);
        let fields = format!("authorization: Bearer {}\r\n", token(9));
        let client = asking(front.address(), PATH, &fields);
        let asked = received.recv().expect("the front asks");
        assert_eq!(asked.method, Some(Method::GetBidder));
        let caller = asked.decode::<AuctionRequest>().caller.expect("somebody");
        assert_eq!(caller.token, token(9));
        asked.answer(&Bidder { pseudonym: "bidder-1".into(), person: None, you: true });
        let stream = watched(&received);
        stream.item(&news(1, 1));
        let mut socket = opened(client);
        assert_eq!(told(&mut socket)["you"], "bidder-1");
        stream.item(&news(2, 1));
        assert_eq!(sequences(&told(&mut socket)), [2]);
        let outbid = json!({"type": "outbid", "by": "bidder-2", "price": 200, "minimum": 300});
        assert_eq!(told(&mut socket), outbid);
        stream.item(&news(3, 1));
        assert_eq!(sequences(&told(&mut socket)), [3]);
        stream.item(&news(4, 1));
        assert_eq!(sequences(&told(&mut socket)), [4], "no word of outbid between");
    }
}

#[test]
fn a_lost_daemon_pauses_the_news_and_its_return_tells_what_was_missed() {
    for driver in drivers() {
        let (daemon, received) = daemon();
        let front = Front::start(driver, &[&daemon]);
        let client = asking(front.address(), PATH, "");
        watched(&received).item(&news(1, 1));
        let mut socket = opened(client);
        assert_eq!(told(&mut socket)["type"], "snapshot");
        let address = daemon.stop();
        assert_eq!(told(&mut socket), json!({"type": "paused"}));
        let (sender, received) = channel();
        let daemon = Daemon::start_at(address, "one", 1, move |event| {
            let _ = sender.send(event);
        });
        watched(&received).item(&AuctionNews { outage_ms: 2_000, ..news(3, 3) });
        let missed = told(&mut socket);
        assert_eq!((&missed["type"], &missed["notices"]), (&json!("bids"), &json!(["outage"])));
        assert_eq!(sequences(&missed), [2, 3]);
        // And when nothing happened meanwhile, that it goes on.
        let address = daemon.stop();
        assert_eq!(told(&mut socket), json!({"type": "paused"}));
        let (sender, received) = channel();
        let _daemon = Daemon::start_at(address, "one", 1, move |event| {
            let _ = sender.send(event);
        });
        watched(&received).item(&AuctionNews { outage_ms: 2_000, ..news(3, 3) });
        assert_eq!(told(&mut socket)["type"], "state");
    }
}

#[test]
fn a_stream_that_ends_has_a_successor_that_nobody_notices() {
    for driver in drivers() {
        let (daemon, received) = daemon();
        let front = Front::start(driver, &[&daemon]);
        let client = asking(front.address(), PATH, "");
        let stream = watched(&received);
        stream.item(&news(5, 5));
        let mut socket = opened(client);
        assert_eq!(told(&mut socket)["type"], "snapshot");
        stream.end();
        let stream = watched(&received);
        stream.item(&news(5, 5));
        stream.item(&news(6, 1));
        assert_eq!(sequences(&told(&mut socket)), [6]);
    }
}

#[test]
fn news_that_come_faster_than_they_are_taken_are_no_pause() {
    for driver in drivers() {
        let begun = AtomicBool::new(false);
        let daemon = Daemon::start("one", 1, move |event| {
            if event.method != Some(Method::WatchAuction) {
                return;
            }
            event.begin_items();
            if !begun.swap(true, Ordering::SeqCst) {
                let items: Vec<AuctionNews> = (1..=500).map(|last| news(last, 1)).collect();
                event.items(&items);
            } else {
                event.item(&news(500, 50));
            }
        });
        let front = Front::start(driver, &[&daemon]);
        let mut socket = opened(asking(front.address(), PATH, ""));
        loop {
            let message = told(&mut socket);
            assert_ne!(message["type"], "paused");
            if message["sequence"] == 500 {
                break;
            }
        }
    }
}

#[test]
fn who_reads_nothing_keeps_nobody_else_waiting_and_misses_no_bid_unseen() {
    for driver in drivers() {
        let (daemon, received) = daemon();
        let front = Front::start(driver, &[&daemon]);
        let large = |sequence| {
            let mut item = news(sequence, 1);
            item.recent[0].bidder = "n".repeat(200_000);
            item
        };
        let client = asking(front.address(), PATH, "");
        let stream = watched(&received);
        stream.item(&large(1));
        let mut slow = opened(client);
        let mut quick = opened(asking(front.address(), PATH, ""));
        assert_eq!(told(&mut quick)["sequence"], 1);
        for sequence in 2..=40 {
            stream.item(&large(sequence));
            while told(&mut quick)["sequence"] != sequence {}
        }
        let (mut known, mut messages) = (vec![], 0);
        while known.last() != Some(&40) {
            let message = told(&mut slow);
            messages += 1;
            if message["type"] == "snapshot" {
                known.clear();
            }
            known.extend(sequences(&message));
        }
        assert!(known.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{known:?}");
        assert!(messages < 40, "what came meanwhile is told as one");
    }
}

#[test]
fn watchers_are_told_when_the_front_ends() {
    for driver in drivers() {
        let (daemon, received) = daemon();
        let front = Front::start(driver, &[&daemon]);
        let client = asking(front.address(), PATH, "");
        watched(&received).item(&news(1, 1));
        let mut socket = opened(client);
        assert_eq!(told(&mut socket)["type"], "snapshot");
        let stopping = std::thread::spawn(move || front.stop());
        let Ok(Message::Close(Some(frame))) = heard(&mut socket) else { panic!("no close") };
        assert_eq!(frame.code, CloseCode::Away);
        while let Ok(_) | Err(Error::Io(_)) = heard(&mut socket) {}
        drop(socket);
        stopping.join().expect("no panic");
    }
}

#[test]
fn garbage_ends_the_socket_it_came_on_and_no_other() {
    for driver in drivers() {
        let (daemon, received) = daemon();
        let front = Front::start(driver, &[&daemon]);
        let client = asking(front.address(), PATH, "");
        let stream = watched(&received);
        stream.item(&news(1, 1));
        let mut bystander = opened(client);
        assert_eq!(told(&mut bystander)["type"], "snapshot");
        for (bytes, code) in [
            (&b"\x81\x01a"[..], CloseCode::Protocol),
            (&[0xff; 64], CloseCode::Protocol),
            (b"\x81\x81\0\0\0\0\xff", CloseCode::Invalid),
            (b"\x81\xff\x7f\0\0\0\0\0\0\0\0\0\0\0", CloseCode::Size),
        ] {
            let mut socket = opened(asking(front.address(), PATH, ""));
            assert_eq!(told(&mut socket)["type"], "snapshot");
            socket.get_mut().write_all(bytes).expect("the front reads");
            let Ok(Message::Close(Some(frame))) = heard(&mut socket) else { panic!("{bytes:?}") };
            assert_eq!(frame.code, code, "{bytes:?}");
        }
        stream.item(&news(2, 1));
        assert_eq!(sequences(&told(&mut bystander)), [2]);
    }
}

#[test]
fn an_auction_that_is_not_there_is_404_before_anything_is_upgraded() {
    for driver in drivers() {
        let daemon = Daemon::start("one", 1, |event| {
            if event.kind == Kind::Request {
                event.fail(&Failure::new(Code::AuctionNotFound));
            }
        });
        let front = Front::start(driver, &[&daemon]);
        let mut client = asking(front.address(), PATH, "");
        assert_eq!(client.answer().status, 404);
        assert_eq!(client.get(PATH).status, 404);
        let evil = "origin: https://evil.example\r\n";
        assert_eq!(asking(front.address(), PATH, evil).answer().status, 403);
    }
}
