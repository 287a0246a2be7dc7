//! Segments of every released version, and the records in them, stay readable for ever.
//!
//! In the folder of a version `NAME.logq` is a segment, `NAME.jsonl` its records in the order of the
//! file, `NAME.gaps` what is damaged in it. They are written once, by running this test with
//! `LOGQ_BLESS_GOLDEN=1` where a file is missing, and never again.

use std::path::{Path, PathBuf};
use std::{env, fs};

use logq_format::{Compressor, Dictionary, FileHeader, FormatVersion, LEVEL_DEFAULT, VERSION};

use crate::support::kinds::{of_a_worker, of_many_requests, of_the_master, time};
use crate::support::reading::read;
use crate::support::segment::{Segment, Writer};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(name)
}

/// The contents of a golden file; writes it first where it is missing and that is asked for.
fn golden_bytes(name: &str, made_now: &[u8]) -> Vec<u8> {
    let path = golden(name);
    if !path.exists() && env::var_os("LOGQ_BLESS_GOLDEN").is_some_and(|value| value == "1") {
        fs::write(&path, made_now).unwrap();
    }
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A segment in which a master and a worker log every kind of record.
fn all_kinds(
    marker: [u8; 8],
    dictionary: Option<&Dictionary>,
    mut compressor: Compressor,
) -> Segment {
    let mut segment = Segment::new(marker, dictionary);
    let (mut master, mut worker) = (Writer::new(7, None), Writer::new(0xDEAD_BEEF, Some(3)));
    segment.join(&master, time(0));
    segment.ping(time(0), time(0), &[&master]);
    segment.join(&worker, time(0));
    segment.data(&mut master, &of_the_master(0), &mut compressor);
    segment.data(&mut worker, &of_a_worker(10_000), &mut compressor);
    segment.sign_of_life(&worker, time(60_000_000));
    segment.ping(time(60_000_000), time(50_000), &[&master, &worker]);
    for n in 0..8 {
        segment.data(&mut worker, &of_a_worker(61_000_000 + n * 1_000_000), &mut compressor);
    }
    segment
}

fn zstd(dictionary: Option<Dictionary>) -> Compressor {
    Compressor::new(LEVEL_DEFAULT, dictionary).unwrap()
}

/// A dictionary need not be trained: any bytes that resemble the sections are one.
fn dictionary() -> Dictionary {
    let raw = all_kinds(*b"dictdict", None, Compressor::raw());
    let block = raw.blocks[4].clone();
    Dictionary::new(&raw.bytes[block]).unwrap()
}

/// Blocks that are torn, overwritten with zeros, changed, repeated and cut off at the end.
fn damaged() -> Vec<u8> {
    let segment = all_kinds(*b"damaged!", None, Compressor::raw());
    let block = |index: usize| &segment.bytes[segment.blocks[index].clone()];
    let mut bytes = segment.bytes[..segment.blocks[4].end].to_vec();
    // A short write, and the same block again as a whole.
    bytes.extend(&block(7)[..300]);
    bytes.extend(block(7));
    bytes.extend([0; 1000]);
    bytes.extend(block(8));
    // A block with a wrong byte of its body, then one that is there twice.
    let body = bytes.len() + block(9).len() - 40;
    bytes.extend(block(9));
    bytes[body] ^= 0x10;
    bytes.extend(block(10));
    bytes.extend(block(10));
    // A header without its start.
    bytes.extend(&block(11)[9..]);
    bytes.extend(block(12));
    bytes.extend(&block(13)[..500]);
    bytes
}

/// Compares the golden files of this version named `name` with what is read in them and in what is
/// written now; answers the number of gaps.
fn check(name: &str, made_now: &[u8]) -> usize {
    let name = &format!("{}/{name}", folder());
    let bytes = golden_bytes(&format!("{name}.logq"), made_now);
    let gaps = check_reading(name, &bytes);
    assert_eq!(check_reading(name, made_now), gaps, "{name} as it is written now");
    gaps
}

/// Compares what is read in a segment with the golden files named `name`; answers the number of gaps.
fn check_reading(name: &str, segment: &[u8]) -> usize {
    let found = read(segment);
    for (extension, found) in
        [("jsonl", found.lines.concat()), ("gaps", found.gap_lines().concat())]
    {
        let expected = golden_bytes(&format!("{name}.{extension}"), found.as_bytes());
        assert_eq!(found, String::from_utf8(expected).unwrap(), "{name}.{extension}");
    }
    found.gaps.len()
}

/// The bytes that raw sections become never change within a version.
fn check_bytes(name: &str, made_now: &[u8]) {
    let golden = golden_bytes(&format!("{}/{name}.logq", folder()), made_now);
    assert!(golden == made_now, "{name} has changed");
}

#[test]
fn all_kinds_of_records_stored_raw_stay_readable() {
    let segment = all_kinds(*b"raw kind", None, Compressor::raw());
    check_bytes("kinds-raw", &segment.bytes);
    assert_eq!(check("kinds-raw", &segment.bytes), 0);
}

/// The bytes of a zstd frame may change with the version of zstd, what it holds may not.
#[test]
fn all_kinds_of_records_in_zstd_stay_readable() {
    let segment = all_kinds(*b"zstdkind", None, zstd(None));
    assert_eq!(check("kinds-zstd", &segment.bytes), 0);
}

#[test]
fn all_kinds_of_records_with_a_dictionary_stay_readable() {
    let dictionary = dictionary();
    let segment = all_kinds(*b"dictkind", Some(&dictionary), zstd(Some(dictionary.clone())));
    let plain = all_kinds(*b"dictkind", None, zstd(None));
    let saved = plain.bytes.len() + dictionary.bytes().len() - segment.bytes.len();
    assert!(saved > 1000, "the dictionary is used: {saved}");
    assert_eq!(check("kinds-dictionary", &segment.bytes), 0);
}

#[test]
fn damaged_segments_stay_readable_around_their_gaps() {
    let bytes = damaged();
    check_bytes("damaged", &bytes);
    assert_eq!(check("damaged", &bytes), 5);
}

/// Of the many requests, those of the second block have one section too many to store any.
#[test]
fn sections_of_many_requests_stay_readable() {
    let mut segment = Segment::new(*b"sections", None);
    let mut worker = Writer::new(0xDEAD_BEEF, Some(3));
    segment.join(&worker, time(0));
    for excess in [false, true] {
        segment.data(&mut worker, &of_many_requests(excess), &mut Compressor::raw());
    }
    check_bytes("sections", &segment.bytes);
    assert_eq!(check("sections", &segment.bytes), 0);
    assert_eq!(read(&segment.bytes).with_sections, 1);
}

/// The version of the format that each folder is of.
const RELEASED: [(FormatVersion, &str); 2] =
    [(FormatVersion { major: 1, minor: 0 }, "v1"), (FormatVersion { major: 1, minor: 1 }, "v1.1")];

/// The folder of this version.
fn folder() -> &'static str {
    RELEASED.last().map(|(_, folder)| *folder).unwrap()
}

#[test]
fn segments_of_earlier_versions_stay_readable() {
    let (_, earlier) = RELEASED.split_last().unwrap();
    for (version, folder) in earlier {
        let mut names: Vec<_> = fs::read_dir(golden(folder)).unwrap().map(Result::unwrap).collect();
        names.retain(|entry| entry.path().extension().is_some_and(|it| it == "logq"));
        assert!(names.len() >= 4, "{folder}");
        for entry in names {
            let bytes = fs::read(entry.path()).unwrap();
            assert_eq!(FileHeader::decode(&bytes).unwrap().version, *version);
            let name = entry.path().file_stem().unwrap().to_str().unwrap().to_owned();
            let gaps = check_reading(&format!("{folder}/{name}"), &bytes);
            assert_eq!(gaps > 0, name == "damaged", "{folder}/{name}");
        }
    }
}

#[test]
fn every_version_has_its_golden_folder() {
    let mut folders: Vec<String> = fs::read_dir(golden(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    folders.sort();
    assert_eq!(folders, RELEASED.map(|(_, folder)| folder));
    assert_eq!(RELEASED.last().map(|(version, _)| *version), Some(VERSION));
}
