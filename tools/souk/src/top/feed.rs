//! Asks the programs each second, from a thread of its own.

use std::collections::BTreeSet;
use std::sync::mpsc::SyncSender;
use std::thread;
use std::time::Instant;

use super::Event;
use super::model::{Answer, Round};
use super::screen::Told;
use crate::observe::{Admin, AdminArgs, Reading, Samples, ask_all};
use crate::{Failed, limits};

/// Asks once.
///
/// # Errors
/// If nobody answers: there is nothing to show, and most likely the address is wrong.
pub fn first(args: &AdminArgs) -> Result<Round, Failed> {
    let round = Asker::new().ask(args);
    let mut silent = round.answers.iter().filter_map(|(_, answer)| answer.as_ref().err());
    if round.answers.iter().any(|(_, answer)| answer.is_ok()) {
        return Ok(round);
    }
    let why = silent.by_ref().map(String::as_str).collect::<Vec<_>>();
    Err(args.nobody(&why.join("; ")))
}

/// Asks from now on.
pub fn start(args: AdminArgs, events: SyncSender<Event>) {
    thread::spawn(move || {
        let told = Told { name: "the reader of the programs", events };
        let mut asker = Asker::new();
        let mut next = Instant::now();
        loop {
            next = (next + limits::TOP_EVERY).max(Instant::now());
            thread::sleep(next.saturating_duration_since(Instant::now()));
            if told.events.send(Event::Round(asker.ask(&args))).is_err() {
                return;
            }
        }
    });
}

/// Remembers who answered: whoever goes away takes its socket along, and shall be missed.
struct Asker {
    began: Instant,
    known: BTreeSet<Admin>,
}

impl Asker {
    fn new() -> Asker {
        Asker { began: Instant::now(), known: BTreeSet::new() }
    }

    fn ask(&mut self, args: &AdminArgs) -> Round {
        let mut admins: BTreeSet<Admin> = self.known.clone();
        admins.extend(args.find());
        let admins: Vec<Admin> = admins.into_iter().take(limits::PROGRAMS_MAX).collect();
        let at_s = self.began.elapsed().as_secs_f64();
        let answers = ask_all(&admins, |admin| {
            let reading = Reading::ask(admin)?;
            let samples = Samples::parse(&admin.get("/metrics")?)
                .map_err(|error| format!("{admin}: {error}"))?;
            Ok(Answer { reading, samples })
        });
        let answers: Vec<_> = admins.into_iter().zip(answers).collect();
        let answered = answers.iter().filter(|(_, answer)| answer.is_ok());
        self.known.extend(answered.map(|(admin, _)| admin.clone()));
        Round { at_s, answers }
    }
}
