//! What became of the streams of an earlier run of the server, which may have been killed at any moment.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use crate::journal::Journal;
use crate::model::{Generation, State, StreamName};

use super::directory::{Directory, DirectoryError, Stem};
use super::record::{ContentType, Record};
use super::stream::Stream;

/// All streams of a directory. Of several generations of a name the newest is kept, the others, which were
/// replaced while the server was killed, are removed. What could not be recovered whole is said.
pub(super) fn recover(
    directory: &Arc<Directory>,
    journal: &Journal,
) -> Result<BTreeMap<StreamName, Arc<Stream>>, DirectoryError> {
    let mut streams = BTreeMap::<StreamName, Arc<Stream>>::new();
    for (name, generation) in directory.list()? {
        let Some(stream) = recover_one(directory, &name, generation, journal) else { continue };
        let newer = match streams.remove(&name) {
            Some(other) if other.created > stream.created => {
                remove(&stream, journal);
                other
            }
            Some(other) => {
                remove(&other, journal);
                stream
            }
            None => stream,
        };
        streams.insert(name, newer);
    }
    Ok(streams)
}

fn remove(stream: &Stream, journal: &Journal) {
    if let Err(error) = stream.remove() {
        journal.line(&format_args!(
            "stream {}: cannot remove what was replaced: {error}",
            stream.name
        ));
    }
}

fn recover_one(
    directory: &Arc<Directory>,
    name: &StreamName,
    generation: Generation,
    journal: &Journal,
) -> Option<Arc<Stream>> {
    let stem = Stem::new(name, generation);
    let opened = directory.open_data(&stem).and_then(|file| Ok((file.metadata()?, file)));
    let (metadata, data) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            journal
                .line(&format_args!("stream {name}: left out, its file cannot be opened: {error}"));
            return None;
        }
    };
    let found = directory.read_record(&stem);
    let known = found.is_some();
    let record = found.unwrap_or_else(|| Record {
        name: name.clone(),
        generation,
        state: State::Open,
        len: 0,
        sha256: None,
        content_type: ContentType::Text,
        created: metadata.created().or(metadata.modified()).unwrap_or(SystemTime::UNIX_EPOCH),
        ended: None,
    });
    let (state, len) = recovered(record.state, record.len, metadata.len());
    if !known {
        journal.line(&format_args!("stream {name}: its record is damaged; {len} bytes, {state}"));
    } else if len < record.len {
        let lost = record.len;
        journal.line(&format_args!("stream {name}: {len} of {lost} bytes are left; {state}"));
    }
    let whole = state == record.state;
    let record = Record {
        state,
        len,
        sha256: record.sha256.filter(|_| whole),
        ended: record.ended.filter(|_| whole),
        ..record
    };
    if !whole && let Err(error) = directory.write_record(&record) {
        journal.line(&format_args!("stream {name}: cannot record that it is {state}: {error}"));
    }
    Some(Stream::recovered(directory, record, data, journal))
}

/// State and length of a stream whose record says `state` and `recorded`, and whose file has `stored`
/// bytes: always the shorter, and never more than was said before.
fn recovered(state: State, recorded: u64, stored: u64) -> (State, u64) {
    match state {
        // The server was lost while somebody wrote: everything in the file was written by them.
        State::Waiting | State::Open => (State::Interrupted, stored),
        // What is behind the recorded length was never shown to anybody.
        _ if recorded <= stored => (state, recorded),
        _ => (State::Interrupted, stored),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// E.4.5
    #[test]
    fn the_shorter_counts() {
        for (state, recorded, stored, expected) in [
            (State::Open, 0, 10, (State::Interrupted, 10)),
            (State::Open, 20, 10, (State::Interrupted, 10)),
            (State::Interrupted, 10, 10, (State::Interrupted, 10)),
            (State::Interrupted, 8, 10, (State::Interrupted, 8)),
            (State::Interrupted, 12, 10, (State::Interrupted, 10)),
            (State::Complete, 10, 10, (State::Complete, 10)),
            (State::Complete, 8, 10, (State::Complete, 8)),
            (State::Complete, 12, 10, (State::Interrupted, 10)),
            (State::Truncated, 12, 10, (State::Interrupted, 10)),
            (State::Aborted, 12, 12, (State::Aborted, 12)),
        ] {
            assert_eq!(recovered(state, recorded, stored), expected, "{state} {recorded} {stored}");
        }
    }
}
