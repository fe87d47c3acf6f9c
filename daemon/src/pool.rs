//! Threads for work that would hold up a ring: Argon2 and pictures.
//!
//! A fixed number of threads of low priority take jobs from one bounded queue. A full queue is
//! answered at once, never waited for. A job whose deadline passed or whose caller is gone is
//! skipped before it costs anything. A thread without work for a while gives its memory back.

use souk_meter::Stage;
use souk_proto::{Code, Failure};
use souk_trace::{Context, current};
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;
use tokio::sync::oneshot;

use crate::limits::{POOL_IDLE_AFTER, POOL_NICE, POOL_RETRY_AFTER};

const _: () = assert!(
    cfg!(panic = "unwind"),
    "a panic in a job must fail its caller alone: do not build soukd with panic = \"abort\""
);

/// What a pool's thread works with.
pub trait Worker: Send + 'static {
    /// There was no work for [`POOL_IDLE_AFTER`]: memory that is only kept for speed goes back.
    fn idle(&mut self) {}
}

impl Worker for () {}

type Job<W> = Box<dyn FnOnce(&mut W) + Send>;

/// Threads that each own a `W` (memory that they reuse between jobs).
pub struct Pool<W> {
    queue: Arc<Queue<W>>,
    /// The queue's name, and what waiting in it and being served count as.
    measures: Option<(souk_meter::Queue, Stage, Stage)>,
    threads: Vec<JoinHandle<()>>,
}

struct Queue<W> {
    state: Mutex<State<W>>,
    filled: Condvar,
    capacity: usize,
}

/// What a thread does next.
enum Next<W> {
    Run(Context, Job<W>),
    /// Nothing came for [`POOL_IDLE_AFTER`].
    Idle,
    End,
}

struct State<W> {
    /// Each with the request that it is for.
    jobs: VecDeque<(Context, Job<W>)>,
    closed: bool,
}

impl<W: Worker> Pool<W> {
    /// Starts `threads` threads, each with a worker of its own, behind a queue of `capacity` jobs.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(
        name: &str,
        threads: usize,
        capacity: usize,
        worker: impl Fn() -> W,
    ) -> io::Result<Pool<W>> {
        let state = Mutex::new(State { jobs: VecDeque::new(), closed: false });
        let queue = Arc::new(Queue { state, filled: Condvar::new(), capacity });
        let mut pool = Pool { queue, measures: None, threads: Vec::with_capacity(threads) };
        for number in 0..threads {
            let (queue, worker) = (Arc::clone(&pool.queue), worker());
            let thread = std::thread::Builder::new()
                .name(format!("{name}-{number}"))
                .spawn(move || work(&queue, worker))?;
            pool.threads.push(thread);
        }
        Ok(pool)
    }

    /// Measures the queue under this name. Waiting in it counts as the stage `queued`, being served
    /// as `served`.
    #[must_use]
    pub fn measured(mut self, queue: souk_meter::Queue, queued: Stage, served: Stage) -> Pool<W> {
        self.measures = Some((queue, queued, served));
        self
    }

    /// How many jobs wait for a thread.
    pub fn waiting(&self) -> usize {
        self.queue.state().jobs.len()
    }

    /// Runs a job on one of the threads and gives its result.
    ///
    /// # Errors
    /// `busy` when the queue is full, `deadline_exceeded` when the deadline passed before a thread
    /// was free, `internal` when the job panicked.
    pub async fn run<T: Send + 'static>(
        &self,
        deadline: Instant,
        job: impl FnOnce(&mut W) -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let (sender, receiver) = oneshot::channel();
        let queued = self.queue.push(Box::new(move |worker| {
            if sender.is_closed() {
                return;
            }
            let begun = Instant::now();
            let result = if begun >= deadline {
                Err(Failure::new(Code::DeadlineExceeded))
            } else {
                Ok(job(worker))
            };
            // The caller may have gone meanwhile; then nobody wants the result.
            let _ = sender.send((begun, result));
        }));
        if let (Err(_), Some((queue, ..))) = (&queued, self.measures) {
            souk_meter::queue_full(queue);
        }
        queued?;
        souk_meter::pause();
        let (begun, result) = receiver
            .await
            .unwrap_or_else(|_| (souk_meter::now(), Err(Failure::new(Code::Internal))));
        if let Some((_, queued, served)) = self.measures {
            souk_meter::mark();
            souk_meter::waited_in_turn(queued, begun, served);
        }
        result
    }
}

impl<W> Queue<W> {
    fn push(&self, job: Job<W>) -> Result<(), Failure> {
        let mut state = self.state();
        if state.jobs.len() >= self.capacity {
            return Err(Failure::new(Code::Busy).retry_after(POOL_RETRY_AFTER));
        }
        state.jobs.push_back((current(), job));
        drop(state);
        self.filled.notify_one();
        Ok(())
    }

    /// What to do next; the end once the pool is closed, whatever is still queued. A thread that
    /// knows that it is idle waits for as long as it takes.
    fn pop(&self, knows_idle: bool) -> Next<W> {
        let nothing = |state: &mut State<W>| state.jobs.is_empty() && !state.closed;
        let state = self.state();
        let mut state = if knows_idle {
            self.filled.wait_while(state, nothing).unwrap_or_else(PoisonError::into_inner)
        } else {
            let waited = self.filled.wait_timeout_while(state, POOL_IDLE_AFTER, nothing);
            waited.unwrap_or_else(PoisonError::into_inner).0
        };
        match state.jobs.pop_front() {
            _ if state.closed => Next::End,
            Some((request, job)) => Next::Run(request, job),
            None => Next::Idle,
        }
    }

    /// Jobs run outside the lock, so a panic never leaves the queue half changed.
    fn state(&self) -> MutexGuard<'_, State<W>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn work<W: Worker>(queue: &Queue<W>, mut worker: W) {
    // On Linux this is the thread's priority alone: the rings come first. Without it the pool is
    // only less polite.
    if let Err(error) = rustix::process::setpriority_process(None, POOL_NICE) {
        tracing::debug!(%error, "pool thread keeps its priority");
    }
    // What never worked holds nothing.
    let mut knows_idle = true;
    loop {
        match queue.pop(knows_idle) {
            Next::Run(request, job) => {
                knows_idle = false;
                let _entered = request.enter();
                let job = std::panic::AssertUnwindSafe(|| job(&mut worker));
                if std::panic::catch_unwind(job).is_err() {
                    tracing::error!("a pool job panicked; its caller gets an internal error");
                }
            }
            Next::Idle => {
                knows_idle = true;
                worker.idle();
                give_memory_back();
            }
            Next::End => return,
        }
    }
}

/// Hands what this thread and others freed to the system. The allocator does so by itself, but only
/// when somebody allocates again, and a picture or a hash leaves tens of MiB.
fn give_memory_back() {
    #[allow(unsafe_code)] // a call into C that takes no pointer and may be made at any time
    unsafe {
        libmimalloc_sys::mi_collect(true);
    }
}

impl<W> Drop for Pool<W> {
    fn drop(&mut self) {
        let mut state = self.queue.state();
        state.closed = true;
        let dropped = std::mem::take(&mut state.jobs);
        drop(state);
        drop(dropped);
        self.queue.filled.notify_all();
        for thread in self.threads.drain(..) {
            // A job's panic was logged where it was caught.
            let _ = thread.join();
        }
    }
}

impl<W> std::fmt::Debug for Pool<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("threads", &self.threads.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{Pool, Worker};
    use souk_proto::Code;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, mpsc};
    use std::time::{Duration, Instant};

    fn later() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    fn block_on<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().build().expect("runtime").block_on(future)
    }

    /// A pool of one thread whose first job waits until the sender is used or dropped.
    async fn held(pool: &Pool<()>) -> (mpsc::Sender<()>, impl Future<Output = ()>) {
        let (release, held) = mpsc::channel();
        let (began, begun) = tokio::sync::oneshot::channel();
        let mut job = Box::pin(pool.run(later(), move |()| {
            let _ = began.send(());
            let _ = held.recv();
        }));
        tokio::select! {
            biased;
            _ = &mut job => panic!("the job is held"),
            begun = begun => begun.expect("began"),
        }
        (release, async move { job.await.expect("first job") })
    }

    #[test]
    fn jobs_run_and_give_their_results() {
        let pool = Pool::start("test", 2, 4, || ()).expect("pool");
        let sum = block_on(pool.run(later(), |()| 1 + 1)).expect("result");
        assert_eq!(sum, 2);
    }

    /// Says when it is told to be idle.
    struct Watched {
        idle: mpsc::Sender<()>,
    }

    impl Worker for Watched {
        fn idle(&mut self) {
            self.idle.send(()).expect("the test listens");
        }
    }

    #[test]
    fn a_thread_is_told_once_that_it_has_no_work_and_again_after_more_work() {
        let (idle, told) = mpsc::channel();
        let worker = move || Watched { idle: idle.clone() };
        let pool = Pool::start("test", 1, 4, worker).expect("pool");
        for _ in 0..2 {
            block_on(pool.run(later(), |_| ())).expect("job");
            told.recv_timeout(Duration::from_secs(60)).expect("told");
        }
        drop(pool);
        assert!(told.try_recv().is_err(), "once each");
    }

    #[test]
    fn a_full_queue_answers_busy_at_once() {
        let pool = Pool::start("test", 1, 1, || ()).expect("pool");
        block_on(async {
            let (release, first) = held(&pool).await;
            let mut queued = Box::pin(pool.run(later(), |()| ()));
            assert!(futures_poll(&mut queued).await.is_none(), "one job may wait");
            let refused = pool.run(later(), |()| ()).await.expect_err("full");
            assert_eq!(refused.code, Code::Busy);
            assert!(refused.retry_after_ms > 0);
            drop(release);
            first.await;
            queued.await.expect("queued job");
        });
    }

    #[test]
    fn a_job_past_its_deadline_or_without_a_caller_is_skipped() {
        let pool = Pool::start("test", 1, 8, || ()).expect("pool");
        let runs = Arc::new(AtomicUsize::new(0));
        let count = || {
            let runs = Arc::clone(&runs);
            move |(): &mut ()| {
                runs.fetch_add(1, Ordering::SeqCst);
            }
        };
        block_on(async {
            let (release, first) = held(&pool).await;
            let mut late = Box::pin(pool.run(Instant::now(), count()));
            let mut gone = Box::pin(pool.run(later(), count()));
            assert!(futures_poll(&mut late).await.is_none());
            assert!(futures_poll(&mut gone).await.is_none());
            drop(gone);
            drop(release);
            first.await;
            assert_eq!(late.await.expect_err("late").code, Code::DeadlineExceeded);
            pool.run(later(), |()| ()).await.expect("the queue is empty behind this one");
        });
        assert_eq!(runs.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn a_panic_fails_its_caller_and_nobody_else() {
        let pool = Pool::start("test", 1, 4, || ()).expect("pool");
        block_on(async {
            let failure = pool.run(later(), |()| panic!("on purpose")).await.expect_err("panic");
            assert_eq!(failure.code, Code::Internal);
            pool.run(later(), |()| ()).await.expect("the thread lives on");
        });
    }

    /// Polls once.
    async fn futures_poll<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        std::future::poll_fn(|cx| {
            std::task::Poll::Ready(match std::pin::Pin::new(&mut *future).poll(cx) {
                std::task::Poll::Ready(output) => Some(output),
                std::task::Poll::Pending => None,
            })
        })
        .await
    }
}
