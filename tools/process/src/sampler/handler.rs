//! The profiling timer and its signal handler.
//!
//! The handler interrupts a thread anywhere, also within the allocator or with a lock held. So it
//! allocates nothing, takes no lock, and reads the stack through the kernel, which refuses
//! addresses that are not there where a plain read would end the process.

use libc::{c_int, c_void, siginfo_t, ucontext_t};
use std::io;
use std::marker::PhantomData;
use std::mem::{MaybeUninit, size_of};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::thread;

/// Deepest stack that is kept; deeper ones lose their outermost frames. Twice what is common.
const DEPTH: usize = 128;
/// Words before a sample's frames: how many frames, and the thread's name.
const HEAD: usize = 3;
/// Bytes of a thread's name, as Linux has them.
const NAME: usize = 16;
/// Farthest from one frame to the next, in bytes: a thread's whole stack is seldom larger.
const FRAME_MAX: u64 = 8 << 20;

/// Where the handler writes; null while nobody asks.
static TO: AtomicPtr<Samples> = AtomicPtr::new(null_mut());
/// Handlers that run right now.
static INSIDE: AtomicUsize = AtomicUsize::new(0);

/// Samples of fixed total size, filled by several threads at once.
pub struct Samples {
    words: Box<[AtomicU64]>,
    /// Words that were handed out, also those past the end.
    next: AtomicUsize,
    dropped: AtomicU64,
}

impl Samples {
    /// Room for `words` words.
    pub fn new(words: usize) -> Samples {
        let words = (0..words).map(|_| AtomicU64::new(0)).collect();
        Samples { words, next: AtomicUsize::new(0), dropped: AtomicU64::new(0) }
    }

    /// Adds a sample, if it fits. Neither allocates nor waits.
    pub fn add(&self, name: [u8; NAME], frames: &[u64]) {
        let first = self.next.fetch_add(HEAD + frames.len(), Ordering::Relaxed);
        let words = self.words.get(first..first.saturating_add(HEAD + frames.len()));
        let Some([count, start, end, room @ ..]) = words else {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let name = u128::from_le_bytes(name);
        #[expect(clippy::cast_possible_truncation, reason = "the name's two halves")]
        for (half, word) in [(name as u64, start), ((name >> 64) as u64, end)] {
            word.store(half, Ordering::Relaxed);
        }
        for (word, frame) in room.iter().zip(frames) {
            word.store(*frame, Ordering::Relaxed);
        }
        count.store(frames.len() as u64, Ordering::Relaxed);
    }

    /// Samples that did not fit.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Gives each sample's thread and frames, the innermost first. Call it when no handler runs.
    pub fn for_each(&self, mut take: impl FnMut(String, &[u64])) {
        let words: Vec<u64> = self.words.iter().map(|it| it.load(Ordering::Relaxed)).collect();
        let mut rest = &words[..];
        // A sample that did not fit, and nothing but such after it, leaves a count of 0.
        while let [count, start, end, after @ ..] = rest
            && *count > 0
        {
            let count = usize::try_from(*count).unwrap_or(usize::MAX).min(after.len());
            let (frames, after) = after.split_at(count);
            let name = (u128::from(*end) << 64 | u128::from(*start)).to_le_bytes();
            let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
            take(String::from_utf8_lossy(name).replace(';', ":"), frames);
            rest = after;
        }
    }
}

/// The timer runs as long as this lives.
pub struct Ticking<'a>(PhantomData<&'a Samples>);

impl<'a> Ticking<'a> {
    /// Starts to write into `samples`. There must be one of these at a time.
    pub fn start(samples: &'a Samples, hz: u32) -> io::Result<Ticking<'a>> {
        // A system that does not let us read our own stack shall say so now.
        let probe = [1_u64, 2];
        if read_pair(probe.as_ptr() as u64) != Some(probe) {
            return Err(io::Error::last_os_error());
        }
        TO.store(std::ptr::from_ref(samples).cast_mut(), Ordering::SeqCst);
        let ticking = Ticking(PhantomData);
        let handler = on_tick as extern "C" fn(c_int, *mut siginfo_t, *mut c_void);
        handle(handler as usize, libc::SA_SIGINFO | libc::SA_RESTART)?;
        set_timer(1_000_000 / i64::from(hz.max(1)))?;
        Ok(ticking)
    }
}

impl Drop for Ticking<'_> {
    fn drop(&mut self) {
        // Neither fails with these arguments. The signal stays ignored: by default, one that is
        // still on its way would end the process.
        set_timer(0).ok();
        handle(libc::SIG_IGN, 0).ok();
        TO.store(null_mut(), Ordering::SeqCst);
        while INSIDE.load(Ordering::SeqCst) > 0 {
            thread::yield_now();
        }
    }
}

fn handle(handler: usize, flags: c_int) -> io::Result<()> {
    #[allow(unsafe_code)] // libc: the action is a plain struct that we fill, and lives long enough
    let done = unsafe {
        let mut action: libc::sigaction = MaybeUninit::zeroed().assume_init();
        action.sa_sigaction = handler;
        action.sa_flags = flags;
        libc::sigaction(libc::SIGPROF, &raw const action, null_mut())
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Has the timer tick every so many microseconds of processor time; 0 stops it.
fn set_timer(micros: i64) -> io::Result<()> {
    let every = libc::timeval { tv_sec: micros / 1_000_000, tv_usec: micros % 1_000_000 };
    let timer = libc::itimerval { it_interval: every, it_value: every };
    #[allow(unsafe_code)] // libc: reads the struct and keeps nothing
    let done = unsafe { libc::setitimer(libc::ITIMER_PROF, &raw const timer, null_mut()) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Takes one sample of the thread that it interrupts.
extern "C" fn on_tick(_signal: c_int, _info: *mut siginfo_t, context: *mut c_void) {
    INSIDE.fetch_add(1, Ordering::SeqCst);
    let to = TO.load(Ordering::SeqCst);
    #[allow(unsafe_code)]
    // The kernel passes a ucontext. `to` outlives us: whoever takes it away waits for INSIDE.
    // errno belongs to the code that was interrupted.
    unsafe {
        if let (Some(samples), Some(context)) = (to.as_ref(), context.cast::<ucontext_t>().as_ref())
        {
            let errno = libc::__errno_location();
            let before = *errno;
            let mut name = [0_u8; NAME];
            libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr());
            let mut frames = [0; DEPTH];
            let depth = walk(registers(context), &mut frames);
            samples.add(name, &frames[..depth]);
            *errno = before;
        }
    }
    INSIDE.fetch_sub(1, Ordering::SeqCst);
}

/// Where a thread is: instruction, stack pointer, frame pointer.
struct Registers {
    at: u64,
    stack: u64,
    frame: u64,
}

#[cfg(target_arch = "x86_64")]
fn registers(context: &ucontext_t) -> Registers {
    let of = |register: c_int| {
        let index = usize::try_from(register).unwrap_or(0);
        context.uc_mcontext.gregs[index].cast_unsigned()
    };
    Registers { at: of(libc::REG_RIP), stack: of(libc::REG_RSP), frame: of(libc::REG_RBP) }
}

#[cfg(target_arch = "aarch64")]
fn registers(context: &ucontext_t) -> Registers {
    let machine = &context.uc_mcontext;
    Registers { at: machine.pc, stack: machine.sp, frame: machine.regs[29] }
}

/// Follows the frame pointers; returns how many frames there are, at least one.
fn walk(from: Registers, frames: &mut [u64; DEPTH]) -> usize {
    let Registers { at, stack, frame: mut next } = from;
    frames[0] = at;
    let mut depth = 1;
    let mut last = stack;
    // Frames lie one above the other. What does not is a register put to other use.
    while depth < DEPTH && next >= last && next - last <= FRAME_MAX && next.is_multiple_of(8) {
        let Some([outer, back]) = read_pair(next) else { break };
        if back == 0 {
            break;
        }
        frames[depth] = back;
        depth += 1;
        last = next + 16;
        next = outer;
    }
    depth
}

/// Two words at `address`, unless nothing is there.
fn read_pair(address: u64) -> Option<[u64; 2]> {
    let mut pair = [0_u64; 2];
    let size = size_of::<[u64; 2]>();
    let there = usize::try_from(address).ok()? as *mut c_void;
    let here = libc::iovec { iov_base: pair.as_mut_ptr().cast(), iov_len: size };
    let from = libc::iovec { iov_base: there, iov_len: size };
    #[allow(unsafe_code)] // libc: writes into `pair` alone; the kernel checks `from`
    let read = unsafe {
        libc::process_vm_readv(libc::getpid(), &raw const here, 1, &raw const from, 1, 0)
    };
    (usize::try_from(read) == Ok(size)).then_some(pair)
}
