//! Uploads on their way in: gathered in memory that is bounded for each and for all, a few at a
//! time for each user, so that nobody takes the room of all others.

use crate::limits::{
    PICTURE_BYTES_MAX, UPLOAD_BYTES_MAX, UPLOAD_RETRY_AFTER, UPLOADS_PER_USER_MAX,
};
use crate::session::stream::BodyStream;
use souk_proto::{Code, Failure};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Something that gives bytes piece by piece.
pub trait ByteSource {
    /// The next piece, or nothing after the last.
    fn next(&mut self) -> impl Future<Output = Option<Result<Vec<u8>, Failure>>>;
}

impl ByteSource for BodyStream {
    async fn next(&mut self) -> Option<Result<Vec<u8>, Failure>> {
        BodyStream::next(self).await
    }
}

/// All uploads of the process that are under way.
#[derive(Debug, Default)]
pub(super) struct Uploads {
    /// Bytes in memory.
    held: Arc<AtomicUsize>,
    /// How many uploads each user has under way; who has none is not in it.
    places: Mutex<HashMap<u64, usize, foldhash::fast::RandomState>>,
}

/// One of a user's places for uploads, until it is dropped.
pub(super) struct Place<'a> {
    uploads: &'a Uploads,
    user_id: u64,
}

/// A whole upload. It counts against the bound until it is dropped.
pub(super) struct Upload {
    bytes: Vec<u8>,
    held: Arc<AtomicUsize>,
    share: usize,
}

impl Uploads {
    /// A place for an upload of this user.
    ///
    /// # Errors
    /// `busy` when the user has [`UPLOADS_PER_USER_MAX`] under way.
    pub(super) fn place(&self, user_id: u64) -> Result<Place<'_>, Failure> {
        let mut places = self.places();
        let taken = places.entry(user_id).or_insert(0);
        if *taken >= UPLOADS_PER_USER_MAX {
            let why = format!(
                "{UPLOADS_PER_USER_MAX} pictures of this user are being uploaded. Wait until one \
                 is done."
            );
            return Err(Failure::because(Code::Busy, why).retry_after(UPLOAD_RETRY_AFTER));
        }
        *taken += 1;
        Ok(Place { uploads: self, user_id })
    }

    fn places(&self) -> MutexGuard<'_, HashMap<u64, usize, foldhash::fast::RandomState>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gathers an upload, whatever length was announced for it.
    ///
    /// # Errors
    /// `picture_too_large` past its own bound, `busy` past the bound of all.
    pub(super) async fn gather(&self, source: &mut impl ByteSource) -> Result<Upload, Failure> {
        let mut upload = Upload { bytes: Vec::new(), held: Arc::clone(&self.held), share: 0 };
        while let Some(piece) = source.next().await {
            let piece = piece?;
            if upload.bytes.len() + piece.len() > PICTURE_BYTES_MAX {
                return Err(Failure::new(Code::PictureTooLarge));
            }
            upload.take_share(piece.len())?;
            upload.bytes.extend_from_slice(&piece);
        }
        Ok(upload)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut places = self.uploads.places();
        if let Some(taken) = places.get_mut(&self.user_id) {
            *taken -= 1;
            if *taken == 0 {
                places.remove(&self.user_id);
            }
        }
    }
}

impl Upload {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn take_share(&mut self, more: usize) -> Result<(), Failure> {
        let held = self.held.fetch_add(more, Ordering::Relaxed) + more;
        self.share += more;
        if held > UPLOAD_BYTES_MAX {
            let why = "Too many pictures are being uploaded. Try again shortly.";
            return Err(Failure::because(Code::Busy, why).retry_after(UPLOAD_RETRY_AFTER));
        }
        Ok(())
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        self.held.fetch_sub(self.share, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::Uploads;
    use crate::limits::{PICTURE_BYTES_MAX, UPLOAD_BYTES_MAX};
    use crate::session::stream::BodyStream;
    use souk_proto::Code;
    use std::sync::atomic::Ordering;

    fn gather(uploads: &Uploads, pieces: usize, len: usize) -> Result<super::Upload, Code> {
        let mut source = BodyStream::of((0..pieces).map(|_| vec![1; len]));
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
        runtime.block_on(uploads.gather(&mut source)).map_err(|failure| failure.code)
    }

    #[test]
    fn an_upload_is_bounded_by_what_comes_not_by_what_was_announced() {
        let uploads = Uploads::default();
        let whole = gather(&uploads, 5, PICTURE_BYTES_MAX / 5).expect("fits");
        assert_eq!(whole.bytes().len(), PICTURE_BYTES_MAX);
        assert_eq!(gather(&uploads, 6, PICTURE_BYTES_MAX / 5).err(), Some(Code::PictureTooLarge));
    }

    #[test]
    fn one_user_takes_two_places_and_never_those_of_others() {
        let uploads = Uploads::default();
        let held = [uploads.place(1), uploads.place(1)].map(|place| place.expect("free"));
        let refused = uploads.place(1).err().expect("taken");
        assert_eq!((refused.code, refused.retry_after_ms), (Code::Busy, 2_000));
        assert!(uploads.place(2).is_ok());
        drop(held);
        assert!(uploads.place(1).is_ok());
        assert!(uploads.places().is_empty(), "who has none takes no memory");
    }

    #[test]
    fn all_uploads_together_are_bounded_and_give_their_share_back() {
        let uploads = Uploads::default();
        let fit = UPLOAD_BYTES_MAX / PICTURE_BYTES_MAX;
        let held: Vec<_> = (0..fit).map(|_| gather(&uploads, 1, PICTURE_BYTES_MAX)).collect();
        assert!(held.iter().all(Result::is_ok));
        assert_eq!(gather(&uploads, 1, PICTURE_BYTES_MAX).err(), Some(Code::Busy));
        drop(held);
        assert_eq!(uploads.held.load(Ordering::Relaxed), 0);
        assert!(gather(&uploads, 1, PICTURE_BYTES_MAX).is_ok());
    }
}
