//! The admin side over real sockets, before threads that record as ring threads do.

mod clients;
mod intervals;
mod texts;

use souk_meter::{
    Admin, AdminSettings, Batch, DAEMON_STAGES, Hub, LatencySettings, Place, Plan, Queue, Request,
    Running, Stage,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// The routes of the program under test, by number.
const GET: usize = 0;
const SET: usize = 1;

fn hub(enabled: bool) -> Arc<Hub> {
    let plan = Plan {
        program: "tested",
        version: "1.2.3",
        routes: vec!["GET /users/{id}".into(), "SET".into(), "NEVER".into()],
        stages: DAEMON_STAGES,
        codes: vec!["ok".into(), "busy".into()],
        queues: &[Queue::Redis, Queue::Argon2],
        batches: &[Batch::Redis],
    };
    Hub::new(plan, enabled)
}

/// A thread that records, and ticks all the time.
struct Recorder {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Recorder {
    /// Runs `work` on a thread with a meter, which then ticks until it is stopped.
    fn start(hub: &Hub, work: impl FnOnce() + Send + 'static) -> Recorder {
        let stop = Arc::new(AtomicBool::new(false));
        let (meter, stopped) = (hub.thread(), Arc::clone(&stop));
        let (done, ready) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let _meter = meter.install();
            work();
            done.send(()).expect("the test waits");
            while !stopped.load(Ordering::Acquire) {
                souk_meter::tick(Duration::from_millis(1));
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        ready.recv().expect("the work is done");
        Recorder { stop, thread }
    }

    fn stop(self) {
        self.stop.store(true, Ordering::Release);
        self.thread.join().expect("it does not panic");
    }
}

/// Records a request that was in Redis for 2 ms and took 5 ms.
fn request(route: usize, code: usize) {
    let began = Instant::now();
    let request = Request::begin(route, began);
    request.received(100);
    request.sent(300);
    let at = |ms| began + Duration::from_millis(ms);
    request.enter(|| {
        souk_meter::lap_at(Stage::Logic, at(3));
        souk_meter::lap_at(Stage::Redis, at(5));
    });
    request.finish(code, at(5));
}

/// Serves the hub on a socket in a directory of its own.
fn serve(hub: &Arc<Hub>, latency: &LatencySettings) -> (Running, Place, tempfile::TempDir) {
    let home = tempfile::tempdir().expect("a directory");
    let listen = format!("unix:{}", home.path().join("admin.sock").display());
    let admin = Admin::open(hub, &AdminSettings::at(&listen), latency).expect("it opens");
    let place = admin.place().expect("it listens").clone();
    (admin.start().expect("it starts"), place, home)
}

fn get(place: &Place, path: &str) -> String {
    souk_meter::client::get(place, path, PATIENCE).expect(path)
}
