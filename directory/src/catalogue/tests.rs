//! Properties of the catalogue, on real files.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use super::*;
use crate::NewSegment;

fn scratch() -> (tempfile::TempDir, Directory, PathBuf) {
    let scratch = tempfile::tempdir().unwrap();
    let directory = Directory::create(scratch.path()).unwrap();
    let path = scratch.path().join(CATALOGUE_FILE);
    (scratch, directory, path)
}

/// Segments of a store, each with what would be known of it if it were finished.
fn segments(directory: &Directory, count: i64) -> BTreeMap<String, Finished> {
    let lock = directory.lock().unwrap();
    let known = (0..count).map(|second| {
        let now = Timestamp::from_micros(second * 1_000_000);
        let segment = directory.create_segment(&lock, &NewSegment::at(now)).unwrap();
        let file = directory.header(&segment).unwrap().file;
        let found = fs::metadata(&segment.path).unwrap();
        let (inode, len) = (found.ino(), found.len());
        let times = (second != 1).then_some((now, now.saturating_add_micros(5)));
        let name = segment.path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, Finished { file, inode, len, times })
    });
    known.collect()
}

fn entry(name: &str, finished: Option<Finished>) -> Entry {
    let number = segment_number(name).unwrap_or_default();
    Entry { name: padded(name).unwrap(), name_len: name.len(), number, finished }
}

fn names(catalogue: &Catalogue) -> Vec<&str> {
    catalogue.segments().map(|(name, _)| name).collect()
}

fn write(directory: &Directory, known: &BTreeMap<String, Finished>) -> Catalogue {
    directory.settle();
    directory.write_catalogue(&directory.lock().unwrap(), known).unwrap();
    Catalogue::read(directory.path()).unwrap()
}

#[test]
fn what_is_written_is_read_back_and_nothing_is_said_of_the_newest() {
    let (scratch, directory, path) = scratch();
    assert_eq!(Catalogue::read(scratch.path()), None);
    let known = segments(&directory, 3);
    let catalogue = write(&directory, &known);
    let names = names(&catalogue);
    assert_eq!(names, known.keys().collect::<Vec<_>>());
    let finished: Vec<_> = known.values().collect();
    assert_eq!(catalogue.finished(names[0]), Some(finished[0]));
    assert_eq!(catalogue.finished(names[1]), Some(finished[1]), "without records");
    assert_eq!(catalogue.finished(names[2]), None, "the newest");
    assert_eq!(catalogue.finished("0000000009-19700101T000000Z.logq"), None);
    assert_eq!(catalogue.finished(&"0".repeat(99)), None);
    assert!(catalogue.is_of(Stamp::of(scratch.path()).unwrap()));
    assert!(!catalogue.is_of(None));
    assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);

    // What was said before of finished ones is said again.
    assert_eq!(write(&directory, &BTreeMap::new()), catalogue);
    segments(&directory, 1);
    assert!(!catalogue.is_of(Stamp::of(scratch.path()).unwrap()), "there is one more");
    let after = write(&directory, &BTreeMap::new());
    assert_eq!(after.finished(names[2]), Some(finished[2]), "it is not the newest any more");
    let told: Vec<_> = after.segments().map(|(_, finished)| finished).collect();
    assert_eq!(told, [Some(finished[0]), Some(finished[1]), Some(finished[2]), None]);
}

#[test]
fn nothing_is_said_of_files_that_are_others_by_now() {
    let (scratch, directory, _) = scratch();
    let known = segments(&directory, 3);
    segments(&directory, 1);
    let names: Vec<_> = known.keys().map(|name| scratch.path().join(name)).collect();
    let mut longer = OpenOptions::new().append(true).open(&names[0]).unwrap();
    io::Write::write_all(&mut longer, b"x").unwrap();
    let bytes = fs::read(&names[1]).unwrap();
    fs::write(scratch.path().join("other"), bytes).unwrap();
    fs::rename(scratch.path().join("other"), &names[1]).unwrap();
    fs::remove_file(&names[2]).unwrap();
    let catalogue = write(&directory, &known);
    assert_eq!(catalogue.segments().len(), 3);
    assert!(catalogue.segments().all(|(_, finished)| finished.is_none()));
}

#[test]
fn a_list_that_is_not_complete_says_so() {
    let (scratch, directory, _) = scratch();
    let known = segments(&directory, 2);
    fs::write(scratch.path().join("00000000000001-with-a-name-that-is-long.logq"), "").unwrap();
    let catalogue = write(&directory, &known);
    assert_eq!((names(&catalogue).len(), catalogue.stamp), (2, None));
}

#[test]
fn who_forgets_it_changes_the_stamp() {
    let (scratch, directory, path) = scratch();
    let known = segments(&directory, 2);
    let catalogue = write(&directory, &known);
    directory.forget_catalogue(&directory.lock().unwrap()).unwrap();
    assert!(!path.exists());
    directory.settle();
    assert!(!catalogue.is_of(Stamp::of(scratch.path()).unwrap()));
    directory.forget_catalogue(&directory.lock().unwrap()).unwrap();
    directory.forget_catalogue(&directory.lock().unwrap()).unwrap();
}

#[test]
fn neither_links_nor_other_kinds_of_files_are_followed() {
    let (scratch, directory, path) = scratch();
    let elsewhere = tempfile::NamedTempFile::new().unwrap();
    symlink(elsewhere.path(), &path).unwrap();
    assert_eq!(Catalogue::read(scratch.path()), None);
    assert!(directory.write_catalogue(&directory.lock().unwrap(), &BTreeMap::new()).is_err());
    assert_eq!(fs::metadata(elsewhere.path()).unwrap().len(), 0);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert_eq!(Catalogue::read(scratch.path()), None);
    assert!(directory.write_catalogue(&directory.lock().unwrap(), &BTreeMap::new()).is_err());
}

/// The bytes that `format/FORMAT.md` lists.
#[test]
fn it_has_the_bytes_of_the_specification() {
    let finished = Finished {
        file: Id([0x33; 16]),
        inode: 11,
        len: 4096,
        times: Some(("2026-02-03T14:05:06.789Z".parse().unwrap(), Timestamp::MAX)),
    };
    let stamp = Stamp { device: 9, inode: 10, seconds: 1_770_127_506, nanoseconds: 123_456_789 };
    let names = ["0000000007-20260203T140506Z.logq", "0000000008-20260203T150506Z.logq"];
    let entries = vec![entry(names[0], Some(finished)), entry(names[1], None)];
    let catalogue = Catalogue { stamp: Some(stamp), entries };

    let mut entries = names[0].as_bytes().to_vec();
    entries.extend([0x33; 16]);
    entries.extend([0, 0x10, 0, 0, 0, 0, 0, 0]);
    entries.extend([0x88, 0xD2, 0x3F, 0xED, 0xEB, 0x49, 6, 0]);
    entries.extend(Timestamp::MAX.as_micros().to_le_bytes());
    entries.extend([11, 0, 0, 0, 0, 0, 0, 0]);
    entries.extend(names[1].as_bytes());
    entries.resize(2 * ENTRY_LEN, 0);
    let mut expected = b"LQCcatl\x01\x02\0\0\0\0\0\0\0".to_vec();
    expected.extend([9, 0, 0, 0, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0]);
    expected.extend([0x92, 0, 0x82, 0x69, 0, 0, 0, 0, 0x15, 0xCD, 0x5B, 7]);
    expected.resize(60, 0);
    let crc = crc32c::crc32c(&[expected.as_slice(), &entries].concat());
    expected.extend(crc.to_le_bytes());
    expected.extend(entries);
    assert_eq!(catalogue.encode(), expected);
    assert_eq!(Catalogue::decode(&expected), Some(catalogue));
}

#[test]
fn damaged_bytes_are_no_catalogue() {
    let (_scratch, directory, path) = scratch();
    write(&directory, &segments(&directory, 3));
    let bytes = fs::read(path).unwrap();
    assert!(Catalogue::decode(&bytes).is_some());
    for len in 0..bytes.len() {
        assert_eq!(Catalogue::decode(&bytes[..len]), None, "{len} bytes");
    }
    assert_eq!(Catalogue::decode(&[bytes.as_slice(), &[0]].concat()), None);
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(Catalogue::decode(&flipped), None, "bit {bit}");
    }
}

/// Whoever writes a right checksum can write anything behind it.
#[test]
fn hostile_bytes_with_a_right_checksum_are_refused_or_harmless() {
    let (_scratch, directory, path) = scratch();
    write(&directory, &segments(&directory, 3));
    let bytes = fs::read(path).unwrap();
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..20_000 {
        let mut hostile = bytes.clone();
        for _ in 0..random.usize(1..4) {
            let place = random.usize(..hostile.len());
            hostile[place] = *random.choice(&[0, 1, b'0', b'9', b'-', b'/', 0x7F, 0xFF]).unwrap();
        }
        hostile[CRC_OFFSET..HEADER_LEN].fill(0);
        let (header, rest) = hostile.split_at(HEADER_LEN);
        let crc = crc32c::crc32c_append(crc32c::crc32c(&header[..CRC_OFFSET]), rest);
        hostile[CRC_OFFSET..HEADER_LEN].copy_from_slice(&crc.to_le_bytes());
        let Some(catalogue) = Catalogue::decode(&hostile) else { continue };
        for (name, finished) in catalogue.segments() {
            assert!(segment_number(name).is_some() && !name.contains('/'));
            assert_eq!(catalogue.finished(name), finished);
        }
        assert_eq!(Catalogue::decode(&catalogue.encode()), Some(catalogue));
    }
}
