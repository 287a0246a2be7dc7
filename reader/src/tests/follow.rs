//! Following files that grow, are rotated, deleted, truncated and replaced, without any writer beside:
//! every record once, whatever happens, also across restarts from cursors.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fastrand::Rng;
use logq_format::{
    BlockFlags, Event, FILE_HEADER_LEN, Level, LevelSet, Lifecycle, Origin, Record, Timestamp,
    WriterId,
};
use logq_testkit::cluster::{Cluster, ClusterOptions};
use logq_testkit::naive::{NaiveQuery, NaiveRecord, NaiveStore};
use tempfile::TempDir;

use super::cluster::{SegmentBuilder, Troubles, Writer, cluster};
use crate::report::Cause;
use crate::rows::Rank;
use crate::{
    Cursor, Delivery, Filter, Follow, FollowOptions, Notification, PollingReason, Progress, Start,
};

type Segments = Vec<(u64, Vec<u8>)>;

/// A store whose segments are written bit by bit.
struct Growing {
    directory: TempDir,
    all: Segments,
    lens: Vec<usize>,
}

impl Growing {
    fn new(all: Segments) -> Self {
        Self { directory: tempfile::tempdir().unwrap(), all, lens: Vec::new() }
    }

    fn store(&self) -> PathBuf {
        self.directory.path().join("store")
    }

    fn path(&self, index: usize) -> PathBuf {
        self.store().join(logq_format::segment_name(self.all[index].0, super::cluster::time(0)))
    }

    /// Makes the next segment, of which only the header is written.
    fn create(&mut self) {
        let index = self.lens.len();
        let len = FILE_HEADER_LEN.min(self.all[index].1.len());
        fs::create_dir_all(self.store()).unwrap();
        let draft = self.store().join(".draft");
        fs::write(&draft, &self.all[index].1[..len]).unwrap();
        fs::rename(draft, self.path(index)).unwrap();
        self.lens.push(len);
    }

    fn append(&mut self, index: usize, len: usize) {
        let bytes = &self.all[index].1[self.lens[index]..len];
        let mut file = OpenOptions::new().append(true).open(self.path(index)).unwrap();
        file.write_all(bytes).unwrap();
        self.lens[index] = len;
    }

    /// Something is written.
    fn grow(&mut self, rng: &mut Rng) {
        if self.lens.len() < self.all.len() && (self.lens.is_empty() || rng.u8(0..8) == 0) {
            return self.create();
        }
        for index in self.lens.len().saturating_sub(2)..self.lens.len() {
            let (len, most) = (self.lens[index], self.all[index].1.len());
            let is_behind = index + 2 < self.lens.len();
            let next = if is_behind { most } else { rng.usize(len..=most.min(len + 2500)) };
            self.append(index, next);
        }
    }

    /// A segment is not written any more once another one but the next has been begun.
    fn finish_old(&mut self) {
        for index in 0..self.lens.len().saturating_sub(2) {
            let most = self.all[index].1.len();
            if self.path(index).exists() {
                self.append(index, most);
            }
        }
    }

    fn is_complete(&self) -> bool {
        self.lens.len() == self.all.len()
            && self.lens.iter().zip(&self.all).all(|(len, (_, bytes))| *len == bytes.len())
    }
}

fn identity(record: &NaiveRecord) -> Rank {
    let (time, WriterId(writer), sequence) = record.identity();
    (time, writer, sequence)
}

/// One look: the records, each with the cursor behind it, and what became of it. The caller stops
/// after so many slices.
fn look(follow: &mut Follow<'_>, stop: usize) -> (Vec<(Rank, String)>, Progress) {
    let (mut found, mut slices) = (Vec::new(), 0);
    let progress = follow.next(
        Duration::ZERO,
        |rows, cursors| {
            let row = |row: crate::Row<'_>| (row.rank(), cursors.after(&row).to_string());
            rows.iter().map(row).collect::<Vec<_>>()
        },
        |rows| {
            found.extend(rows);
            slices += 1;
            if slices >= stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        },
    );
    (found, progress.unwrap())
}

fn ranks(follow: &mut Follow<'_>) -> Vec<Rank> {
    let mut ranks = Vec::new();
    loop {
        let (found, _) = look(follow, usize::MAX);
        if found.is_empty() {
            return ranks;
        }
        ranks.extend(found.into_iter().map(|(rank, _)| rank));
    }
}

fn polled(start: Start, delivery: Delivery) -> FollowOptions<'static> {
    FollowOptions { start, delivery, notify: false, ..FollowOptions::default() }
}

struct Followed {
    handed_out: Vec<Rank>,
    watermark: Option<Timestamp>,
    restarts: u32,
}

/// Follows a store from before its beginning to its end.
fn follow_growth(
    seed: u64,
    all: Segments,
    delivery: Delivery,
    filter: &Filter<'static>,
) -> Followed {
    let mut rng = Rng::with_seed(seed ^ 0xF0110);
    let mut growing = Growing::new(all);
    let store = growing.store();
    let options = |start| FollowOptions { filter: filter.clone(), ..polled(start, delivery) };
    let start = Start::Since(Timestamp::MIN);
    let mut follow = Follow::new(&[&store], options(start)).unwrap();
    let mut handed_out: Vec<Rank> = Vec::new();
    let mut restarts = 0;
    for round in 0..2_000 {
        if growing.is_complete() {
            handed_out.extend(ranks(&mut follow));
            assert!(follow.report().gaps.iter().all(|gap| gap.cause != Cause::Vanished));
            break;
        }
        assert!(round < 1_999, "seed {seed}: the end is reached");
        growing.grow(&mut rng);
        growing.finish_old();
        if rng.u8(0..3) == 0 {
            continue;
        }
        let stop = if rng.u8(0..4) == 0 { rng.usize(1..4) } else { usize::MAX };
        let (found, progress) = look(&mut follow, stop);
        let is_whole = stop == usize::MAX || found.is_empty();
        assert!(!is_whole || progress != Progress::Stopped, "seed {seed}");
        let restart = rng.u8(0..6);
        let mut cursor = follow.cursor().to_string();
        let mut taken = found.len();
        if restart == 0 && !found.is_empty() {
            // The process ends behind one of the records.
            taken = rng.usize(1..=found.len());
            cursor = found[taken - 1].1.clone();
        }
        handed_out.extend(found.iter().take(taken).map(|(rank, _)| *rank));
        if restart <= 1 {
            restarts += 1;
            let cursor: Cursor = cursor.parse().unwrap();
            follow = Follow::new(&[&store], options(Start::After(cursor))).unwrap();
        }
    }
    let report = follow.report();
    Followed { handed_out, watermark: report.coverage.watermark, restarts }
}

fn check_growth(seed: u64, all: &Segments, delivery: Delivery) -> Followed {
    let mut rng = Rng::with_seed(seed);
    let levels = match rng.bool() {
        true => LevelSet::ALL,
        false => LevelSet::at_least(rng.choice(Level::ALL).unwrap()),
    };
    let filter = Filter { levels, ..Filter::default() };
    let followed = follow_growth(seed, all.clone(), delivery, &filter);
    let store = NaiveStore::read(all);
    let naive = NaiveQuery { levels, ..NaiveQuery::default() };
    let expected: BTreeSet<_> = store.select(&naive).into_iter().map(identity).collect();
    let found: BTreeSet<_> = followed.handed_out.iter().copied().collect();
    let context = format!("seed {seed}, {delivery:?}, {} restarts", followed.restarts);
    assert_eq!(found.len(), followed.handed_out.len(), "{context}: something came twice");
    assert!(found.is_subset(&expected), "{context}");
    let is_final = |rank: &&Rank| {
        delivery == Delivery::Arrival || followed.watermark.is_some_and(|time| rank.0 < time)
    };
    let lost: Vec<_> = expected.difference(&found).filter(is_final).collect();
    assert!(lost.is_empty(), "{context}: {} of {} are lost", lost.len(), expected.len());
    followed
}

#[test]
fn every_record_of_a_growing_store_comes_once() {
    for seed in 0..60 {
        let troubles = Troubles { twice: true, torn: seed % 2 == 0, ..Troubles::default() };
        let all = cluster(seed, troubles);
        check_growth(seed, &all, Delivery::Arrival);
        check_growth(seed, &all, Delivery::Ordered);
    }
}

#[test]
fn every_record_of_a_whole_history_comes_once() {
    let mut handed_out = 0;
    for seed in 0..30 {
        let actions = 40 + u32::try_from(seed).unwrap() * 8;
        let options = ClusterOptions { seed, actions, ..ClusterOptions::default() };
        let all = Cluster::generate(&options).segments;
        check_growth(seed, &all, Delivery::Arrival);
        handed_out += check_growth(seed, &all, Delivery::Ordered).handed_out.len();
    }
    assert!(handed_out > 1_000, "{handed_out}");
}

/// The blocks of one segment come in the order in which they were appended, so its claims hold at
/// every moment.
#[test]
fn what_is_final_comes_in_exact_order() {
    let mut handed_out = 0;
    for seed in 0..60 {
        let options = ClusterOptions { seed, actions: 300, ..ClusterOptions::default() };
        let segments = Cluster::generate(&options).segments;
        for segment in segments.into_iter().take(2) {
            let all = vec![segment];
            let mut growing = Growing::new(all.clone());
            let mut rng = Rng::with_seed(seed);
            growing.create();
            let options = polled(Start::Since(Timestamp::MIN), Delivery::Ordered);
            let mut follow = Follow::new(&[growing.store()], options).unwrap();
            let mut found = Vec::new();
            while !growing.is_complete() {
                growing.grow(&mut rng);
                found.extend(look(&mut follow, usize::MAX).0.into_iter().map(|(rank, _)| rank));
            }
            found.extend(ranks(&mut follow));
            assert!(found.is_sorted_by(|a, b| a < b), "seed {seed}");
            assert_eq!(follow.report().late_records, 0, "seed {seed}");
            handed_out += found.len();
            check_growth(seed, &all, Delivery::Ordered);
        }
    }
    assert!(handed_out > 2_000, "{handed_out}");
}

#[test]
fn now_and_the_newest_and_a_time_begin_where_they_say() {
    for seed in 0..20 {
        let all = cluster(seed, Troubles::default());
        let store = NaiveStore::read(&all);
        let records: Vec<_> =
            store.select(&NaiveQuery::default()).into_iter().map(identity).collect();
        let mut growing = Growing::new(all.clone());
        let mut rng = Rng::with_seed(seed);
        let arrival = |start| polled(start, Delivery::Arrival);
        let follow = |start| Follow::new(&[growing.store()], arrival(start)).unwrap();
        let mut before = follow(Start::Now);
        while !growing.is_complete() {
            growing.grow(&mut rng);
            growing.finish_old();
        }
        let follow = |start| Follow::new(&[growing.store()], arrival(start)).unwrap();
        // Nobody has looked at most of what was before: it must not be taken for lost.
        let nothing_is_missing = |follow: &Follow<'_>, start: &str| {
            assert_eq!(follow.report().missing, [], "seed {seed}, {start}");
        };
        let sorted = |mut ranks: Vec<Rank>| {
            ranks.sort_unstable();
            ranks
        };
        assert_eq!(sorted(ranks(&mut before)), records, "everything came after the beginning");
        let mut now = follow(Start::Now);
        assert!(ranks(&mut now).is_empty());
        nothing_is_missing(&now, "now");
        for count in [0, 1, 7, records.len() - 1, records.len(), records.len() + 5] {
            let mut follow = follow(Start::Newest(count as u64));
            let found = ranks(&mut follow);
            assert_eq!(found, records[records.len().saturating_sub(count)..], "seed {seed}");
            nothing_is_missing(&follow, "newest");
        }
        let since = records[records.len() / 2].0;
        let mut follow = follow(Start::Since(since));
        let found = ranks(&mut follow);
        nothing_is_missing(&follow, "since");
        assert!(found.iter().eq(records.iter().filter(|rank| rank.0 >= since)), "seed {seed}");
    }
}

#[test]
fn a_time_ends_it() {
    let (growing, _) = followed();
    let records = NaiveStore::read(&growing.all[..1]);
    let records: Vec<_> =
        records.select(&NaiveQuery::default()).into_iter().map(identity).collect();
    let until = records[records.len() / 2].0;
    let start = Start::Since(Timestamp::MIN);
    let options = FollowOptions { until: Some(until), ..polled(start, Delivery::Arrival) };
    let mut follow = Follow::new(&[growing.store()], options).unwrap();
    let found = look(&mut follow, usize::MAX).0.into_iter().map(|(rank, _)| rank);
    assert!(found.eq(records.into_iter().filter(|rank| rank.0 < until)));
    assert_eq!(look(&mut follow, usize::MAX).1, Progress::Ended);
}

/// Follows all of a store's first segment.
fn followed() -> (Growing, Follow<'static>) {
    let is_large = |all: &Segments| all.len() == 4 && all.iter().all(|(_, b)| b.len() > 3_000);
    let all = (0..).map(|seed| cluster(seed, Troubles::default())).find(is_large);
    let mut growing = Growing::new(all.unwrap());
    growing.create();
    growing.append(0, growing.all[0].1.len());
    let options = polled(Start::Since(Timestamp::MIN), Delivery::Arrival);
    let mut follow = Follow::new(&[growing.store()], options).unwrap();
    assert!(!ranks(&mut follow).is_empty());
    (growing, follow)
}

/// Open descriptors of files of this store.
fn open_files(store: &Path) -> usize {
    let links = fs::read_dir("/proc/self/fd").unwrap().flatten();
    let targets = links.filter_map(|link| fs::read_link(link.path()).ok());
    targets.filter(|target| target.to_string_lossy().starts_with(&*store.to_string_lossy())).count()
}

#[test]
fn deleted_segments_are_let_go_and_told_only_if_something_is_lost() {
    let (mut growing, mut follow) = followed();
    fs::remove_file(growing.path(0)).unwrap();
    assert!(ranks(&mut follow).is_empty());
    assert_eq!(follow.report().gaps, [], "everything had been handed out");
    if cfg!(target_os = "linux") {
        assert_eq!(open_files(&growing.store()), 0, "no descriptor is kept");
    }
    // Segments come and go unseen: that is told.
    growing.create();
    growing.create();
    fs::remove_file(growing.path(1)).unwrap();
    growing.append(2, growing.all[2].1.len());
    assert!(!ranks(&mut follow).is_empty());
    let gaps = follow.report().gaps;
    assert_eq!(gaps.iter().filter(|gap| gap.cause == Cause::Vanished).count(), 1, "{gaps:?}");
    // The whole store goes, and comes again.
    fs::remove_dir_all(growing.store()).unwrap();
    assert!(ranks(&mut follow).is_empty());
    growing.create();
    growing.append(3, growing.all[3].1.len());
    assert!(!ranks(&mut follow).is_empty());
}

#[test]
fn truncation_and_replacement_are_told_and_what_comes_then_is_read() {
    let (mut growing, mut follow) = followed();
    let path = growing.path(0);
    let len = fs::metadata(&path).unwrap().len();
    File::options().write(true).open(&path).unwrap().set_len(len / 2).unwrap();
    assert!(ranks(&mut follow).is_empty());
    let gaps = follow.report().gaps;
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert_eq!((&gaps[0].cause, gaps[0].range.end), (&Cause::Truncated, len));

    growing.create();
    let draft = growing.store().join(".draft");
    fs::write(&draft, &growing.all[2].1).unwrap();
    assert!(ranks(&mut follow).is_empty());
    // Another file takes the name of the newest segment.
    fs::rename(draft, growing.path(1)).unwrap();
    assert!(!ranks(&mut follow).is_empty());
    let gaps = follow.report().gaps;
    assert!(gaps.iter().any(|gap| gap.cause == Cause::Vanished), "{gaps:?}");
}

#[test]
fn single_segments_and_several_stores_are_followed_together() {
    let all = cluster(77, Troubles::default());
    let expected = NaiveStore::read(&all).select(&NaiveQuery::default()).len();
    let (first, rest) = all.split_at(1);
    let (mut one, mut two) = (Growing::new(first.to_vec()), Growing::new(rest.to_vec()));
    one.create();
    let paths = [one.path(0), two.store()];
    let options = polled(Start::Since(Timestamp::MIN), Delivery::Arrival);
    let mut follow = Follow::new(&paths, options).unwrap();
    let mut found = ranks(&mut follow);
    let mut rng = Rng::with_seed(1);
    while !(one.is_complete() && two.is_complete()) {
        for growing in [&mut one, &mut two] {
            growing.grow(&mut rng);
            growing.finish_old();
        }
        found.extend(ranks(&mut follow));
        let cursor = follow.cursor();
        let options = polled(Start::After(cursor), Delivery::Arrival);
        follow = Follow::new(&paths, options).unwrap();
    }
    found.sort_unstable();
    found.dedup();
    assert_eq!(found.len(), expected);
}

#[test]
fn other_things_than_stores_are_refused_and_notification_is_as_asked() {
    let scratch = tempfile::tempdir().unwrap();
    fs::write(scratch.path().join("access.log"), "text").unwrap();
    let refused = |path: PathBuf| Follow::new(&[path], FollowOptions::default()).unwrap_err();
    let text = refused(scratch.path().join("access.log")).to_string();
    assert!(text.contains("a text file"), "{text}");
    assert!(refused(scratch.path().to_owned()).to_string().contains("1 other file"));
    let nowhere = scratch.path().join("nowhere");
    let follow = Follow::new(&[&nowhere], polled(Start::Now, Delivery::Ordered)).unwrap();
    assert_eq!(follow.notification(), Notification::Polling(PollingReason::Asked));
    assert_eq!(follow.waiting_for(), None);
    let refused = Notification::Polling(PollingReason::Refused(28)).to_string();
    assert!(refused.contains("max_user_watches"), "{refused}");
}

/// A writer holds back more than the cursor stands behind, and more segments than are looked into at
/// first: they were taken for new ones, and all of them came again.
#[test]
fn what_a_cursor_stands_behind_does_not_come_again_when_a_slow_writer_leaves() {
    let writer = |id: u32, time: i64| Writer {
        origin: Origin { writer: WriterId(id), worker: None },
        sequence: 0,
        time,
    };
    let mut all = Vec::new();
    let mut slow_leaves = 0;
    for number in 1..=25_u32 {
        let mut segment = SegmentBuilder::new(number.into(), number.into(), None);
        let mut busy = writer(number, i64::from(number) * 100);
        segment.join(&busy);
        let event = Event::Lifecycle(Lifecycle::StartingUp);
        let records = [0, 1, 2]
            .map(|n| Record { time: super::cluster::time(busy.time + n), event: event.clone() });
        segment.block(&mut busy, BlockFlags::NONE, &records);
        busy.time += 2;
        segment.sign_of_life(&busy, BlockFlags::LEAVING);
        if number == 25 {
            let slow = writer(99, 50);
            segment.join(&slow);
            slow_leaves = segment.bytes.len();
            segment.sign_of_life(&slow, BlockFlags::LEAVING);
        }
        all.push((u64::from(number), segment.finish()));
    }
    let mut growing = Growing::new(all);
    while growing.lens.len() < 25 {
        growing.create();
        let last = growing.lens.len() - 1;
        let len = if last == 24 { slow_leaves } else { growing.all[last].1.len() };
        growing.append(last, len);
    }
    let snapshot = crate::Snapshot::open(&[growing.store()]).unwrap();
    let half = crate::Query { limit: Some(40), ..crate::Query::default() };
    let cursors = snapshot.cursors(&half).unwrap();
    let mut cursor = None;
    let last = |rows: &crate::Rows<'_>| rows.iter().last().map(|row| cursors.after(&row));
    let fold = |last: Option<Cursor>| {
        cursor = last.or(cursor.take());
        ControlFlow::Continue(())
    };
    snapshot.scan(&half, last, fold).unwrap();
    let start = Start::After(cursor.unwrap());
    let mut follow = Follow::new(&[growing.store()], polled(start, Delivery::Ordered)).unwrap();
    assert!(ranks(&mut follow).is_empty(), "nothing is final");
    let waiting = follow.waiting_for().unwrap();
    assert_eq!(waiting.holding[0].origin.writer, WriterId(99));
    assert!(waiting.records >= 35);
    growing.append(24, growing.all[24].1.len());
    assert_eq!(ranks(&mut follow).len(), 35);
    assert_eq!(follow.waiting_for(), None);
}

/// Many segments came between the look at the newest one and the look at the names. Somebody had
/// joined it meanwhile; it was let go as one that nobody writes to, and all that came was lost. A
/// cursor that was taken there took it for one that does not grow.
#[test]
fn a_segment_is_joined_as_long_as_it_is_the_newest_however_many_come_at_once() {
    for (delivery, restarts) in [
        (Delivery::Arrival, false),
        (Delivery::Arrival, true),
        (Delivery::Ordered, false),
        (Delivery::Ordered, true),
    ] {
        let origin = Origin { writer: WriterId(7), worker: None };
        let mut writer = Writer { origin, sequence: 0, time: 100 };
        let mut first = SegmentBuilder::new(1, 1, None);
        first.join(&writer);
        let event = Event::Lifecycle(Lifecycle::StartingUp);
        let record = Record { time: super::cluster::time(100), event };
        first.block(&mut writer, BlockFlags::NONE, &[record]);
        first.sign_of_life(&writer, BlockFlags::LEAVING);
        let mut all = vec![(1, first.finish())];
        for number in 2..=30 {
            all.push((number, SegmentBuilder::new(number, number, None).finish()));
        }
        let mut growing = Growing::new(all);
        growing.create();
        let options = polled(Start::Since(Timestamp::MIN), delivery);
        let mut follow = Follow::new(&[growing.store()], options).unwrap();
        assert!(ranks(&mut follow).is_empty());
        (2..=30).for_each(|_| growing.create());
        assert!(look(&mut follow, usize::MAX).0.is_empty());
        growing.append(0, growing.all[0].1.len());
        if restarts {
            let options = polled(Start::After(follow.cursor()), delivery);
            follow = Follow::new(&[growing.store()], options).unwrap();
        }
        assert_eq!(ranks(&mut follow).len(), 1, "{delivery:?}, restarts: {restarts}");
        let cursor = follow.cursor().to_string();
        assert!(cursor.len() < 400, "{} characters: it is let go", cursor.len());
    }
}

#[test]
fn a_look_reads_only_what_is_new() {
    let options = ClusterOptions { seed: 3, actions: 3_000, ..ClusterOptions::default() };
    let segments = Cluster::generate(&options).segments;
    let largest = segments.into_iter().max_by_key(|(_, bytes)| bytes.len()).unwrap();
    let len = largest.1.len();
    let mut growing = Growing::new(vec![largest]);
    growing.create();
    growing.append(0, len - 2_000);
    let options = polled(Start::Now, Delivery::Arrival);
    let mut follow = Follow::new(&[growing.store()], options).unwrap();
    ranks(&mut follow);
    let before = follow.report().statistics.bytes_read;
    growing.append(0, len);
    assert!(!ranks(&mut follow).is_empty());
    let read = follow.report().statistics.bytes_read - before;
    assert!(read < 20_000 && read < len as u64 / 4, "{read} of {len}");
}
