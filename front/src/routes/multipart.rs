//! A picture out of a multipart form, passed on while it arrives.
//!
//! The parser wants a stream that may cross threads, and a request body never leaves its ring. So
//! the parser reads from a slot, and whoever asks it for more fills the slot from the body when the
//! parser runs dry. At most one piece of the body is on the way at any time.

use super::limits::{ASKED_AFTER_END_MAX, MULTIPART_EXTRA_MAX, MULTIPART_MAX};
use crate::http::{BodySource, Head, NextChunk};
use futures_util::stream::Stream;
use multer::{Constraints, Field, Multipart, SizeLimit};
use souk_proto::{Code, Failure};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

/// The picture of a form; a [`BodySource`] of its bytes.
pub(super) struct Picture {
    form: Form,
    field: Field<'static>,
}

/// Finds the part named `picture` of a form.
///
/// # Errors
/// [`Code::MalformedBody`] for what is no multipart form, [`Code::InvalidField`] if it has no such
/// part, and whatever ends the body early.
pub(super) async fn picture(head: &Head, body: Box<dyn BodySource>) -> Result<Picture, Failure> {
    let media_type = head.header_str("content-type").unwrap_or_default();
    let boundary = multer::parse_boundary(media_type).map_err(|_| {
        malformed("The Content-Type names no boundary between the parts of the form.")
    })?;
    let slot = Slot::default();
    let limits = SizeLimit::new().whole_stream(MULTIPART_MAX);
    let constraints = Constraints::new().size_limit(limits);
    let parser = Multipart::with_constraints(slot.clone(), boundary, constraints);
    let mut form = Form { parser, slot, body, fed: 0 };
    while let Some(field) = form.next_field().await? {
        // Other fields are skipped.
        if field.name() == Some("picture") {
            return Ok(Picture { form, field });
        }
    }
    Err(Failure::field("picture", "The form has no file in a field named picture."))
}

impl BodySource for Picture {
    fn next(&mut self) -> NextChunk<'_> {
        Box::pin(async move {
            loop {
                match self.form.chunk(&mut self.field).await {
                    Ok(Some(piece)) if piece.is_empty() => {}
                    Ok(Some(piece)) => return Some(Ok(piece.into())),
                    Ok(None) => return self.form.skip_rest().await.err().map(Err),
                    Err(failure) => return Some(Err(failure)),
                }
            }
        })
    }
}

struct Form {
    parser: Multipart<'static>,
    slot: Slot,
    body: Box<dyn BodySource>,
    /// Bytes that came so far.
    fed: u64,
}

impl Form {
    async fn next_field(&mut self) -> Result<Option<Field<'static>>, Failure> {
        loop {
            let polled = poll_fn(|cx| Poll::Ready(self.parser.poll_next_field(cx))).await;
            match polled {
                Poll::Ready(field) => return field.map_err(|error| explain(&error)),
                Poll::Pending if self.fed > MULTIPART_EXTRA_MAX => {
                    // Up to here nothing was the picture, and the parser keeps what it searches.
                    let detail = "There is too much in the form before the picture.";
                    return Err(Failure::because(Code::PayloadTooLarge, detail));
                }
                Poll::Pending => self.feed().await?,
            }
        }
    }

    async fn chunk(&mut self, field: &mut Field<'static>) -> Result<Option<bytes::Bytes>, Failure> {
        loop {
            let polled = poll_fn(|cx| Poll::Ready(Pin::new(&mut *field).poll_next(cx))).await;
            match polled {
                Poll::Ready(None) => return Ok(None),
                Poll::Ready(Some(piece)) => {
                    return piece.map(Some).map_err(|error| explain(&error));
                }
                Poll::Pending => self.feed().await?,
            }
        }
    }

    /// Gives the parser the next piece of the body, or tells it that there is none. A parser that
    /// is not done after that would wait for ever, so the second time is an error.
    async fn feed(&mut self) -> Result<(), Failure> {
        let piece = match self.body_piece().await {
            Some(piece) => Some(piece?),
            None => None,
        };
        self.fed += piece.as_ref().map_or(0, |piece| piece.len() as u64);
        self.slot.put(piece)
    }

    /// Reads the body to its end, so that the connection can go on after it.
    async fn skip_rest(&mut self) -> Result<(), Failure> {
        while let Some(piece) = self.body_piece().await {
            piece?;
        }
        self.slot.put(None)
    }

    async fn body_piece(&mut self) -> Option<Result<Vec<u8>, Failure>> {
        if self.slot.ended() { None } else { self.body.next().await }
    }
}

/// Where the parser finds what was fed.
#[derive(Clone, Default)]
struct Slot(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    piece: Option<Vec<u8>>,
    ended: bool,
    /// How often the end was told.
    told: u32,
}

impl Slot {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // Nothing panics while it is held, and a state is whole between any two of its changes.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ended(&self) -> bool {
        self.state().ended
    }

    fn put(&self, piece: Option<Vec<u8>>) -> Result<(), Failure> {
        let mut state = self.state();
        if piece.is_some() {
            state.piece = piece;
            return Ok(());
        }
        state.ended = true;
        state.told += 1;
        if state.told > ASKED_AFTER_END_MAX {
            return Err(malformed("The form is cut off."));
        }
        Ok(())
    }
}

impl Stream for Slot {
    type Item = Result<Vec<u8>, std::convert::Infallible>;

    /// Never keeps the waker: whoever polled fills the slot and polls again.
    fn poll_next(self: Pin<&mut Self>, _: &mut Context) -> Poll<Option<Self::Item>> {
        let mut state = self.state();
        match state.piece.take() {
            Some(piece) => Poll::Ready(Some(Ok(piece))),
            None if state.ended => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

fn malformed(detail: &str) -> Failure {
    Failure::because(Code::MalformedBody, detail)
}

fn explain(error: &multer::Error) -> Failure {
    match error {
        multer::Error::FieldSizeExceeded { .. } | multer::Error::StreamSizeExceeded { .. } => {
            Failure::new(Code::PayloadTooLarge)
        }
        _ => malformed("The body is not a whole multipart form."),
    }
}

#[cfg(test)]
mod tests {
    use super::{Picture, picture};
    use crate::http::{BodySource, Head, NextChunk, head};
    use crate::routes::limits::MULTIPART_EXTRA_MAX;
    use futures_util::FutureExt;
    use proptest::prelude::*;
    use souk_proto::{Code, Failure};
    use std::collections::VecDeque;

    /// A body in pieces, and perhaps a failure at its end.
    struct Pieces(VecDeque<Result<Vec<u8>, Failure>>);

    impl BodySource for Pieces {
        fn next(&mut self) -> NextChunk<'_> {
            Box::pin(async { self.0.pop_front() })
        }
    }

    fn pieces(body: &[u8], size: usize) -> Box<dyn BodySource> {
        Box::new(Pieces(body.chunks(size.max(1)).map(|piece| Ok(piece.to_vec())).collect()))
    }

    fn form(content_type: &str) -> Head {
        let text = format!("PUT / HTTP/1.1\r\nhost: a\r\ncontent-type: {content_type}\r\n\r\n");
        head::parse(text.as_bytes()).expect("valid").expect("whole").0
    }

    fn find(body: Box<dyn BodySource>) -> Result<Picture, Failure> {
        let head = form("multipart/form-data; boundary=XX");
        picture(&head, body).now_or_never().expect("nothing to wait for")
    }

    fn read(body: Box<dyn BodySource>) -> Result<Vec<u8>, Failure> {
        let mut picture = find(body)?;
        let mut bytes = Vec::new();
        while let Some(piece) = picture.next().now_or_never().expect("nothing to wait for") {
            let piece = piece?;
            assert!(!piece.is_empty(), "pieces are not empty");
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }

    fn part(name: &str, value: &[u8]) -> Vec<u8> {
        let head = format!("--XX\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n");
        [head.as_bytes(), value, b"\r\n"].concat()
    }

    #[test]
    fn whatever_is_no_form_with_a_picture_is_refused() {
        let good = [part("picture", b"bytes"), b"--XX--\r\n".to_vec()].concat();
        assert_eq!(read(pieces(&good, 7)).expect("good"), b"bytes");
        let code = |body: &[u8]| read(pieces(body, 5)).expect_err("bad").code;
        assert_eq!(code(b""), Code::MalformedBody);
        assert_eq!(code(b"nonsense"), Code::MalformedBody);
        assert_eq!(code(b"--XX--\r\n"), Code::InvalidField);
        assert_eq!(code(&part("picture", b"bytes")), Code::MalformedBody, "no last boundary");
        let end = good.len() - "\r\n--XX--\r\n".len();
        for cut in 1..end + 4 {
            assert_eq!(code(&good[..cut]), Code::MalformedBody, "cut at {cut}");
        }
        let other = [part("image", b"bytes"), b"--XX--\r\n".to_vec()].concat();
        assert_eq!(code(&other), Code::InvalidField);
        let found = picture(&form("multipart/form-data"), pieces(&good, 7)).now_or_never();
        assert_eq!(found.expect("at once").err().expect("bad").code, Code::MalformedBody);
    }

    #[test]
    fn the_failure_of_a_body_comes_through() {
        let lost = Failure::new(Code::RequestTimeout);
        let body = Pieces([Ok(part("picture", b"bytes")), Err(lost.clone())].into());
        assert_eq!(read(Box::new(body)).expect_err("lost"), lost);
    }

    #[test]
    fn what_stands_before_the_picture_is_bounded() {
        let size = usize::try_from(MULTIPART_EXTRA_MAX).expect("small") * 2;
        let long = [part("other", &vec![b'x'; size]), part("picture", b"a")].concat();
        assert_eq!(read(pieces(&long, 4096)).expect_err("long").code, Code::PayloadTooLarge);
        assert_eq!(
            read(pieces(&vec![b'x'; size], 4096)).expect_err("long").code,
            Code::PayloadTooLarge
        );
    }

    proptest! {
        #[test]
        fn a_picture_comes_through_whatever_the_pieces(
            bytes in proptest::collection::vec(any::<u8>(), 0..3000),
            size in 1usize..500,
        ) {
            let last = b"--XX--\r\n".to_vec();
            let body = [part("other", b"skipped"), part("picture", &bytes), last].concat();
            prop_assert_eq!(read(pieces(&body, size)).expect("good"), bytes);
        }

        #[test]
        fn any_body_ends_without_panic(
            body in proptest::collection::vec(proptest::sample::select(vec![
                "--XX", "\r\n", "--", "a", "Content-Disposition: form-data; name=\"picture\"",
            ]), 0..20),
            size in 1usize..50,
        ) {
            let _ = read(pieces(body.concat().as_bytes(), size));
        }
    }
}
