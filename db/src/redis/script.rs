//! The Lua scripts that Redis runs for us, embedded and hashed once.

use super::pipeline::{Answer, Redis};
use super::resp::Reply;
use crate::error::StoreError;
use ::redis::{Cmd, Script};

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

/// All scripts of the crate. The keys of each have one hash slot, so that a cluster can run them.
pub struct Scripts {
    /// Puts a versioned value unless a newer one is held.
    pub put: Lua,
    /// Sets what a name leads to, if nothing else was said about it meanwhile.
    pub hint: Lua,
    /// Replaces a session that still exists.
    pub session_touch: Lua,
    /// Drops all sessions but one.
    pub session_keep: Lua,
    /// Decides offers on an auction.
    pub bid: Lua,
    /// Stops bids on an auction for a moment.
    pub fence: Lua,
    /// Puts the state of an auction behind a fence.
    pub adopt: Lua,
}

impl Scripts {
    pub fn new() -> Scripts {
        Scripts {
            put: Lua::new(include_str!("../../lua/put.lua")),
            hint: Lua::new(include_str!("../../lua/hint.lua")),
            session_touch: Lua::new(include_str!("../../lua/session_touch.lua")),
            session_keep: Lua::new(include_str!("../../lua/session_keep.lua")),
            bid: Lua::new(include_str!("../../lua/bid.lua")),
            fence: Lua::new(include_str!("../../lua/fence.lua")),
            adopt: Lua::new(include_str!("../../lua/adopt.lua")),
        }
    }

    pub fn all(&self) -> [&Lua; 7] {
        let Scripts { put, hint, session_touch, session_keep, bid, fence, adopt } = self;
        [put, hint, session_touch, session_keep, bid, fence, adopt]
    }
}

impl Redis {
    /// Queues a script by its hash. The server may have forgotten it: then the reply is an error,
    /// and the scripts are loaded again for the next time.
    pub fn issue_script(
        &self,
        lua: &Lua,
        key: &[u8],
        args: &[&[u8]],
    ) -> Result<Answer, StoreError> {
        self.issue(|cmd| {
            let cmd = cmd.arg("EVALSHA").arg(lua.hash()).arg(1).arg(key);
            args.iter().fold(cmd, |cmd, arg| cmd.arg(*arg))
        })
    }

    /// Runs a script, sending its code if the server has forgotten it.
    pub async fn script(&self, lua: &Lua, key: &[u8], args: &[&[u8]]) -> Result<Reply, StoreError> {
        let add = |cmd: &mut Cmd| {
            args.iter().for_each(|arg| {
                cmd.arg(*arg);
            });
        };
        self.run_script(lua, &[key], add).await
    }

    /// The same on keys of one slot. The arguments are added by `build`, which may be called twice.
    pub async fn run_script(
        &self,
        lua: &Lua,
        keys: &[&[u8]],
        build: impl Fn(&mut Cmd),
    ) -> Result<Reply, StoreError> {
        let call = |how: &str, script: &str| {
            self.issue(|cmd| {
                cmd.arg(how).arg(script).arg(keys.len());
                keys.iter().for_each(|key| {
                    cmd.arg(*key);
                });
                build(cmd);
                cmd
            })
        };
        match call("EVALSHA", lua.hash())?.await {
            Err(StoreError::Unavailable { why, .. }) if why.starts_with("NOSCRIPT") => {
                call("EVAL", lua.code)?.await
            }
            reply => reply,
        }
    }
}
