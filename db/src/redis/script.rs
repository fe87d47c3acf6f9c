//! The Lua scripts that Redis runs for us, embedded and hashed once.

use ::redis::Script;

/// A script and its SHA-1, by which Redis knows it.
pub struct Lua {
    pub code: &'static str,
    script: Script,
}

impl Lua {
    fn new(code: &'static str) -> Lua {
        Lua { code, script: Script::new(code) }
    }

    pub fn hash(&self) -> &str {
        self.script.get_hash()
    }
}

/// All scripts of the crate. Each touches one key, so that a cluster can run them.
pub struct Scripts {
    /// Puts a versioned value unless a newer one is held.
    pub put: Lua,
    /// Sets what a name leads to, if nothing else was said about it meanwhile.
    pub hint: Lua,
    /// Replaces a session that still exists.
    pub session_touch: Lua,
    /// Drops all sessions but one.
    pub session_keep: Lua,
}

impl Scripts {
    pub fn new() -> Scripts {
        Scripts {
            put: Lua::new(include_str!("../../lua/put.lua")),
            hint: Lua::new(include_str!("../../lua/hint.lua")),
            session_touch: Lua::new(include_str!("../../lua/session_touch.lua")),
            session_keep: Lua::new(include_str!("../../lua/session_keep.lua")),
        }
    }

    pub fn all(&self) -> [&Lua; 4] {
        [&self.put, &self.hint, &self.session_touch, &self.session_keep]
    }
}
