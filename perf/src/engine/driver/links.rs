//! How a thread's connections come, carry and go.

use super::Driver;
use crate::engine::connection::{Heard, State, excerpt};
use crate::engine::limits::{PER_SOURCE, RECONNECT, TICK_MAX};
use crate::engine::nanos;
use crate::engine::ring::Completion;
use crate::engine::{EngineError, ErrorClass, Load, Workload};
use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};
use std::cmp::Reverse;
use std::io;
use std::mem::take;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

impl<W: Workload> Driver<'_, W> {
    /// Makes a socket for a connection and begins to connect it.
    pub(super) fn connect(&mut self, slot: usize, due: u64) -> Result<(), EngineError> {
        let connection = &mut self.connections[slot];
        let socket = socket(self.plan.address, self.plan.connections, connection.number)
            .map_err(|source| self.plan.no_socket(source))?;
        connection.begin();
        connection.since = due;
        connection.state = State::Connecting;
        connection.operations = 1;
        self.ring.connect(slot, socket.as_fd());
        connection.socket = Some(socket);
        Ok(())
    }

    /// The kernel has connected, or could not.
    pub(super) fn connected(&mut self, slot: usize, result: i32) -> Result<(), EngineError> {
        let connection = &mut self.connections[slot];
        if connection.state != State::Connecting {
            return Ok(());
        }
        if result < 0 {
            let source = io::Error::from_raw_os_error(-result);
            let class = match Errno::from_raw_os_error(-result) {
                Errno::ADDRNOTAVAIL => return Err(self.plan.no_socket(source)),
                Errno::CONNRESET => ErrorClass::Reset,
                Errno::TIMEDOUT => ErrorClass::TimedOut,
                _ => ErrorClass::Refused,
            };
            self.lose(slot, class, &|| format!("connecting: {source}"));
            return Ok(());
        }
        connection.state = State::Open;
        self.open += 1;
        let number = connection.number;
        self.workload.connect(number, &mut connection.out);
        self.receive(slot);
        self.begin(slot);
        Ok(())
    }

    fn receive(&mut self, slot: usize) {
        let connection = &mut self.connections[slot];
        if let Some(socket) = &connection.socket {
            connection.operations += 1;
            self.ring.receive(slot, socket.as_fd());
        }
    }

    /// Sends what a connection has to say, unless it is still sending.
    pub(super) fn flush(&mut self, slot: usize) {
        let connection = &mut self.connections[slot];
        if connection.sending || connection.out.is_empty() || connection.state != State::Open {
            return;
        }
        if let Some(socket) = &connection.socket {
            connection.sending = true;
            connection.operations += 1;
            self.ring.send(slot, socket.as_fd(), take(&mut connection.out));
        }
    }

    /// A send is over. Had it failed, the end of the receive tells why, and may be preceded by an
    /// answer.
    pub(super) fn sent(&mut self, slot: usize) {
        let mut memory = self.ring.sent(slot);
        let connection = &mut self.connections[slot];
        connection.sending = false;
        if connection.out.is_empty() {
            memory.clear();
            connection.out = memory;
        }
        self.flush(slot);
    }

    /// Bytes came, or the end of them.
    pub(super) fn received(&mut self, completion: Completion) {
        let Completion { slot, result, more, buffer, .. } = completion;
        let connection = &mut self.connections[slot];
        if connection.state != State::Open {
            if let Some(buffer) = buffer {
                self.ring.give_back(buffer);
            }
            return;
        }
        let (workload, recorder) = (&mut self.workload, &mut self.recorder);
        match (usize::try_from(result), buffer) {
            (Ok(length @ 1..), Some(buffer)) => {
                let bytes = self.ring.bytes(buffer, length);
                let heard = connection.hear(bytes, workload, recorder, self.now);
                let shown = matches!(heard, Heard::Garbage(..)).then(|| excerpt(bytes));
                self.ring.give_back(buffer);
                if !more {
                    self.receive(slot);
                }
                self.take(slot, heard, &shown.unwrap_or_default());
            }
            (Ok(_), _) => {
                let heard = connection.hear_end(workload, recorder, self.now);
                self.take(slot, heard, "");
            }
            // All buffers were in use: the kernel stopped and goes on when asked.
            (Err(_), _) if -result == Errno::NOBUFS.raw_os_error() => self.receive(slot),
            (Err(_), _) => {
                let error = io::Error::from_raw_os_error(-result);
                if connection.asked.is_empty() {
                    recorder.failed(ErrorClass::Reset, self.now, || format!("idle: {error}"));
                }
                self.lose(slot, ErrorClass::Reset, &|| format!("receiving: {error}"));
            }
        }
    }

    fn take(&mut self, slot: usize, heard: Heard, shown: &str) {
        match heard {
            Heard::Answers(0) => {}
            Heard::Answers(answers) => self.go_on(slot, answers),
            Heard::Last(answers) => {
                self.in_flight -= answers;
                let connection = &mut self.connections[slot];
                if answers > 0 {
                    connection.attempts = 0;
                    self.outcome();
                } else {
                    connection.attempts = connection.attempts.saturating_add(1);
                }
                self.fail(slot, ErrorClass::ClosedEarly, &|| {
                    "the server closed the connection with a request in flight".to_owned()
                });
                self.close(slot);
            }
            Heard::Garbage(answers, problem) => {
                self.in_flight -= answers;
                if self.connections[slot].asked.is_empty() {
                    let text = || format!("{problem}: {shown}");
                    self.recorder.failed(ErrorClass::Malformed, self.now, text);
                }
                self.lose(slot, ErrorClass::Malformed, &|| format!("{problem}: {shown}"));
            }
        }
    }

    /// A connection is of no use any more: its requests fail, and it is made again after a while.
    fn lose(&mut self, slot: usize, class: ErrorClass, text: &dyn Fn() -> String) {
        let connection = &mut self.connections[slot];
        connection.attempts = connection.attempts.saturating_add(1);
        if connection.state == State::Connecting {
            let due = if self.plan.load == Load::Once { connection.since } else { self.now };
            self.recorder.failed(class, due, text);
            self.outcome();
        }
        self.fail(slot, class, text);
        self.close(slot);
    }

    /// Fails what a connection has asked.
    fn fail(&mut self, slot: usize, class: ErrorClass, text: &dyn Fn() -> String) {
        let connection = &mut self.connections[slot];
        let count = connection.asked.len();
        for asked in connection.asked.drain(..) {
            self.recorder.failed(class, asked.due, text);
        }
        self.in_flight -= count;
        if count > 0 {
            self.outcome();
        }
    }

    /// A connection that asks once has had its answer or its error.
    fn outcome(&mut self) {
        if self.plan.load == Load::Once {
            self.without_outcome = self.without_outcome.saturating_sub(1);
        }
    }

    /// Lets go of a socket, as soon as the kernel has.
    fn close(&mut self, slot: usize) {
        let connection = &mut self.connections[slot];
        if connection.state == State::Open {
            self.open -= 1;
        }
        connection.state = State::Closing;
        connection.out.clear();
        if connection.operations > 0
            && let Some(socket) = &connection.socket
        {
            connection.operations += 1;
            self.ring.cancel(slot, socket.as_fd());
        }
    }

    /// Closes a socket that the kernel has let go of, and sees when to connect again.
    pub(super) fn settle(&mut self, slot: usize) {
        let connection = &mut self.connections[slot];
        if connection.state != State::Closing || connection.operations > 0 {
            return;
        }
        connection.socket = None;
        connection.state = State::Idle;
        let again = self.now < self.end || !self.queue.is_empty();
        if again && self.plan.load != Load::Once {
            let at = self.now + nanos(patience(connection.attempts));
            self.timers.push(Reverse((at, slot)));
        }
    }

    /// Fails what has waited for too long.
    pub(super) fn sweep(&mut self) {
        if self.now < self.next_sweep {
            return;
        }
        let timeout = self.plan.request_timeout;
        let tick = (timeout / 10).clamp(Duration::from_millis(1), TICK_MAX);
        self.next_sweep = self.now + nanos(tick);
        let Some(oldest) = self.now.checked_sub(nanos(timeout)) else { return };
        for slot in 0..self.connections.len() {
            let connection = &self.connections[slot];
            let late = match connection.state {
                State::Connecting => connection.since <= oldest,
                State::Open => connection.asked.front().is_some_and(|asked| asked.sent <= oldest),
                State::Idle | State::Closing => false,
            };
            if late {
                let what =
                    if connection.state == State::Open { "no answer" } else { "no connection" };
                self.lose(slot, ErrorClass::TimedOut, &|| format!("{what} within {timeout:?}"));
                self.settle(slot);
            }
        }
    }
}

/// How long to wait after so many attempts that led nowhere.
fn patience(attempts: u32) -> Duration {
    match attempts.checked_sub(1) {
        None => Duration::ZERO,
        Some(doublings) => {
            RECONNECT.0.saturating_mul(1_u32.checked_shl(doublings).unwrap_or(u32::MAX))
        }
    }
    .min(RECONNECT.1)
}

/// A socket that sends at once and, on the loopback, comes from an address with ports to spare.
pub(crate) fn socket(server: SocketAddr, connections: usize, number: usize) -> io::Result<OwnedFd> {
    let socket = Socket::new(Domain::for_address(server), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_tcp_nodelay(true)?;
    if connections > PER_SOURCE
        && let IpAddr::V4(server) = server.ip()
        && server.is_loopback()
    {
        let sources = u32::try_from(number / PER_SOURCE).unwrap_or(u32::MAX);
        let source = Ipv4Addr::from(u32::from(Ipv4Addr::LOCALHOST).saturating_add(sources));
        socket.bind(&SocketAddr::from((source, 0)).into())?;
    }
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_between_attempts_grow_up_to_their_bound() {
        assert_eq!(patience(0), Duration::ZERO);
        assert_eq!(patience(1), RECONNECT.0);
        assert_eq!(patience(2), RECONNECT.0 * 2);
        assert_eq!(patience(31), RECONNECT.1);
        assert_eq!(patience(u32::MAX), RECONNECT.1);
    }
}
