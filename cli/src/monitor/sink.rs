//! Where what the monitor says goes: to standard output or the screen, and to whatever else was
//! asked for.
//!
//! A sink takes outputs in the order in which they became certain. It never holds up the run: what
//! has to wait for a program or a network does so in a thread of its own. If a sink fails, that is
//! told and counted, and the run goes on; only without its main sink, which people look at, it ends.

use std::ops::ControlFlow;

use logq_monitor::{Monitor, Output as Said};

use super::notes::Notes;

/// Takes what the monitor says.
pub(super) trait Sink {
    /// What messages call it, such as `--store traffic`.
    fn name(&self) -> String;

    /// A source is being read.
    fn started(&mut self, _source: &str) {}

    /// Something became certain. Nothing need be written before [`flush`](Self::flush).
    fn said(&mut self, said: &Said);

    /// Whether the next [`flush`](Self::flush) writes to a terminal.
    fn has_text(&self) -> bool {
        false
    }

    /// All has been said that is certain by now; called also when nothing was, several times a
    /// second while logs are followed. Breaks where nobody wants to hear more.
    ///
    /// # Errors
    ///
    /// Something could not be written, now or since the last call. The next call may be better.
    fn flush(&mut self, monitor: &Monitor) -> anyhow::Result<ControlFlow<()>>;

    /// What was said so far shall outlive this process: it is about to be noted that the lines it
    /// tells of need not be read again.
    ///
    /// # Errors
    ///
    /// As [`flush`](Self::flush).
    fn keep(&mut self) -> anyhow::Result<()> {
        Ok(())
    }

    /// The run is over, because all input has ended or by a signal. [`finish`](Self::finish)
    /// follows.
    fn ended(&mut self, _monitor: &Monitor, _at_end_of_input: bool) {}

    /// Writes what is left, and ends.
    ///
    /// # Errors
    ///
    /// Something could not be written.
    fn finish(self: Box<Self>) -> anyhow::Result<()>;
}

/// All sinks of a run.
pub(super) struct Sinks {
    /// Standard output, or the screen.
    main: Box<dyn Sink>,
    /// Why the main sink takes no more.
    main_failure: Option<anyhow::Error>,
    others: Vec<Other>,
}

/// A sink that the run can do without.
struct Other {
    sink: Box<dyn Sink>,
    failures: u64,
    /// What was told last, not to tell it several times a second.
    told: String,
}

impl Sinks {
    pub(super) fn new(main: Box<dyn Sink>) -> Self {
        Self { main, main_failure: None, others: Vec::new() }
    }

    /// Adds one that the run can do without.
    pub(super) fn add(&mut self, sink: Box<dyn Sink>) {
        self.others.push(Other { sink, failures: 0, told: String::new() });
    }

    pub(super) fn started(&mut self, source: &str) {
        self.each(|sink| sink.started(source));
    }

    pub(super) fn said(&mut self, said: &Said) {
        self.each(|sink| sink.said(said));
    }

    /// Tells the main sink alone.
    pub(super) fn shown(&mut self, said: &Said) {
        self.main.said(said);
    }

    pub(super) fn ended(&mut self, monitor: &Monitor, at_end_of_input: bool) {
        self.each(|sink| sink.ended(monitor, at_end_of_input));
    }

    fn each(&mut self, mut tell: impl FnMut(&mut dyn Sink)) {
        tell(self.main.as_mut());
        self.others.iter_mut().for_each(|other| tell(other.sink.as_mut()));
    }

    /// Lets all of them write; breaks where nobody wants to hear more.
    pub(super) fn flush(&mut self, monitor: &Monitor, notes: &mut Notes) -> ControlFlow<()> {
        if self.main.has_text() {
            notes.clear();
        }
        let mut flow = match self.main.flush(monitor) {
            Ok(flow) => flow,
            Err(error) => {
                self.main_failure.get_or_insert(error);
                ControlFlow::Break(())
            }
        };
        for other in &mut self.others {
            match other.sink.flush(monitor) {
                Ok(ControlFlow::Continue(())) => {}
                Ok(ControlFlow::Break(())) => flow = ControlFlow::Break(()),
                Err(error) => other.fail(&error, notes),
            }
        }
        flow
    }

    /// Answers whether all of them keep what was said so far.
    pub(super) fn keep(&mut self, notes: &mut Notes) -> bool {
        let mut is_kept = true;
        for other in &mut self.others {
            if let Err(error) = other.sink.keep() {
                other.fail(&error, notes);
                is_kept = false;
            }
        }
        is_kept
    }

    /// Ends all of them, the main one first. Answers whether the others have written everything.
    ///
    /// # Errors
    ///
    /// The main sink failed.
    pub(super) fn finish(self, notes: &mut Notes) -> anyhow::Result<bool> {
        let finished = self.main.finish();
        let mut is_whole = true;
        for Other { sink, failures, .. } in self.others {
            let name = sink.name();
            if failures > 1 {
                notes.error(&name, &format!("failed {failures} times"));
            }
            let finished = sink.finish();
            is_whole &= failures == 0 && finished.is_ok();
            if let Err(error) = finished {
                notes.error(&name, &format!("{error:#}"));
            }
        }
        match self.main_failure {
            Some(failure) => Err(failure),
            None => finished.map(|()| is_whole),
        }
    }
}

impl Other {
    fn fail(&mut self, error: &anyhow::Error, notes: &mut Notes) {
        self.failures += 1;
        let text = format!("{error:#}");
        if text != self.told {
            notes.error(&self.sink.name(), &text);
            self.told = text;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use anyhow::bail;
    use logq_monitor::Options;

    use super::*;

    /// Notes what it is told; fails whenever it is flushed, if it fails at all.
    struct Trial {
        name: &'static str,
        heard: Rc<RefCell<Vec<String>>>,
        fails: bool,
    }

    impl Sink for Trial {
        fn name(&self) -> String {
            self.name.to_owned()
        }

        fn said(&mut self, said: &Said) {
            let Said::Quiet { from, to } = said else { return };
            self.heard.borrow_mut().push(format!("{}: {from} to {to}", self.name));
        }

        fn flush(&mut self, _monitor: &Monitor) -> anyhow::Result<ControlFlow<()>> {
            if self.fails {
                bail!("the {} is full", self.name);
            }
            Ok(ControlFlow::Continue(()))
        }

        fn finish(self: Box<Self>) -> anyhow::Result<()> {
            self.heard.borrow_mut().push(format!("{}: finished", self.name));
            Ok(())
        }
    }

    /// What is heard of a run of three flushes where the main sink or another one fails.
    fn run(main_fails: bool, other_fails: bool) -> (Vec<String>, bool, anyhow::Result<bool>) {
        let heard = Rc::default();
        let trial = |name, fails| Box::new(Trial { name, heard: Rc::clone(&heard), fails });
        let mut sinks = Sinks::new(trial("main", main_fails));
        sinks.add(trial("store", other_fails));
        let (monitor, mut notes) = (Monitor::new(Options::default()), Notes::new(true));
        let mut goes_on = true;
        for second in 0..3 {
            sinks.said(&Said::Quiet { from: second, to: second });
            goes_on &= sinks.flush(&monitor, &mut notes).is_continue();
        }
        let finished = sinks.finish(&mut notes);
        (heard.take(), goes_on, finished)
    }

    #[test]
    fn a_sink_that_fails_is_no_reason_to_stop_unless_it_is_the_main_one() {
        let (heard, goes_on, finished) = run(false, false);
        assert_eq!(heard.len(), 8, "{heard:?}");
        assert!(goes_on && finished.unwrap());
        let (heard, goes_on, finished) = run(false, true);
        assert_eq!(heard.len(), 8, "it hears everything all the same: {heard:?}");
        assert!(goes_on && !finished.unwrap(), "not everything was written");
        let (_, goes_on, finished) = run(true, false);
        assert!(!goes_on);
        assert_eq!(finished.unwrap_err().to_string(), "the main is full");
    }
}
