//! The target over files of the Node package `super-server-logs`.

use std::collections::HashMap;
use std::io::Write;

use logq_nodelogs::{
    Cause, Decoder, Entry, Event, Exception, Item, Processes, SEPARATOR, is_likely,
};

/// Any file is read: records keep the promises that writers make, gaps lie within their block, and
/// the same records as one block, raw or deflated, are the same records.
pub fn node_logs(data: &[u8]) {
    is_likely(data);
    let mut decoder = Decoder::new();
    let mut processes = Processes::new(0);
    let mut writers = HashMap::new();
    for piece in data.split_inclusive(|byte| *byte == SEPARATOR) {
        let (stored, is_finished) = match piece.split_last() {
            Some((&SEPARATOR, stored)) => (stored, true),
            _ => (piece, false),
        };
        let mut end = 0;
        let visited = decoder.decode(stored, is_finished, |item| {
            match item {
                Item::Entry(entry) => {
                    errors(&entry);
                    if let Some(identity) = processes.place(&entry).identity {
                        assert_eq!(identity.sequence & 0xFFFF, u64::from(entry.nonce));
                        let place = (identity.sequence, entry.time_ms);
                        if let Some(last) = writers.insert(identity.writer, place) {
                            assert!(last.0 < place.0 && last.1 <= place.1, "{last:?} {place:?}");
                        }
                    }
                }
                Item::Gap(gap) => {
                    assert!(gap.bytes > 0);
                    // Within an inflated block the bytes are those of the inflated one.
                    if !matches!(gap.cause, Cause::Entry(_)) {
                        assert!(gap.offset >= end, "gaps come in order");
                        end = gap.offset + gap.bytes;
                        assert!(end <= stored.len());
                    }
                }
            }
            Ok::<_, std::convert::Infallible>(())
        });
        assert!(visited.is_ok());
    }
    agreement(data);
}

/// What an error is made of is JSON again.
fn errors(entry: &Entry<'_>) {
    let (Event::Response { error, .. }
    | Event::ResponseFinished { error, .. }
    | Event::UncaughtException { error, .. }) = entry.event
    else {
        return;
    };
    let Ok(text) = str::from_utf8(error) else { return };
    if let Some(exception) = Exception::parse(text) {
        let is_json = |part: &str| Exception::parse(&format!("[0,\"\",{part},[]]")).is_some();
        assert!(is_json(exception.properties));
        assert!(exception.debug.iter().all(|(_, data)| is_json(data)));
    }
}

/// The bytes as records, as one raw block and as one deflated block are the same.
fn agreement(data: &[u8]) {
    let mut rest = data;
    let mut expected = 0;
    while !rest.is_empty() && Entry::take(&mut rest).is_ok() {
        expected += 1;
    }
    let mut deflater = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    deflater.write_all(data).expect("memory takes everything");
    let mut stream = deflater.finish().expect("memory takes everything");
    stream[0] = stream[0].rotate_left(4);
    assert_eq!(entries(&escape(&stream)), (expected, !rest.is_empty()));
    // The top bit of the first byte says that a block is deflated, and no record has it.
    if data.first().is_some_and(|first| *first < 0x80) {
        let found = entries(&escape(data));
        // Of a damaged block, records of unlikely times are not kept, and proven streams may be found.
        assert!(!rest.is_empty() || found == (expected, false), "{found:?} {expected}");
    }
}

/// How many records a block holds, and whether it has gaps.
fn entries(stored: &[u8]) -> (usize, bool) {
    let (mut found, mut is_damaged) = (0, false);
    let visited = Decoder::new().decode(stored, true, |item| {
        match item {
            Item::Entry(_) => found += 1,
            Item::Gap(_) => is_damaged = true,
        }
        Ok::<_, std::convert::Infallible>(())
    });
    assert!(visited.is_ok());
    (found, is_damaged)
}

fn escape(plain: &[u8]) -> Vec<u8> {
    let escaped = |byte: &u8| match byte {
        0xF8 => vec![0xF8, 1],
        0xFA => vec![0xF8, 2],
        byte => vec![*byte],
    };
    plain.iter().flat_map(escaped).collect()
}
