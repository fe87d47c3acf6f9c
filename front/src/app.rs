//! What a ring thread's requests share.

use crate::config::Settings;
use crate::upstream::Upstream;
use std::sync::Arc;

/// Everything that routes may use. Each ring thread has its own, so nothing in it is locked.
pub struct App {
    /// The settings of the process.
    pub settings: Arc<Settings>,
    /// The way to the daemons.
    pub upstream: Upstream,
}
