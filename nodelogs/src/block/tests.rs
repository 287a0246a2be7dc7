//! Blocks whole and damaged: what is read, what is told to be missing.

use logq_testkit::node_logs::{Row, block, deflate, escape};

use super::*;

/// What a block holds, each item briefly: the nonce of a record, or a gap.
fn items(stored: &[u8], is_finished: bool) -> Vec<String> {
    let mut found = Vec::new();
    let visited = Decoder::new().decode(stored, is_finished, |item| {
        found.push(match item {
            Item::Entry(entry) => entry.nonce.to_string(),
            Item::Gap(gap) => format!("{}+{} {}", gap.offset, gap.bytes, gap.cause),
        });
        Ok::<_, std::convert::Infallible>(())
    });
    assert_eq!(visited, Ok(()));
    found
}

fn row(nonce: u16) -> Row {
    Row::new(52, 1_700_000_000_000, nonce).text(r#""some text, \u00fa""#)
}

fn rows(nonces: std::ops::Range<u16>) -> Vec<Row> {
    nonces.map(row).collect()
}

/// A block without its separator.
fn stored(rows: &[Row], is_deflated: bool) -> Vec<u8> {
    let mut stored = block(rows, is_deflated);
    stored.pop();
    stored
}

#[test]
fn blocks_are_read_raw_and_deflated() {
    // 0xF8 and 0xFA are in the nonces, so that escapes are needed.
    let rows = [row(0xF8FA), row(0xFAFA), row(3)];
    let expected = [0xF8FA_u16, 0xFAFA, 3].map(|nonce| nonce.to_string());
    for is_deflated in [false, true] {
        assert_eq!(items(&stored(&rows, is_deflated), true), expected);
    }
    assert_eq!(items(b"", true), [""; 0]);
    assert_eq!(items(b"", false), [""; 0]);
}

#[test]
fn literal_blocks_are_read() {
    // The master starts, nonce 0xF8FA.
    let raw = [40, 0, 0, 0, 0, 0, 1, 0xF8, 1, 0xF8, 2];
    assert_eq!(items(&raw, true), [0xF8FA_u16.to_string()]);
    // The same in a stored block of zlib: 78 01 with its halves exchanged, 9 bytes, Adler-32.
    let zlib = [
        &[0x87, 1, 1, 9, 0, 0xF6, 0xFF, 40, 0, 0, 0, 0, 0, 1, 0xF8, 1, 0xF8, 2][..],
        &[0x04, 0x5E, 0x02, 0x1C],
    ];
    assert_eq!(items(&zlib.concat(), true), [0xF8FA_u16.to_string()]);
}

#[test]
fn a_slice_marker_ends_what_was_torn() {
    let torn = &stored(&rows(0..2), false)[..30];
    let marked = [torn, b"\xF8\x03", &stored(&rows(5..7), false)].concat();
    assert_eq!(
        items(&marked, true),
        ["0+30 torn by the end of the process that wrote it", "5", "6"]
    );
    // Half an escape is torn too.
    let marked = [b"\xF8\xF8\x03", &*stored(&rows(5..6), true)].concat();
    assert_eq!(items(&marked, true), ["0+1 torn by the end of the process that wrote it", "5"]);
    // Nothing is torn where the marker comes first.
    let marked = [b"\xF8\x03", &*stored(&rows(5..6), false)].concat();
    assert_eq!(items(&marked, true), ["5"]);
}

#[test]
fn a_block_that_the_file_ends_in_is_a_gap() {
    for is_deflated in [false, true] {
        let whole = stored(&rows(0..3), is_deflated);
        for len in 1..whole.len() {
            let gap = format!("0+{len} the file ends within a block");
            assert_eq!(items(&whole[..len], false), [gap], "{len}");
        }
    }
    // A stream that is whole is proven, separator or not.
    assert_eq!(items(&stored(&rows(0..3), true), false), ["0", "1", "2"]);
}

#[test]
fn records_before_one_that_cannot_be_read_are_kept() {
    let unknown = Row::new(60, 0, 0);
    let rows = [row(0), row(1), unknown, row(2)];
    let raw = stored(&rows, false);
    let start = stored(&rows[..2], false).len();
    let gap = format!("{start}+{} records of type 60 are unknown", raw.len() - start);
    assert_eq!(items(&raw, true), ["0", "1", &gap]);
    let left = rows[2].bytes().len() + rows[3].bytes().len();
    let gap = format!("0+{left} records of type 60 are unknown");
    assert_eq!(items(&stored(&rows, true), true), ["0", "1", &gap]);
}

#[test]
fn what_only_looks_like_a_record_is_not_kept_before_damage() {
    let start = |time_ms| Row::new(40, time_ms, 7).raw(b"\x07");
    let gap = "0+10 time is cut off: 6 bytes expected, 0 found";
    assert_eq!(items(&stored(&[start(0x1234_5678_9ABC)], false), true), [gap]);
    let gap = "9+1 time is cut off: 6 bytes expected, 0 found";
    assert_eq!(items(&stored(&[start(1_700_000_000_000)], false), true), ["7", gap]);
    // A clock that shows such a time is believed in a block that is whole.
    assert_eq!(items(&stored(&[Row::new(40, 0x1234_5678_9ABC, 7)], false), true), ["7"]);
}

#[test]
fn escapes_that_do_not_exist_end_a_raw_block() {
    let first = stored(&rows(0..1), false);
    let bad = [&*first, b"\xF8\x07", &stored(&rows(1..2), false)].concat();
    let gap =
        format!("{}+{} the escape F8 07 does not exist", first.len(), bad.len() - first.len());
    assert_eq!(items(&bad, true), ["0", &gap]);
}

#[test]
fn a_torn_write_does_not_take_the_next_block_with_it() {
    let (torn, whole) = (stored(&rows(0..9), true), stored(&rows(20..22), true));
    for len in 1..torn.len() {
        let glued = [&torn[..len], &*whole].concat();
        let found = items(&glued, true);
        assert_eq!(found[found.len() - 2..], ["20", "21"], "{len}: {found:?}");
        assert!(found[0].starts_with(&format!("0+{len} ")), "{len}: {found:?}");
        assert_eq!(found.len(), 3, "{len}: {found:?}");
    }
    // Two blocks whose separator was damaged.
    let glued = [&*torn, b"\xEA", &whole].concat();
    let found = items(&glued, true);
    assert_eq!(found.len(), 12);
    assert_eq!(found[9], format!("{}+1 bytes follow the compressed block", torn.len()));
    // Nothing proves a raw block: the torn text takes the start of the next block in, and whoever
    // reads it as JSON sees it.
    let glued = [&stored(&rows(0..1), false)[..12], &*stored(&rows(5..6), false)].concat();
    let found = items(&glued, true);
    assert_eq!((found.len(), &*found[0]), (2, "0"), "{found:?}");
}

#[test]
fn oversize_is_a_gap() {
    let large = vec![b'x'; STORED_BYTES_MAX + 1];
    let gap = format!("0+{} the block has more than {STORED_BYTES_MAX} bytes", large.len());
    assert_eq!(items(&large, true), [gap]);
    let bomb = escape(&deflate(&vec![0; INFLATED_BYTES_MAX + 1]));
    let gap = format!("0+{} the block has more than {INFLATED_BYTES_MAX} bytes", bomb.len());
    assert_eq!(items(&bomb, true), [gap]);
}

/// Damage is noticed wherever it is in a compressed block, and never invents records.
#[test]
fn every_changed_byte_of_a_compressed_block_is_noticed() {
    let whole = stored(&rows(0..4), true);
    for index in 0..whole.len() {
        for value in [0, 0xF8, 0xFF, whole[index] ^ 1, whole[index] ^ 0x80] {
            let mut changed = whole.clone();
            changed[index] = value;
            let found = items(&changed, true);
            let is_same = found == ["0", "1", "2", "3"];
            let is_gap = found.iter().all(|item| item.contains('+'));
            assert!(is_same || is_gap, "byte {index} as {value:02x}: {found:?}");
        }
    }
}

#[test]
fn headers_without_streams_cost_no_more_than_a_block() {
    // Every other byte starts a stream that goes on for long and proves nothing.
    let hostile: Vec<u8> = [0x87, 0x01].repeat(500_000);
    let started = std::time::Instant::now();
    assert_eq!(items(&hostile, true).len(), 1);
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}

#[test]
fn files_are_known_by_name_and_start() {
    for (name, is_one) in [
        ("01697612631377.log", true),
        ("00000000000000.log", true),
        ("1697612631377.log", false),
        ("016976126313770.log", false),
        ("01697612631377.log.gz", false),
        ("0169761263137x.log", false),
        (".log", false),
    ] {
        assert_eq!(is_file_name(name), is_one, "{name}");
    }
    for is_deflated in [false, true] {
        let file = block(&rows(0..3), is_deflated);
        assert!(is_likely(&file));
        assert!(is_likely(&[b"torn\xF8\x03", &*file].concat()));
        assert!(is_likely(&[&*file, b"more"].concat()));
        assert!(is_likely(&file[..20]) == is_deflated);
    }
    for text in
        ["", "2026-02-03 14:05:06 INFO started\n", "{\"a\":1}\n", "#Fields: a\n", "((((((((("]
    {
        assert!(!is_likely(text.as_bytes()), "{text}");
    }
}
