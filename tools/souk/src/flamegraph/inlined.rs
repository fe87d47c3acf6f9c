//! Puts inlined functions back into stacks.
//!
//! A release build inlines most of a request's path into a few large functions. The line tables
//! know what came from where; without them a graph of such a build shows little more than `poll`.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::File;
use std::path::Path;

use addr2line::Loader;
use object::{Object, ObjectSegment, ReadCache};
use souk_process::sampler::names::{placed, short};

use crate::limits;

/// Functions by address, for the files met so far.
#[derive(Default)]
pub struct Inlined {
    files: HashMap<String, Option<Module>>,
    /// What comes before a frame's line: of callers, and of the innermost frames.
    lines: [HashMap<String, String>; 2],
    /// Whether the latest line was a frame.
    within: bool,
}

struct Module {
    loader: Loader,
    /// Offset in the file, length, address.
    segments: Vec<(u64, u64, u64)>,
}

impl Inlined {
    /// Appends a line of `perf script` to `out`, and before a frame's line, one for each function
    /// that was inlined there.
    pub fn expand(&mut self, line: &str, out: &mut String) {
        let is_frame = line.starts_with('\t');
        let innermost = is_frame && !self.within;
        self.within = is_frame;
        if let Some(frame) = is_frame.then(|| Frame::parse(line)).flatten() {
            let known = usize::from(innermost);
            if !self.lines[known].contains_key(line) {
                if self.lines[known].len() == limits::INLINED_CACHE {
                    self.lines[known].clear();
                }
                let inlined = self.inlined(&frame, innermost).unwrap_or_default();
                self.lines[known].insert(line.to_owned(), inlined);
            }
            out.push_str(&self.lines[known][line]);
        }
        out.push_str(line);
        out.push('\n');
    }

    fn inlined(&mut self, frame: &Frame, innermost: bool) -> Option<String> {
        let module = self.files.entry(frame.file.to_owned()).or_insert_with(|| {
            Path::new(frame.file).is_absolute().then(|| Module::open(frame.file)).flatten()
        });
        module.as_ref()?.inlined(frame, innermost)
    }
}

/// "\t  2d024 name+0x24 (/path)"
struct Frame<'a> {
    /// As perf prints it: an offset in the file.
    at: u64,
    /// Offset in the function.
    offset: u64,
    file: &'a str,
}

impl<'a> Frame<'a> {
    fn parse(line: &'a str) -> Option<Frame<'a>> {
        let (at, rest) = line.trim_start().split_once(' ')?;
        let (symbol, file) = rest.rsplit_once(" (")?;
        let (_, offset) = symbol.rsplit_once("+0x")?;
        Some(Frame {
            at: u64::from_str_radix(at, 16).ok()?,
            offset: u64::from_str_radix(offset, 16).ok()?,
            file: file.strip_suffix(')')?,
        })
    }
}

impl Module {
    fn open(path: &str) -> Option<Module> {
        let cache = ReadCache::new(File::open(path).ok()?);
        let object = object::File::parse(&cache).ok()?;
        let segments = object.segments().map(|segment| {
            let (offset, length) = segment.file_range();
            (offset, length, segment.address())
        });
        let segments = segments.collect();
        Some(Module { loader: Loader::new(path).ok()?, segments })
    }

    /// The lines of what is inlined at `frame`, the innermost first.
    fn inlined(&self, frame: &Frame, innermost: bool) -> Option<String> {
        let within = |(offset, length, _): &&(u64, u64, u64)| {
            frame.at.checked_sub(*offset).is_some_and(|into| into < *length)
        };
        let (offset, _, address) = self.segments.iter().find(within)?;
        let at = frame.at - offset + address;
        // Another build's file, or a perf that counts addresses another way, names nothing.
        if self.loader.find_symbol_info(at)?.address() != at.checked_sub(frame.offset)? {
            return None;
        }
        // A frame that called another holds where it goes on, which may be other code already.
        let back = u64::from(!innermost);
        let mut frames = self.loader.find_frames(at.saturating_sub(back)).ok()?;
        let mut names = Vec::new();
        while let Ok(Some(found)) = frames.next() {
            let function = found.function?;
            let file = found.location.as_ref().and_then(|location| location.file);
            names.push(placed(short(&function.demangle().ok()?), file));
        }
        // The last is the function itself, which perf has named.
        names.pop();
        let mut lines = String::new();
        for name in names {
            writeln!(lines, "\t{:x} {} (inlined)", frame.at, name).ok()?;
        }
        Some(lines)
    }
}

#[cfg(test)]
mod tests {
    use super::Inlined;
    use proptest::prelude::*;

    #[test]
    fn what_is_no_frame_of_a_file_stays_as_it_is() {
        let mut inlined = Inlined::default();
        for line in ["", "a 1 2.3: event:", "\tff name+0x1 ([kernel])", "\t1 x+0x1 (/nowhere)"] {
            let mut out = String::new();
            inlined.expand(line, &mut out);
            assert_eq!(out, format!("{line}\n"));
        }
    }

    proptest! {
        #[test]
        fn any_line_is_kept_whole(line in "\\PC{0,40}") {
            let mut out = String::new();
            Inlined::default().expand(&line, &mut out);
            prop_assert_eq!(out.strip_suffix('\n'), Some(line.as_str()));
        }
    }
}
