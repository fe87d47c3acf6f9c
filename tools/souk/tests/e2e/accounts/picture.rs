//! Pictures: upload, serving, refusal.

use super::person::{Person, client};
use super::{refused, stack};
use crate::client::Answer;
use serde_json::Value;
use ureq::http::Method;

const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

/// A small PNG made without an image library: an uncompressed deflate stream.
pub fn png(edge: u32) -> Vec<u8> {
    let mut rows = Vec::new();
    for y in 0..edge {
        rows.push(0);
        for x in 0..edge {
            rows.extend([x.to_le_bytes()[0], y.to_le_bytes()[0], 128]);
        }
    }
    let mut data = vec![0x78, 0x01];
    let chunks: Vec<_> = rows.chunks(65_535).collect();
    for (number, chunk) in chunks.iter().enumerate() {
        data.push(u8::from(number + 1 == chunks.len()));
        let length = u16::try_from(chunk.len()).expect("a chunk");
        data.extend(length.to_le_bytes());
        data.extend((!length).to_le_bytes());
        data.extend_from_slice(chunk);
    }
    let (mut a, mut b) = (1u32, 0u32);
    for byte in &rows {
        a = (a + u32::from(*byte)) % 65_521;
        b = (b + a) % 65_521;
    }
    data.extend((b << 16 | a).to_be_bytes());
    let mut png = SIGNATURE.to_vec();
    let mut head = Vec::new();
    head.extend(edge.to_be_bytes());
    head.extend(edge.to_be_bytes());
    head.extend([8, 2, 0, 0, 0]);
    for (name, body) in [(b"IHDR", &head), (b"IDAT", &data), (b"IEND", &Vec::new())] {
        png.extend(u32::try_from(body.len()).expect("small").to_be_bytes());
        let start = png.len();
        png.extend_from_slice(name);
        png.extend_from_slice(body);
        let sum = crc(&png[start..]);
        png.extend(sum.to_be_bytes());
    }
    png
}

fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 }
        })
    })
}

fn put(person: &Person, kind: &str, body: &[u8]) -> Answer {
    person.send(Method::PUT, "/api/v1/me/picture", &[("content-type", kind)], body)
}

fn path(user: &Value) -> String {
    user["picture"].as_str().expect("a picture").to_owned()
}

#[test]
fn a_picture_is_stored_in_two_sizes_and_served_for_ever() {
    let stack = stack();
    let client = client(&stack);
    let ada = Person::new(&client, "ada");
    let answer = put(&ada, "image/png", &png(300));
    assert_eq!(answer.status, 200, "{answer:?}");
    let path = path(&answer.json());
    assert_eq!(client.get("/api/v1/users/by-name/ada").json()["picture"], path);
    let large = client.get(&path);
    let small = client.get(&format!("{path}?size=64"));
    assert_eq!((large.status, small.status), (200, 200));
    assert!(large.header("content-type").starts_with("image/"));
    assert!(large.header("cache-control").contains("immutable"));
    assert!(small.body.len() < large.body.len());
    assert_eq!(client.get(&format!("{path}?size=256")).body, large.body);
    let tag = large.header("etag");
    let same = client.send(Method::GET, &path, &[("if-none-match", tag)], &[]);
    assert_eq!((same.status, same.body.len()), (304, 0));
    assert!([400, 404].contains(&client.get(&format!("{path}?size=63")).status));
    refused(&client.get(&format!("/pictures/{}", "0".repeat(64))), 404, "picture_not_found");
    assert!(client.get("/pictures/..%2f..%2fetc%2fpasswd").status / 100 == 4);

    let dropped = ada.delete("/api/v1/me/picture");
    assert_eq!(dropped.status, 200, "{dropped:?}");
    assert!(dropped.json()["picture"].is_null());
}

#[test]
fn a_multipart_form_brings_a_picture_too() {
    let stack = stack();
    let client = client(&stack);
    let ada = Person::new(&client, "ada");
    let mut body = b"--cut\r\nContent-Disposition: form-data; name=\"picture\"; \
                     filename=\"a.png\"\r\nContent-Type: image/png\r\n\r\n"
        .to_vec();
    body.extend(png(100));
    body.extend(b"\r\n--cut--\r\n");
    let answer = put(&ada, "multipart/form-data; boundary=cut", &body);
    assert_eq!(answer.status, 200, "{answer:?}");
    let first = path(&answer.json());
    assert_eq!(path(&put(&ada, "image/png", &png(100)).json()), first, "same content, same name");
    let cut = put(&ada, "multipart/form-data; boundary=cut", &body[..200]);
    assert!(cut.status / 100 == 4, "{cut:?}");
    let none = put(&ada, "multipart/form-data; boundary=cut", b"--cut--\r\n");
    assert!(none.status / 100 == 4, "{none:?}");
}

#[test]
fn what_is_no_picture_is_refused_and_changes_nothing() {
    let stack = stack();
    let client = client(&stack);
    let ada = Person::new(&client, "ada");
    let page = b"<html><script>alert(1)</script></html>";
    refused(&put(&ada, "image/png", page), 415, "picture_unsupported");
    let whole = png(200);
    refused(&put(&ada, "image/png", &whole[..whole.len() / 2]), 400, "picture_invalid");
    let mut bomb = whole.clone();
    bomb[16..20].copy_from_slice(&60_000u32.to_be_bytes());
    let sum = crc(&bomb[12..29]);
    bomb[29..33].copy_from_slice(&sum.to_be_bytes());
    refused(&put(&ada, "image/png", &bomb), 413, "picture_too_large");
    let empty = ada.send(Method::PUT, "/api/v1/me/picture", &[("content-type", "image/png")], &[]);
    assert!(empty.status / 100 == 4, "{empty:?}");
    refused(&put(&ada, "text/html", page), 415, "unsupported_media_type");
    refused(&put(&ada, "image/png", &vec![0; 5 * 1024 * 1024 + 1]), 413, "picture_too_large");
    let stranger =
        client.send(Method::PUT, "/api/v1/me/picture", &[("content-type", "image/png")], &whole);
    refused(&stranger, 401, "unauthenticated");
    assert!(ada.me()["picture"].is_null());
    assert_eq!(ada.me()["version"], 1);
}
