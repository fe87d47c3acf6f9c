use super::*;
use proptest::prelude::*;

/// An answer that outlives what it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Owned {
    status: u16,
    head: Vec<u8>,
    body: Vec<u8>,
    close: bool,
}

/// Reads all answers, the bytes coming in pieces of the sizes given, over and over.
fn read_all(bytes: &[u8], sizes: &[usize], to_head: bool) -> Result<Vec<Owned>, Malformed> {
    let mut reader = Reader::default();
    let (mut answers, mut at, mut turn) = (Vec::new(), 0, 0);
    while at < bytes.len() {
        let size = sizes.get(turn % sizes.len().max(1)).copied().unwrap_or(bytes.len()).max(1);
        turn += 1;
        let end = bytes.len().min(at + size);
        while at < end {
            match reader.read(&bytes[at..end], to_head)? {
                Read::More => at = end,
                Read::Answer { response, used, close } => {
                    assert!(used <= end - at, "no more than was there");
                    at += used;
                    answers.push(owned(&response, close));
                }
            }
        }
    }
    if let Some(response) = reader.closed()? {
        answers.push(owned(&response, true));
    }
    Ok(answers)
}

fn owned(response: &Response<'_>, close: bool) -> Owned {
    let (head, body) = (response.head.to_vec(), response.body.to_vec());
    Owned { status: response.status, head, body, close }
}

fn one(bytes: &[u8]) -> Result<Owned, Malformed> {
    let mut all = read_all(bytes, &[], false)?;
    assert_eq!(all.len(), 1);
    Ok(all.remove(0))
}

#[test]
fn a_length_chunks_and_the_end_of_the_connection_delimit_a_body() {
    let answer = one(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc").unwrap();
    assert_eq!((answer.status, &answer.body[..], answer.close), (200, &b"abc"[..], false));
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n\
        2;a=b\r\nab\r\n0A\r\n0123456789\r\n0\r\nSum: 1\r\n\r\n";
    assert_eq!(one(chunked).unwrap().body, b"ab0123456789");
    let rest = one(b"HTTP/1.0 200 OK\r\n\r\nabc").unwrap();
    assert_eq!((&rest.body[..], rest.close), (&b"abc"[..], true));
}

#[test]
fn answers_without_a_body_have_none_whatever_their_length_says() {
    for status in ["204 No Content", "304 Not Modified"] {
        let bytes = format!("HTTP/1.1 {status}\r\nContent-Length: 5\r\n\r\n").repeat(2);
        let answers = read_all(bytes.as_bytes(), &[], false).unwrap();
        assert_eq!(answers.len(), 2);
    }
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    assert_eq!(read_all(head, &[], true).unwrap()[0].body, b"");
    assert!(read_all(head, &[], false).is_err(), "the body is missing");
}

#[test]
fn an_interim_answer_is_passed_over() {
    let bytes = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n\
        HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n";
    for size in 1..bytes.len() {
        assert_eq!(read_all(bytes, &[size], false).unwrap()[0].status, 201);
    }
}

#[test]
fn a_server_that_will_close_is_heard() {
    for (field, close) in [("close", true), ("Keep-Alive", false), ("foo, Close", true)] {
        let bytes = format!("HTTP/1.1 200 OK\r\nConnection: {field}\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(one(bytes.as_bytes()).unwrap().close, close, "{field}");
    }
    let old = b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n";
    assert!(!one(old).unwrap().close);
}

#[test]
fn what_a_careful_client_refuses_is_malformed() {
    let heads = [
        "HTTP/2 200 OK\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 0\n\nHTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\na",
        "HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\na",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 16777217\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\nab\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
    ];
    for bytes in heads {
        assert!(read_all(bytes.as_bytes(), &[], false).is_err(), "whole: {bytes:?}");
        assert!(read_all(bytes.as_bytes(), &[1], false).is_err(), "byte by byte: {bytes:?}");
    }
    let endless = format!("HTTP/1.1 200 OK\r\nA: {}", "a".repeat(limits::HEAD_MAX));
    assert!(read_all(endless.as_bytes(), &[1000], false).is_err());
}

#[test]
fn memory_of_a_large_answer_is_given_back() {
    let mut reader = Reader::default();
    let size = 4 * limits::KEPT_MAX;
    let bytes = [
        format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n").into_bytes(),
        vec![b'a'; size],
    ]
    .concat();
    assert_eq!(reader.read(&bytes[..100], false), Ok(Read::More));
    assert!(matches!(reader.read(&bytes[100..], false), Ok(Read::Answer { .. })));
    assert!(matches!(reader.read(b"H", false), Ok(Read::More)));
    assert!(reader.held.capacity() <= limits::KEPT_MAX);
}

/// An answer's bytes and what must be read from them.
fn answer() -> impl Strategy<Value = (Vec<u8>, Owned)> {
    let body = proptest::collection::vec(any::<u8>(), 0..300);
    let cuts = proptest::collection::vec(1_usize..50, 0..5);
    (body, cuts, any::<bool>(), 200_u16..600, "[a-z]{0,40}").prop_map(
        |(body, cuts, chunked, status, value)| {
            let body = if status == 204 || status == 304 { Vec::new() } else { body };
            let framing = match chunked && status != 204 && status != 304 {
                true => "Transfer-Encoding: chunked".to_owned(),
                false => format!("Content-Length: {}", body.len()),
            };
            let head = format!("HTTP/1.1 {status} Text\r\nX-Value: {value}\r\n{framing}\r\n\r\n");
            let head = head.into_bytes();
            let coded = if framing.starts_with('T') { chunks(&body, &cuts) } else { body.clone() };
            let bytes = [head.clone(), coded].concat();
            (bytes, Owned { status, head, body, close: false })
        },
    )
}

fn chunks(body: &[u8], cuts: &[usize]) -> Vec<u8> {
    let (mut coded, mut rest) = (Vec::new(), body);
    for cut in cuts.iter().copied().chain([usize::MAX]) {
        let (chunk, after) = rest.split_at(cut.min(rest.len()));
        rest = after;
        if !chunk.is_empty() {
            coded.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            coded.extend_from_slice(chunk);
            coded.extend_from_slice(b"\r\n");
        }
    }
    coded.extend_from_slice(b"0\r\n\r\n");
    coded
}

proptest! {
    #[test]
    fn answers_are_the_same_however_their_bytes_are_split(
        answers in proptest::collection::vec(answer(), 1..5),
        sizes in proptest::collection::vec(1_usize..200, 0..8),
    ) {
        let bytes: Vec<u8> = answers.iter().flat_map(|(bytes, _)| bytes.clone()).collect();
        let expected: Vec<Owned> = answers.into_iter().map(|(_, answer)| answer).collect();
        prop_assert_eq!(read_all(&bytes, &sizes, false), Ok(expected));
    }

    #[test]
    fn garbage_is_refused_or_read_the_same_however_it_is_split(
        (bytes, _) in answer(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        sizes in proptest::collection::vec(1_usize..40, 1..8),
    ) {
        let mut bytes = bytes;
        for (index, byte) in changes {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        let whole = read_all(&bytes, &[], false);
        let split = read_all(&bytes, &sizes, false);
        prop_assert_eq!(whole.is_ok(), split.is_ok());
        if whole.is_ok() {
            prop_assert_eq!(whole, split);
        }
    }

    #[test]
    fn no_bytes_make_the_reader_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..500),
        sizes in proptest::collection::vec(1_usize..40, 1..8),
        to_head in any::<bool>(),
    ) {
        let _ = read_all(&bytes, &sizes, to_head);
        let _ = read_all(&[b"HTTP/1.1 200 OK\r\n", &bytes[..]].concat(), &sizes, to_head);
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let _ = read_all(&[&chunked[..], &bytes[..]].concat(), &sizes, to_head);
    }
}
