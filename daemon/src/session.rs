//! One link to a front: a reader, a writer, and the requests that run.
//!
//! The reader owns the inbox and feeds [`core`]; what starts goes to `dispatch` as a task of its
//! own. The writer takes everything that is queued in one write, so a turn's answers leave
//! together. A read in flight is never dropped: the socket is shut down and the read awaited.

pub(crate) mod core;
pub(crate) mod link;
pub(crate) mod signal;
pub mod stream;

use self::core::Step;
use self::link::Link;
use crate::dispatch;
use crate::measures::UNKNOWN;
use souk_meter::Batch;
use souk_proto::{Inbox, Kind};
use std::rc::Rc;
use tokio_uring::buf::BoundedBuf;

/// Serves a link to its end: runs requests until either side closes.
pub(crate) async fn serve(link: &Rc<Link>, mut inbox: Inbox) {
    let writer = tokio_uring::spawn(write(Rc::clone(link)));
    let why = read(link, &mut inbox).await;
    link.close(&why);
    // The writer ends soon: it flushes what is queued, and the ticker cuts it off if it cannot.
    if writer.await.is_err() {
        link.shut_down();
    }
}

/// Reads until the link ends; returns why it did.
async fn read(link: &Rc<Link>, inbox: &mut Inbox) -> String {
    loop {
        if let Err(why) = take_frames(link, inbox) {
            return why;
        }
        let buffer = inbox.lend();
        let end = buffer.len();
        let (read, slice) = link.socket.read(buffer.slice(end..)).await;
        inbox.restore(slice.into_inner());
        match read {
            Ok(0) => return "its peer closed it".into(),
            Ok(_) => link.core.borrow_mut().heard(souk_meter::now()),
            Err(error) => return format!("it cannot be read: {error}"),
        }
    }
}

/// Handles the whole frames that are there.
fn take_frames(link: &Rc<Link>, inbox: &mut Inbox) -> Result<(), String> {
    let now = souk_meter::now();
    while let Some(frame) = inbox.next().map_err(|error| error.to_string())? {
        if link.is_closing() {
            return Err("it closes".into());
        }
        let step = link.core.borrow_mut().receive(frame, now);
        match step.map_err(|violation| violation.to_string())? {
            Step::Quiet => {}
            Step::Start(call, payload) => dispatch::start(link, &call, payload),
            Step::Refuse(id, failure) => {
                souk_meter::refused(UNKNOWN, failure.code as usize);
                link.refuse(id, &failure);
            }
            Step::Abort(task) => task.abort(),
            Step::Pong(id) => link.send_empty(Kind::Pong, id),
        }
    }
    link.close_if_drained();
    Ok(())
}

/// Writes what is queued until the link closes, then ends both directions, which ends the reader.
async fn write(link: Rc<Link>) {
    loop {
        let queued = link.outbox.borrow_mut().take();
        match queued {
            Some(buffer) => {
                souk_meter::batch(Batch::Link, link.frames.take());
                let (written, buffer) = link.socket.write_all(buffer).await;
                if let Err(error) = written {
                    link.close(&format!("it cannot be written: {error}"));
                    break;
                }
                link.outbox.borrow_mut().recycle(buffer);
                link.written.notify_waiters();
            }
            None if link.is_closing() => break,
            None => link.queued.wait().await,
        }
    }
    link.shut_down();
}
