//! Profile pictures: taken in under limits, re-encoded, stored by content, served from the ring.
//!
//! A picture is gathered in memory, recognised by its content, decoded under a memory limit on the
//! picture pool, cut to squares of 256 and 64 pixels, encoded anew without its metadata, and named
//! by the BLAKE3 hash of the larger square. The same picture is stored once, whoever uploads it.

mod decode;
mod file;
mod gather;
mod store;

pub use file::PictureFile;
pub use gather::ByteSource;

use crate::config::PictureSettings;
use crate::pool::Pool;
use gather::Uploads;
use souk_meter::{Queue, Stage};
use souk_proto::{Code, Failure};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use store::Store;

/// Edge length of a stored square.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// 256 pixels: the profile.
    Large,
    /// 64 pixels: lists.
    Small,
}

impl Size {
    /// Every size.
    pub const ALL: [Size; 2] = [Size::Large, Size::Small];

    /// The size with this edge length in pixels.
    pub fn from_pixels(pixels: u32) -> Option<Size> {
        Size::ALL.into_iter().find(|size| size.pixels() == pixels)
    }

    /// The edge length in pixels.
    pub fn pixels(self) -> u32 {
        match self {
            Size::Large => 256,
            Size::Small => 64,
        }
    }
}

/// The pictures of one daemon.
#[derive(Debug)]
pub struct Pictures {
    pool: Pool<()>,
    store: Arc<Store>,
    uploads: Uploads,
}

impl Pictures {
    /// Pictures under `state_dir/pictures`, which is made if it is missing.
    ///
    /// # Errors
    /// If the directory cannot be made or written, or the system gives no threads.
    pub fn open(state_dir: &Path, settings: &PictureSettings) -> io::Result<Pictures> {
        let threads = usize::try_from(settings.threads).unwrap_or(1);
        let queue = usize::try_from(settings.queue).unwrap_or(usize::MAX);
        Ok(Pictures {
            pool: Pool::start("picture", threads, queue, || ())?.measured(
                Queue::Pictures,
                Stage::Logic,
                Stage::Logic,
            ),
            store: Arc::new(Store::open(&state_dir.join("pictures"))?),
            uploads: Uploads::default(),
        })
    }

    /// How many pictures wait for a thread.
    pub fn waiting(&self) -> usize {
        self.pool.waiting()
    }

    /// Takes in a user's picture and gives the hash that it is stored under, 64 hex digits.
    ///
    /// # Errors
    /// What is wrong with the picture; `busy` when too many are under way, of this user or of all.
    pub async fn take(
        &self,
        user_id: u64,
        source: &mut impl ByteSource,
        deadline: Instant,
    ) -> Result<String, Failure> {
        let _place = self.uploads.place(user_id)?;
        let upload = self.uploads.gather(source).await?;
        let store = Arc::clone(&self.store);
        let job = move |(): &mut ()| {
            let squares = decode::squares(upload.bytes())?;
            // The upload's share of memory is free once it is decoded.
            drop(upload);
            let hash = blake3::hash(&squares.large).to_hex().to_string();
            store.put(&hash, &squares).map_err(|error| {
                tracing::error!(%error, "a picture cannot be stored");
                Failure::new(Code::Internal)
            })?;
            Ok(hash)
        };
        self.pool.run(deadline, job).await?
    }

    /// Opens a stored picture.
    ///
    /// # Errors
    /// `picture_not_found` when the hash is not one of ours.
    pub async fn get(&self, hash: &str, size: Size) -> Result<PictureFile, Failure> {
        let path = self.store.path(hash, size).ok_or(Code::PictureNotFound)?;
        PictureFile::open(&path).await
    }
}
