//! A `logq serve` of the built command: where it listens, what it says, how it ends.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};

use nix::sys::signal::Signal;

use crate::client::ask;
use crate::common::{self, Scratch, wait_until};

/// A server that runs, and is killed when this is dropped.
pub(crate) struct Served {
    child: Child,
    /// Where it is written to.
    pub(crate) put: SocketAddr,
    /// Where it is read from.
    pub(crate) get: SocketAddr,
    /// Where its streams are.
    pub(crate) directory: PathBuf,
    /// What it says on standard error, kept flowing so that it never blocks there.
    said: std::thread::JoinHandle<String>,
}

impl Served {
    /// Starts `logq serve` with these arguments behind it.
    pub(crate) fn start(scratch: &Scratch, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        Self::run(scratch, &[&["serve"], arguments].concat(), variables)
    }

    /// Starts a server by the whole command line.
    pub(crate) fn run(scratch: &Scratch, line: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = scratch.command(line);
        Self::spawn(environment(&mut command, scratch).envs(variables.iter().copied()))
    }

    /// Starts it and waits until it says where it is.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut told = String::new();
        let mut after = |prefix: &str| {
            loop {
                let Some(Ok(line)) = lines.next() else { panic!("no {prefix}: {told}") };
                told += &format!("{line}\n");
                if let Some(rest) = line.strip_prefix(prefix) {
                    return rest.to_owned();
                }
            }
        };
        let address = |url: String| -> SocketAddr {
            url.split('/').nth(2).unwrap().parse().expect("an address")
        };
        let put = address(after("logq: writing: "));
        let get = address(after("logq: reading: "));
        let directory = PathBuf::from(after("logq: streams: "));
        let said = std::thread::spawn(move || {
            lines.map_while(Result::ok).fold(told, |told, line| told + &line + "\n")
        });
        Self { child, put, get, directory, said }
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        common::signal(&self.child, signal);
    }

    /// Waits for the end; what it said meanwhile comes along.
    pub(crate) fn ended(mut self) -> (ExitStatus, String) {
        let status = self.child.wait().unwrap();
        let said = std::mem::replace(&mut self.said, std::thread::spawn(String::new));
        (status, said.join().unwrap())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Free ports, temporary files in the scratch directory, nothing of the user's.
pub(crate) fn environment<'a>(command: &'a mut Command, scratch: &Scratch) -> &'a mut Command {
    for name in ["ACCESS_TOKEN", "LOGQ_WRITE_TOKEN", "SERVER_CRT_FILE", "SERVER_KEY_FILE", "DEBUG"]
    {
        command.env_remove(name);
    }
    command
        .env("LIVELOG_PUT_PORT", "0")
        .env("LIVELOG_GET_PORT", "0")
        .env("LIVELOG_TEMP_DIR", scratch.path(""))
}

/// Waits until what is at a path has this in a header.
pub(crate) fn wait_for_header(address: SocketAddr, path: &str, name: &str, value: &str) {
    wait_until(value, || ask(address, "HEAD", path, &[]).header(name) == Some(value));
}
