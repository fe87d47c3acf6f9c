//! Spawns children so that none outlives us.
//!
//! The parent-death signal of Linux fires when the *thread* that spawned the child ends, so all
//! children come from one thread that never does. Each child leads its own process group: Ctrl-C
//! in a terminal reaches us alone, and we stop the children in order.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};
use std::thread;

struct Order {
    command: Command,
    answer: Sender<io::Result<Child>>,
}

/// Spawns `command` as a child that is killed when this process ends in whatever way.
pub fn spawn_bound(mut command: Command) -> io::Result<Child> {
    let us = rustix::process::getpid();
    command.process_group(0);
    let bind = move || {
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
        // We may have died between the fork and the line above.
        if rustix::process::getppid() == Some(us) {
            Ok(())
        } else {
            Err(io::Error::from_raw_os_error(rustix::io::Errno::SRCH.raw_os_error()))
        }
    };
    #[allow(unsafe_code)] // pre_exec: the closure makes two async-signal-safe system calls
    unsafe {
        command.pre_exec(bind);
    }
    let (answer, child) = channel();
    spawner().send(Order { command, answer }).expect("the spawner thread never ends");
    child.recv().expect("the spawner thread answers every order")
}

fn spawner() -> &'static Sender<Order> {
    static SPAWNER: OnceLock<Sender<Order>> = OnceLock::new();
    SPAWNER.get_or_init(|| {
        let (orders, inbox) = channel::<Order>();
        thread::Builder::new()
            .name("spawner".into())
            .spawn(move || {
                for mut order in inbox {
                    // A requester that gave up leaves a child we must not leak.
                    if let Err(lost) = order.answer.send(order.command.spawn())
                        && let Ok(mut child) = lost.0
                    {
                        child.kill().and_then(|()| child.wait()).ok();
                    }
                }
            })
            .expect("a thread can be started at process start");
        orders
    })
}
