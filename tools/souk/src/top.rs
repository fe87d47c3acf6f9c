//! `souk top`: a terminal screen that is read and drawn anew each second.
//!
//! One thread asks the programs, one waits for keys, one for signals; the main thread alone owns
//! the model and the terminal. Whatever ends, by whatever way, the terminal is given back.

mod draw;
mod feed;
mod heat;
mod interval;
mod model;
mod screen;

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::mpsc::sync_channel;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use crate::observe::AdminArgs;
use crate::{Failed, limits};
use model::{Model, Round};
use screen::Screen;

/// Flags of `souk top`.
#[derive(clap::Args)]
pub struct TopArgs {
    #[command(flatten)]
    admin: AdminArgs,
}

/// What the screen waits for.
enum Event {
    /// New figures.
    Round(Round),
    /// A key was pressed.
    Key(KeyEvent),
    /// The terminal has another size.
    Resized,
    /// A signal asks to stop, or nobody can press a key any more.
    Stop,
    /// A thread has ended that should not have; its message is on the terminal.
    Lost(&'static str),
}

/// Draws until it is asked to stop.
pub fn run(args: TopArgs) -> Result<ExitCode, Failed> {
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        return Err("souk top needs a terminal. For a file or a pipe: souk latency --watch".into());
    }
    // Before the screen is taken: an error is then read where people look for it.
    let first = feed::first(&args.admin)?;
    let signals = souk_process::signal::termination()?;
    let (sender, events) = sync_channel(limits::EVENTS_MAX);
    let mut model = Model::default();
    model.apply(first);
    let mut screen = Screen::take()?;
    feed::start(args.admin, sender.clone());
    screen::start_keys(sender.clone());
    screen::start_signals(signals, sender);
    loop {
        screen.draw(|frame| draw::draw(frame, &model))?;
        match events.recv() {
            Ok(Event::Round(round)) => model.apply(round),
            Ok(Event::Key(key)) if ends(key) => return Ok(ExitCode::SUCCESS),
            Ok(Event::Key(_) | Event::Resized) => {}
            Ok(Event::Stop) => return Ok(ExitCode::SUCCESS),
            Ok(Event::Lost(what)) => {
                return Err(format!("{what} ended; its last words are above").into());
            }
            Err(_) => return Err("nobody reads the programs any more".into()),
        }
    }
}

/// In the mode that a screen needs, Ctrl-C is a key like any other.
fn ends(key: KeyEvent) -> bool {
    let interrupt = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    let ends = matches!(key.code, KeyCode::Char('q' | 'Q') | KeyCode::Esc);
    key.kind == KeyEventKind::Press && (ends || interrupt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn q_escape_and_control_c_end_it_and_no_other_key_does() {
        let key = |code, modifiers| KeyEvent::new(code, modifiers);
        for code in [KeyCode::Char('q'), KeyCode::Char('Q'), KeyCode::Esc] {
            assert!(ends(key(code, KeyModifiers::NONE)));
        }
        assert!(ends(key(KeyCode::Char('c'), KeyModifiers::CONTROL)));
        for code in [KeyCode::Char('c'), KeyCode::Char('x'), KeyCode::Enter, KeyCode::Up] {
            assert!(!ends(key(code, KeyModifiers::NONE)));
        }
    }
}
