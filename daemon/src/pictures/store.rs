//! Where pictures lie on disk: `ab/<hash>.256` and `ab/<hash>.64`, `ab` being the hash's first
//! two digits. A file that has its name is whole and on disk.

use super::Size;
use super::decode::Squares;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Debug)]
pub(super) struct Store {
    dir: PathBuf,
    temporary: AtomicU64,
}

impl Store {
    /// The store in this directory, which is made if it is missing.
    pub(super) fn open(dir: &Path) -> io::Result<Store> {
        fs::create_dir_all(dir)?;
        let store = Store { dir: dir.to_owned(), temporary: AtomicU64::new(0) };
        // Found out now rather than at the first upload.
        let probe = store.temporary_path();
        File::create(&probe)?;
        fs::remove_file(&probe)?;
        Ok(store)
    }

    /// The path of a picture, if this is a hash: 64 lower case hex digits.
    pub(super) fn path(&self, hash: &str, size: Size) -> Option<PathBuf> {
        let hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        (hash.len() == 64 && hash.bytes().all(hex))
            .then(|| self.dir.join(&hash[..2]).join(format!("{hash}.{}", size.pixels())))
    }

    /// Stores both squares. They are on disk when this returns.
    pub(super) fn put(&self, hash: &str, squares: &Squares) -> io::Result<()> {
        for (size, bytes) in [(Size::Small, &squares.small), (Size::Large, &squares.large)] {
            let path = self.path(hash, size).ok_or(io::ErrorKind::InvalidInput)?;
            let same = fs::metadata(&path).is_ok_and(|found| found.len() == bytes.len() as u64);
            if !same {
                self.write(&path, bytes)?;
            }
        }
        Ok(())
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let dir = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        if !dir.is_dir() {
            fs::create_dir_all(dir)?;
            File::open(&self.dir)?.sync_all()?;
        }
        let temporary = self.temporary_path();
        let written = write_synced(&temporary, bytes)
            .and_then(|()| fs::rename(&temporary, path))
            .and_then(|()| File::open(dir)?.sync_all());
        if written.is_err() {
            // It may not exist; the error that matters is the one above.
            let _ = fs::remove_file(&temporary);
        }
        written
    }

    /// A name that no other thread or process uses.
    fn temporary_path(&self) -> PathBuf {
        let number = self.temporary.fetch_add(1, Ordering::Relaxed);
        self.dir.join(format!(".new-{}-{number}", std::process::id()))
    }
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::{Size, Squares, Store};

    #[test]
    fn a_stored_picture_is_found_whole_and_nothing_else_is_left() {
        let dir = tempfile::tempdir().expect("dir");
        let store = Store::open(dir.path()).expect("store");
        let hash = "ab".repeat(32);
        let squares = Squares { large: vec![1; 300], small: vec![2; 30] };
        store.put(&hash, &squares).expect("put");
        store.put(&hash, &squares).expect("put again");
        let read = |size| std::fs::read(store.path(&hash, size).expect("path")).expect("file");
        assert_eq!(read(Size::Large), squares.large);
        assert_eq!(read(Size::Small), squares.small);
        let names: Vec<_> = std::fs::read_dir(dir.path())
            .expect("dir")
            .map(|entry| entry.expect("entry").file_name())
            .collect();
        assert_eq!(names, ["ab"]);
    }

    #[test]
    fn only_hashes_have_paths() {
        let dir = tempfile::tempdir().expect("dir");
        let store = Store::open(dir.path()).expect("store");
        for bad in ["", "../../etc/passwd", &"AB".repeat(32), &"a".repeat(63), &"é".repeat(32)] {
            assert_eq!(store.path(bad, Size::Small), None);
        }
    }
}
