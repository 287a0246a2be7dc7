//! `logq completions SHELL`: the command's flags and verbs, for a shell to complete.

use std::io::{self, Write as _};

use anyhow::Context as _;
use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::args::Arguments;
use crate::exit::Exit;

/// For which shell.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CompletionsArguments {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

const EXAMPLES: &str = "\
Examples:
  source <(logq completions bash)
  logq completions zsh > ~/.zfunc/_logq
  logq completions fish > ~/.config/fish/completions/logq.fish";

/// Prints the script.
pub(crate) fn run(arguments: &CompletionsArguments) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "logq", &mut script);
    io::stdout().write_all(&script).context("cannot write to standard output")?;
    Ok(Exit::Success)
}
