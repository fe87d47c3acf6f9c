//! The first words on a connection to Redis.

use super::pipeline::{Answer, RunId, Shared};
use super::resp::Reply;
use super::script::{Lua, Scripts};
use crate::error::{Server, StoreError};

/// Logs in, asks to be told of changes, loads the scripts, and learns the run id.
pub async fn greet(shared: &Shared, scripts: &Scripts) -> Result<RunId, StoreError> {
    let address = &shared.address;
    // RESP3: only there a reply and the word of a change come in order on one connection.
    let hello = shared.greet(|cmd| {
        let cmd = cmd.arg("HELLO").arg(3);
        match &address.password {
            Some(password) => {
                let username = address.username.as_deref().unwrap_or("default");
                cmd.arg("AUTH").arg(username).arg(password)
            }
            None => cmd,
        }
    });
    let track = shared.greet(|cmd| cmd.arg("CLIENT").arg("TRACKING").arg("ON").arg("OPTIN"));
    let mut waits = Vec::new();
    if address.database != 0 {
        waits.push(shared.greet(|cmd| cmd.arg("SELECT").arg(address.database)));
    }
    waits.extend(load_scripts(shared, scripts));
    let info = shared.greet(|cmd| cmd.arg("INFO").arg("server"));
    hello.await.map_err(needs)?;
    track.await.map_err(needs)?;
    for wait in waits {
        wait.await?;
    }
    let Reply::Bulk(info) = info.await? else {
        return Err(StoreError::corrupt(Server::Redis, "INFO gave no text"));
    };
    let mut run = RunId::default();
    let found = memchr::memmem::find(&info, b"run_id:").map(|at| &info[at + 7..]);
    match found.and_then(|id| id.get(..run.len())) {
        Some(id) if id.iter().all(u8::is_ascii_alphanumeric) => run.copy_from_slice(id),
        _ => return Err(StoreError::corrupt(Server::Redis, "INFO gave no run_id")),
    }
    Ok(run)
}

/// A refusal of what older servers and strict access lists lack, with what to do. A wrong password
/// is refused here too, and its own words say so.
fn needs(error: StoreError) -> StoreError {
    match error {
        StoreError::Unavailable { why, .. }
            if why.starts_with("ERR") || why.starts_with("NOPERM") =>
        {
            StoreError::redis(format!(
                "{why}. Souk needs Redis 6 or newer and a user who may call HELLO and CLIENT: \
                 upgrade it, or allow them with ACL SETUSER"
            ))
        }
        other => other,
    }
}

pub fn load_scripts(shared: &Shared, scripts: &Scripts) -> Vec<Answer> {
    let load = |lua: &&Lua| shared.greet(|cmd| cmd.arg("SCRIPT").arg("LOAD").arg(lua.code));
    scripts.all().iter().map(load).collect()
}
