//! Turns `web/` into a table of embedded files, each with a gzip form and entity tags. The pages
//! among them are templates, which `layout.html` makes whole.

use flate2::Compression;
use flate2::write::GzEncoder;
use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, UndefinedBehavior, context};
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hasher};
use std::io::{Error, Write as _};
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() -> Result<(), Error> {
    println!("cargo::rerun-if-changed=web");
    println!("cargo::rerun-if-changed=layout.html");
    let variable = |name| env::var_os(name).map(PathBuf::from).ok_or(Error::other(name));
    let front = variable("CARGO_MANIFEST_DIR")?;
    let web = front.join("web");
    let out = variable("OUT_DIR")?;
    let templates = templates(&front)?;
    let mut names = Vec::new();
    list(&web, "", &mut names)?;
    names.sort();
    let mut table = String::from("static FILES: &[File] = &[\n");
    for (number, name) in names.iter().enumerate() {
        let mut source = web.join(name);
        if name.ends_with(".html") {
            let page = fs::read_to_string(&source)?;
            source = out.join(name);
            fs::write(&source, whole(&templates, name, &page)?)?;
        }
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

/// The layout, for pages that extend it.
fn templates(front: &Path) -> Result<Environment<'static>, Error> {
    let mut templates = Environment::new();
    templates.set_undefined_behavior(UndefinedBehavior::Strict);
    let mut syntax = SyntaxConfig::builder();
    syntax.trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true);
    templates.set_syntax(syntax.build().map_err(Error::other)?);
    let layout = fs::read_to_string(front.join("layout.html"))?;
    templates.add_template_owned("layout.html", layout).map_err(Error::other)?;
    Ok(templates)
}

/// A page in its layout.
fn whole(templates: &Environment, name: &str, page: &str) -> Result<String, Error> {
    let page = templates.template_from_named_str(name, page);
    page.and_then(|page| page.render(context! { page => name })).map_err(Error::other)
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
