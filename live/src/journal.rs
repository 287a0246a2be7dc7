//! Lines about requests and the server itself, on their way to standard error.
//!
//! Lines go through a bounded queue to a thread of their own: a standard error that nobody reads must
//! not stop the server. What does not fit is dropped and counted. Nothing that is written here ever
//! goes into a stream that the server serves.

use std::fmt;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};

/// Lines that wait for standard error.
const QUEUE_LINES: usize = 4_096;

/// Takes lines. Cheap to clone.
#[derive(Clone)]
pub struct Journal(Arc<Sink>);

enum Sink {
    None,
    Queue { lines: SyncSender<String>, dropped: AtomicU64 },
    Function(Box<dyn Fn(&str) + Send + Sync>),
}

impl Journal {
    /// Keeps nothing.
    #[must_use]
    pub fn none() -> Self {
        Self(Arc::new(Sink::None))
    }

    /// Writes to standard error.
    #[must_use]
    pub fn stderr() -> Self {
        let (lines, queued) = sync_channel::<String>(QUEUE_LINES);
        std::thread::spawn(move || {
            for line in queued {
                // Where standard error is closed there is nobody left to tell.
                let _ = writeln!(std::io::stderr().lock(), "{line}");
            }
        });
        Self(Arc::new(Sink::Queue { lines, dropped: AtomicU64::new(0) }))
    }

    /// Gives each line to `take`, which must not block.
    pub fn function(take: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(Sink::Function(Box::new(take))))
    }

    /// Takes one line, without line feed. Control characters in it are escaped.
    pub fn line(&self, line: &dyn fmt::Display) {
        match &*self.0 {
            Sink::None => {}
            Sink::Queue { lines, dropped } => {
                if lines.try_send(escaped(&line.to_string())).is_err() {
                    dropped.fetch_add(1, Ordering::Relaxed);
                }
            }
            Sink::Function(take) => take(&escaped(&line.to_string())),
        }
    }

    /// How many lines found no room.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        match &*self.0 {
            Sink::Queue { dropped, .. } => dropped.load(Ordering::Relaxed),
            Sink::None | Sink::Function(_) => 0,
        }
    }

    /// Whether lines are looked at, so that nobody renders them in vain.
    pub(crate) fn is_kept(&self) -> bool {
        !matches!(*self.0, Sink::None)
    }
}

/// `line` with everything escaped that a terminal could take as a command.
fn escaped(line: &str) -> String {
    let plain = |c: char| !c.is_control() && !('\u{200b}'..='\u{206f}').contains(&c);
    if line.chars().all(plain) {
        return line.to_owned();
    }
    line.chars().fold(String::with_capacity(line.len() + 8), |mut text, c| {
        if plain(c) {
            text.push(c)
        } else {
            text.extend(c.escape_unicode())
        }
        text
    })
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Journal")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn lines_cannot_command_a_terminal() {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = lines.clone();
        let journal = Journal::function(move |line| kept.lock().unwrap().push(line.to_owned()));
        journal.line(&"GET /a\u{1b}[2J\nb \u{202e}c é");
        assert_eq!(*lines.lock().unwrap(), ["GET /a\\u{1b}[2J\\u{a}b \\u{202e}c é"]);
    }
}
