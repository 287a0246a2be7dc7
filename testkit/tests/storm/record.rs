//! A record of the storm: who logged it, its number, and a hash over all of it.

use serde_json::{Value, json};

/// Who logged a record: the process, counted from 0 over the whole storm, and its thread.
pub(crate) type Author = (u64, u64);

/// The data of the n-th record of an author.
pub(crate) fn data((process, thread): Author, n: u64) -> Value {
    let mut random = fastrand::Rng::with_seed(process << 40 ^ thread << 32 ^ n);
    let length = random.usize(..400);
    let text: String = (0..length).map(|_| random.alphanumeric()).collect();
    let hash = hash(&text, &[process, thread, n]);
    json!({ "process": process, "thread": thread, "n": n, "text": text, "hash": hash })
}

/// FNV-1a.
fn hash(text: &str, numbers: &[u64]) -> u64 {
    let bytes = text.bytes().chain(numbers.iter().flat_map(|number| number.to_le_bytes()));
    bytes.fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    })
}

/// The author and number in a line of JSON, whose hash is checked; `None` for records that loggers
/// write by themselves.
pub(crate) fn parse(line: &str) -> Option<(Author, u64)> {
    let line: Value = serde_json::from_str(line).unwrap();
    let data = &line["data"];
    let number = |name: &str| data[name].as_u64();
    let (process, thread, n) = (number("process")?, number("thread")?, number("n")?);
    let text = data["text"].as_str().unwrap();
    assert_eq!(number("hash"), Some(hash(text, &[process, thread, n])), "altered: {line}");
    Some(((process, thread), n))
}
