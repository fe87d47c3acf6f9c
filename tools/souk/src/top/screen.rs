//! The terminal: taken for drawing, given back whatever happens.

use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::SyncSender;
use std::thread;

use ratatui::crossterm::event::{self, Event as Input};
use ratatui::{DefaultTerminal, Frame};

use super::Event;

/// A terminal in the mode that drawing needs. Dropping it gives it back; so does a panic, before
/// its message is written.
pub struct Screen {
    terminal: DefaultTerminal,
}

impl Screen {
    /// Takes the terminal of this process.
    ///
    /// # Errors
    /// If it cannot be switched.
    pub fn take() -> io::Result<Screen> {
        // It also puts a hook before the one that writes a panic's message.
        Ok(Screen { terminal: ratatui::try_init()? })
    }

    /// Draws one picture, in the size that the terminal has now.
    ///
    /// # Errors
    /// If the terminal is gone.
    pub fn draw(&mut self, picture: impl FnOnce(&mut Frame)) -> io::Result<()> {
        self.terminal.draw(picture).map(drop)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing back.
        let _ = ratatui::try_restore();
    }
}

/// Sends `Event::Lost` when its thread ends by a panic: the screen must not stand still for ever.
pub struct Told {
    pub name: &'static str,
    pub events: SyncSender<Event>,
}

impl Drop for Told {
    fn drop(&mut self) {
        if thread::panicking() {
            let _ = self.events.send(Event::Lost(self.name));
        }
    }
}

/// Waits for keys and changes of size.
pub fn start_keys(events: SyncSender<Event>) {
    thread::spawn(move || {
        let told = Told { name: "the reader of keys", events };
        loop {
            let event = match event::read() {
                Ok(Input::Key(key)) => Event::Key(key),
                Ok(Input::Resize(..)) => Event::Resized,
                Ok(_) => continue,
                // The terminal is gone.
                Err(_) => Event::Stop,
            };
            let last = matches!(event, Event::Stop);
            if told.events.send(event).is_err() || last {
                return;
            }
        }
    });
}

/// Waits for a signal that asks to stop.
pub fn start_signals(mut signals: UnixStream, events: SyncSender<Event>) {
    thread::spawn(move || {
        if signals.read_exact(&mut [0]).is_ok() {
            let _ = events.send(Event::Stop);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use rustix::termios::{LocalModes, tcgetattr};
    use std::fs::File;
    use std::os::fd::OwnedFd;
    use std::process::Command;

    /// Set for the test below when it runs as a child in a terminal of its own.
    const IN_A_TERMINAL: &str = "SOUK_TEST_IN_A_TERMINAL";

    /// Both ends of a new terminal.
    fn terminal() -> (File, OwnedFd) {
        let main = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&main).expect("granted");
        unlockpt(&main).expect("unlocked");
        let name = ptsname(&main, Vec::new()).expect("its name");
        let other = File::options().read(true).write(true).open(name.to_str().expect("ASCII"));
        (main.into(), other.expect("opened").into())
    }

    #[test]
    fn a_panic_gives_the_terminal_back_before_its_message_is_written() {
        if std::env::var_os(IN_A_TERMINAL).is_some() {
            let mut screen = Screen::take().expect("taken");
            screen.draw(|_| panic!("a picture failed")).expect("not reached");
        }
        let (mut main, other) = terminal();
        let before = tcgetattr(&other).expect("modes").local_modes;
        let name =
            "top::screen::tests::a_panic_gives_the_terminal_back_before_its_message_is_written";
        let end = || other.try_clone().expect("cloned");
        let mut child = Command::new(std::env::current_exe().expect("our path"))
            .args(["--exact", name, "--nocapture"])
            .env(IN_A_TERMINAL, "1")
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .expect("started");
        let status = child.wait().expect("ended");
        assert!(!status.success());
        let after = tcgetattr(&other).expect("modes").local_modes;
        assert!(after.contains(LocalModes::ICANON) && after == before, "{before:?} {after:?}");
        drop(other);
        let mut written = Vec::new();
        // Reading a terminal that nobody holds any more ends with an error.
        let _ = main.read_to_end(&mut written);
        let written = String::from_utf8_lossy(&written).into_owned();
        let left = written.find("\x1b[?1049l").expect("the other screen is left");
        let said = written.find("a picture failed").expect("the message is written");
        assert!(left < said, "{written}");
    }
}
