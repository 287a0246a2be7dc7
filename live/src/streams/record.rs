//! What is kept about a stream beside its bytes: one JSON object, so that people can read it, too.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::model::{Generation, State, StreamName};

/// The version of the record; a later one is not understood and its stream left alone.
const VERSION: u32 = 1;

/// The longest record that is read, in bytes.
pub(super) const RECORD_LEN_MAX: u64 = 4 << 10;

/// How content is served: types that no browser runs, and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum ContentType {
    /// Lines of text; what a writer says nothing about.
    #[serde(rename = "text/plain")]
    Text,
    /// JSON, one object a line.
    #[serde(rename = "application/x-ndjson")]
    JsonLines,
    /// Everything else.
    #[serde(rename = "application/octet-stream")]
    Binary,
}

impl ContentType {
    /// What a writer's header stands for.
    pub(super) fn of(header: Option<&str>) -> Self {
        let Some(header) = header else { return Self::Text };
        let kind = header.split(';').next().unwrap_or_default().trim();
        match kind.to_ascii_lowercase().as_str() {
            "text/plain" => Self::Text,
            "application/x-ndjson" | "application/jsonl" => Self::JsonLines,
            _ => Self::Binary,
        }
    }

    /// The header readers get.
    pub(super) const fn header(self) -> &'static str {
        match self {
            Self::Text => "text/plain; charset=utf-8",
            Self::JsonLines => "application/x-ndjson",
            Self::Binary => "application/octet-stream",
        }
    }
}

/// The record of one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) name: StreamName,
    pub(super) generation: Generation,
    pub(super) state: State,
    /// Bytes; what it was when the state was recorded. An open stream has what its file has.
    pub(super) len: u64,
    pub(super) sha256: Option<[u8; 32]>,
    pub(super) content_type: ContentType,
    pub(super) created: SystemTime,
    pub(super) ended: Option<SystemTime>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stored {
    version: u32,
    name: String,
    generation: String,
    state: String,
    length: u64,
    sha256: Option<String>,
    content_type: ContentType,
    created_ms: u64,
    ended_ms: Option<u64>,
}

impl Record {
    pub(super) fn encode(&self) -> Vec<u8> {
        let stored = Stored {
            version: VERSION,
            name: self.name.to_string(),
            generation: self.generation.to_string(),
            state: self.state.to_string(),
            length: self.len,
            sha256: self.sha256.map(|digest| hex(&digest)),
            content_type: self.content_type,
            created_ms: to_ms(self.created),
            ended_ms: self.ended.map(to_ms),
        };
        let mut bytes = serde_json::to_vec(&stored).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// Reads a record; `None` if it is damaged.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let stored: Stored = serde_json::from_slice(bytes).ok()?;
        (stored.version == VERSION).then_some(())?;
        let sha256 = match stored.sha256 {
            Some(text) => Some(unhex(&text)?),
            None => None,
        };
        Some(Self {
            name: stored.name.parse().ok()?,
            generation: stored.generation.parse().ok()?,
            state: State::from_word(&stored.state)?,
            len: stored.length,
            sha256,
            content_type: stored.content_type,
            created: from_ms(stored.created_ms)?,
            ended: match stored.ended_ms {
                Some(ms) => Some(from_ms(ms)?),
                None => None,
            },
        })
    }
}

pub(super) fn to_ms(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn from_ms(ms: u64) -> Option<SystemTime> {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(ms))
}

/// A digest in 64 hexadecimal digits.
pub(super) fn hex(digest: &[u8; 32]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut digest = [0; 32];
    for (index, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        Record {
            name: "build-42".parse().unwrap(),
            generation: Generation::from_number(7),
            state: State::Complete,
            len: 5,
            sha256: Some([0xAB; 32]),
            content_type: ContentType::JsonLines,
            created: from_ms(1_700_000_000_123).unwrap(),
            ended: from_ms(1_700_000_001_000),
        }
    }

    #[test]
    fn a_record_is_read_back_and_has_these_bytes() {
        let bytes = record().encode();
        assert_eq!(Record::decode(&bytes), Some(record()));
        let digest = "ab".repeat(32);
        let expected = format!(
            "{{\"version\":1,\"name\":\"build-42\",\"generation\":\"0000000000000000000007\",\
             \"state\":\"complete\",\"length\":5,\"sha256\":\"{digest}\",\
             \"contentType\":\"application/x-ndjson\",\"createdMs\":1700000000123,\
             \"endedMs\":1700000001000}}\n"
        );
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);
        let open = Record { state: State::Open, sha256: None, ended: None, ..record() };
        assert_eq!(Record::decode(&open.encode()), Some(open));
    }

    #[test]
    fn damaged_records_are_refused() {
        let bytes = record().encode();
        for end in 0..bytes.len() - 1 {
            assert_eq!(Record::decode(&bytes[..end]), None, "cut at {end}");
        }
        let text = String::from_utf8(bytes).unwrap();
        for (from, to) in [
            ("\"version\":1", "\"version\":2"),
            ("build-42", "../etc"),
            ("complete", "done"),
            ("abab", "abax"),
            ("abab", "ab"),
            (":5,", ":-5,"),
            ("1700000000123", "18446744073709551616"),
        ] {
            let changed = text.replacen(from, to, 1);
            assert_ne!(changed, text);
            assert_eq!(Record::decode(changed.as_bytes()), None, "{from} -> {to}");
        }
    }

    #[test]
    fn only_types_that_no_browser_runs_are_kept() {
        for (header, kind) in [
            (None, ContentType::Text),
            (Some("Text/Plain; charset=latin1"), ContentType::Text),
            (Some("application/x-ndjson"), ContentType::JsonLines),
            (Some("text/html"), ContentType::Binary),
            (Some("image/svg+xml"), ContentType::Binary),
            (Some(""), ContentType::Binary),
        ] {
            assert_eq!(ContentType::of(header), kind, "{header:?}");
        }
    }
}
