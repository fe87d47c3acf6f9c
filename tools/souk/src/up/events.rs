//! What happens while everything runs: log lines, a request to stop, an end that nobody asked for.

use std::io::{Read, Write};
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use souk_stack::Watch;

use super::noise::is_noise;
use crate::Failed;

/// What ends the wait.
pub enum Event {
    /// SIGTERM, SIGINT or SIGHUP.
    Stop,
    /// A child ended by itself.
    Ended {
        /// Which.
        label: String,
        /// How.
        status: ExitStatus,
    },
}

/// Gathers events from signals and children.
pub struct Events {
    inbox: Receiver<Event>,
    stop: Arc<AtomicBool>,
    watch: Arc<Labelled>,
}

impl Events {
    /// Begins to listen for signals. A second signal ends the process at once; its children die
    /// with it.
    pub fn begin() -> Result<Events, Failed> {
        let mut signals = souk_process::signal::termination()?;
        let (sender, inbox) = channel();
        let stop = Arc::new(AtomicBool::new(false));
        let asked = stop.clone();
        let on_signal = sender.clone();
        thread::spawn(move || {
            let mut byte = [0u8; 1];
            while signals.read_exact(&mut byte).is_ok() {
                if asked.swap(true, Ordering::Relaxed) {
                    std::process::exit(130);
                }
                on_signal.send(Event::Stop).ok();
            }
        });
        let watch = Labelled { stopping: AtomicBool::new(false), sender: Mutex::new(sender) };
        Ok(Events { inbox, stop, watch: Arc::new(watch) })
    }

    /// Waits for the next event.
    pub fn next(&self) -> Event {
        self.inbox.recv().expect("the signal thread holds a sender as long as we run")
    }

    /// Whether a signal has asked to stop.
    pub fn stop_asked(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// The flag that a signal sets.
    pub fn stop_flag(&self) -> Arc<AtomicBool> {
        self.stop.clone()
    }

    /// Who children tell their lines and their end.
    pub fn watch(&self) -> Arc<dyn Watch> {
        self.watch.clone()
    }

    /// From now on an end is expected.
    pub fn stopping(&self) {
        self.watch.stopping.store(true, Ordering::Relaxed);
    }

    /// A line of our own among the children's.
    pub fn say(&self, line: &str) {
        self.watch.line("souk", line);
    }
}

/// Shows lines that are not noise with their child's label on standard error.
struct Labelled {
    stopping: AtomicBool,
    sender: Mutex<Sender<Event>>,
}

impl Watch for Labelled {
    fn line(&self, label: &str, line: &str) {
        if is_noise(label, line) {
            return;
        }
        // One write, so that lines of two children do not mix. Nobody may be reading: fine.
        let text = format!("{label:>10} | {line}\n");
        std::io::stderr().write_all(text.as_bytes()).ok();
    }

    fn exited(&self, label: &str, status: ExitStatus) {
        if !self.stopping.load(Ordering::Relaxed) {
            let event = Event::Ended { label: label.to_owned(), status };
            self.sender.lock().expect("no holder panics").send(event).ok();
        }
    }
}
