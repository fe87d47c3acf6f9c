//! Functions by address in this process, and their names as people read them.

use std::ffi::c_void;

/// The functions at an address, the outermost first: what was inlined there follows the function
/// itself. One without a name is `[unknown]`.
pub fn at(address: u64) -> Vec<String> {
    let mut names = Vec::new();
    // `resolve` takes return addresses and looks one byte before them.
    let pointer = usize::try_from(address.saturating_add(1)).unwrap_or(0) as *mut c_void;
    backtrace::resolve(pointer, |symbol| {
        let name = symbol.name().map_or_else(|| "[unknown]".into(), |name| format!("{name:#}"));
        let file = symbol.filename().and_then(|file| file.to_str());
        names.push(placed(short(&name), file).replace(';', ":"));
    });
    if names.is_empty() {
        names.push("[unknown]".into());
    }
    names.reverse();
    names
}

/// A name with the end of its file's path, `poll [upstream/link.rs]`, if it does not say by itself
/// where it belongs: line tables give inlined functions their bare names.
pub fn placed(name: String, file: Option<&str>) -> String {
    let Some(file) = file.filter(|_| !name.contains("::") && !name.starts_with('[')) else {
        return name;
    };
    let start = file.rmatch_indices('/').nth(1).map_or(0, |(at, _)| at + 1);
    format!("{name} [{}]", &file[start..])
}

/// A name without its generic arguments: `a::b<C>::d` is `a::b::d`, but `<A as B>::c` stays.
pub fn short(name: &str) -> String {
    let mut kept = String::with_capacity(name.len());
    let mut depth = 0_usize;
    let mut last = ' ';
    for sign in name.chars() {
        let opens = sign == '<' && (depth > 0 || last.is_alphanumeric() || "_:}".contains(last));
        if opens {
            depth += 1;
        } else if depth > 0 {
            // "->" closes nothing.
            depth -= usize::from(sign == '>' && last != '-');
        } else {
            kept.push(sign);
        }
        last = sign;
    }
    kept.trim_end_matches(':').replace("::::", "::")
}

#[cfg(test)]
mod tests {
    use super::{at, placed, short};

    #[test]
    fn names_lose_generic_arguments_only() {
        for (long, kept) in [
            ("a::b", "a::b"),
            ("a::b::<c::D<E>>", "a::b"),
            ("a::b<C>::d", "a::b::d"),
            ("a::b::<fn(C) -> D>::d", "a::b::d"),
            ("<a::B<C> as d::E>::f", "<a::B as d::E>::f"),
            ("a::{closure#0}::<B>", "a::{closure#0}"),
            ("a<b", "a"),
            (">->", ">->"),
        ] {
            assert_eq!(short(long), kept);
        }
    }

    #[test]
    fn bare_names_get_their_file() {
        let placed = |name: &str, file| placed(name.to_owned(), file);
        assert_eq!(placed("poll", Some("/a/b/upstream/link.rs")), "poll [upstream/link.rs]");
        assert_eq!(placed("poll", Some("link.rs")), "poll [link.rs]");
        assert_eq!(placed("a::poll", Some("/a/b/link.rs")), "a::poll");
        assert_eq!(placed("poll", None), "poll");
    }

    #[test]
    fn an_address_of_nothing_has_no_name() {
        assert_eq!(at(1), ["[unknown]"]);
        assert_eq!(at(u64::MAX), ["[unknown]"]);
    }
}
