//! What ends a daemon: a signal, or a shard's thread that ends by itself.

use crate::startup::StartupError;
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, Sender, channel};

/// Something that ends the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// SIGTERM, SIGINT or SIGHUP.
    Signal,
    /// A shard's thread ended.
    ShardEnded(u32),
}

/// Where the main thread waits for events.
pub(crate) struct Events {
    sender: Sender<Event>,
    receiver: Receiver<Event>,
}

/// Sends its event when it is dropped, so also when its thread panics.
pub(crate) struct Notice {
    sender: Sender<Event>,
    event: Event,
}

impl Events {
    /// Takes SIGTERM, SIGINT and SIGHUP from now on.
    pub(crate) fn install() -> Result<Events, StartupError> {
        let system = |source| StartupError::System { what: "wait for signals", source };
        let signals = souk_process::signal::termination().map_err(system)?;
        let (sender, receiver) = channel();
        let events = Events { sender: sender.clone(), receiver };
        std::thread::Builder::new()
            .name("signals".into())
            .spawn(move || forward(signals, &sender))
            .map_err(system)?;
        Ok(events)
    }

    /// Waits for the next event.
    pub(crate) fn next(&self) -> Event {
        self.receiver.recv().expect("the sender is held beside it")
    }

    /// A notice of this event.
    pub(crate) fn notice(&self, event: Event) -> Notice {
        Notice { sender: self.sender.clone(), event }
    }

    /// From now on a second signal ends the process at once.
    pub(crate) fn exit_at_next_signal(self) {
        // Without this thread the drain limit still holds; only the shortcut is missing.
        let _ = std::thread::Builder::new().name("impatience".into()).spawn(move || {
            while self.next() != Event::Signal {}
            tracing::warn!("second signal: exiting at once");
            std::process::exit(1);
        });
    }
}

impl Drop for Notice {
    fn drop(&mut self) {
        // Nobody listens while the daemon ends.
        let _ = self.sender.send(self.event);
    }
}

fn forward(mut signals: UnixStream, sender: &Sender<Event>) {
    loop {
        match signals.read(&mut [0]) {
            Ok(1..) => {
                if sender.send(Event::Signal).is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // The other end lives as long as the process.
            Ok(_) | Err(_) => return,
        }
    }
}
