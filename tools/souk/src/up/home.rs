//! The directory that `souk up` lives in.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use souk_stack::{make_private_dir, write_secret};

use crate::Failed;
use crate::database::daemon_file;

/// A directory with everything that is kept between runs, locked while we use it.
pub struct Home {
    dir: PathBuf,
    _lock: Option<File>,
}

impl Home {
    /// Makes the directory if needed and locks it. A second user of one directory is refused.
    pub fn open(dir: &Path) -> Result<Home, Failed> {
        let dir = std::path::absolute(dir)?;
        let mut home = Home::at(&dir);
        make_private_dir(&dir)?;
        home._lock = Some(lock(&dir)?);
        home.prepare()?;
        Ok(home)
    }

    /// The paths of `dir`, neither made nor locked.
    pub fn at(dir: &Path) -> Home {
        Home { dir: dir.to_owned(), _lock: None }
    }

    /// Makes what is missing: folders and secrets.
    fn prepare(&self) -> Result<(), Failed> {
        for folder in ["conf", "run", "secrets", "state"] {
            make_private_dir(&self.path(folder))?;
        }
        for secret in ["secrets/link", "secrets/token"] {
            write_secret(&self.path(secret))?;
        }
        Ok(())
    }

    /// The directory's full path.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The path of something in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The path of something in it, as text for a settings file.
    pub fn text(&self, name: &str) -> String {
        self.path(name).to_string_lossy().into_owned()
    }

    /// The Unix socket with this name, as the programs' settings take it.
    pub fn socket(&self, name: &str) -> String {
        format!("unix:{}", self.text(&format!("run/{name}.sock")))
    }

    /// The daemon's settings file.
    pub fn daemon_file(&self) -> PathBuf {
        daemon_file(&self.dir)
    }

    /// The front's settings file.
    pub fn front_file(&self) -> PathBuf {
        self.path("conf/souk-front.toml")
    }
}

/// Who runs in `dir`, if anyone does.
pub fn runs_in(dir: &Path) -> Option<String> {
    let mut file = File::open(dir.join("lock")).ok()?;
    if file.try_lock().is_ok() {
        return None;
    }
    let mut pid = String::new();
    file.read_to_string(&mut pid).ok()?;
    Some(pid.trim().to_owned())
}

fn lock(dir: &Path) -> Result<File, Failed> {
    let path = dir.join("lock");
    let mut file =
        File::options().read(true).write(true).create(true).truncate(false).open(&path)?;
    if file.try_lock().is_err() {
        let pid = runs_in(dir).unwrap_or_default();
        return Err(Failed(format!(
            "`souk up` runs in {} already (process {pid}): stop it, or use another --dir",
            dir.display()
        )));
    }
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())?;
    Ok(file)
}
