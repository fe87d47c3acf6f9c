//! The generator's own io_uring: what is asked in one turn enters the kernel once.
//!
//! It keeps what the kernel holds: the buffers being sent, and the pool that is read into. Nothing
//! of these is freed before the kernel is done with it, whatever the caller drops.
//! Connections are known by their slot, from 0.

use super::{EngineError, limits};
use buffers::Buffers;
use socket2::SockAddr;
use std::io;
use std::mem::{ManuallyDrop, take};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};
use uring::types::{CancelBuilder, Fd, SubmitArgs, Timespec};
use uring::{IoUring, cqueue, opcode, squeue};

mod buffers;

/// One thread's ring.
pub struct Ring {
    uring: ManuallyDrop<IoUring>,
    buffers: ManuallyDrop<Buffers>,
    /// The bytes being sent, by slot.
    lent: ManuallyDrop<Vec<Option<Vec<u8>>>>,
    /// In a place of its own: entries point to it.
    target: ManuallyDrop<Box<SockAddr>>,
    /// Operations whose last completion has not been seen.
    live: usize,
    /// Completions taken to make room for submissions.
    done: Vec<Completion>,
    /// Why the kernel does not go on; shown at the next turn.
    broken: Option<io::Error>,
}

/// An operation's end, or a part of its way there.
#[derive(Debug, Clone, Copy)]
pub struct Completion {
    /// The connection.
    pub slot: usize,
    /// What was asked for.
    pub operation: Operation,
    /// What the kernel says: a count of bytes, or an error number below zero.
    pub result: i32,
    /// More completions of the same operation follow.
    pub more: bool,
    /// The buffer with the bytes received; must be given back.
    pub buffer: Option<u16>,
}

/// What can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// [`Ring::connect`].
    Connect,
    /// [`Ring::receive`].
    Receive,
    /// [`Ring::send`].
    Send,
    /// [`Ring::cancel`].
    Cancel,
}

impl Ring {
    /// A ring for so many connections to one address, bound to the thread that calls.
    ///
    /// # Errors
    /// If the kernel has no such ring or forbids it, with what helps.
    pub fn new(connections: usize, target: SockAddr) -> Result<Self, EngineError> {
        let count = connections.next_power_of_two();
        let completions = u32::try_from(count.saturating_mul(4)).unwrap_or(u32::MAX);
        let uring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_submit_all()
            .setup_clamp()
            .setup_cqsize(completions.clamp(limits::COMPLETIONS.0, limits::COMPLETIONS.1))
            .build(limits::SUBMISSIONS)
            .map_err(no_ring)?;
        let held = u16::try_from(count).unwrap_or(u16::MAX);
        let mut buffers = Buffers::new(
            held.clamp(limits::READ_BUFFERS.0, limits::READ_BUFFERS.1),
            limits::READ_BUFFER_SIZE,
        );
        buffers.register(&uring.submitter()).map_err(|source| EngineError::Ring {
            what: "a ring of read buffers",
            source,
            fix: "the load generator needs Linux 6.1 or later",
        })?;
        let mut lent = Vec::new();
        lent.resize_with(connections, || None);
        Ok(Self {
            uring: ManuallyDrop::new(uring),
            buffers: ManuallyDrop::new(buffers),
            lent: ManuallyDrop::new(lent),
            target: ManuallyDrop::new(Box::new(target)),
            live: 0,
            done: Vec::new(),
            broken: None,
        })
    }

    /// Connects a socket to the ring's address.
    pub fn connect(&mut self, slot: usize, socket: BorrowedFd<'_>) {
        let address = self.target.as_ptr().cast();
        let entry = opcode::Connect::new(Fd(socket.as_raw_fd()), address, self.target.len());
        self.push(slot, Operation::Connect, &entry.build());
    }

    /// Receives until the connection ends: one completion for each buffer filled.
    pub fn receive(&mut self, slot: usize, socket: BorrowedFd<'_>) {
        let entry = opcode::RecvMulti::new(Fd(socket.as_raw_fd()), buffers::GROUP);
        self.push(slot, Operation::Receive, &entry.build());
    }

    /// Sends all bytes. They are the ring's until the completion; [`Ring::sent`] gives them back.
    /// One send at a time for each connection.
    pub fn send(&mut self, slot: usize, socket: BorrowedFd<'_>, bytes: Vec<u8>) {
        assert!(self.lent[slot].is_none(), "one send at a time");
        let length = u32::try_from(bytes.len()).expect("requests are far below 4 GiB");
        let entry = opcode::Send::new(Fd(socket.as_raw_fd()), bytes.as_ptr(), length)
            .flags(SEND_FLAGS)
            .build();
        // The heap memory of the vector does not move when the vector does.
        self.lent[slot] = Some(bytes);
        self.push(slot, Operation::Send, &entry);
    }

    /// The memory of the bytes whose sending is complete.
    pub fn sent(&mut self, slot: usize) -> Vec<u8> {
        self.lent[slot].take().unwrap_or_default()
    }

    /// Cancels all operations on a socket; each still has its completion.
    pub fn cancel(&mut self, slot: usize, socket: BorrowedFd<'_>) {
        let entry = opcode::AsyncCancel2::new(CancelBuilder::fd(Fd(socket.as_raw_fd())).all());
        self.push(slot, Operation::Cancel, &entry.build());
    }

    /// The bytes of a completed receive.
    pub fn bytes(&self, buffer: u16, length: usize) -> &[u8] {
        self.buffers.bytes(buffer, length)
    }

    /// A completed receive's buffer is not needed any more.
    pub fn give_back(&mut self, buffer: u16) {
        self.buffers.give_back(buffer);
    }

    /// Hands in what was asked for and waits until something is complete, at most so long. What is
    /// complete is appended to `batch`.
    ///
    /// # Errors
    /// If the kernel refuses to go on.
    pub fn turn(&mut self, at_most: Duration, batch: &mut Vec<Completion>) -> io::Result<()> {
        if let Some(error) = self.broken.take() {
            return Err(error);
        }
        let wait = self.done.is_empty() && !at_most.is_zero();
        let timeout = Timespec::from(at_most);
        let arguments = SubmitArgs::new().timespec(&timeout);
        let entered = self.uring.submitter().submit_with_args(usize::from(wait), &arguments);
        if let Err(error) = entered
            && !passes(&error)
        {
            return Err(error);
        }
        batch.append(&mut self.done);
        self.reap(batch);
        Ok(())
    }

    fn push(&mut self, slot: usize, operation: Operation, entry: &squeue::Entry) {
        let entry = entry.clone().user_data((slot as u64) << 2 | operation as u64);
        self.live += 1;
        loop {
            #[allow(unsafe_code)] // what the entry points to is kept by the ring: the address, lent
            let pushed = unsafe { self.uring.submission().push(&entry) };
            if pushed.is_ok() {
                return;
            }
            if let Err(error) = self.uring.submit()
                && !passes(&error)
            {
                self.live -= 1;
                self.broken = Some(error);
                return;
            }
            // If the kernel was busy, taking completions makes room.
            let mut done = take(&mut self.done);
            self.reap(&mut done);
            self.done = done;
        }
    }

    fn reap(&mut self, batch: &mut Vec<Completion>) {
        for entry in self.uring.completion() {
            let completion = Completion::from(&entry);
            self.live -= usize::from(!completion.more);
            batch.push(completion);
        }
    }
}

impl Drop for Ring {
    /// Cancels everything and awaits it, since the kernel may be using the memory. Should it not
    /// be done in time, the memory is left to it.
    fn drop(&mut self) {
        let end = Instant::now() + limits::CANCEL_MAX;
        let step = Duration::from_millis(10);
        let mut batch = Vec::new();
        // What is not handed in yet cannot be cancelled, and what ends by itself need not be: the
        // kernel looks for each cancelled operation among all others.
        let mut entered = self.turn(step, &mut batch);
        while self.live > 0 && entered.is_ok() && Instant::now() < end {
            if batch.is_empty() {
                let submitter = self.uring.submitter();
                let _ = submitter.register_sync_cancel(Some(step.into()), CancelBuilder::any());
            }
            batch.clear();
            entered = self.turn(step, &mut batch);
        }
        if self.live == 0 {
            #[allow(unsafe_code)] // nothing uses them after this: the value is being dropped
            unsafe {
                ManuallyDrop::drop(&mut self.uring);
                ManuallyDrop::drop(&mut self.buffers);
                ManuallyDrop::drop(&mut self.lent);
                ManuallyDrop::drop(&mut self.target);
            }
        }
    }
}

/// No signal when the server has closed; all bytes or an error.
const SEND_FLAGS: i32 = (rustix::net::SendFlags::NOSIGNAL.bits() | MSG_WAITALL).cast_signed();
/// Of `recv(2)`; the ring's sends know it too and rustix names it for receiving alone.
const MSG_WAITALL: u32 = rustix::net::RecvFlags::WAITALL.bits();

/// Refusals of an enter that say nothing about the ring: it was interrupted, its time was up, its
/// completions have to be taken first.
fn passes(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let passing = [Errno::INTR, Errno::TIME, Errno::BUSY, Errno::AGAIN];
    passing.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

fn no_ring(source: io::Error) -> EngineError {
    use rustix::io::Errno;
    let fix = match source.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::PERM | Errno::ACCESS) => {
            "io_uring is forbidden here: set sysctl kernel.io_uring_disabled=0, or let the \
             container's seccomp profile pass io_uring_setup, io_uring_enter, io_uring_register"
        }
        Some(Errno::NOSYS) => "this kernel is built without CONFIG_IO_URING: use another",
        Some(Errno::INVAL) => {
            "the load generator needs Linux 6.1 or later (SINGLE_ISSUER, DEFER_TASKRUN)"
        }
        Some(Errno::NOMEM) => "raise the limit of locked memory: ulimit -l unlimited",
        _ => "see io_uring_setup(2)",
    };
    EngineError::Ring { what: "an io_uring", source, fix }
}

impl From<&cqueue::Entry> for Completion {
    fn from(entry: &cqueue::Entry) -> Self {
        let tag = entry.user_data();
        let operation = match tag & 3 {
            0 => Operation::Connect,
            1 => Operation::Receive,
            2 => Operation::Send,
            _ => Operation::Cancel,
        };
        #[allow(clippy::cast_possible_truncation)] // it was a slot's number
        let slot = (tag >> 2) as usize;
        let flags = entry.flags();
        let buffer = cqueue::buffer_select(flags);
        Self { slot, operation, result: entry.result(), more: cqueue::more(flags), buffer }
    }
}
