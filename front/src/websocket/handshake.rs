//! The request that asks for a WebSocket, and the answer that grants it.

use crate::http::{Head, Response, Version};
use data_encoding::BASE64;
use sha1::{Digest, Sha1};
use souk_proto::{Code, Failure};

/// What RFC 6455 has every server add to the client's key.
const SUFFIX: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The version of the protocol that is spoken here.
pub const VERSION: &str = "13";

/// Whether the request asks for a WebSocket.
pub fn is_wanted(head: &Head) -> bool {
    names(head, "upgrade", "websocket")
}

/// Whether a field that lists words has this one.
fn names(head: &Head, field: &str, word: &str) -> bool {
    let values = head.headers(field).filter_map(|value| std::str::from_utf8(value).ok());
    values.flat_map(|value| value.split(',')).any(|each| each.trim().eq_ignore_ascii_case(word))
}

/// The answer that grants it; its body is for the caller to add.
///
/// # Errors
/// [`Code::BadRequest`], with what is missing.
pub fn accept(head: &Head) -> Result<Response, Failure> {
    let bad = |detail: &str| Failure::because(Code::BadRequest, detail);
    if head.version != Version::Http11 || !names(head, "connection", "upgrade") {
        return Err(bad("A WebSocket needs HTTP/1.1 and `Connection: Upgrade`."));
    }
    if head.header_str("sec-websocket-version") != Some(VERSION) {
        return Err(bad("A WebSocket needs `Sec-WebSocket-Version: 13`."));
    }
    if !head.framing.is_empty() {
        return Err(bad("A request for a WebSocket has no body."));
    }
    let key = head.header("sec-websocket-key").unwrap_or_default();
    let mut keys = head.headers("sec-websocket-key").skip(1);
    let whole = BASE64.decode(key).is_ok_and(|bytes| bytes.len() == 16);
    if !whole || keys.next().is_some() {
        return Err(bad("A WebSocket needs one `Sec-WebSocket-Key` of 16 bytes in base64."));
    }
    let digest = Sha1::new().chain_update(key).chain_update(SUFFIX).finalize();
    Ok(Response::new(101)
        .header("upgrade", "websocket")
        .header("sec-websocket-accept", BASE64.encode(&digest)))
}

#[cfg(test)]
mod tests {
    use super::{accept, is_wanted};
    use crate::http::{Head, head};
    use souk_proto::Code;

    const FIELDS: [&str; 4] = [
        "upgrade: websocket\r\n",
        "connection: keep-alive, Upgrade\r\n",
        "sec-websocket-version: 13\r\n",
        "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
    ];

    fn request(version: &str, fields: &str) -> Head {
        let text = format!("GET / HTTP/{version}\r\nhost: a\r\n{fields}\r\n");
        head::parse(text.as_bytes()).expect("valid").expect("whole").0
    }

    #[test]
    fn the_example_of_the_standard_is_granted() {
        let head = request("1.1", &FIELDS.concat());
        assert!(is_wanted(&head));
        let response = accept(&head).expect("granted");
        assert_eq!(response.status, 101);
        let key = response.headers.get("sec-websocket-accept");
        assert_eq!(key, Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        assert_eq!(response.headers.get("upgrade"), Some("websocket"));
    }

    #[test]
    fn whatever_is_missing_or_wrong_refuses_it() {
        let refused = |version: &str, fields: &str| {
            accept(&request(version, fields)).err().map(|failure| failure.code)
        };
        for missing in 1..FIELDS.len() {
            let mut fields = FIELDS;
            fields[missing] = "";
            assert_eq!(refused("1.1", &fields.concat()), Some(Code::BadRequest), "{missing}");
        }
        let whole = FIELDS.concat();
        assert_eq!(refused("1.0", &whole), Some(Code::BadRequest));
        for (good, bad) in [
            ("Upgrade", "Upgraded"),
            ("version: 13", "version: 8"),
            ("ZQ==", "Z"),
            ("dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ="),
            ("dGhlIHNhbXBsZSBub25jZQ==", "!"),
        ] {
            assert_eq!(refused("1.1", &whole.replace(good, bad)), Some(Code::BadRequest), "{bad}");
        }
        let twice = format!("{whole}{}", FIELDS[3]);
        assert_eq!(refused("1.1", &twice), Some(Code::BadRequest));
        let body = format!("{whole}content-length: 2\r\n");
        assert_eq!(refused("1.1", &body), Some(Code::BadRequest));
        assert!(!is_wanted(&request("1.1", "upgrade: h2c\r\n")));
        assert!(!is_wanted(&request("1.1", "")));
    }
}
