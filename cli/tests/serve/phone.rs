//! What somebody has who replaces livelog: the environment variables of before, the log of a running build
//! on a phone, and every line once, whatever is lost on the way.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::client::{ask, get};
use crate::common::{Scratch, wait_until};
use crate::served::Served;
use crate::webdriver::{Browser, Window};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

const TOKEN: &str = "wonderful-token";

/// Lines of each act.
const LINES: usize = 150;

/// A network between the phone and the server, which can be lost.
struct Network {
    address: SocketAddr,
    to: SocketAddr,
    up: Option<Up>,
}

struct Up {
    ends: Arc<AtomicBool>,
    connections: Arc<Mutex<Vec<TcpStream>>>,
    accepting: JoinHandle<()>,
}

impl Network {
    fn new(to: SocketAddr) -> Self {
        let mut network = Self { address: free_address(), to, up: None };
        network.is_back();
        network
    }

    /// Whoever connects is served again.
    fn is_back(&mut self) {
        let listener = TcpListener::bind(self.address).unwrap();
        listener.set_nonblocking(true).unwrap();
        let (ends, connections) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let (end, held, to) = (ends.clone(), Arc::clone(&connections), self.to);
        let accepting = thread::spawn(move || {
            while !end.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((phone, _)) => join(phone, to, &held),
                    Err(_) => thread::sleep(Duration::from_millis(2)),
                }
            }
        });
        self.up = Some(Up { ends, connections, accepting });
    }

    /// Cuts every connection where it is, and refuses others.
    fn is_lost(&mut self) {
        let Some(up) = self.up.take() else { return };
        up.ends.store(true, Ordering::Relaxed);
        up.accepting.join().unwrap();
        for connection in up.connections.lock().unwrap().drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.is_lost();
    }
}

/// Hands on what comes from either side, until one of them ends.
fn join(phone: TcpStream, to: SocketAddr, held: &Mutex<Vec<TcpStream>>) {
    phone.set_nonblocking(false).unwrap();
    // Where the server is gone the phone sees a connection that ends.
    let Ok(server) = TcpStream::connect(to) else { return };
    for (mut from, mut to) in [(&phone, &server), (&server, &phone)]
        .map(|(from, to)| (from.try_clone().unwrap(), to.try_clone().unwrap()))
    {
        thread::spawn(move || {
            let mut bytes = [0; 16 << 10];
            while let Ok(count @ 1..) = from.read(&mut bytes) {
                if to.write_all(&bytes[..count]).is_err() {
                    break;
                }
            }
            let _ = to.shutdown(Shutdown::Both);
        });
    }
    held.lock().unwrap().extend([phone, server]);
}

/// An address of this machine where nobody listens.
fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// The lines of the README that send the log of `make`, for as long as it takes.
fn sender() -> &'static str {
    let readme = include_str!("../../../README.md");
    let start = readme.find(": >build.log; make").expect("the lines are there");
    let lines = readme.get(start..).unwrap();
    lines.get(..lines.find("```").unwrap()).unwrap()
}

/// A build that says what it is told, and the shell that sends its log.
struct Build {
    shell: Child,
    /// What `make` prints.
    says: File,
    said: usize,
}

impl Build {
    fn start(scratch: &Scratch, put: SocketAddr) -> Self {
        std::fs::create_dir(scratch.path("bin")).unwrap();
        let make = scratch.write("bin/make", "#!/bin/sh\nexec cat says\n");
        std::fs::set_permissions(make, std::fs::Permissions::from_mode(0o755)).unwrap();
        let says = scratch.path("says");
        nix::unistd::mkfifo(&says, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let lines = sender().replace("127.0.0.1:60022", &put.to_string());
        let mut command = scratch.shell(&lines);
        let path = format!("{}:{}", scratch.path("bin").display(), std::env::var("PATH").unwrap());
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let shell = command.env("PATH", path).stdin(Stdio::null()).spawn().unwrap();
        // Opens once `make` reads.
        let says = File::options().write(true).open(says).unwrap();
        Self { shell, says, said: 0 }
    }

    /// The lines up to the `count`-th, some at a time, as they come from a compiler.
    fn say(&mut self, count: usize) {
        for n in self.said..count {
            writeln!(self.says, "{}", line(n)).unwrap();
            if n % 10 == 9 {
                thread::sleep(Duration::from_millis(3));
            }
        }
        self.said = count;
    }

    /// Ends the build, and waits until its log is sent.
    fn end(mut self) {
        self.says = File::open("/dev/null").unwrap();
        let begun = Instant::now();
        let status = loop {
            match self.shell.try_wait().unwrap() {
                Some(status) => break status,
                None if begun.elapsed() < Duration::from_secs(60) => {
                    thread::sleep(Duration::from_millis(10));
                }
                None => panic!("the log is not sent to its end"),
            }
        };
        assert!(status.success(), "{status}");
    }
}

impl Drop for Build {
    fn drop(&mut self) {
        if matches!(self.shell.try_wait(), Ok(None)) {
            let _ = killpg(Pid::from_raw(self.shell.id().cast_signed()), Signal::SIGKILL);
            let _ = self.shell.wait();
        }
    }
}

fn line(n: usize) -> String {
    format!("[{n}] cc -c source-{n}.c {}", "-O2 ".repeat(n % 40))
}

/// The text that the page shows of lines up to the `count`-th.
fn expected(count: usize) -> serde_json::Value {
    (0..count).map(line).collect()
}

/// How much of the log the server has.
fn stored(served: &Served) -> usize {
    let path = format!("/log/{TOKEN}");
    let head = ask(served.get, "HEAD", &path, &[]);
    head.header("logq-length").map_or(0, |len| len.parse().unwrap())
}

#[test]
fn a_build_is_watched_on_a_phone_and_every_line_is_seen_once() {
    let Some(phone) = Browser::open(Window::Phone) else { return };
    if Command::new("curl").arg("--version").output().is_err() {
        eprintln!("NOT TESTED ON A PHONE: curl is not installed");
        return;
    }
    const ROWS: &str = "[...document.querySelectorAll('#rows .message')].map((m) => m.textContent)";
    let scratch = Scratch::new();
    let [put, get_address] = [free_address(), free_address()];
    let [put_port, get_port] = [put, get_address].map(|address| address.port().to_string());
    let start = || {
        let variables = [
            ("LIVELOG_PUT_PORT", put_port.as_str()),
            ("LIVELOG_GET_PORT", &get_port),
            ("ACCESS_TOKEN", TOKEN),
        ];
        // As a livelog's, but kept over restarts, and not for the whole network of whoever tests.
        Served::start(&scratch, &["--dir", "streams", "--listen", "127.0.0.1"], &variables)
    };
    let served = start();
    let mut network = Network::new(get_address);
    let mut build = Build::start(&scratch, put);
    build.say(1);
    wait_until("the stream begins", || stored(&served) > 0);
    phone.go(&format!("http://{}/#token={TOKEN}", network.address));
    build.say(LINES);
    let shows = |count: usize| phone.wait(&format!("{ROWS}.length >= {count}"));
    let is = |state: &str| {
        phone.wait(&format!("document.getElementById('status').dataset.state === '{state}'"))
    };
    shows(LINES);
    is("live");
    let widths = phone.run("return [innerWidth, document.documentElement.scrollWidth, document.querySelector('main').scrollWidth]");
    assert_eq!(widths, serde_json::json!([360, 360, 360]), "nothing is wider than the phone");

    // In the tunnel, while the build goes on.
    network.is_lost();
    is("reconnecting");
    let before = stored(&served);
    build.say(2 * LINES);
    wait_until("the build is stored meanwhile", || stored(&served) > before);
    assert_eq!(phone.run(&format!("return {ROWS}.length")), LINES);
    network.is_back();
    shows(2 * LINES);
    is("live");

    // The server is killed while the build goes on, and the network is lost once more.
    build.say(2 * LINES + 20);
    served.signal(Signal::SIGKILL);
    served.ended();
    is("reconnecting");
    build.say(3 * LINES);
    network.is_lost();
    let served = start();
    build.say(4 * LINES);
    network.is_back();
    shows(4 * LINES);

    build.say(5 * LINES);
    build.end();
    is("ended");
    assert_eq!(phone.run("return document.getElementById('status-text').textContent"), "complete");
    assert_eq!(
        phone.run(&format!("return {ROWS}")),
        expected(5 * LINES),
        "every line once, in order"
    );

    // And so with livelog's own address.
    let log = std::fs::read_to_string(scratch.path("build.log")).unwrap();
    assert_eq!(log.lines().count(), 5 * LINES);
    assert_eq!(get(served.get, &format!("/log/{TOKEN}"), &[]).text(), log);
}
