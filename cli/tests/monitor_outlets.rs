//! `logq monitor` tells others: commands, servers and Prometheus, with real processes and sockets.

#![cfg(all(feature = "listen", feature = "webhook"))]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on shall stop"
)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use common::{PATIENCE, Run, Scratch, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;

/// A log with a burst that is above 2 requests per second over 10 seconds, and over at its end or not.
fn burst(is_over: bool) -> String {
    let mut log = String::new();
    for second in 0..if is_over { 40 } else { 20 } {
        for number in 0..if (10..20).contains(&second) { 8 } else { 1 } {
            let status = if number == 7 { 500 } else { 200 };
            log += &format!(
                "192.0.2.1 - - [07/Feb/2019:21:11:{second:02} +0000] \
                 \"GET /\\x22a{{b}}/x HTTP/1.1\" {status} 100\n"
            );
        }
    }
    log
}

fn replay(log: &str, flags: &[&str]) -> (Scratch, Run) {
    let scratch = Scratch::new();
    scratch.write("a.log", log);
    let run = scratch.run(&[&["monitor", "--no-follow", "-t2", "-w10", "a.log"], flags].concat());
    (scratch, run)
}

/// The changes of alerts in lines of JSON, with their seconds.
fn changes(lines: &str) -> Vec<String> {
    let change = |line: &str| {
        let object: Value = serde_json::from_str(line).unwrap();
        assert_eq!((&object["type"], &object["rule"]), (&"alert".into(), &"rate > 2".into()));
        format!("{} {}", object["change"].as_str().unwrap(), object["time"].as_str().unwrap())
    };
    lines.lines().map(change).collect()
}

const EXPECTED: [&str; 2] = ["fired 2019-02-07T21:11:11Z", "recovered 2019-02-07T21:11:28Z"];

#[test]
fn commands_are_run_at_each_change_one_after_the_other() {
    let slow =
        "sh -c 'test ! -e busy; mkdir busy && cat >> got && sleep 0.05; rmdir busy; echo shown'";
    let (scratch, run) = replay(&burst(true), &["--exec", slow, "-q"]);
    assert_eq!((run.code, &*run.stderr), (0, "shown\nshown\n"), "{run:?}");
    assert!(!run.stdout.contains("shown"), "standard output is the monitor's");
    let got = fs::read_to_string(scratch.path("got")).unwrap();
    assert_eq!(changes(&got), EXPECTED);
}

#[test]
fn commands_do_not_get_secrets_that_are_not_theirs() {
    let scratch = Scratch::new();
    scratch.write("a.log", burst(false));
    let show = "sh -c 'echo ${LOGQ_TOKEN-none} ${LOGQ_WEBHOOK_SECRET-none} ${OTHER-none} > got'";
    let flags = ["monitor", "--no-follow", "-t2", "-w10", "a.log", "--exec", show];
    let mut command = scratch.command(&flags);
    command.envs([("LOGQ_TOKEN", "a"), ("LOGQ_WEBHOOK_SECRET", "b"), ("OTHER", "c")]);
    assert!(command.stdout(Stdio::null()).status().unwrap().success());
    assert_eq!(fs::read_to_string(scratch.path("got")).unwrap(), "none none c\n");
}

#[test]
fn a_command_that_hangs_or_fails_is_told_and_the_run_goes_on() {
    let flags = ["--exec", "sleep 1000", "--exec-timeout", "1", "--exec", "false"];
    let (_, run) = replay(&burst(false), &flags);
    assert!(run.stdout.ends_with("End of file has been reached.\n"), "{run:?}");
    assert_eq!(run.code, 2, "not everything was done that was asked for");
    for (name, why) in [
        ("--exec sleep 1000: ", "took longer than 1s and was ended"),
        ("--exec false: ", "failed: exit status: 1"),
    ] {
        let told: Vec<&str> = run.stderr.lines().filter(|line| line.contains(name)).collect();
        let is_told = |text: &str| told.iter().any(|line| line.contains(text));
        // Why is told as it happens, or at the end if that comes first.
        assert!(is_told(why) && is_told("1 change of an alert was not delivered"), "{run:?}");
    }
}

/// A monitor was killed while a command ran and another change waited: nobody was told of that one.
#[test]
fn what_was_not_delivered_is_by_a_later_run_and_ids_tell_what_comes_twice() {
    // One that the killed monitor has started goes on without it.
    let slow = "sh -c 'for i in $(seq 600); do test -e go && break; sleep 0.1; done; \
                (cat; echo \"$LOGQ_DELIVERY\") | tr \"\\n\" \" \" > got.$$; mv got.$$ told.$$'";
    let scratch = Scratch::new();
    scratch.write("a.log", burst(true));
    let flags = ["monitor", "-t2", "-w10", "-q", "--state=state", "a.log", "--exec", slow];
    let mut command = scratch.command(&flags);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let waiting = || -> Value {
        let state = fs::read(scratch.path("state")).unwrap_or_default();
        let state: Value = serde_json::from_slice(&state).unwrap_or_default();
        state["deliveries"]
            .as_object()
            .map_or(Value::Null, |all| all.values().next().cloned().unwrap())
    };
    wait_until("both changes wait", || waiting().as_array().is_some_and(|all| all.len() == 2));
    let ids: Vec<Value> = (0..2).map(|index| waiting()[index]["id"].clone()).collect();
    child.kill().unwrap();
    child.wait().unwrap();

    scratch.write("go", "");
    let run = scratch.run(&[&flags[..], &["--no-follow"]].concat());
    assert_eq!((run.code, &*run.stderr), (0, ""));
    assert!(!run.stdout.contains("generated an alert"), "it is not decided again: {}", run.stdout);
    assert_eq!(waiting(), Value::Null);
    let told = || -> Vec<String> {
        let entries = fs::read_dir(scratch.path("")).unwrap().flatten();
        let told = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("told."));
        told.map(|entry| fs::read_to_string(entry.path()).unwrap()).collect()
    };
    wait_until("the first one is told twice", || told().len() == 3);
    let once: BTreeSet<String> = told().into_iter().collect();
    assert_eq!(once.len(), 2, "the same twice is the same: {once:?}");
    for (id, expected) in ids.iter().zip(EXPECTED) {
        let id = id.as_str().unwrap();
        let line = once.iter().find(|line| line.trim_end().ends_with(id)).unwrap();
        let json = line.trim_end().strip_suffix(id).unwrap();
        assert!(json.contains(&format!("\"id\":\"{id}\"")), "{json}");
        assert_eq!(changes(json), [expected]);
    }
    // Whoever watches the same log apart from that has other ids.
    let run = scratch.run(&["monitor", "--no-follow", "-t2", "-w10", "-o", "json", "a.log"]);
    let other = run.stdout.lines().find(|line| line.contains("\"fired\"")).unwrap();
    assert!(ids.iter().all(|id| !other.contains(id.as_str().unwrap())), "{other}");
}

#[test]
fn changes_are_posted_and_signed() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/alerts", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let mut got = Vec::new();
        for stream in listener.incoming().take(2) {
            let mut stream = stream.unwrap();
            got.push(read_until(&mut stream, "}\n"));
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
        }
        got
    });
    let scratch = Scratch::new();
    scratch.write("a.log", burst(true));
    scratch.write("secret", "s3cret\n");
    let flags = ["--webhook", &url, "--webhook-secret-file", "secret"];
    let arguments = [&["monitor", "--no-follow", "-t2", "-w10", "a.log"], &flags[..]].concat();
    let run = scratch.run(&arguments);
    assert_eq!((run.code, &*run.stderr), (0, ""), "{run:?}");
    let requests = server.join().unwrap();
    let bodies: Vec<&str> =
        requests.iter().map(|request| request.split("\r\n\r\n").nth(1).unwrap()).collect();
    assert_eq!(changes(&bodies.concat()), EXPECTED);
    assert!(requests.iter().all(|request| request.contains("logq-signature: t=")));
    assert!(!requests.concat().contains("s3cret"));
}

/// A server that nobody but this test trusts, at an address that is not public, takes the changes
/// if, and only if, that is allowed.
#[test]
fn private_networks_get_what_is_posted_only_if_that_is_allowed() {
    let scratch = Scratch::new();
    scratch.write("a.log", burst(true));
    // To connect to it is to connect to this machine, but it is not this machine by its very name.
    let made = rcgen::generate_simple_self_signed(vec!["0.0.0.0".to_owned()]).unwrap();
    scratch.write("roots.pem", made.cert.pem());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://0.0.0.0:{}/", listener.local_addr().unwrap().port());
    let run = |flags: &[&str]| {
        let arguments = ["monitor", "--no-follow", "-t2", "-w10", "a.log", "--webhook", &url];
        let mut command = scratch.command(&[&arguments, flags].concat());
        command.env("SSL_CERT_FILE", scratch.path("roots.pem")).stdin(Stdio::null());
        Run::from(command.output().unwrap())
    };
    let refused = run(&[]);
    assert!(refused.code == 2 && refused.stderr.contains("not delivered"), "{refused:?}");
    assert!(refused.stderr.contains("--webhook-allow-private"), "{}", refused.stderr);
    listener.set_nonblocking(true).unwrap();
    let nobody = listener.accept().unwrap_err();
    assert_eq!(nobody.kind(), std::io::ErrorKind::WouldBlock, "nobody has connected");
    listener.set_nonblocking(false).unwrap();
    let server = thread::spawn(move || take_securely(&listener, &made, 2));
    let allowed = run(&["--webhook-allow-private"]);
    assert_eq!((allowed.code, &*allowed.stderr), (0, ""), "{allowed:?}");
    assert_eq!(changes(&server.join().unwrap()), EXPECTED);
}

/// Takes so many requests over TLS, each over a connection of its own; gives their bodies.
fn take_securely(
    listener: &TcpListener,
    made: &rcgen::CertifiedKey<rcgen::KeyPair>,
    count: usize,
) -> String {
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let config = builder.with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    let config = Arc::new(config);
    let mut bodies = String::new();
    for stream in listener.incoming().take(count) {
        let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut stream = StreamOwned::new(connection, stream.unwrap());
        bodies += read_until(&mut stream, "}\n").split("\r\n\r\n").nth(1).unwrap();
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
    }
    bodies
}

#[test]
fn what_would_be_unsafe_is_refused_at_once() {
    let scratch = Scratch::new();
    scratch.write("a.log", burst(true));
    scratch.write("empty", "\n");
    scratch.write("token", "t0ken\n");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for (flags, expected) in [
        (&["--exec", "no-such-program"][..], "there is no program"),
        (&["--webhook", "http://example.org/s3cret"], "use https"),
        (&["--webhook", "https://u:s3cret@example.org/"], "a password in a URL"),
        (&["--webhook", "http://127.0.0.1/", "--webhook-secret-file", "none"], "cannot read"),
        (&["--webhook", "http://127.0.0.1/", "--webhook-secret-file", "empty"], "holds no secret"),
        (&["--webhook-allow-private"], "--webhook"),
        (&["--listen", "0.0.0.0:0"], "can be reached from other machines; give a token"),
        (&["--listen", "[::]:0"], "can be reached from other machines"),
        (&["--listen", "example.org:1"], "expected a port"),
        (&["--listen", &taken], "Address already in use"),
        (&["--token-file", "token"], "--listen"),
    ] {
        let run = scratch.run(&[&["monitor", "--no-follow", "a.log"], flags].concat());
        assert!(run.code == 2 && run.stderr.contains(expected), "{flags:?}: {run:?}");
        assert!(run.stdout.is_empty() && !run.stderr.contains("s3cret"), "{run:?}");
    }
    let flags = ["--listen", "0.0.0.0:0", "--token-file", "token"];
    let run = scratch.run(&[&["monitor", "--no-follow", "a.log"], &flags[..]].concat());
    assert!(run.code == 0 && run.stderr.contains("metrics on http://0.0.0.0:"), "{run:?}");
    assert!(!run.stderr.contains("t0ken"));
}

/// A monitor that follows a log and serves its numbers.
struct Served {
    child: Child,
    scratch: Scratch,
    address: String,
}

impl Served {
    fn start(flags: &[&str], environment: &[(&str, &str)]) -> Self {
        let scratch = Scratch::new();
        scratch.write("a.log", burst(true));
        scratch.write("token", "t0ken\n");
        let listen = if flags.contains(&"--listen") { &[][..] } else { &["--listen", "0"] };
        let flags = [&["monitor", "-t2", "-w10", "a.log"], listen, flags].concat();
        let mut command = scratch.command(&flags);
        command.stdin(Stdio::null()).stdout(Stdio::null()).envs(environment.iter().copied());
        command.stderr(File::create(scratch.path("err")).unwrap());
        let child = command.spawn().unwrap();
        let mut served = Self { child, scratch, address: String::new() };
        wait_until("it listens", || {
            let told = fs::read_to_string(served.scratch.path("err")).unwrap();
            let Some((_, rest)) = told.split_once("metrics on http://") else { return false };
            let Some((address, _)) = rest.split_once("/metrics\n") else { return false };
            served.address = address.to_owned();
            true
        });
        served
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// The answer to a request with these lines of a head.
    fn ask(&self, head: &str) -> String {
        let mut stream = self.connect();
        let address = &self.address;
        // One that is cut off gets an empty answer.
        let _ = write!(stream, "{head}\r\nHost: {address}\r\n\r\n");
        let mut text = Vec::new();
        let _ = stream.read_to_end(&mut text);
        String::from_utf8(text).unwrap()
    }

    fn page(&self) -> String {
        let answer = self.ask("GET /metrics HTTP/1.1");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
        assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
        body.to_owned()
    }

    /// The page, when everything was read.
    fn full_page(&self) -> String {
        let mut page = String::new();
        wait_until("all is counted", || {
            page = self.page();
            page.contains("requests_total{status=\"2xx\"} 100\n")
        });
        page
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_until(stream: &mut impl Read, end: &str) -> String {
    let (mut text, mut buffer) = (String::new(), [0; 4_096]);
    while !text.ends_with(end) {
        match stream.read(&mut buffer).unwrap() {
            0 => break,
            len => text += std::str::from_utf8(&buffer[..len]).unwrap(),
        }
    }
    text
}

/// Reads a page as its format is specified: each family is introduced once, before its samples, no
/// sample comes twice, and counters of a histogram do not fall. Gives the values.
fn parse(page: &str) -> BTreeMap<String, f64> {
    let (mut family, mut families) = (String::new(), BTreeSet::new());
    let mut samples = BTreeMap::new();
    let mut bucket = 0.0;
    for line in page.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            let (kind, name) = (words.next().unwrap(), words.next().unwrap());
            assert!(!words.next().unwrap().is_empty(), "{line}");
            match kind {
                "HELP" => assert!(families.insert(name.to_owned()), "{line}"),
                "TYPE" => {
                    assert!(families.contains(name) && family != name, "{line}");
                    name.clone_into(&mut family);
                }
                _ => panic!("{line}"),
            }
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap();
        let value: f64 = value.parse().unwrap();
        let name = series.split('{').next().unwrap();
        let is_name = |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let suffix = name.strip_prefix(&*family).unwrap();
        assert!(is_name(name) && ["", "_bucket", "_sum", "_count"].contains(&suffix), "{line}");
        if let Some(labels) = series.strip_prefix(name).and_then(|rest| rest.strip_prefix('{')) {
            check_labels(labels.strip_suffix('}').unwrap());
        }
        if suffix == "_bucket" {
            assert!(value >= bucket, "{line}");
            bucket = value;
        }
        assert!(samples.insert(series.to_owned(), value).is_none(), "twice: {line}");
    }
    assert!(page.ends_with('\n') && !samples.is_empty());
    samples
}

fn check_labels(mut labels: &str) {
    while !labels.is_empty() {
        let (name, rest) = labels.split_once("=\"").unwrap();
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase()), "{labels}");
        let mut is_escaped = false;
        let end = rest.find(|c| {
            let is_end = c == '"' && !is_escaped;
            is_escaped = c == '\\' && !is_escaped;
            is_end
        });
        labels = rest[end.unwrap() + 1..].trim_start_matches(',');
    }
}

#[test]
fn prometheus_reads_the_numbers() {
    let served = Served::start(&["--alert", "error_ratio > 5% by section"], &[]);
    let page = served.full_page();
    let samples = parse(&page);
    for (series, expected) in [
        ("logq_monitor_requests_total{status=\"5xx\"}", 10.0),
        ("logq_monitor_response_bytes_total", 11_000.0),
        ("logq_monitor_sources_total", 1.0),
        ("logq_monitor_alerts_fired_total{rule=\"rate > 2\"}", 1.0),
        ("logq_monitor_section_requests_total{section=\"/\\\\x22a{b}\"}", 100.0),
    ] {
        // The last interval is not over; its requests are in no section yet.
        let found = samples.get(series).copied().unwrap_or_default();
        let is_right = if series.contains("section_") { found > 50.0 } else { found == expected };
        assert!(is_right, "{series}: {found}\n{page}");
    }
    check_with_promtool(&page);
}

fn check_with_promtool(page: &str) {
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let Ok(mut child) = command.stderr(Stdio::piped()).spawn() else {
        // Not captured, as what a test prints would be.
        let _ =
            writeln!(std::io::stderr(), "NOT CHECKED WITH PROMTOOL: not installed (prometheus)");
        return;
    };
    child.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}\n{page}");
}

/// Once a line of a quiet log was seen when the monitor looked again, up to 200 ms later.
#[test]
fn a_line_of_a_quiet_log_is_seen_at_once() {
    let served = Served::start(&[], &[]);
    served.full_page();
    let lines = || parse(&served.page())["logq_monitor_lines_total"];
    let mut delays = Vec::new();
    for _ in 0..11 {
        // Longer than the longest time between two looks.
        thread::sleep(Duration::from_millis(250));
        let before = lines();
        let mut file = OpenOptions::new().append(true).open(served.scratch.path("a.log")).unwrap();
        let text = fs::read_to_string(served.scratch.path("a.log")).unwrap();
        writeln!(file, "{}", text.lines().last().unwrap()).unwrap();
        let written = Instant::now();
        while lines() == before {
            assert!(written.elapsed() < PATIENCE);
        }
        delays.push(written.elapsed());
    }
    delays.sort();
    // Without being told it would be some 100 ms.
    assert!(delays[5] < Duration::from_millis(50), "{delays:?}");
}

#[test]
fn numbers_are_for_those_who_have_the_token() {
    for served in [
        Served::start(&[], &[("LOGQ_TOKEN", "t0ken")]),
        Served::start(&["--token-file", "token"], &[]),
        // What the flag names counts.
        Served::start(&["--token-file", "token"], &[("LOGQ_TOKEN", "t0kem")]),
    ] {
        let ask =
            |authorization: &str| served.ask(&format!("GET /metrics HTTP/1.1{authorization}"));
        let refused = ask("");
        assert!(refused.starts_with("HTTP/1.1 401 ") && refused.contains("Bearer"), "{refused}");
        assert!(ask("\r\nAuthorization: Bearer t0kem").starts_with("HTTP/1.1 401 "));
        assert!(ask("\r\nAuthorization: Bearer t0ken").starts_with("HTTP/1.1 200 "));
        assert!(served.ask("GET /healthz HTTP/1.1").ends_with("\r\n\r\nok\n"));
        assert!(!fs::read_to_string(served.scratch.path("err")).unwrap().contains("t0ken"));
    }
}

#[test]
fn numbers_are_for_everybody_only_where_somebody_says_so() {
    let flags = ["--listen", "0.0.0.0:0", "--insecure-no-auth"];
    let mut served = Served::start(&flags, &[]);
    served.address = served.address.replace("0.0.0.0", "127.0.0.1");
    assert!(served.ask("GET /metrics HTTP/1.1").starts_with("HTTP/1.1 200 "));
}

#[test]
fn who_is_slow_or_sends_rubbish_keeps_nobody_out_for_long() {
    let mut served = Served::start(&[], &[]);
    for rubbish in
        ["\0\0\0\0", "GET", "GET / HTTP/9.9", &format!("GET /{} HTTP/1.1", "x".repeat(99_999))]
    {
        let answer = served.ask(rubbish);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    let many = "X: y\r\n".repeat(10_000);
    let answer = served.ask(&format!("GET /metrics HTTP/1.1\r\n{}", many.trim_end()));
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    // All places are taken by those who say nothing, or nothing more.
    let mut slow: Vec<TcpStream> = (0..40).map(|_| served.connect()).collect();
    slow.iter_mut().for_each(|stream| _ = stream.write_all(b"GET /metrics HTTP/1.1\r\nX-"));
    wait_until("somebody is served again", || {
        served.ask("GET /healthz HTTP/1.1").ends_with("ok\n")
    });
    let pid = Pid::from_raw(served.child.id().try_into().unwrap());
    kill(pid, Signal::SIGTERM).unwrap();
    assert_eq!(served.child.wait().unwrap().code(), Some(0), "they do not hold up the end either");
}
