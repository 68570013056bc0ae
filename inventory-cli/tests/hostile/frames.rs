//! Frames written by hand from PROTOCOL.md, right and wrong ones.

/// A payload behind its length.
pub(crate) fn frame(payload: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(payload.len()).unwrap().to_be_bytes().to_vec();
    frame.extend_from_slice(payload);
    frame
}

pub(crate) fn hello() -> Vec<u8> {
    let mut payload = vec![0x83, 1, 0, 0xa3];
    payload.extend_from_slice(
        b"\x66client\x67hostile\x68protocol\x81\x01\x6fframe_bytes_max\x1a\x00\x10\x00\x00",
    );
    frame(&payload)
}

pub(crate) fn resume(token: &[u8; 32]) -> Vec<u8> {
    let mut payload = b"\x83\x02\x02\xa1\x65token\x58\x20".to_vec();
    payload.extend_from_slice(token);
    frame(&payload)
}

/// Names and passwords of less than 24 bytes.
pub(crate) fn log_in(user: &str, password: &str) -> Vec<u8> {
    let text = |text: &str| {
        let mut bytes = vec![0x60 | u8::try_from(text.len()).unwrap()];
        bytes.extend_from_slice(text.as_bytes());
        bytes
    };
    let mut payload = b"\x83\x02\x01\xa2".to_vec();
    for part in ["user", user, "password", password] {
        payload.extend(text(part));
    }
    frame(&payload)
}

/// A request without a body to speak of, under an id below 65,536.
pub(crate) fn plain(id: u16, op: u8) -> Vec<u8> {
    let [high, low] = id.to_be_bytes();
    frame(&[0x83, 0x19, high, low, op, 0xa0])
}

pub(crate) const WHO_AM_I: u8 = 4;
pub(crate) const LEVELS: u8 = 10;

/// What breaks the contract, each in its own way.
pub(crate) fn wrong() -> Vec<Vec<u8>> {
    let nested = |bytes: usize| [&[0x83, 1, 20, 0xa1, 0x61, b'x'][..], &vec![0x81; bytes]].concat();
    vec![
        // A length of 4 GiB, and bytes for it.
        [&[0xff; 4][..], &[0x61; 60_000]].concat(),
        frame(&nested(4_000)),
        // Lengths that lie: a text, a map and an array of 2^63 bytes or elements.
        frame(b"\x83\x01\x04\x7b\x7f\xff\xff\xff\xff\xff\xff\xff"),
        frame(b"\x83\x01\x04\xbb\x7f\xff\xff\xff\xff\xff\xff\xff"),
        frame(b"\x9b\x7f\xff\xff\xff\xff\xff\xff\xff"),
        // A text without an end.
        frame(&[&b"\x83\x01\x04\xa1\x7f"[..], &[0x61; 4_000]].concat()),
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
        vec![0; 4_096],
    ]
}

/// What only a client with a session may send: a payload of 1 MiB, nested as deep as it is long.
pub(crate) fn huge_and_nested() -> Vec<u8> {
    let mut payload = vec![0x81; 1 << 20];
    payload[..4].copy_from_slice(&[0x83, 0x03, 0x14, 0xa1]);
    frame(&payload)
}
