//! The handshake: HELLO in both directions, before anything else.

use crate::common::Hello;
use crate::limits::{NODE_MAX, PROTOCOL_VERSION, SECRET_MAX};
use subtle::ConstantTimeEq;

/// Why a peer's HELLO was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HelloError {
    /// The peer speaks another version of the link protocol.
    #[error(
        "the peer speaks link protocol {theirs}, this program {PROTOCOL_VERSION}: \
             run the same release on both sides"
    )]
    Version {
        /// What the peer speaks.
        theirs: u32,
    },
    /// The secret is not ours.
    #[error("the link secret differs: give front and daemon the same link_secret_file")]
    Secret,
    /// The node name is empty or too long.
    #[error("the peer's node name must have 1 to {NODE_MAX} bytes")]
    Node,
    /// There is no such shard.
    #[error("shard {wanted} was asked for; there are {shards}")]
    Shard {
        /// What was asked for.
        wanted: u32,
        /// How many there are.
        shards: u32,
    },
}

/// Checks a front's HELLO on the daemon's side. The secret is compared in constant time.
///
/// # Errors
/// See [`HelloError`].
pub fn check_front(hello: &Hello, secret: &[u8], shards: u32) -> Result<(), HelloError> {
    check_common(hello)?;
    let same = hello.secret.len() <= SECRET_MAX && bool::from(hello.secret[..].ct_eq(secret));
    if !same {
        return Err(HelloError::Secret);
    }
    if hello.shard >= shards {
        return Err(HelloError::Shard { wanted: hello.shard, shards });
    }
    Ok(())
}

/// Checks a daemon's HELLO on the front's side, which asked for `shard`.
///
/// # Errors
/// See [`HelloError`].
pub fn check_daemon(hello: &Hello, shard: u32) -> Result<(), HelloError> {
    check_common(hello)?;
    if hello.shard != shard || shard >= hello.shards {
        return Err(HelloError::Shard { wanted: shard, shards: hello.shards });
    }
    Ok(())
}

fn check_common(hello: &Hello) -> Result<(), HelloError> {
    if hello.version != PROTOCOL_VERSION {
        return Err(HelloError::Version { theirs: hello.version });
    }
    if hello.node.is_empty() || hello.node.len() > NODE_MAX {
        return Err(HelloError::Node);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{HelloError, check_daemon, check_front};
    use crate::common::Hello;
    use crate::limits::PROTOCOL_VERSION;
    use prost::Message;

    fn hello() -> Hello {
        Hello {
            version: PROTOCOL_VERSION,
            secret: b"secret".to_vec(),
            node: "front-1".into(),
            shard: 1,
            shards: 2,
        }
    }

    #[test]
    fn the_handshake_bytes_are_pinned() {
        let bytes = hello().encode_to_vec();
        let expected = b"\x08\x02\x12\x06secret\x1a\x07front-1\x20\x01\x28\x02";
        assert_eq!(bytes, expected);
    }

    #[test]
    fn a_right_hello_is_taken() {
        assert_eq!(check_front(&hello(), b"secret", 2), Ok(()));
        assert_eq!(check_daemon(&hello(), 1), Ok(()));
    }

    #[test]
    fn wrong_hellos_are_refused_with_their_reason() {
        for secret in [&b"secreT"[..], b"secre", b"secret1", b""] {
            assert_eq!(check_front(&hello(), secret, 2), Err(HelloError::Secret));
        }
        let newer = Hello { version: 3, ..hello() };
        assert_eq!(check_front(&newer, b"secret", 2), Err(HelloError::Version { theirs: 3 }));
        assert_eq!(
            check_front(&hello(), b"secret", 1),
            Err(HelloError::Shard { wanted: 1, shards: 1 })
        );
        assert!(check_daemon(&hello(), 0).is_err());
        let nameless = Hello { node: String::new(), ..hello() };
        assert_eq!(check_daemon(&nameless, 1), Err(HelloError::Node));
    }
}
