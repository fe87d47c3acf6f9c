//! Those who watch an auction over WebSockets, while somebody bids on it: how long after a bid was
//! acknowledged is each of them told?
//!
//! One thread waits for all sockets, another one bids. A message that tells of several bids counts
//! once for each; a bid that a watcher hears of before its acknowledgement was read counts as told
//! at once.

use crate::Failed;
use crate::client::Client;
use crate::engine::{
    ErrorClass, Errors, Example, Load, Measured, Phase, Plan, Progress, Slot, Stop,
};
use crate::engine::{cpu_time, histogram, limits, nanos, socket};
use crate::scenario::Kind;
use crate::visitor::{Play, tag};
use memchr::memmem;
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long all watchers are idle before the first bid, so that their memory can be looked at.
const IDLE: Duration = Duration::from_secs(1);

/// How long after the last bid its news are awaited.
const AFTER: Duration = Duration::from_secs(2);

/// Most bids a second that one bidder makes.
const RATE_MAX: f64 = 1000.0;

/// Bytes read at once.
const CHUNK: usize = 64 * 1024;

/// Longest message that is taken; the front's are far below.
const MESSAGE_MAX: usize = 1 << 20;

/// Makes the run: as many as the plan's connections watch, and as often as its rate says somebody
/// bids. `settled` is called once all watch and nothing happens.
///
/// # Errors
/// If a watcher cannot connect, or a bid is refused.
pub fn run(
    plan: &Plan,
    play: &Play,
    stop: &Stop,
    settled: impl FnOnce(),
    mut observe: impl FnMut(&Progress),
) -> Result<Measured, Failed> {
    let Load::Open { rate_per_s, .. } = plan.load else {
        return Err(Failed::new("bids need a --rate: so many a second"));
    };
    let rate = rate_per_s.clamp(0.1, RATE_MAX);
    let total = IDLE + plan.warm_up + plan.duration + AFTER;
    let mut audience = Audience::gather(plan, play)?;
    let start = Instant::now();
    let bids = Bids::new(plan, start, rate, total);
    audience.listen(&bids, start + IDLE, stop)?;
    settled();
    let cpu = cpu_time();
    thread::scope(|scope| {
        let bidder = scope.spawn(|| bids.make(play, stop, rate));
        let mut looked = Instant::now();
        while start.elapsed() < total && !stop.stopped() {
            audience.listen(&bids, Instant::now() + limits::TICK_MAX, stop)?;
            if looked.elapsed() >= Duration::from_secs(1) {
                observe(&audience.progress(start, total, looked.elapsed()));
                looked = Instant::now();
            }
        }
        let last = bidder.join().map_err(|_| Failed::new("the bidder panicked"))??;
        Ok(audience.measured(plan, &bids, last, cpu_time().saturating_sub(cpu)))
    })
}

/// Bids and when they were acknowledged.
struct Bids {
    base: String,
    start: Instant,
    /// What is acknowledged between these is measured, in nanoseconds since the start.
    window: (u64, u64),
    /// By sequence number, in nanoseconds since the start; 0 for not yet.
    acknowledged: Vec<AtomicU64>,
}

#[derive(Deserialize)]
struct BidJson {
    sequence: u64,
}

impl Bids {
    fn new(plan: &Plan, start: Instant, rate: f64, total: Duration) -> Bids {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // bounded by RATE_MAX
        let most = (rate * total.as_secs_f64()) as usize + 2;
        let begin = IDLE + plan.warm_up;
        Bids {
            base: format!("http://{}", plan.address),
            start,
            window: (nanos(begin), nanos(begin + plan.duration)),
            acknowledged: (0..most).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// Bids at this rate until the measurement is over; the last sequence number.
    fn make(&self, play: &Play, stop: &Stop, rate: f64) -> Result<u64, Failed> {
        let client = Client::new(&self.base);
        let mut last = 0;
        for number in 0_u32.. {
            let due = self.start + IDLE + Duration::from_secs_f64(f64::from(number) / rate);
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if stop.stopped() || self.now() >= self.window.1 {
                break;
            }
            // The one that all watch.
            let (auction, amount) = play.offer_at(0);
            let token = &play.cast.tokens[1 + number as usize % 2];
            let body = format!("{{\"amount\":{amount}}}");
            let body = Some(("application/json", body.as_bytes()));
            let path = format!("/api/v1/auctions/{auction}/bids");
            let answer = client.send("POST", &path, Some(token), body)?;
            let now = self.now();
            if answer.status != 201 {
                let said = String::from_utf8_lossy(&answer.body).into_owned();
                return Err(Failed::new(format!("a bid was refused: {} {said}", answer.status)));
            }
            last = serde_json::from_slice::<BidJson>(&answer.body)?.sequence;
            if let Some(time) = usize::try_from(last).ok().and_then(|at| self.acknowledged.get(at))
            {
                time.store(now, Ordering::Relaxed);
            }
        }
        Ok(last)
    }

    fn now(&self) -> u64 {
        nanos(self.start.elapsed())
    }

    /// How long after its acknowledgement a bid is heard of now, if it is measured.
    fn delay(&self, sequence: u64, now: u64) -> Option<u64> {
        let at = usize::try_from(sequence).ok()?;
        let acknowledged = match self.acknowledged.get(at)?.load(Ordering::Relaxed) {
            0 => now,
            time => time,
        };
        let measured = (self.window.0..self.window.1).contains(&acknowledged);
        measured.then(|| now.saturating_sub(acknowledged))
    }
}

/// One who watches.
struct Watcher {
    socket: TcpStream,
    /// What came of a message, or of the answer to the handshake, that is not whole.
    held: Vec<u8>,
    greeted: bool,
    /// The last bid that it was told of; none before the first message.
    seen: Option<u64>,
    gone: bool,
}

/// All who watch, on one thread.
struct Audience {
    poll: OwnedFd,
    watchers: Vec<Watcher>,
    /// From acknowledgement to news, of each measured bid for each watcher.
    delays: hdrhistogram::Histogram<u64>,
    /// What happened since the last look.
    recent: Slot,
    errors: Errors,
    examples: Vec<Example>,
    chunk: Vec<u8>,
}

impl Audience {
    /// Connects everybody.
    fn gather(plan: &Plan, play: &Play) -> Result<Audience, Failed> {
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut watchers = Vec::with_capacity(plan.connections);
        let mut request = Vec::new();
        play.watch(&mut request);
        for number in 0..plan.connections {
            let socket = socket2::Socket::from(socket(plan.address, plan.connections, number)?);
            socket.connect(&plan.address.into())?;
            let mut socket = TcpStream::from(socket);
            socket.write_all(&request)?;
            socket.set_nonblocking(true)?;
            let data = epoll::EventData::new_u64(number as u64);
            epoll::add(&poll, &socket, data, epoll::EventFlags::IN)?;
            let (held, seen) = (Vec::new(), None);
            watchers.push(Watcher { socket, held, greeted: false, seen, gone: false });
        }
        Ok(Audience {
            poll,
            watchers,
            delays: histogram(),
            recent: Slot::default(),
            errors: Errors::default(),
            examples: Vec::new(),
            chunk: vec![0; CHUNK],
        })
    }

    /// Takes what comes until then.
    fn listen(&mut self, bids: &Bids, until: Instant, stop: &Stop) -> Result<(), Failed> {
        let mut events = Vec::with_capacity(1024);
        while Instant::now() < until && !stop.stopped() {
            let wait = until.saturating_duration_since(Instant::now()).min(limits::TICK_MAX);
            let wait = Timespec::try_from(wait)?;
            epoll::wait(&self.poll, spare_capacity(&mut events), Some(&wait))?;
            for event in events.drain(..) {
                let number = usize::try_from(event.data.u64())?;
                if let Err(why) = self.hear(number, bids) {
                    self.lose(number, why)?;
                }
            }
        }
        Ok(())
    }

    /// Reads once what a watcher was sent.
    fn hear(&mut self, number: usize, bids: &Bids) -> Result<(), &'static str> {
        let watcher = &mut self.watchers[number];
        let length = match watcher.socket.read(&mut self.chunk) {
            Ok(0) => return Err("the server closed"),
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(_) => return Err("the connection was reset"),
        };
        watcher.held.extend_from_slice(&self.chunk[..length]);
        let now = bids.now();
        let mut used = 0;
        if !watcher.greeted {
            let Some(end) = memmem::find(&watcher.held, b"\r\n\r\n") else { return Ok(()) };
            if !watcher.held.starts_with(b"HTTP/1.1 101 ") {
                return Err("the handshake was refused");
            }
            (watcher.greeted, used) = (true, end + 4);
        }
        while let Some((opcode, payload, length)) = frame(&watcher.held[used..])? {
            match opcode {
                1 => {
                    let latest = latest(payload);
                    let before = watcher.seen.or(latest);
                    for sequence in before.unwrap_or(0) + 1..=latest.unwrap_or(0) {
                        if let Some(delay) = bids.delay(sequence, now) {
                            self.delays.saturating_record(delay.max(1));
                            self.recent.answered += 1;
                            self.recent.latency.saturating_record(delay.max(1));
                        }
                    }
                    watcher.seen = before.max(latest);
                }
                9 => pong(&mut watcher.socket, payload)?,
                8 => return Err("the server said goodbye"),
                _ => {}
            }
            used += length;
        }
        watcher.held.drain(..used);
        if watcher.held.is_empty() {
            watcher.held = Vec::new();
        }
        Ok(())
    }

    fn lose(&mut self, number: usize, why: &'static str) -> Result<(), Failed> {
        let watcher = &mut self.watchers[number];
        epoll::delete(&self.poll, &watcher.socket)?;
        watcher.gone = true;
        self.fail(ErrorClass::ClosedEarly, why.to_owned());
        Ok(())
    }

    fn fail(&mut self, class: ErrorClass, text: String) {
        if self.errors.of(class) == 0 {
            self.examples.push(Example { class, text });
        }
        self.errors.count(class, 1);
        self.recent.errors += 1;
    }

    fn progress(&mut self, start: Instant, total: Duration, interval: Duration) -> Progress {
        Progress {
            elapsed: start.elapsed(),
            total,
            phase: Phase::Measuring,
            open_connections: self.watchers.iter().filter(|watcher| !watcher.gone).count() as u64,
            interval,
            recent: std::mem::take(&mut self.recent),
            errors: self.errors,
        }
    }

    /// What came out; everybody must have heard of the last bid.
    fn measured(mut self, plan: &Plan, bids: &Bids, last: u64, cpu: Duration) -> Measured {
        let behind = |watcher: &&Watcher| !watcher.gone && watcher.seen < Some(last);
        for _ in 0..self.watchers.iter().filter(behind).count() {
            self.fail(ErrorClass::TimedOut, format!("somebody was not told of bid {last}"));
        }
        let in_window = |time: &&AtomicU64| {
            (bids.window.0..bids.window.1).contains(&time.load(Ordering::Relaxed))
        };
        let open = self.watchers.iter().filter(|watcher| !watcher.gone).count() as u64;
        let latency = BTreeMap::from([(tag(Kind::Watch), self.delays)]);
        let answered = latency.values().map(hdrhistogram::Histogram::len).sum();
        Measured {
            elapsed: plan.duration,
            sent: bids.acknowledged.iter().filter(in_window).count() as u64 * open,
            answered,
            declined: 0,
            errors: self.errors,
            unfinished: 0,
            open_at_end: open,
            service_time: latency.clone(),
            latency,
            timeline: vec![Slot { answered, ..Slot::default() }],
            slot: plan.duration,
            cpu,
            examples: self.examples,
        }
    }
}

/// A frame's opcode, its payload, its length.
type Frame<'a> = (u8, &'a [u8], usize);

/// The frame that begins the bytes, if it is whole (RFC 6455, section 5.2; a server's has no mask).
fn frame(bytes: &[u8]) -> Result<Option<Frame<'_>>, &'static str> {
    let [first, second, rest @ ..] = bytes else { return Ok(None) };
    let (length, at) = match (second, rest) {
        (126, [a, b, ..]) => (usize::from(u16::from_be_bytes([*a, *b])), 4),
        (127, [0, 0, 0, 0, a, b, c, d, ..]) => (u32::from_be_bytes([*a, *b, *c, *d]) as usize, 10),
        (126, _) => return Ok(None),
        (127, rest) if rest.len() < 8 => return Ok(None),
        (0..126, _) => (usize::from(*second), 2),
        _ => return Err("a frame with a mask, or one that is too long"),
    };
    if length > MESSAGE_MAX {
        return Err("a message that is too long");
    }
    Ok(bytes.get(at..at + length).map(|payload| (first & 0xf, payload, at + length)))
}

/// The highest sequence number that a message names.
fn latest(message: &[u8]) -> Option<u64> {
    const KEY: &[u8] = b"\"sequence\":";
    let number = |at: usize| {
        let digits = message[at + KEY.len()..].iter().take_while(|byte| byte.is_ascii_digit());
        digits.fold(0_u64, |sum, digit| sum.wrapping_mul(10) + u64::from(digit - b'0'))
    };
    memmem::find_iter(message, KEY).map(number).max()
}

/// Answers a ping, under a mask of zeros.
fn pong(socket: &mut TcpStream, payload: &[u8]) -> Result<(), &'static str> {
    let length = u8::try_from(payload.len()).ok().filter(|length| *length < 126);
    let length = length.ok_or("a ping that is too long")?;
    let head = [0x8a, 0x80 | length, 0, 0, 0, 0];
    socket.write_all(&[&head, payload].concat()).map_err(|_| "a pong could not be sent")
}

#[cfg(test)]
mod tests {
    use super::{frame, latest};

    #[test]
    fn the_highest_sequence_number_counts() {
        let message = br#"{"type":"bids","sequence":12,"bids":[{"sequence":11},{"sequence":12}]}"#;
        assert_eq!(latest(message), Some(12));
        assert_eq!(latest(b"{}"), None);
    }

    #[test]
    fn frames_are_read_when_they_are_whole() {
        let long = [&[0x81, 126, 1, 0][..], &[b'x'; 256]].concat();
        assert_eq!(frame(&long), Ok(Some((1, &[b'x'; 256][..], 260))));
        for end in 0..long.len() {
            assert_eq!(frame(&long[..end]), Ok(None), "{end}");
        }
        assert_eq!(frame(&[0x89, 0]), Ok(Some((9, &[][..], 2))));
        assert!(frame(&[0x81, 0x81, 0, 0, 0, 0, 0]).is_err(), "a mask");
        let huge = [&[0x81, 127][..], &[0, 0, 0, 0, 255, 0, 0, 0]].concat();
        assert!(frame(&huge).is_err(), "too long");
    }
}
