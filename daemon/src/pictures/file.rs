//! A stored picture, read through the ring.

use souk_proto::accounts::PictureHead;
use souk_proto::{Code, Failure};
use std::io;
use std::path::Path;
use tokio_uring::fs::File;

/// First bytes of a PNG (W3C PNG, section 5.2); what is stored is PNG or JPEG.
const PNG_SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

/// An open picture.
pub struct PictureFile {
    file: File,
    length: u64,
    media_type: &'static str,
}

impl PictureFile {
    /// Opens a stored picture.
    pub(super) async fn open(path: &Path) -> Result<PictureFile, Failure> {
        let file = File::open(path).await.map_err(|error| failed(&error))?;
        let length = file.statx().await.map_err(|error| failed(&error))?.stx_size;
        let (read, head) = file.read_at(Vec::with_capacity(PNG_SIGNATURE.len()), 0).await;
        read.map_err(|error| failed(&error))?;
        let media_type = if head == PNG_SIGNATURE { "image/png" } else { "image/jpeg" };
        Ok(PictureFile { file, length, media_type })
    }

    /// What the picture is and how long.
    pub fn head(&self) -> PictureHead {
        PictureHead { media_type: self.media_type.to_owned(), length: self.length }
    }

    /// Length in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Reads at most as many bytes as the buffer has capacity for, from `offset` on. The answer
    /// holds what was read, in the same memory; it is empty past the end.
    ///
    /// # Errors
    /// `internal` when the disk fails.
    pub async fn read_at(&self, offset: u64, mut buffer: Vec<u8>) -> Result<Vec<u8>, Failure> {
        buffer.clear();
        let (read, buffer) = self.file.read_at(buffer, offset).await;
        read.map_err(|error| failed(&error))?;
        Ok(buffer)
    }
}

impl std::fmt::Debug for PictureFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PictureFile").field("length", &self.length).finish_non_exhaustive()
    }
}

fn failed(error: &io::Error) -> Failure {
    if error.kind() == io::ErrorKind::NotFound {
        return Failure::new(Code::PictureNotFound);
    }
    tracing::error!(%error, "a stored picture cannot be read");
    Failure::new(Code::Internal)
}
