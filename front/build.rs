//! Turns `web/` into a table of embedded files, each with a gzip form and entity tags.

use flate2::Compression;
use flate2::write::GzEncoder;
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hasher};
use std::io::{Error, Write as _};
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() -> Result<(), Error> {
    println!("cargo::rerun-if-changed=web");
    let variable = |name| env::var_os(name).map(PathBuf::from).ok_or(Error::other(name));
    let web = variable("CARGO_MANIFEST_DIR")?.join("web");
    let out = variable("OUT_DIR")?;
    let mut names = Vec::new();
    list(&web, "", &mut names)?;
    names.sort();
    let mut table = String::from("static FILES: &[File] = &[\n");
    for (number, name) in names.iter().enumerate() {
        let source = web.join(name);
        let bytes = fs::read(&source)?;
        let zipped = out.join(format!("{number}.gz"));
        fs::write(&zipped, gzip(&bytes)?)?;
        let tag = tag(&bytes);
        writeln!(
            table,
            "    File {{ name: {name:?}, media_type: {media:?}, tag: {plain_tag:?}, \
             gzip_tag: {gzip_tag:?}, bytes: include_bytes!({source:?}), \
             gzip: include_bytes!({zipped:?}) }},",
            media = media_type(name)?,
            plain_tag = format!("\"{tag}\""),
            gzip_tag = format!("\"{tag}-gzip\""),
        )
        .map_err(Error::other)?;
    }
    table.push_str("];\n");
    fs::write(out.join("web.rs"), table)
}

/// Names all files below a folder.
fn list(folder: &Path, prefix: &str, names: &mut Vec<String>) -> Result<(), Error> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name =
            entry.file_name().into_string().map_err(|_| Error::other("a name is no text"))?;
        if name.starts_with('.') {
            continue;
        }
        let name = format!("{prefix}{name}");
        if entry.file_type()?.is_dir() {
            list(&entry.path(), &format!("{name}/"), names)?;
        } else {
            names.push(name);
        }
    }
    Ok(())
}

/// The gzip form; empty if it would not be smaller.
fn gzip(bytes: &[u8]) -> Result<Vec<u8>, Error> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    let zipped = encoder.finish()?;
    Ok(if zipped.len() < bytes.len() { zipped } else { Vec::new() })
}

/// Tells versions of a file apart; nothing secret hangs on it.
fn tag(bytes: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    format!("{:016x}", hasher.finish())
}

fn media_type(name: &str) -> Result<&'static str, Error> {
    Ok(match name.rsplit_once('.').map(|(_, ending)| ending) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("json") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("webp") => "image/webp",
        _ => return Err(Error::other(format!("which media type has web/{name}?"))),
    })
}
