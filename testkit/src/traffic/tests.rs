//! The statistics of the traffic, and that it never changes.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use logq_format::json::write_line;
use logq_format::{Event, Level, RecordType, RequestId, Timestamp};

use super::{DAY_US, Numbering, TrafficOptions, generate};

fn lines(options: &TrafficOptions) -> Vec<u8> {
    let mut numbering = Numbering::default();
    let mut out = Vec::new();
    generate(options, |worker, record| {
        let (origin, sequence) = numbering.next(worker);
        write_line(&mut out, record, origin, sequence);
    });
    out
}

#[test]
fn number_of_records_is_exact() {
    for records in [0, 1, 5, 17, 18, 19, 40, 100, 999, 12_345] {
        let mut count = 0;
        generate(&TrafficOptions { records, ..Default::default() }, |_, _| count += 1);
        assert_eq!(count, records);
    }
}

#[test]
fn same_seed_gives_same_records_and_another_seed_others() {
    let options = TrafficOptions { records: 3_000, ..Default::default() };
    assert_eq!(lines(&options), lines(&options));
    assert_ne!(lines(&options), lines(&TrafficOptions { seed: 2, ..options }));
}

/// The digest pins the generator, so that figures measured at different times are comparable.
#[test]
fn records_of_seed_1_are_always_the_same() {
    let text = lines(&TrafficOptions { records: 20_000, ..Default::default() });
    // FNV-1a, 64 bits.
    let digest = text.iter().fold(0xCBF2_9CE4_8422_2325_u64, |digest, byte| {
        (digest ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3)
    });
    assert_eq!((text.len(), digest), (4_171_106, 5_491_314_673_560_326_794));
}

/// A template once glued two numbers together, and `0567` is no JSON.
#[test]
fn lines_are_json() {
    let text = lines(&TrafficOptions { records: 60_000, ..Default::default() });
    for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let parsed = serde_json::from_slice::<serde_json::Value>(line);
        assert!(parsed.is_ok(), "{}", String::from_utf8_lossy(line));
    }
}

#[test]
fn traffic_is_as_documented() {
    let options = TrafficOptions { records: 200_000, ..Default::default() };
    let mut types = BTreeMap::<RecordType, u32>::new();
    let mut failed = BTreeSet::new();
    let (mut clients, mut v6) = (HashMap::<_, u32>::new(), 0);
    let (mut last, mut workers) = (options.start, BTreeSet::new());
    let mut hours = [0_u32; 24];
    let mut levels = BTreeMap::<Level, u32>::new();
    generate(&options, |worker, record| {
        assert!(record.time >= last, "times never decrease");
        last = record.time;
        let hour = last.micros_since(options.start) / (DAY_US / 24);
        // The last requests and the shutdown may end a little after midnight.
        hours[usize::try_from(hour).unwrap().min(23)] += 1;
        *types.entry(record.record_type()).or_default() += 1;
        *levels.entry(record.level()).or_default() += 1;
        workers.insert(worker);
        if record.level() <= Level::Error {
            failed.extend(record.request_id());
        }
        if let Event::Request(request) = &record.event {
            *clients.entry(request.ip).or_default() += 1;
            v6 += u32::from(request.ip.unwrap().is_ipv6());
        }
    });
    let requests = types[&RecordType::Request];
    assert_eq!(requests, types[&RecordType::Response]);
    assert_eq!(requests, types[&RecordType::ResponseFinished]);
    let share = |count: u32, of: u32| f64::from(count) / f64::from(of);
    assert!((4.3..4.8).contains(&share(200_000, requests)), "records a request");
    let failures = share(u32::try_from(failed.len()).unwrap(), requests);
    assert!((0.01..0.02).contains(&failures), "{failures}");
    assert!((0.02..0.08).contains(&share(v6, requests)), "{v6} of {requests}");
    assert!(clients.len() > 10_000, "{}", clients.len());
    assert!(clients.values().max() > Some(&200), "popular clients exist");
    assert!(workers.len() >= 5 && levels.len() >= 3, "{workers:?} {levels:?}");
    assert!(hours[20] > 3 * hours[4] && hours[4] > 1_000, "{hours:?}");
    assert!(last.micros_since(options.start) > DAY_US * 99 / 100, "the day is full");
}

#[test]
fn lines_have_the_length_they_are_calibrated_to() {
    let options = TrafficOptions { records: 100_000, ..Default::default() };
    let each = lines(&options).len() / 100_000;
    // Sequence numbers of five million records are longer by one digit and more.
    assert!((207..=211).contains(&each), "{each} bytes a record");
}

/// REQUEST comes first and RESPONSE_FINISHED last, on one worker; durations fit the times.
#[test]
fn requests_are_whole() {
    struct Open {
        worker: u32,
        start: Timestamp,
        answered: bool,
    }
    let mut open = HashMap::<RequestId, Open>::new();
    let mut seen = BTreeSet::new();
    generate(&TrafficOptions { records: 30_000, ..Default::default() }, |worker, record| {
        let Some(id) = record.request_id() else { return };
        let worker = worker.unwrap().get();
        if let Event::Request(_) = record.event {
            assert!(seen.insert(id), "ids are unique");
            open.insert(id, Open { worker, start: record.time, answered: false });
        }
        let request = open.get_mut(&id).unwrap();
        assert_eq!(request.worker, worker);
        match &record.event {
            Event::Response(response) => {
                let elapsed = record.time.micros_since(request.start);
                let overhead = elapsed - response.duration_us.unwrap();
                assert!(overhead < 100, "{overhead}");
                request.answered = true;
            }
            Event::ResponseFinished(_) => {
                assert!(request.answered);
                open.remove(&id);
            }
            _ => {}
        }
    });
    assert!(open.is_empty() && seen.len() > 6_000);
}
