//! Channels: what is published there is heard on the shard's one connection.

use super::pipeline::{Redis, Shared};
use std::cell::{OnceCell, RefCell};
use std::collections::BTreeSet;

/// Hears what was published: the channel, and the message. An empty message: some may have been
/// missed, for the connection is new.
pub type Heard = Box<dyn Fn(&[u8], &[u8])>;

/// What is subscribed to, and who hears it.
#[derive(Default)]
pub struct Channels {
    heard: OnceCell<Heard>,
    /// On each connection.
    names: RefCell<BTreeSet<Vec<u8>>>,
}

impl Channels {
    /// Something was published.
    pub fn hears(&self, channel: &[u8], message: &[u8]) {
        if let Some(heard) = self.heard.get() {
            heard(channel, message);
        }
    }
}

impl Shared {
    /// Subscribes to everything on a new connection.
    pub(super) fn subscribe_all(&self) {
        let names: Vec<Vec<u8>> = self.channels.names.borrow().iter().cloned().collect();
        for name in names {
            self.say(|cmd| cmd.arg("SUBSCRIBE").arg(&name));
            self.channels.hears(&name, &[]);
        }
    }
}

impl Redis {
    /// Says who hears what is published. Once; later calls change nothing.
    pub fn on_message(&self, heard: Heard) {
        // The first stays, as documented.
        let _ = self.shared.channels.heard.set(heard);
    }

    /// Hears a channel from now on, on this connection and those that follow it.
    pub fn subscribe(&self, channel: &[u8]) {
        if self.shared.channels.names.borrow_mut().insert(channel.to_vec()) {
            self.shared.say(|cmd| cmd.arg("SUBSCRIBE").arg(channel));
        }
    }

    /// Hears a channel no longer.
    pub fn unsubscribe(&self, channel: &[u8]) {
        if self.shared.channels.names.borrow_mut().remove(channel) {
            self.shared.say(|cmd| cmd.arg("UNSUBSCRIBE").arg(channel));
        }
    }
}
