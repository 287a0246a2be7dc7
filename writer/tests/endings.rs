//! However a process ends, what the contract promises is in the store.
//!
//! Children are this test binary again, told by environment variables what to do.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test that cannot go on shall stop, and a child talks to its parent"
)]

mod common;

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::read;
use logq_writer::{Io, LoggerOptions, MasterLogger, SyncPolicy, SystemIo};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const STORE: &str = "LOGQ_TEST_STORE";
const ENDING: &str = "LOGQ_TEST_ENDING";

/// The child's part; without the variables, as an ordinary test, there is nothing to do.
#[test]
fn ending_child() {
    let (Ok(store), Ok(ending)) = (std::env::var(STORE), std::env::var(ENDING)) else { return };
    // Nothing reaches the disk by itself, so that only the ending can have brought it there.
    let compression = !["file-size", "refused", "refused-exit"].contains(&ending.as_str());
    let output_delay = Duration::from_secs(3600);
    let patient = LoggerOptions { output_delay, compression, ..Default::default() };
    let log = MasterLogger::open(store, patient).unwrap();
    log.info("logged");
    log.debug("kept back");
    match ending.as_str() {
        "exit" => std::process::exit(7),
        "leak" => {
            std::mem::forget(log);
            std::process::exit(0);
        }
        "panic" => {
            log.log_panics();
            std::mem::forget(log.clone());
            std::thread::spawn(|| panic!("out of {}", "ideas")).join().unwrap_err();
            std::process::abort();
        }
        "signal" => {
            log.close_on_signals().unwrap();
            println!("ready");
            std::thread::sleep(Duration::from_secs(60));
        }
        "refused" => {
            log.close_on_signals().unwrap();
            log_too_much(&log);
            println!("ready");
            std::thread::sleep(Duration::from_secs(30));
        }
        "refused-exit" => {
            log_too_much(&log);
            std::mem::forget(log);
            std::process::exit(7);
        }
        "fork" => fork(&log),
        "file-size" => file_size(&log),
        other => panic!("{other}"),
    }
}

/// The child logs, flushes, closes and exits; only the parent may write.
#[expect(unsafe_code, reason = "forking is an unsafe call")]
fn fork(log: &MasterLogger) {
    // SAFETY: the child calls only what the logger promises to be harmless there, and exits.
    match unsafe { nix::unistd::fork() }.unwrap() {
        nix::unistd::ForkResult::Child => {
            log.info("of the child");
            let quiet = log.closed() && log.flush().is_ok() && log.close().is_ok();
            std::process::exit(if quiet { 0 } else { 9 });
        }
        nix::unistd::ForkResult::Parent { child } => {
            let status = nix::sys::wait::waitpid(child, None).unwrap();
            assert_eq!(status, nix::sys::wait::WaitStatus::Exited(child, 0));
            log.info("of the parent");
            log.close().unwrap();
        }
    }
}

/// Logs more than files may have from now on. Returns the limit there was.
fn log_too_much(log: &MasterLogger) -> (u64, u64) {
    let (soft, hard) = getrlimit(Resource::RLIMIT_FSIZE).unwrap();
    setrlimit(Resource::RLIMIT_FSIZE, 16 << 10, hard).unwrap();
    (0..100).for_each(|n| log.info(format!("{n} {}", "x".repeat(1000))));
    (soft, hard)
}

/// Logs more than files may have, then raises that limit.
fn file_size(log: &MasterLogger) {
    let (soft, hard) = log_too_much(log);
    let refused = log.flush().unwrap_err();
    assert_eq!(refused.code, nix::libc::EFBIG, "{refused}");
    setrlimit(Resource::RLIMIT_FSIZE, soft, hard).unwrap();
    log.flush().unwrap();
    log.close().unwrap();
}

/// Runs the child to its end. Nobody reads its standard error, which must not matter to any ending.
fn end(store: &Path, ending: &str, signal: Option<Signal>) -> ExitStatus {
    let (_, unread) = io::pipe().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "ending_child", "--nocapture"])
        .env(STORE, store)
        .env(ENDING, ending)
        .stdout(Stdio::piped())
        .stderr(unread)
        .spawn()
        .unwrap();
    if let Some(signal) = signal {
        let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains("ready")));
        kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
    }
    child.wait().unwrap()
}

fn data(store: &Path) -> Vec<serde_json::Value> {
    let lines = read(store).records.into_iter().map(|record| record.line);
    lines.map(|line| serde_json::from_str(&line).unwrap()).collect()
}

#[test]
fn exit_writes_everything_even_of_a_logger_that_is_never_dropped() {
    for (ending, code) in [("exit", 7), ("leak", 0)] {
        let store = tempfile::tempdir().unwrap();
        assert_eq!(end(store.path(), ending, None).code(), Some(code));
        let found = data(store.path());
        assert_eq!((found.len(), &found[0]["data"]), (1, &"logged".into()), "{ending}");
    }
}

#[test]
fn a_panic_is_recorded_with_its_debug_entries_before_the_process_aborts() {
    let store = tempfile::tempdir().unwrap();
    assert!(!end(store.path(), "panic", None).success());
    let found = data(store.path());
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(found[1]["event"], "UNCAUGHT_EXCEPTION");
    let stack = found[1]["error"]["stack"].as_str().unwrap();
    assert!(stack.contains("out of ideas") && stack.contains("endings.rs"), "{stack}");
    assert_eq!(found[1]["error"]["debug"][0]["data"], "kept back");
}

#[test]
fn signals_close_the_logger_and_then_end_the_process_as_ever() {
    use std::os::unix::process::ExitStatusExt;
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let store = tempfile::tempdir().unwrap();
        let status = end(store.path(), "signal", Some(signal));
        assert_eq!(status.signal(), Some(signal as i32));
        assert_eq!(data(store.path())[0]["data"], "logged");
    }
}

/// The thread that waits for signals panicked when it could not tell what was lost, and the signal ended
/// nothing; at exit, the process was aborted.
#[test]
fn a_disk_that_refuses_the_last_records_and_nobody_to_hear_of_it_change_no_ending() {
    use std::os::unix::process::ExitStatusExt;
    let scratch = tempfile::tempdir().unwrap();
    let status = end(scratch.path(), "refused", Some(Signal::SIGTERM));
    assert_eq!(status.signal(), Some(Signal::SIGTERM as i32), "{status}");
    let lost = data(scratch.path()).len() < 101;
    assert!(lost, "the disk refused nothing");
    let scratch = tempfile::tempdir().unwrap();
    assert_eq!(end(scratch.path(), "refused-exit", None).code(), Some(7));
}

/// The process was ended by SIGXFSZ.
#[test]
fn a_limit_on_the_size_of_files_is_a_full_disk_and_ends_nothing() {
    let scratch = tempfile::tempdir().unwrap();
    let status = end(scratch.path(), "file-size", None);
    assert_eq!(status.code(), Some(0), "{status}");
    let data = data(scratch.path());
    assert_eq!(data.len(), 101);
    for (n, line) in data.iter().skip(1).enumerate() {
        assert!(line["data"].as_str().unwrap().starts_with(&format!("{n} x")), "{line}");
    }
}

#[test]
fn a_forked_child_writes_nothing_twice_and_nothing_of_its_own() {
    let store = tempfile::tempdir().unwrap();
    assert_eq!(end(store.path(), "fork", None).code(), Some(0));
    let texts: Vec<_> =
        data(store.path()).iter().map(|line| line["data"].as_str().unwrap().to_owned()).collect();
    assert_eq!(texts, ["logged", "of the parent"]);
}

/// A disk on which the n-th append or sync fails.
struct Faulty {
    appends: AtomicUsize,
    syncs: AtomicUsize,
    fail_append: Option<(usize, i32)>,
    fail_sync: Option<usize>,
}

impl Faulty {
    fn new(fail_append: Option<(usize, i32)>, fail_sync: Option<usize>) -> Arc<Self> {
        let (appends, syncs) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Arc::new(Self { appends, syncs, fail_append, fail_sync })
    }
}

impl Io for Faulty {
    fn append(&self, file: &File, bytes: &[u8]) -> io::Result<usize> {
        let call = self.appends.fetch_add(1, Ordering::SeqCst);
        match self.fail_append {
            // A part of the block gets through first.
            Some((fail, _)) if fail == call => SystemIo.append(file, &bytes[..bytes.len() / 2]),
            Some((fail, code)) if fail + 1 == call => Err(io::Error::from_raw_os_error(code)),
            _ => SystemIo.append(file, bytes),
        }
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        match self.syncs.fetch_add(1, Ordering::SeqCst) {
            call if self.fail_sync == Some(call) => Err(io::Error::from_raw_os_error(5)),
            _ => SystemIo.sync(file),
        }
    }
}

#[test]
fn whichever_append_fails_no_record_is_lost_or_doubled() {
    const EIO: i32 = nix::libc::EIO;
    const ENOSPC: i32 = nix::libc::ENOSPC;
    for (call, code) in (0..8).flat_map(|call| [(call, EIO), (call, ENOSPC)]) {
        let store = tempfile::tempdir().unwrap();
        let io = Faulty::new(Some((call, code)), None);
        let options = LoggerOptions { io, ..LoggerOptions::default() };
        let log = MasterLogger::open(store.path(), options).unwrap();
        for n in 0..6 {
            log.info(n);
            // The first attempt may fail; the record is written later.
            let _ = log.flush();
        }
        log.close().unwrap();
        let found = data(store.path());
        let numbers: Vec<_> = found.iter().filter_map(|line| line["data"].as_u64()).collect();
        let mut once: Vec<_> = numbers.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once, (0..6).collect::<Vec<_>>(), "call {call}, error {code}: {numbers:?}");
        let told = found.iter().any(|line| line["type"] == "IO_ERROR");
        let segments = common::segments(store.path()).len();
        if code == ENOSPC {
            assert!(!told && segments == 1, "a full disk is no reason to change the segment");
        } else {
            assert_eq!(told, segments == 2, "a broken file is left, and a record tells why");
        }
    }
}

#[test]
fn sync_policies_sync_when_they_say_and_failures_are_told() {
    let syncs = |sync, fail_sync| {
        let store = tempfile::tempdir().unwrap();
        let io = Faulty::new(None, fail_sync);
        let shared: Arc<Faulty> = Arc::clone(&io);
        let options = LoggerOptions { io, sync, ..LoggerOptions::default() };
        let log = MasterLogger::open(store.path(), options).unwrap();
        let mut failed = 0;
        for step in 0..3 {
            log.info(step);
            failed += usize::from(log.flush().is_err());
        }
        log.critical("c");
        failed += usize::from(log.flush().is_err());
        let before_close = shared.syncs.load(Ordering::SeqCst);
        log.close().unwrap();
        (before_close, failed, common::segments(store.path()).len(), data(store.path()))
    };
    assert_eq!(syncs(SyncPolicy::None, None).0, 0);
    assert_eq!(syncs(SyncPolicy::OnCritical, None).0, 1);
    assert_eq!(syncs(SyncPolicy::EveryBlock, None).0, 4);
    assert_eq!(syncs(SyncPolicy::Interval(Duration::from_secs(3600)), None).0, 0);
    assert_eq!(syncs(SyncPolicy::Interval(Duration::ZERO), None).0, 4);
    let (_, failed, segments, found) = syncs(SyncPolicy::EveryBlock, Some(1));
    assert_eq!((failed, segments), (1, 2), "whoever waited is told, and the segment is left");
    let error = found.iter().find(|line| line["type"] == "IO_ERROR").expect("a record tells");
    assert_eq!(error["data"]["operation"], "sync");
    let mut numbers: Vec<_> = found.iter().filter_map(|line| line["data"].as_u64()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [0, 1, 2]);
}
