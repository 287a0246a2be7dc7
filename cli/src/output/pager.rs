//! The pager: a program that shows long output page by page.

use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context as _, bail};
use signal_hook::SigId;
use signal_hook::consts::SIGINT;

use super::is_screen;
use crate::args::OutputArguments;

/// What is run unless the environment names something else: quits by itself where one page is
/// enough, shows colours, leaves the screen as it is (-FRX).
const DEFAULT: &str = "less -FRX";

/// Which pager is wanted, before it is known whether there will be any output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PagerCommand(String);

impl PagerCommand {
    /// The pager that the flags and the environment ask for; `None` for none.
    pub(crate) fn new(arguments: &OutputArguments) -> Option<Self> {
        if arguments.no_pager || !arguments.pager.holds(is_screen()) {
            return None;
        }
        let named = ["LOGQ_PAGER", "PAGER"].into_iter().find_map(|name| std::env::var(name).ok());
        match named {
            Some(command) => {
                let command = command.trim();
                (!command.is_empty() && command != "cat").then(|| Self(command.to_owned()))
            }
            None => is_installed("less").then(|| Self(DEFAULT.to_owned())),
        }
    }
}

/// Whether the search path has a program of this name.
fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// A pager that runs.
pub(crate) struct Pager {
    command: String,
    child: Child,
    /// Ctrl-C is for the pager; this process lives as long as it does, or the shell would be back on
    /// the terminal before it.
    interrupt: Option<SigId>,
}

impl Pager {
    /// Starts the pager.
    pub(crate) fn start(command: &PagerCommand) -> anyhow::Result<Self> {
        let PagerCommand(command) = command;
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", command]).stdin(Stdio::piped());
        if std::env::var_os("LESS").is_none() {
            shell.env("LESS", "FRX");
        }
        let child = shell.spawn().with_context(|| format!("cannot run the pager {command:?}"))?;
        let interrupt = signal_hook::flag::register(SIGINT, Arc::new(AtomicBool::new(false))).ok();
        Ok(Self { command: command.clone(), child, interrupt })
    }

    /// Where its input goes.
    pub(crate) fn input(&mut self) -> Option<&mut ChildStdin> {
        self.child.stdin.as_mut()
    }

    /// Tells it that nothing more comes, and waits until it is quit.
    ///
    /// # Errors
    ///
    /// It could not be run at all.
    pub(crate) fn finish(mut self) -> anyhow::Result<()> {
        drop(self.child.stdin.take());
        let status = self.child.wait().context("cannot wait for the pager")?;
        if let Some(interrupt) = self.interrupt.take() {
            signal_hook::low_level::unregister(interrupt);
        }
        // What a shell says of commands that it cannot run.
        if matches!(status.code(), Some(126 | 127)) {
            bail!("the pager {:?} cannot be run; -P prints without one", self.command);
        }
        Ok(())
    }
}
