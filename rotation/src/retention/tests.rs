//! Retention as a table of cases and as a property.

use super::*;
use crate::options::ManagerOptions;
use proptest::prelude::*;

/// 20,000,000 bytes, 2000 s.
fn limits() -> Limits {
    let options = ManagerOptions {
        log_size_limit: 20_000_000,
        log_age_limit: Duration::from_secs(2000),
        ..ManagerOptions::default()
    };
    options.limits()
}

/// A segment of so many megabytes and seconds.
fn extent(megabytes: u64, seconds: u64) -> Extent {
    Extent { bytes: megabytes * 1_000_000, age: Duration::from_secs(seconds) }
}

#[test]
fn the_oldest_segment_goes_when_a_limit_is_exceeded() {
    use Reason::{Age, DiskFull, Size};
    use Verdict::{Delete, DeleteOnceLeft, Keep};
    let check = |segments: &[Extent], kept_bytes, is_disk_full, expected| {
        let store = Store { segments, kept_bytes, is_disk_full };
        assert_eq!(verdict(&store, &limits()), expected, "{store:?}");
    };
    let within = [extent(10, 1900), extent(10, 100)];
    check(&within, 0, false, Keep);
    check(&within, 0, true, Delete(DiskFull));
    check(&[extent(11, 1900), extent(10, 100)], 0, false, DeleteOnceLeft(Size));
    check(&[extent(31, 1900), extent(10, 100)], 0, false, Delete(Size));
    // Segments that could not be deleted count, and the next one goes only in need.
    check(&within, 1, false, Keep);
    check(&within, 20_000_000, false, Keep);
    check(&within, 20_000_001, false, Delete(Size));
    check(&within, 1, true, Delete(DiskFull));
    check(&within, u64::MAX, false, Delete(Size));
    // The records of a segment are as young as the segment behind it is old.
    check(&[extent(1, 9000), extent(1, 2000)], 0, false, Keep);
    check(&[extent(1, 9000), extent(1, 2001)], 0, false, DeleteOnceLeft(Age));
    check(&[extent(1, 9000), extent(1, 4001)], 0, false, Delete(Age));
    check(&[extent(1, 9000), extent(1, 4001)], 1, false, Delete(Age));
    check(&[extent(1, 9000), extent(1, 2001)], 1, false, Keep);
    // The newest one stays, come what may.
    check(&[extent(90, 9000)], 0, true, Keep);
    check(&[], 90_000_000, true, Keep);
}

#[test]
fn limits_without_bound_do_not_overflow() {
    let options = ManagerOptions {
        log_size_limit: u64::MAX,
        log_age_limit: Duration::MAX,
        ..ManagerOptions::default()
    };
    let endless = Extent { bytes: u64::MAX, age: Duration::MAX };
    let store = Store { segments: &[endless, endless], kept_bytes: 0, is_disk_full: false };
    assert_eq!(verdict(&store, &options.limits()), Verdict::Keep);
}

#[test]
fn a_disk_is_full_below_64_mib_or_one_percent() {
    const GIB: u64 = 1 << 30;
    let check = |total, available, free_bytes_min, expected| {
        assert_eq!(missing_bytes(Space { available, total }, free_bytes_min), expected);
    };
    check(100 * GIB, 64 << 20, None, 0);
    check(100 * GIB, (64 << 20) - 1, None, 1);
    check(GIB, GIB / 100, None, 0);
    check(GIB, GIB / 100 - 1, None, 1);
    check(GIB, GIB / 2, Some(GIB), GIB / 2);
    check(GIB, 0, Some(0), 0);
    check(0, 0, None, 0);
}

/// A store as retention finds it, with what may get in its way.
#[derive(Clone, Debug)]
struct Case {
    /// Oldest first: bytes, whether someone still writes to it, whether it can be deleted.
    segments: Vec<(Extent, bool, bool)>,
    /// Bytes to be freed.
    missing: u64,
}

fn cases() -> impl Strategy<Value = Case> {
    let segment = (0..9_u64, 0..900_u64, prop::bool::weighted(0.2), prop::bool::weighted(0.9));
    let missing = prop_oneof![3 => Just(0), 1 => 0..40_u64];
    (prop::collection::vec(segment, 0..12), missing).prop_map(|(segments, missing)| {
        let mut age = 0;
        let mut segments: Vec<_> = segments
            .into_iter()
            .map(|(megabytes, younger, written, deletable)| {
                age += younger;
                (extent(megabytes, age), written, deletable)
            })
            .collect();
        segments.reverse();
        Case { segments, missing: missing * 1_000_000 }
    })
}

/// Carries the verdicts out and notes what became of each segment.
struct Model<'a> {
    case: &'a Case,
    deleted: Vec<usize>,
    undeletable: Vec<usize>,
}

impl Hands for Model<'_> {
    fn is_written(&mut self, index: usize) -> bool {
        self.case.segments[index].1
    }

    fn delete(&mut self, index: usize, _reason: Reason) -> bool {
        let deletable = self.case.segments[index].2;
        let list = if deletable { &mut self.deleted } else { &mut self.undeletable };
        list.push(index);
        deletable
    }
}

impl Case {
    fn bytes(&self, indices: impl IntoIterator<Item = usize>) -> u64 {
        indices.into_iter().map(|index| self.segments[index].0.bytes).sum()
    }

    /// The age of the latest records of a segment.
    fn end_age(&self, index: usize) -> Duration {
        self.segments[index + 1].0.age
    }
}

proptest! {
    #![proptest_config(crate::seeded())]

    #[test]
    fn retention_deletes_what_it_must_and_no_more(case in cases()) {
        let sizes: Vec<Extent> = case.segments.iter().map(|(extent, ..)| *extent).collect();
        let mut model = Model { case: &case, deleted: Vec::new(), undeletable: Vec::new() };
        retain(&sizes, case.missing, &limits(), &mut model);
        let Model { deleted, undeletable, .. } = model;
        let (size, age) = (limits().store_bytes, limits().store_age);
        let tried = deleted.len() + undeletable.len();
        prop_assert!(tried == 0 || tried < sizes.len(), "the newest one stays");
        prop_assert!((0..tried).all(|n| deleted.contains(&n) != undeletable.contains(&n)),
            "in order, without leaving one out: {deleted:?}, {undeletable:?}");

        // Nothing was deleted that the limits and the disk had room for.
        for index in &deleted {
            let total = case.bytes((0..sizes.len()).filter(|n| n >= index || undeletable.contains(n)));
            let freed = case.bytes(deleted.iter().copied().filter(|n| n < index));
            let times = if case.segments[*index].1 { 2 } else { 1 };
            let needed = total > u64::from(times) * size
                || case.end_age(*index) > age * times
                || freed < case.missing;
            prop_assert!(needed, "segment {index}");
        }
        // What is left is within the limits; twice as much where the oldest is still written to, or
        // stands behind one that cannot be deleted.
        if tried + 1 < sizes.len() {
            let total = case.bytes((0..sizes.len()).filter(|n| !deleted.contains(n)));
            let times = if case.segments[tried].1 || !undeletable.is_empty() { 2 } else { 1 };
            prop_assert!(total <= u64::from(times) * size, "{total} bytes are left");
            prop_assert!(case.end_age(tried) <= age * times);
            prop_assert!(case.bytes(deleted) >= case.missing, "the disk is full");
        }
    }
}
