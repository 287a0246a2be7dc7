//! Histories of clusters: who is who.

use logq_testkit::node_logs::Row;

use super::*;

/// Reads a history and answers for each record the number of its writer, in the order of their first
/// records, or none, its nonce, and how many are missing before it.
fn history(rows: &[Row]) -> Vec<(Option<usize>, u16, u16)> {
    let mut processes = Processes::new(1);
    let mut names = Vec::new();
    let mut sequences: HashMap<WriterId, u64> = HashMap::new();
    let placed = rows.iter().map(|row| {
        let entry = Entry::take(&mut row.bytes()).unwrap();
        let Placed { identity, missing } = processes.place(&entry);
        let writer = identity.map(|Identity { writer, sequence }| {
            assert_eq!(sequence % 65_536, u64::from(entry.nonce));
            let before = sequences.insert(writer, sequence);
            assert!(before.is_none_or(|before| before < sequence));
            names.iter().position(|name| *name == writer).unwrap_or_else(|| {
                names.push(writer);
                names.len() - 1
            })
        });
        (writer, entry.nonce, missing)
    });
    placed.collect()
}

fn log(worker: u32, time_ms: u64, nonce: u16) -> Row {
    Row::new(36, time_ms, nonce).int(worker).text("1")
}

fn ping(worker: u32, nonce: u16) -> Row {
    Row::new(27, 1, nonce).int(worker)
}

fn start(nonce: u16) -> Row {
    Row::new(40, 1, nonce)
}

fn spawned(worker: u32, nonce: u16) -> Row {
    Row::new(44, 1, nonce).int(worker)
}

#[test]
fn each_process_is_a_writer_and_pings_are_not_kept() {
    let rows = [start(0), spawned(1, 1), log(1, 1, 0), log(2, 1, 0), ping(1, 1), log(1, 1, 2)];
    let expected = [
        (Some(0), 0, 0),
        (Some(0), 1, 0),
        (Some(1), 0, 0),
        (Some(2), 0, 0),
        (None, 1, 0),
        (Some(1), 2, 0),
    ];
    assert_eq!(history(&rows), expected);
}

#[test]
fn lost_records_are_counted_and_their_numbers_left_out() {
    let rows = [log(1, 1, 40), log(1, 1, 41), log(1, 1, 45), log(1, 1, 45 + LOST_MAX + 1)];
    let expected =
        [(Some(0), 40, 0), (Some(0), 41, 0), (Some(0), 45, 3), (Some(0), 32_814, LOST_MAX)];
    assert_eq!(history(&rows), expected);
}

#[test]
fn nonces_go_round() {
    let rows: Vec<_> =
        (0..200_000_u32).map(|number| log(1, 1, u16::try_from(number % 65_536).unwrap())).collect();
    assert!(history(&rows).iter().all(|(writer, _, missing)| (*writer, *missing) == (Some(0), 0)));
}

#[test]
fn a_worker_that_comes_back_is_another_process() {
    // At once by its first nonce; after a gap because the master says so.
    for between in [vec![], vec![spawned(1, 9)]] {
        let rows = [vec![log(1, 1, 7)], between.clone(), vec![log(1, 1, 0), log(1, 1, 1)]].concat();
        let found = history(&rows);
        assert_ne!(found[0].0, found[found.len() - 1].0);
        assert_eq!(found[found.len() - 1].0, found[found.len() - 2].0);
    }
    let rows = [log(1, 1, 7), spawned(1, 0), log(1, 1, 12)];
    assert_eq!(history(&rows)[2], (Some(2), 12, 0));
    let rows = [log(1, 1, 7), start(0), log(1, 1, 12)];
    assert_eq!(history(&rows)[2], (Some(2), 12, 0));
    let rows = [log(1, 1, 7), Row::new(45, 1, 0).int(1).raw(&[0]).text("SIGKILL"), log(1, 1, 12)];
    assert_eq!(history(&rows)[2], (Some(2), 12, 0));
    // The one that the master has told of late goes on.
    let rows = [log(1, 1, 0), spawned(1, 0), log(1, 1, 1), log(1, 1, 3)];
    assert_eq!(history(&rows)[3], (Some(0), 3, 1));
}

#[test]
fn orphans_of_an_earlier_master_stay_apart() {
    let rows =
        [log(1, 1, 500), start(0), log(1, 1, 0), log(1, 1, 501), log(1, 1, 1), log(1, 1, 502)];
    let writers: Vec<_> = history(&rows).iter().map(|(writer, ..)| *writer).collect();
    assert_eq!(writers, [0, 1, 2, 0, 2, 0].map(Some));
}

#[test]
fn a_clock_that_goes_back_begins_a_writer_and_the_numbers_go_on() {
    let mut processes = Processes::new(1);
    let mut last = None;
    let mut names = HashSet::new();
    for (nonce, time_ms) in (0..).zip([10, 11, 11, 5, 6, 11, 4]) {
        let row = log(1, time_ms, nonce);
        let placed = processes.place(&Entry::take(&mut row.bytes()).unwrap());
        let Identity { writer, sequence } = placed.identity.unwrap();
        assert!(last.is_none_or(|last| last < sequence), "{sequence}");
        last = Some(sequence);
        names.insert(writer);
    }
    assert_eq!((processes.steps_back(), processes.writers(), names.len()), (2, 3, 3));
}

#[test]
fn numbers_are_nonces_that_do_not_go_round_and_pings_take_some() {
    let mut processes = Processes::new(1);
    let mut sequence = |row: Row| {
        let placed = processes.place(&Entry::take(&mut row.bytes()).unwrap());
        placed.identity.map(|identity| identity.sequence)
    };
    assert_eq!(sequence(log(1, 1, 65_533)), Some(65_533));
    assert_eq!(sequence(ping(1, 65_534)), None);
    assert_eq!(sequence(log(1, 1, 65_535)), Some(65_535));
    assert_eq!(sequence(log(1, 1, 0)), Some(65_536));
}

#[test]
fn the_same_log_has_the_same_names_and_another_one_has_not() {
    let name = |salt, worker, time_ms| {
        let row = log(worker, time_ms, 0);
        Processes::new(salt).place(&Entry::take(&mut row.bytes()).unwrap()).identity.unwrap().writer
    };
    assert_eq!(name(1, 1, 1), name(1, 1, 1));
    let others = [name(1, 1, 1), name(2, 1, 1), name(1, 2, 1), name(1, 1, 2)];
    assert_eq!(HashSet::from(others).len(), 4);
}

#[test]
fn hostile_numbers_take_bounded_memory() {
    let mut processes = Processes::new(1);
    let mut kept = 0;
    for number in 0..200_000 {
        let row = log(number, 1, 0);
        let placed = processes.place(&Entry::take(&mut row.bytes()).unwrap());
        kept += usize::from(placed.identity.is_some());
    }
    assert_eq!((kept, processes.writers()), (WRITERS_MAX, WRITERS_MAX));
    assert_eq!(processes.workers.len(), WORKERS_MAX);
    for nonce in 0..1_000 {
        processes.place(&Entry::take(&mut log(1, 1, nonce * 50).bytes()).unwrap());
    }
    assert!(processes.workers[&Some(1)].processes.len() <= PROCESSES_MAX);
}
