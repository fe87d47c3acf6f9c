//! What is shown while a run goes on, and how it is ended early.

use std::io::{IsTerminal, Read, Write};
use std::time::Duration;

use souk_perf::engine::{Phase, Progress, Stop};
use souk_perf::report::{milliseconds, thousands};

use crate::Failed;

/// Ends the run at Ctrl-C, so that what was measured is shown; a second one ends the program.
pub fn stop_at_signal() -> Result<Stop, Failed> {
    let mut signals = souk_process::signal::termination()?;
    let stop = Stop::default();
    let ours = stop.clone();
    std::thread::spawn(move || {
        let mut byte = [0u8; 1];
        while signals.read_exact(&mut byte).is_ok() {
            if ours.stopped() {
                std::process::exit(130);
            }
            ours.stop();
        }
    });
    Ok(stop)
}

/// A line on standard error that is written over each second; on no terminal, one in ten and the
/// first of each part of a run.
pub struct Line {
    terminal: bool,
    seconds: u32,
    phase: Option<Phase>,
}

impl Line {
    /// Nothing shown yet.
    pub fn new() -> Line {
        Line { terminal: std::io::stderr().is_terminal(), seconds: 0, phase: None }
    }

    /// Shows how a run goes.
    pub fn show(&mut self, progress: &Progress) {
        self.seconds += 1;
        let phase_began = self.phase.replace(progress.phase) != Some(progress.phase);
        if self.terminal {
            put(&format!("\r\x1b[K{}", text(progress)));
        } else if phase_began || self.seconds.is_multiple_of(10) {
            put(&format!("{}\n", text(progress)));
        }
    }

    /// Shows that something begins.
    pub fn say(&self, line: &str) {
        self.clear();
        put(&format!("{line}\n"));
    }

    /// Takes the line away.
    pub fn clear(&self) {
        if self.terminal {
            put("\r\x1b[K");
        }
    }
}

/// Nobody may be reading: fine.
fn put(text: &str) {
    let mut out = std::io::stderr().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn text(progress: &Progress) -> String {
    let Progress { elapsed, total, phase, open_connections, interval, recent, errors } = progress;
    let phase = match phase {
        Phase::Ramp => "ramp",
        Phase::WarmUp => "warm-up",
        Phase::Measuring => "measuring",
        Phase::Draining => "draining",
    };
    #[allow(clippy::cast_precision_loss)] // counts stay far below 2^52
    let rate = recent.answered as f64 / interval.max(&Duration::from_millis(1)).as_secs_f64();
    #[allow(clippy::cast_precision_loss)] // a minute at most
    let p99 = recent.latency.value_at_quantile(0.99) as f64 / 1e3;
    format!(
        "{:>4.0} of {:.0} s  {phase:9}  {open_connections} open  {}/s  p99 {}  {} errors",
        elapsed.as_secs_f64(),
        total.as_secs_f64(),
        thousands(rate),
        milliseconds(p99),
        errors.total(),
    )
}
