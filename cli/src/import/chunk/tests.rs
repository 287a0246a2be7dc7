//! Chunks hold whole lines, all of them, however the bytes arrive.

use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;

/// A reader that returns a few bytes at a time, and may fail at the end.
struct Dribble {
    bytes: Vec<u8>,
    at: usize,
    step: usize,
    fails: bool,
}

impl Read for Dribble {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = &self.bytes[self.at..];
        if rest.is_empty() && self.fails {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let len = rest.len().min(self.step).min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        self.at += len;
        Ok(len)
    }
}

/// All chunks of a stream of bytes, and what was wrong with each.
fn chunks(
    format: Format,
    bytes: &[u8],
    step: usize,
    fails: bool,
) -> Vec<(Vec<u8>, Option<String>)> {
    let options = Options {
        format,
        zone: TimeZone::UTC,
        now: Timestamp::default(),
        worker: None,
        seed: 0,
        threads: 1,
    };
    let mut chunks = Chunks::new(Vec::new(), &options);
    chunks.current = Some(Current {
        input: Input::Stdin,
        index: 0,
        modified: None,
        source: None,
        reader: Box::new(Dribble { bytes: bytes.to_vec(), at: 0, step, fails }),
        rest: Vec::new(),
        is_done: false,
    });
    let mut all = Vec::new();
    let mut chunk = Chunk::default();
    while chunks.next::<()>(&mut chunk).unwrap() {
        assert_eq!(chunk.number, all.len() as u64);
        assert_eq!(chunk.first, all.is_empty());
        let damage = chunk.damage.as_ref().map(|damage| match damage {
            Damage::LongLine { start, len } => format!("{} {len}", start.len()),
            Damage::Rest(why) => why.clone(),
        });
        all.push((chunk.bytes.clone(), damage));
    }
    all
}

fn lines_of(len: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(7);
    let mut text = String::new();
    while text.len() < len {
        text.push_str(&"x".repeat(random.usize(..300)));
        text.push_str(if random.bool() { "\n" } else { "\r\n" });
    }
    text.into_bytes()
}

#[test]
fn chunks_do_not_depend_on_how_bytes_arrive() {
    let bytes = lines_of(3 * CHUNK_BYTES);
    let expected = chunks(Format::Text, &bytes, usize::MAX, false);
    assert!(expected.len() > 3);
    assert_eq!(expected.iter().map(|(bytes, _)| &**bytes).collect::<Vec<_>>().concat(), bytes);
    assert!(expected.iter().all(|(bytes, damage)| bytes.ends_with(b"\n") && damage.is_none()));
    for step in [1000, 4096, CHUNK_BYTES - 1, CHUNK_BYTES + 1] {
        assert_eq!(chunks(Format::Text, &bytes, step, false), expected, "{step}");
    }
}

#[test]
fn the_last_line_may_lack_its_end() {
    assert_eq!(chunks(Format::Auto, b"", 1, false), [(b"".to_vec(), None)]);
    assert_eq!(chunks(Format::Auto, b"a\nb", 1, false), [(b"a\nb".to_vec(), None)]);
    assert_eq!(chunks(Format::Auto, b"\xEF\xBB\xBFa", 1, false), [(b"a".to_vec(), None)]);
}

#[test]
fn what_came_before_a_failure_is_kept() {
    let found = chunks(Format::Auto, b"a\nb", 2, true);
    let why = "the compressed data is cut off; everything before is imported";
    assert_eq!(found, [(b"a\nb".to_vec(), Some(why.to_owned()))]);
}

#[test]
fn lines_over_the_limit_are_skipped_and_no_others() {
    let long = |len: usize| "y".repeat(len);
    let text = format!(
        "a\n{}\nb\n{}\nc\n{}",
        long(LINE_BYTES_MAX - 1),
        long(LINE_BYTES_MAX),
        long(9 << 20)
    );
    let found = chunks(Format::Text, text.as_bytes(), 1 << 16, false);
    let kept: Vec<_> =
        found.iter().flat_map(|(bytes, _)| bytes.split(|b| *b == b'\n')).map(<[u8]>::len).collect();
    assert_eq!(
        kept.into_iter().filter(|len| *len > 0).collect::<Vec<_>>(),
        [1, LINE_BYTES_MAX - 1, 1, 1]
    );
    let damages: Vec<_> = found.iter().filter_map(|(_, damage)| damage.clone()).collect();
    assert_eq!(damages, [format!("400 {}", LINE_BYTES_MAX), format!("400 {}", 9 << 20)]);
    let held = found.iter().map(|(bytes, _)| bytes.capacity()).max().unwrap();
    assert!(held <= 2 * LINE_BYTES_MAX, "{held}");
}

#[test]
fn lines_of_our_own_may_be_longer() {
    let line = format!("{}{}\n", own::START, "z".repeat(9 << 20));
    assert_eq!(chunks(Format::Jsonl, line.as_bytes(), 1 << 20, false), [(line.into_bytes(), None)]);
}

proptest! {
    #[test]
    fn every_byte_is_in_one_chunk(bytes in prop::collection::vec(any::<u8>(), 0..200), step in 1_usize..50) {
        let found = chunks(Format::Auto, &bytes, step, false);
        let kept = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&bytes);
        let all: Vec<_> = found.iter().flat_map(|(bytes, _)| bytes.clone()).collect();
        prop_assert_eq!(all, kept);
    }
}
