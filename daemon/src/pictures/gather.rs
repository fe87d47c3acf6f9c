//! Uploads on their way in: gathered in memory that is bounded for each and for all.

use crate::limits::{PICTURE_BYTES_MAX, UPLOAD_BYTES_MAX};
use crate::session::stream::BodyStream;
use souk_proto::{Code, Failure};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

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

/// Bytes of all uploads in memory.
#[derive(Debug, Default)]
pub(super) struct Uploads {
    held: Arc<AtomicUsize>,
}

/// A whole upload. It counts against the bound until it is dropped.
pub(super) struct Upload {
    bytes: Vec<u8>,
    held: Arc<AtomicUsize>,
    share: usize,
}

impl Uploads {
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

impl Upload {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn take_share(&mut self, more: usize) -> Result<(), Failure> {
        let held = self.held.fetch_add(more, Ordering::Relaxed) + more;
        self.share += more;
        if held > UPLOAD_BYTES_MAX {
            let why = "Too many pictures are being uploaded. Try again shortly.";
            return Err(Failure::because(Code::Busy, why).retry_after(Duration::from_secs(2)));
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
