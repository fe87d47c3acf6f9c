//! One connection: what it has asked and what it has read, without a socket's calls.

use super::frames::Frames;
use super::recorder::Recorder;
use super::response::{Malformed, Read, Reader};
use super::{ErrorClass, Protocol, Response, Tag, Workload, Wrong};
use std::collections::VecDeque;
use std::os::fd::OwnedFd;

/// A connection's place, over all the sockets that it has one after another.
#[derive(Debug)]
pub struct Connection {
    /// The plan's number of it.
    pub number: usize,
    pub socket: Option<OwnedFd>,
    pub state: State,
    /// Operations of the socket that the kernel has not completed.
    pub operations: u8,
    /// A send is under way.
    pub sending: bool,
    /// It is in the list of free connections.
    pub listed: bool,
    /// When it was due to connect, or began to.
    pub since: u64,
    /// Attempts to connect in a row that led nowhere.
    pub attempts: u32,
    /// Requests that are not handed to the kernel yet.
    pub out: Vec<u8>,
    /// Requests without an answer, oldest first.
    pub asked: VecDeque<Asked>,
    answers: Answers,
}

/// Reads answers, whatever the server speaks.
#[derive(Debug)]
enum Answers {
    Http(Reader),
    Frames(Frames),
}

/// How far a connection is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// No socket; a timer may bring one.
    #[default]
    Idle,
    Connecting,
    Open,
    /// Waits until the kernel has let go of its socket.
    Closing,
}

/// A request without an answer.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    pub due: u64,
    pub sent: u64,
    pub tag: Tag,
    to_head: bool,
}

/// An answer that came too many.
const UNASKED: Malformed = "an answer that nobody asked for";

/// What came of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// So many answers.
    Answers(usize),
    /// So many answers, and the server will close.
    Last(usize),
    /// After so many answers the bytes made no sense.
    Garbage(usize, Malformed),
}

impl Connection {
    /// The place of a connection that is not there yet.
    pub fn new(number: usize, protocol: Protocol) -> Self {
        Self {
            number,
            socket: None,
            state: State::Idle,
            operations: 0,
            sending: false,
            listed: false,
            since: 0,
            attempts: 0,
            out: Vec::new(),
            asked: VecDeque::new(),
            answers: match protocol {
                Protocol::Http => Answers::Http(Reader::default()),
                Protocol::Frames(answers) => Answers::Frames(Frames::new(answers)),
            },
        }
    }

    /// Forgets what the last socket had.
    pub fn begin(&mut self) {
        self.out.clear();
        self.asked.clear();
        match &mut self.answers {
            Answers::Http(reader) => reader.reset(),
            Answers::Frames(frames) => frames.reset(),
        }
    }

    /// Writes one more request.
    pub fn ask(&mut self, workload: &mut impl Workload, due: u64, now: u64) {
        let before = self.out.len();
        let tag = workload.next(self.number, &mut self.out);
        assert!(usize::from(tag.0) < super::limits::TAGS_MAX, "tags are small numbers");
        let to_head = self.out[before..].starts_with(b"HEAD ");
        self.asked.push_back(Asked { due, sent: now, tag, to_head });
    }

    /// Reads what came and has the answers judged and recorded.
    pub fn hear(
        &mut self,
        mut bytes: &[u8],
        workload: &mut impl Workload,
        recorder: &mut Recorder<'_>,
        now: u64,
    ) -> Heard {
        let mut answers = 0;
        while !bytes.is_empty() {
            let asked = self.asked.front().copied();
            let read = match (&mut self.answers, &asked) {
                (Answers::Http(reader), Some(asked)) => reader.read(bytes, asked.to_head),
                (Answers::Http(_), None) => Err(UNASKED),
                (Answers::Frames(frames), _) => frames.read(bytes),
            };
            let (used, close) = match read {
                Err(problem) => return Heard::Garbage(answers, problem),
                Ok(Read::More) => break,
                Ok(Read::Answer { response, used, close }) => {
                    let Some(asked) = asked else { return Heard::Garbage(answers, UNASKED) };
                    judge(self.number, asked, &response, workload, recorder, now);
                    (used, close)
                }
            };
            self.asked.pop_front();
            answers += 1;
            if close {
                return Heard::Last(answers);
            }
            bytes = &bytes[used..];
        }
        Heard::Answers(answers)
    }

    /// The server closed: an answer may end by it.
    pub fn hear_end(
        &mut self,
        workload: &mut impl Workload,
        recorder: &mut Recorder<'_>,
        now: u64,
    ) -> Heard {
        let closed = match &mut self.answers {
            Answers::Http(reader) => reader.closed(),
            Answers::Frames(_) => Ok(None),
        };
        match (closed, self.asked.front()) {
            (Ok(Some(response)), Some(asked)) => {
                judge(self.number, *asked, &response, workload, recorder, now);
                self.asked.pop_front();
                Heard::Last(1)
            }
            _ => Heard::Last(0),
        }
    }
}

fn judge(
    number: usize,
    asked: Asked,
    response: &Response<'_>,
    workload: &mut impl Workload,
    recorder: &mut Recorder<'_>,
    now: u64,
) {
    match workload.check(number, asked.tag, response) {
        Ok(()) => recorder.answered(asked.tag, asked.due, asked.sent, now),
        Err(Wrong::Declined) => recorder.declined(asked.due),
        Err(Wrong::Status) => recorder.failed(ErrorClass::WrongStatus, asked.due, || {
            format!("status {}: {}", response.status, excerpt(response.body))
        }),
        Err(Wrong::Content(what)) => recorder.failed(ErrorClass::WrongContent, asked.due, || {
            format!("{what}: {}", excerpt(response.body))
        }),
    }
}

/// The beginning of some bytes, fit for a terminal.
pub fn excerpt(bytes: &[u8]) -> String {
    let shown = &bytes[..bytes.len().min(super::limits::EXCERPT_MAX)];
    shown.escape_ascii().to_string()
}
