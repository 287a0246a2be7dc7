//! The catalogue of finished segments, which a reader goes by without opening them.

use std::collections::BTreeSet;

use logq_directory::Catalogue;
use logq_format::segment_number;

const HEADER_LEN: usize = 64;
const CRC_OFFSET: usize = HEADER_LEN - 4;
const ENTRY_LEN: usize = 80;

/// A catalogue of any contents with a right checksum is refused or says things that fit together, and
/// says the same again when it is written.
pub fn catalogue(data: &[u8]) {
    check(data);
    let Some(mut bytes) = mended(data) else { return };
    check(&bytes);
    // With as many entries as there are, which random bytes never say.
    let count = ((bytes.len() - HEADER_LEN) / ENTRY_LEN) as u64;
    bytes[8..16].copy_from_slice(&count.to_le_bytes());
    if let Some(bytes) = mended(&bytes) {
        check(&bytes);
    }
}

/// The same bytes with the checksum of what is there.
fn mended(data: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = data.to_vec();
    let (header, entries) = bytes.split_at_mut_checked(HEADER_LEN)?;
    let crc = crc32c::crc32c_append(crc32c::crc32c(&header[..CRC_OFFSET]), entries);
    header[CRC_OFFSET..].copy_from_slice(&crc.to_le_bytes());
    Some(bytes)
}

fn check(bytes: &[u8]) {
    let Some(catalogue) = Catalogue::decode(bytes) else { return };
    assert_eq!(bytes.len(), HEADER_LEN + catalogue.segments().len() * ENTRY_LEN);
    assert!(!catalogue.is_of(None), "a directory that changes just now is like no other");

    let (mut names, mut numbers) = (BTreeSet::new(), Vec::new());
    let newest = catalogue.segments().len().saturating_sub(1);
    for (index, (name, finished)) in catalogue.segments().enumerate() {
        numbers.push(segment_number(name).expect("it is the name of a segment"));
        assert!(!name.contains(['/', '\0']), "it leads nowhere else: {name:?}");
        assert!(names.insert(name.to_owned()), "{name} is there twice");
        assert_eq!(catalogue.finished(name), finished, "{name}");
        assert!(index < newest || finished.is_none(), "{name} may still be written");
        if let Some((from, to)) = finished.and_then(|finished| finished.times) {
            assert!(from <= to, "{name}: from {from} to {to}");
        }
    }
    assert!(numbers.is_sorted(), "{numbers:?}");
    assert_eq!(catalogue.finished("0000000000"), None);
    assert_eq!(Catalogue::decode(&catalogue.encode()).as_ref(), Some(&catalogue));
}
