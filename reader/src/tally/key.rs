//! The values that tell groups apart, as bytes: hashed and compared without looking inside, and
//! kept in a third of the memory of the values.

use std::net::IpAddr;

use logq_format::{HttpVersion, Level, RequestId, Timestamp};
use logq_query::FieldValue;

/// What a value is encoded behind.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Tag {
    Missing,
    Null,
    False,
    True,
    Integer,
    Number,
    Micros,
    Text,
    Time,
    Level,
    Request,
    AddressV4,
    AddressV6,
    Version,
    Json,
}

/// Appends a value, or that there is none. Different values have different bytes: numbers of JSON
/// data are different if they are written differently.
pub(super) fn encode(value: Option<&FieldValue<'_>>, out: &mut Vec<u8>) {
    let mut put = |tag: Tag, bytes: &[u8]| {
        out.push(tag as u8);
        out.extend_from_slice(bytes);
    };
    match value {
        None => put(Tag::Missing, &[]),
        Some(FieldValue::Bool(false)) => put(Tag::False, &[]),
        Some(FieldValue::Bool(true)) => put(Tag::True, &[]),
        Some(FieldValue::Integer(integer)) => put(Tag::Integer, &integer.to_le_bytes()),
        Some(FieldValue::Number(text)) => put_text(Tag::Number, text, out),
        Some(FieldValue::Micros(micros)) => put(Tag::Micros, &micros.to_le_bytes()),
        Some(FieldValue::Text(text)) => put_text(Tag::Text, text, out),
        Some(FieldValue::Time(time)) => put(Tag::Time, &time.as_micros().to_le_bytes()),
        Some(FieldValue::Level(level)) => put(Tag::Level, &[*level as u8]),
        Some(FieldValue::Request(request)) => put(Tag::Request, request.as_bytes()),
        Some(FieldValue::Address(IpAddr::V4(ip))) => put(Tag::AddressV4, &ip.octets()),
        Some(FieldValue::Address(IpAddr::V6(ip))) => put(Tag::AddressV6, &ip.octets()),
        Some(FieldValue::Version(version)) => {
            put(Tag::Version, &[version.major(), version.minor()]);
        }
        Some(FieldValue::Json(text)) => put_text(Tag::Json, text, out),
        // Null, and what later versions of the values may bring.
        Some(_) => put(Tag::Null, &[]),
    }
}

fn put_text(tag: Tag, text: &str, out: &mut Vec<u8>) {
    out.push(tag as u8);
    // Texts of records are shorter than 16 MiB.
    out.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// Takes a value that [`encode`] has appended off the front of `bytes`.
pub(super) fn decode(bytes: &mut &[u8]) -> Option<FieldValue<'static>> {
    let [tag] = take::<1>(bytes);
    let is = |wanted: Tag| tag == wanted as u8;
    if is(Tag::Null) {
        return Some(FieldValue::Null);
    }
    if is(Tag::False) || is(Tag::True) {
        return Some(FieldValue::Bool(is(Tag::True)));
    }
    if is(Tag::Integer) {
        return Some(FieldValue::Integer(i128::from_le_bytes(take(bytes))));
    }
    if is(Tag::Micros) {
        return Some(FieldValue::Micros(u64::from_le_bytes(take(bytes))));
    }
    if is(Tag::Time) {
        return Some(FieldValue::Time(Timestamp::from_micros(i64::from_le_bytes(take(bytes)))));
    }
    if is(Tag::Level) {
        let [number] = take::<1>(bytes);
        let level = Level::ALL.into_iter().find(|level| *level as u8 == number);
        return level.map(FieldValue::Level);
    }
    if is(Tag::Request) {
        return Some(FieldValue::Request(RequestId::from_bytes(take(bytes))));
    }
    if is(Tag::AddressV4) {
        return Some(FieldValue::Address(take::<4>(bytes).into()));
    }
    if is(Tag::AddressV6) {
        return Some(FieldValue::Address(take::<16>(bytes).into()));
    }
    if is(Tag::Version) {
        let [major, minor] = take::<2>(bytes);
        return HttpVersion::new(major, minor).map(FieldValue::Version);
    }
    if is(Tag::Number) {
        return Some(FieldValue::Number(take_text(bytes).into()));
    }
    if is(Tag::Text) {
        return Some(FieldValue::Text(take_text(bytes).into()));
    }
    is(Tag::Json).then(|| FieldValue::Json(take_text(bytes).into()))
}

/// The first bytes; zeros where there are too few, which does not happen to what was encoded.
pub(super) fn take<const N: usize>(bytes: &mut &[u8]) -> [u8; N] {
    match bytes.split_first_chunk() {
        Some((first, rest)) => {
            *bytes = rest;
            *first
        }
        None => {
            *bytes = &[];
            [0; N]
        }
    }
}

fn take_text(bytes: &mut &[u8]) -> String {
    let len = u32::from_le_bytes(take(bytes)) as usize;
    let (text, rest) = bytes.split_at_checked(len).unwrap_or((bytes, &[]));
    *bytes = rest;
    String::from_utf8_lossy(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One value of each kind, and texts that try to look like more than one.
    fn values() -> Vec<Option<FieldValue<'static>>> {
        vec![
            None,
            Some(FieldValue::Null),
            Some(FieldValue::Bool(false)),
            Some(FieldValue::Bool(true)),
            Some(FieldValue::Integer(-1)),
            Some(FieldValue::Integer(i128::from(u64::MAX))),
            Some(FieldValue::Number("1".into())),
            Some(FieldValue::Number("1.0".into())),
            Some(FieldValue::Micros(u64::MAX)),
            Some(FieldValue::Text("".into())),
            Some(FieldValue::Text("1".into())),
            Some(FieldValue::Text("\u{7}\u{1}\0\0\0é".into())),
            Some(FieldValue::Time(Timestamp::MIN)),
            Some(FieldValue::Level(Level::Critical)),
            Some(FieldValue::Level(Level::Trace)),
            Some(FieldValue::Request(RequestId::from_bytes([7; 16]))),
            Some(FieldValue::Address([192, 0, 2, 7].into())),
            Some(FieldValue::Address([7_u8; 16].into())),
            Some(FieldValue::Version(HttpVersion::HTTP_11)),
            Some(FieldValue::Json("[1]".into())),
        ]
    }

    #[test]
    fn every_value_comes_back_and_no_two_have_the_same_bytes() {
        let values = values();
        let mut all = Vec::new();
        let mut seen = std::collections::BTreeSet::new();
        for value in &values {
            let mut one = Vec::new();
            encode(value.as_ref(), &mut one);
            all.extend_from_slice(&one);
            assert!(seen.insert(one), "{value:?}");
        }
        let mut rest = all.as_slice();
        for value in &values {
            assert_eq!(&decode(&mut rest), value);
        }
        assert!(rest.is_empty());
    }

    #[test]
    fn bytes_that_were_not_encoded_are_harmless() {
        for len in 0..6 {
            for first in 0..=u8::MAX {
                let bytes = [[first].as_slice(), &[0xFF; 8]].concat();
                let mut rest = bytes.get(..len).unwrap();
                decode(&mut rest);
                assert!(rest.len() <= len);
            }
        }
    }
}
