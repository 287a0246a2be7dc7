//! Properties of the control page, on real files.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use super::*;

fn scratch() -> (tempfile::TempDir, Directory, PathBuf) {
    let scratch = tempfile::tempdir().unwrap();
    let directory = Directory::create(scratch.path()).unwrap();
    let path = scratch.path().join(CONTROL_FILE);
    (scratch, directory, path)
}

fn entry(slot: u32) -> WriterEntry {
    WriterEntry {
        slot,
        origin: Origin { writer: WriterId(42), worker: WorkerId::new(7) },
        pid: 1234,
        floor: "2026-02-03T14:05:06.789Z".parse().unwrap(),
        is_pending: true,
        place: Place { segment: 9, device: 10, inode: 11, lock_inode: 12, boot: Id([0x33; 16]) },
    }
}

#[test]
fn what_is_published_is_read_back() {
    let (_scratch, directory, path) = scratch();
    assert_eq!(directory.writer_entries(), []);
    let page = directory.control_page().unwrap();
    assert_eq!((page.current_segment(), page.writer(1)), (None, None));
    let master = WriterEntry { origin: Origin { writer: WriterId(1), worker: None }, ..entry(3) };
    for entry in [&entry(1), &entry(65_535), &master] {
        page.publish(entry).unwrap();
        assert_eq!(page.writer(entry.slot).as_ref(), Some(entry));
    }
    page.publish_segment(77).unwrap();
    assert_eq!(page.current_segment(), Some(77));
    assert_eq!(directory.writer_entries(), [entry(1), master, entry(65_535)]);
    assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
}

/// The bytes that `format/FORMAT.md` lists.
#[test]
fn entries_have_the_bytes_of_the_specification() {
    let mut expected = b"LQCwrtr\x01".to_vec();
    expected.extend([3, 0, 0, 0, 42, 0, 0, 0, 7, 0, 0, 0, 0xD2, 4, 0, 0]);
    expected.extend([0x88, 0xD2, 0x3F, 0xED, 0xEB, 0x49, 6, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    for number in 9..13 {
        expected.extend([number, 0, 0, 0, 0, 0, 0, 0]);
    }
    expected.extend([0x33; 16]);
    expected.extend([13, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(expected.len(), 96);
    expected.resize(124, 0);
    expected.extend(crc32c::crc32c(&expected).to_le_bytes());
    assert_eq!(entry(3).encode(13), expected[..]);

    let mut expected = b"LQCstor\x01\x4D\0\0\0\0\0\0\0".to_vec();
    expected.resize(124, 0);
    expected.extend(crc32c::crc32c(&expected).to_le_bytes());
    assert_eq!(encode_store(77), expected[..]);
}

#[test]
fn an_entry_with_any_bit_flipped_or_at_another_place_says_nothing() {
    let (_scratch, directory, path) = scratch();
    let page = directory.control_page().unwrap();
    let (store, writer) = (encode_store(5), entry(3).encode(page.inode));
    assert_eq!((decode_store(&writer), WriterEntry::decode(&store)), (None, None));
    for bit in 0..ENTRY_LEN * 8 {
        let flip = |mut bytes: [u8; ENTRY_LEN]| {
            bytes[bit / 8] ^= 1 << (bit % 8);
            bytes
        };
        assert_eq!(decode_store(&flip(store)), None, "bit {bit}");
        assert_eq!(WriterEntry::decode(&flip(writer)), None, "bit {bit}");
    }
    fs::write(path, [store, writer, writer, writer].concat()).unwrap();
    let found = [1, 2, 3].map(|slot| page.writer(slot).is_some());
    assert_eq!((found, directory.writer_entries()), ([false, false, true], vec![entry(3)]));
}

/// Whoever copies a store and goes on in the copy has nothing to do with the writers of the first.
#[test]
fn a_copy_of_a_page_tells_of_no_writer() {
    let (_scratch, directory, path) = scratch();
    directory.control_page().unwrap().publish(&entry(1)).unwrap();
    let copy = path.with_file_name("copy");
    fs::copy(&path, &copy).unwrap();
    fs::rename(copy, path).unwrap();
    assert_eq!(directory.writer_entries(), []);
    assert_eq!(directory.control_page().unwrap().writer(1), None);
}

#[test]
fn noise_and_pages_of_any_length_say_nothing_and_are_written_over() {
    let mut random = fastrand::Rng::with_seed(5);
    for len in [0, 1, 127, 128, 129, 511, 512, 100_000, 9 << 20] {
        let (_scratch, directory, path) = scratch();
        let mut noise = vec![0; len];
        random.fill(&mut noise);
        fs::write(&path, noise).unwrap();
        assert_eq!(directory.writer_entries(), [], "{len} bytes");
        let page = directory.control_page().unwrap();
        assert_eq!((page.current_segment(), page.writer(2)), (None, None), "{len} bytes");
        page.publish(&entry(2)).unwrap();
        page.publish_segment(3).unwrap();
        assert_eq!((page.current_segment(), page.writer(2)), (Some(3), Some(entry(2))));
        // Under an open page, too.
        fs::File::options().write(true).open(&path).unwrap().set_len(130).unwrap();
        assert_eq!((page.current_segment(), page.writer(2)), (Some(3), None));
    }
}

#[test]
fn what_is_no_file_is_refused_and_left_alone() {
    let (_scratch, directory, path) = scratch();
    let refuse = || {
        assert!(directory.control_page().is_err());
        assert_eq!(directory.writer_entries(), []);
    };
    fs::create_dir(&path).unwrap();
    refuse();
    fs::remove_dir(&path).unwrap();
    let elsewhere = path.with_file_name("elsewhere");
    symlink(&elsewhere, &path).unwrap();
    refuse();
    assert!(!elsewhere.exists(), "nothing is created at the end of a link");
    fs::remove_file(&path).unwrap();
    // Opening a pipe to read would wait for somebody who writes.
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    refuse();
}

#[test]
fn whoever_creates_a_segment_tells_its_number() {
    let (_scratch, directory, path) = scratch();
    let now = Timestamp::from_micros(0);
    let create = || {
        let lock = directory.lock().unwrap();
        directory.create_segment(&lock, &crate::NewSegment::at(now)).unwrap().number
    };
    assert_eq!((create(), create()), (1, 2));
    let page = directory.control_page().unwrap();
    assert_eq!(page.current_segment(), Some(2));
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert_eq!(create(), 3, "a page that cannot be written is no obstacle");
}
