//! `--exec COMMAND`: a program that is run at each change of an alert.
//!
//! What happened comes to it as a line of JSON on standard input and nowhere else: neither words
//! nor variables of the environment can be chosen by whoever sends requests, and no shell sees them.
//! `LOGQ_DELIVERY` is the `id` in it, by which a program can tell what it is told once more.

use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, bail};
use nix::errno::Errno;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::{AccessFlags, Pid, access};

use super::deliver::{Carry, Message, Until};

/// Variables that hold secrets of ours.
const SECRETS: [&str; 2] = ["LOGQ_TOKEN", "LOGQ_WEBHOOK_SECRET"];

/// A program and how it is run.
#[derive(Debug)]
pub(super) struct Program {
    words: Vec<String>,
    /// It is ended by SIGKILL, with its process group, if it takes longer.
    timeout: Duration,
    /// Whether what it prints is thrown away: on a screen it would be in the way.
    is_silent: bool,
}

impl Program {
    /// Splits a command into words, as a shell would, but with nothing replaced in them.
    ///
    /// # Errors
    ///
    /// A quote is open, there is no word, or there is no such program.
    pub(super) fn parse(text: &str, timeout: Duration, is_silent: bool) -> anyhow::Result<Self> {
        let words = shell_words::split(text).with_context(|| format!("--exec {text:?}"))?;
        let Some(program) = words.first().filter(|program| !program.is_empty()) else {
            bail!("--exec {text:?} names no program");
        };
        if !is_there(program) {
            bail!("--exec {text:?}: there is no program {program:?}");
        }
        Ok(Self { words, timeout, is_silent })
    }

    fn spawn(&self, message: &Message) -> anyhow::Result<Child> {
        let mut words = self.words.iter();
        let mut command = Command::new(words.next().map_or("", String::as_str));
        command.args(words).stdin(memory(message.json.as_bytes())?).process_group(0);
        command.env("LOGQ_DELIVERY", &message.id);
        SECRETS.iter().for_each(|secret| _ = command.env_remove(secret));
        if self.is_silent {
            command.stdout(Stdio::null()).stderr(Stdio::null());
        } else {
            // Standard output is for what the monitor says.
            command.stdout(std::io::stderr());
        }
        command.spawn().context("cannot be run")
    }
}

impl Carry for Program {
    fn carry(&mut self, message: &Message, _until: &Until) -> anyhow::Result<()> {
        let mut child = self.spawn(message)?;
        let group = Pid::from_raw(i32::try_from(child.id())?);
        let is_in_time = ends_within(group, self.timeout);
        if !is_in_time {
            // It is not reaped yet, so the number is still its own.
            let killed = killpg(group, Signal::SIGKILL);
            killed.context("took too long and cannot be ended")?;
        }
        let status = child.wait()?;
        match is_in_time {
            false => bail!("took longer than {:?} and was ended", self.timeout),
            true if status.success() => Ok(()),
            true => bail!("failed: {status}"),
        }
    }
}

/// A file in memory, to be read from its start. Unlike a pipe, it is never full: a program that does
/// not read it holds up nobody.
fn memory(content: &[u8]) -> anyhow::Result<File> {
    let descriptor = memfd_create(c"alert", MFdFlags::MFD_CLOEXEC)?;
    let mut file = File::from(descriptor);
    file.write_all(content)?;
    file.rewind()?;
    Ok(file)
}

/// Waits for the end of a child, so long at most, and does not reap it. Answers whether it ended.
fn ends_within(child: Pid, time: Duration) -> bool {
    let (ended, has_ended) = mpsc::channel();
    let wait = move || {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
        while waitid(Id::Pid(child), flags) == Err(Errno::EINTR) {}
        // Nobody listens after the time is over.
        let _ = ended.send(());
    };
    // Without the thread the channel is closed at once, as if the time were over.
    let _ = thread::Builder::new().name("exec".to_owned()).spawn(wait);
    has_ended.recv_timeout(time).is_ok()
}

/// Whether a program can be found as `execvp` looks for it.
fn is_there(program: &str) -> bool {
    let is_program = |path: &Path| path.is_file() && access(path, AccessFlags::X_OK).is_ok();
    if program.contains('/') {
        return is_program(Path::new(program));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| is_program(&folder.join(program)))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    /// Far more than anything here takes.
    const PATIENCE: Duration = Duration::from_secs(60);

    fn carry(command: &str, timeout: Duration, json: &str) -> anyhow::Result<()> {
        let message = Message { id: "7-1".to_owned(), json: json.to_owned() };
        Program::parse(command, timeout, true)?.carry(&message, &Until::default())
    }

    #[test]
    fn a_program_gets_its_own_words_and_the_change_on_standard_input() {
        let directory = tempfile::tempdir().unwrap();
        let out = directory.path().join("out");
        let script = format!("cat > {0}; echo \"$# $1 $LOGQ_DELIVERY\" >> {0}", out.display());
        let json = "{\"section\":\"$(touch evil); `id`\"}\n";
        carry(&format!("sh -c '{script}' name \"\\$HOME a\"  "), PATIENCE, json).unwrap();
        let text = std::fs::read_to_string(out).unwrap();
        assert_eq!(text, "{\"section\":\"$(touch evil); `id`\"}\n1 $HOME a 7-1\n");
    }

    #[test]
    fn one_that_hangs_is_ended_with_all_its_children() {
        let directory = tempfile::tempdir().unwrap();
        let number = directory.path().join("number");
        // Both ignore polite requests.
        let script = format!("trap \"\" TERM; sleep 1000 & echo $! > {}; wait", number.display());
        let begun = Instant::now();
        let error = carry(&format!("sh -c '{script}'"), SECOND, "{}\n").unwrap_err();
        assert_eq!(error.to_string(), "took longer than 1s and was ended");
        assert!(begun.elapsed() < PATIENCE);
        let child: i32 = std::fs::read_to_string(number).unwrap().trim().parse().unwrap();
        while std::fs::read_to_string(format!("/proc/{child}/stat"))
            .is_ok_and(|stat| !stat.contains(") Z "))
        {
            assert!(begun.elapsed() < PATIENCE, "its child goes on");
            thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn one_that_does_not_read_holds_up_nobody() {
        let json = "x".repeat(1 << 20);
        carry("true", PATIENCE, &json).unwrap();
        carry("sh -c 'exec <&-; sleep 0.01'", PATIENCE, &json).unwrap();
    }

    #[test]
    fn how_it_failed_is_told() {
        for (command, expected) in [
            ("sh -c 'exit 7'", "failed: exit status: 7"),
            ("sh -c 'kill -9 $$'", "failed: signal: 9 (SIGKILL)"),
            ("no-such-program-at-all x", "there is no program \"no-such-program-at-all\""),
            ("/etc/passwd", "there is no program"),
            ("", "names no program"),
            ("'open", "--exec \"'open\""),
        ] {
            let error = format!("{:#}", carry(command, PATIENCE, "{}\n").unwrap_err());
            assert!(error.contains(expected), "{command}: {error}");
        }
    }
}
