//! What the terminal at standard output understands, as far as anybody says.

use std::io::IsTerminal as _;

/// Whether standard output is a terminal that understands more than lines. `TERM=dumb`, as editors
/// and build systems set it for theirs, says that it does not.
pub(crate) fn is_screen() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}
