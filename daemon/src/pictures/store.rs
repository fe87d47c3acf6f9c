//! Where pictures lie on disk: `ab/<hash>.256` and `ab/<hash>.64`, `ab` being the hash's first
//! two digits. A file that has its name is whole and on disk.

use super::Size;
use super::decode::Squares;
use crate::limits::PICTURE_LEFTOVER_AGE;
use std::fs::{self, DirEntry, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// How the names of files begin that are being written.
const TEMPORARY: &str = ".new-";

#[derive(Debug)]
pub(super) struct Store {
    dir: PathBuf,
}

impl Store {
    /// The store in this directory, which is made if it is missing.
    pub(super) fn open(dir: &Path) -> io::Result<Store> {
        fs::create_dir_all(dir)?;
        let store = Store { dir: dir.to_owned() };
        // Found out now rather than at the first upload.
        let probe = store.temporary_path()?;
        File::create_new(&probe)?;
        fs::remove_file(&probe)?;
        store.sweep()?;
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
        let temporary = self.temporary_path()?;
        let written = write_synced(&temporary, bytes)
            .and_then(|()| fs::rename(&temporary, path))
            .and_then(|()| File::open(dir)?.sync_all());
        if written.is_err() {
            // It may not exist; the error that matters is the one above.
            let _ = fs::remove_file(&temporary);
        }
        written
    }

    /// Removes what daemons that were killed in the middle of a write left behind.
    fn sweep(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            if !entry.file_name().to_string_lossy().starts_with(TEMPORARY) {
                continue;
            }
            // It may be gone again: another daemon renamed or removed it.
            if is_leftover(&entry).unwrap_or(false)
                && let Err(error) = fs::remove_file(entry.path())
            {
                tracing::debug!(%error, path = ?entry.path(), "a leftover picture stays");
            }
        }
        Ok(())
    }

    /// A name that nobody else uses, neither another thread nor another daemon on this directory.
    fn temporary_path(&self) -> io::Result<PathBuf> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
        Ok(self.dir.join(format!("{TEMPORARY}{:032x}", u128::from_ne_bytes(random))))
    }
}

fn is_leftover(entry: &DirEntry) -> io::Result<bool> {
    let written = entry.metadata()?.modified()?;
    // One that is from the future, as its clock has it, is not old.
    Ok(written.elapsed().is_ok_and(|age| age >= PICTURE_LEFTOVER_AGE))
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::{Size, Squares, Store};
    use crate::limits::PICTURE_LEFTOVER_AGE;
    use std::time::SystemTime;

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
    fn leftovers_of_killed_writers_go_after_a_day_and_nothing_else_does() {
        let dir = tempfile::tempdir().expect("dir");
        let make = |name: &str, age| {
            let file = std::fs::File::create(dir.path().join(name)).expect("file");
            file.set_modified(SystemTime::now() - age).expect("age");
        };
        make(".new-1-0", PICTURE_LEFTOVER_AGE);
        make(".new-under-way", PICTURE_LEFTOVER_AGE / 2);
        make("of-somebody-else", PICTURE_LEFTOVER_AGE * 2);
        let store = Store::open(dir.path()).expect("store");
        let mut names: Vec<_> = std::fs::read_dir(dir.path())
            .expect("dir")
            .map(|entry| entry.expect("entry").file_name())
            .collect();
        names.sort();
        assert_eq!(names, [".new-under-way", "of-somebody-else"]);
        let other = Store::open(dir.path()).expect("another daemon");
        assert_ne!(store.temporary_path().expect("path"), other.temporary_path().expect("path"));
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
