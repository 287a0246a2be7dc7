//! Which lines of text continue the one before: those of stack traces, of Java, .NET, JavaScript,
//! Python, Ruby, PHP, Go and Rust, and whatever is indented.

/// A record of text as far as it goes, seen as a possible stack trace.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trace {
    /// Whether its first line tells of a failure, so that a trace may begin behind it.
    is_failure: bool,
    next: Next,
    has: Seen,
}

/// What the next line may be although it is not indented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// Nothing in particular.
    Other,
    /// The exception that ends a traceback of Python, or the message behind a panic of Rust.
    Message,
    /// A frame of a goroutine.
    Frame,
}

/// What kind of trace has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Nothing,
    Traceback,
    /// A traceback, and that another one follows.
    Chain,
    Panic,
}

/// How traces begin that say what they are.
const TRACEBACK: &str = "Traceback (most recent call last):";

/// What Python says between two tracebacks of one failure.
const CHAINING: [&str; 2] =
    ["During handling of the above exception, ", "The above exception was the direct cause "];

impl Trace {
    /// A record that begins with this line; `is_failure` if the line is known to be an error.
    pub(super) fn new(first: &str, is_failure: bool) -> Self {
        let mut trace = Self {
            is_failure: is_failure || begins_trace(first),
            next: Next::Other,
            has: Seen::Nothing,
        };
        trace.note(first);
        trace
    }

    /// Whether the line continues the record; if so, it is part of it from now on.
    pub(super) fn takes(&mut self, line: &str) -> bool {
        let is_indented = line.starts_with([' ', '\t']);
        if line.trim_ascii().is_empty() || is_indented || is_closing(line) {
            return true;
        }
        let goes_on = match self.next {
            Next::Message => true,
            Next::Frame => is_frame(line),
            Next::Other => false,
        };
        if goes_on || self.is_known(line) {
            self.next = if self.next == Next::Message { Next::Other } else { self.next };
            self.note(line);
            return true;
        }
        false
    }

    /// Whether the line is one that only occurs within traces of the kind at hand.
    fn is_known(&self, line: &str) -> bool {
        let starts = |starts: &[&str]| starts.iter().any(|start| line.starts_with(start));
        starts(&["Caused by: ", "Suppressed: ", "goroutine ", "[signal SIG"])
            || self.is_failure && (starts(&["Stack trace:", "#"]) || is_exception(line))
            || match self.has {
                Seen::Nothing => self.is_failure && line.starts_with(TRACEBACK),
                Seen::Traceback => starts(&CHAINING),
                Seen::Chain => line.starts_with(TRACEBACK),
                Seen::Panic => starts(&["stack backtrace:", "note: "]),
            }
    }

    fn note(&mut self, line: &str) {
        if line.starts_with(TRACEBACK) {
            (self.has, self.next) = (Seen::Traceback, Next::Message);
        } else if is_rust_panic(line) {
            (self.has, self.next) = (Seen::Panic, Next::Message);
        } else if CHAINING.iter().any(|start| line.starts_with(start)) {
            self.has = Seen::Chain;
        } else if line.starts_with("goroutine ") {
            self.next = Next::Frame;
        }
    }
}

/// Whether the line begins a stack trace of a failure, whatever level it names.
pub(super) fn begins_trace(line: &str) -> bool {
    let starts = [TRACEBACK, "Exception in thread ", "Unhandled exception", "Uncaught ", "panic: "];
    starts.iter().any(|start| line.starts_with(start)) || is_rust_panic(line)
}

/// `thread 'main' panicked at src/main.rs:2:5:`, with a process id in newer versions.
fn is_rust_panic(line: &str) -> bool {
    line.starts_with("thread '") && line.contains("' ") && line.contains(" panicked at ")
}

/// A line that only closes brackets, as objects over several lines end.
fn is_closing(line: &str) -> bool {
    let is_bracket = |byte: &u8| matches!(byte, b'}' | b']' | b')');
    line.bytes().next().is_some_and(|byte| is_bracket(&byte))
        && line
            .trim_ascii_end()
            .bytes()
            .all(|byte| is_bracket(&byte) || matches!(byte, b',' | b';'))
}

/// `main.main()`, `created by main.run in goroutine 1`, `rax    0x1`, `exit status 2`.
fn is_frame(line: &str) -> bool {
    let mut words = line.split_ascii_whitespace();
    let is_register = words.next().is_some_and(|word| word.len() <= 6)
        && words.next().is_some_and(|word| word.starts_with("0x"))
        && words.next().is_none();
    line.ends_with(')')
        || line.starts_with("created by ")
        || line.starts_with("exit status ")
        || is_register
}

/// `java.lang.IllegalStateException: no stock`: a name with dots that says it is an exception.
fn is_exception(line: &str) -> bool {
    let name = line.split(':').next().unwrap_or_default();
    let is_name =
        name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'$'));
    is_name
        && name.contains('.')
        && ["Exception", "Error", "Throwable"].iter().any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks that the lines are one record, the first line being known as an error or not.
    fn check(is_failure: bool, text: &str) {
        let mut lines = text.lines();
        let mut trace = Trace::new(lines.next().unwrap(), is_failure);
        for line in lines {
            assert!(trace.takes(line), "{line:?} in\n{text}");
        }
        assert!(!trace.takes("listening on port 8080"), "{text}");
    }

    #[test]
    fn traces_of_all_kinds_stay_whole() {
        check(
            false,
            "Exception in thread \"main\" java.lang.RuntimeException: x\n\tat a.B.c(B.java:7)\n\t... 3 more\nCaused by: java.io.IOException: y\n\tat d.E.f(E.java:8)",
        );
        check(
            true,
            "ERROR cannot order\njava.lang.IllegalStateException: no stock\n\tat c.e.Shop.order(Shop.java:7)",
        );
        check(
            true,
            "ERROR:root:cannot order\nTraceback (most recent call last):\n  File \"a.py\", line 1, in <module>\n    f()\nValueError: x",
        );
        check(
            false,
            "Traceback (most recent call last):\n  File \"a.py\", line 1\nKeyError: 'x'\n\nDuring handling of the above exception, another exception occurred:\n\nTraceback (most recent call last):\n  File \"a.py\", line 3\nValueError: y",
        );
        check(
            false,
            "Error: refused\n    at Socket.connect (net.js:1:2) {\n  code: 'ECONNREFUSED'\n}",
        );
        check(
            false,
            "panic: runtime error: index out of range [3] with length 2\n[signal SIGSEGV: segmentation violation]\n\ngoroutine 1 [running]:\nmain.f(0x1, 0x2)\n\t/a/main.go:5 +0x1d\ncreated by main.main in goroutine 1\n\t/a/main.go:9\n\ngoroutine 7 [select]:\nnet.(*netFD).Read(...)\n\t/b/net.go:1\nrax    0x1\nexit status 2",
        );
        check(
            false,
            "thread 'main' panicked at src/main.rs:2:5:\nno stock\nstack backtrace:\n   0: std::panicking\n             at /rustc/1.rs:1\nnote: Some details are omitted",
        );
        check(
            false,
            "thread 'main' (1234) panicked at src/main.rs:2:5:\nno stock\nnote: run with `RUST_BACKTRACE=1`",
        );
        check(false, "a.rb:1:in `f': no stock (RuntimeError)\n\tfrom a.rb:3:in `<main>'");
        check(
            true,
            "PHP Fatal error:  Uncaught Exception: x in /a.php:3\nStack trace:\n#0 /a.php(5): f()\n#1 {main}\n  thrown in /a.php on line 3",
        );
        check(
            false,
            "Unhandled exception. System.Exception: x\n   at A.B() in /a.cs:line 3\n   --- End of inner exception stack trace ---",
        );
        check(false, "config: {\n  \"a\": 1\n}");
    }

    #[test]
    fn ordinary_lines_are_records_of_their_own() {
        let mut trace = Trace::new("starting", false);
        for line in [
            "ready",
            TRACEBACK,
            "#1 of the queue",
            "java.lang.IllegalStateException: x",
            "note: this is new",
            "main.main()",
            "{",
            "(none)",
            "Error: x",
        ] {
            assert!(!trace.takes(line), "{line}");
        }
    }

    #[test]
    fn two_failures_of_python_are_two_records() {
        let mut trace = Trace::new("ERROR:root:cannot order", true);
        for line in [TRACEBACK, "  File \"a.py\"", "KeyError: 'x'"] {
            assert!(trace.takes(line), "{line}");
        }
        assert!(!trace.takes(TRACEBACK));
    }

    #[test]
    fn failures_are_known_by_how_they_begin() {
        for line in [TRACEBACK, "panic: x", "thread 'a b' panicked at x:1:1:"] {
            assert!(begins_trace(line), "{line}");
        }
        for line in ["", "a thread 'x' panicked at x", "thread 'main' started", "panics: 0"] {
            assert!(!begins_trace(line), "{line}");
        }
    }
}
