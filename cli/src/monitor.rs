//! `logq monitor`: sources are read and followed, and what `logq-monitor` concludes is printed.
//!
//! ```text
//!  patterns ─> source ─ tail (file, siblings, ledger) or once ─> pieces ─┐
//!                                                                        v
//!  sinks <── drained after each piece <── Monitor <──────── Input of the source
//!  print or screen; outlets: exec, webhook (by way of deliver), listen
//! ```
//!
//! One thread reads all sources, the one that is furthest behind in log time first, so that few
//! seconds are open at a time. When all are read to their ends, it looks at every one again as soon as
//! the system tells of a change, and else each second.
//!
//! What is said goes to each [`sink`], which [`Session::new`] opens; further kinds of sources are
//! opened in [`opening`].

mod archive;
mod deliver;
mod exec;
mod file;
mod from;
mod json;
mod ledger;
#[cfg(feature = "listen")]
mod listen;
mod notes;
mod once;
mod opening;
mod outlets;
mod patterns;
mod print;
mod records;
pub(crate) mod report;
#[cfg(feature = "tui")]
mod screen;
pub(crate) mod series;
mod siblings;
mod sink;
mod source;
mod tail;
mod waiting;
#[cfg(feature = "webhook")]
mod webhook;

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use logq_format::Timestamp;
use logq_monitor::{InputOptions, Monitor, Options, Output, Saved};
use logq_writer::{Clock as _, SystemClock};

pub(crate) use self::from::Begin;
use self::ledger::Ledger;
#[cfg(feature = "listen")]
pub(crate) use self::listen::{Listen, parse_address};
use self::notes::Notes;
pub(crate) use self::outlets::Outlets;
use self::patterns::Named;
pub(crate) use self::print::Manner;
use self::print::Printer;
#[cfg(feature = "tui")]
use self::screen::Screen;
#[cfg(feature = "tui")]
pub(crate) use self::screen::{TOP as SCREEN_TOP, restore as restore_terminal};
use self::series::SeriesSink;
pub(crate) use self::series::StoreWish;
use self::sink::{Sink, Sinks};
use self::source::{Desk, Progress, Source};
use self::waiting::Waiting;
use crate::output::Style;

/// What the command line asks for.
pub(crate) struct Wish {
    pub(crate) sources: Vec<PathBuf>,
    pub(crate) options: Options,
    pub(crate) input: InputOptions,
    pub(crate) manner: Manner,
    /// Entries that lists have where they are printed.
    pub(crate) top: usize,
    pub(crate) style: Style,
    /// Whether the whole screen shows it, in place of lines.
    pub(crate) on_screen: bool,
    pub(crate) outlets: Outlets,
    pub(crate) follows: bool,
    /// Where files and stores begin that are there already.
    pub(crate) from: Begin,
    /// How long a file that was moved away is kept open.
    pub(crate) rotate_wait: Duration,
    /// Where to note how far files were read.
    pub(crate) state: Option<PathBuf>,
    /// Where to keep what was said.
    pub(crate) store: Option<StoreWish>,
    pub(crate) is_quiet: bool,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    /// How many times an alert fired.
    pub(crate) fired: u64,
    /// Whether every source could be read to its end, and everything written that was to be.
    pub(crate) is_complete: bool,
}

/// A processor's share of a piece, in bytes.
const PIECE_BYTES: usize = 1 << 20;
/// All of a piece is in memory.
const PIECE_BYTES_MAX: usize = 4 << 20;
/// How often the monitor is told the time, while there is always something to read.
const TICK: Duration = Duration::from_millis(100);
/// How often patterns are looked at, and the state is written.
const SELDOM: Duration = Duration::from_secs(1);

/// Watches the sources until they end or `stop` is set.
///
/// # Errors
///
/// No source can be read, the state file cannot be read or written, or standard output fails.
pub(crate) fn run(wish: Wish, stop: &Arc<AtomicBool>) -> anyhow::Result<Ended> {
    let named = wish.sources.iter().map(|word| Named::parse(word));
    let named = named.collect::<anyhow::Result<Vec<_>>>()?;
    let mut session = Session::new(wish, Arc::clone(stop))?;
    for named in named {
        session.begin(named);
    }
    if session.sources.is_empty() && session.patterns.is_empty() {
        session.sinks.finish(&mut session.desk.notes)?;
        return Ok(Ended { fired: 0, is_complete: false });
    }
    session.watch()?;
    session.end()
}

struct Session {
    desk: Desk,
    sources: Vec<Source>,
    /// Patterns that may find more files.
    patterns: Vec<String>,
    input: InputOptions,
    sinks: Sinks,
    state: Option<PathBuf>,
    stop: Arc<AtomicBool>,
    clock: WallClock,
    waiting: Waiting,
    last_tick: Instant,
    last_seldom: Instant,
    last_saved: Instant,
    /// Whether a change of an alert was told that the state does not know of.
    has_alert: bool,
    is_complete: bool,
    /// Whether files that are found now were there when it began.
    is_beginning: bool,
    /// Whether a summary had a line. Empty intervals before that are of the time before the log.
    has_lines: bool,
}

/// The time, as a clock shows it that nobody sets.
struct WallClock {
    started: Timestamp,
    since: Instant,
}

impl WallClock {
    fn now(&self, at: Instant) -> Timestamp {
        let micros = at.saturating_duration_since(self.since).as_micros();
        let micros = i64::try_from(micros).unwrap_or(i64::MAX);
        Timestamp::from_micros(self.started.as_micros().saturating_add(micros))
    }
}

impl Session {
    fn new(wish: Wish, stop: Arc<AtomicBool>) -> anyhow::Result<Self> {
        let state = wish.state.as_deref().map(Ledger::load).transpose()?;
        let (mut ledger, saved) = state.unwrap_or_default();
        let piece_bytes = (PIECE_BYTES * rayon::current_num_threads()).min(PIECE_BYTES_MAX);
        let mut notes = Notes::new(wish.is_quiet);
        let (outlets, rules) = (&wish.outlets, &wish.options.rules);
        let others = outlets.open(rules, wish.on_screen, &mut ledger, &mut notes)?;
        let mut sinks = Sinks::new(main_sink(&wish, &stop, ledger.identity(), &notes)?);
        others.into_iter().for_each(|sink| sinks.add(sink));
        if let Some(store) = &wish.store {
            sinks.add(Box::new(SeriesSink::open(store, &wish.options, saved.as_ref())?));
        }
        let mut monitor = Monitor::new(wish.options);
        let has_lines = saved.as_ref().is_some_and(Saved::has_begun);
        saved.into_iter().for_each(|saved| monitor.restore(saved));
        let now = Instant::now();
        Ok(Self {
            desk: Desk {
                monitor,
                ledger,
                notes,
                buffer: vec![0; piece_bytes],
                follows: wish.follows,
                from: wish.from,
                rotate_wait: wish.rotate_wait,
                is_noted: wish.state.is_some(),
            },
            sources: Vec::new(),
            patterns: Vec::new(),
            input: wish.input,
            sinks,
            state: wish.state,
            stop,
            waiting: Waiting::new(now),
            clock: WallClock { started: SystemClock.now(), since: now },
            last_tick: now,
            last_seldom: now,
            last_saved: now,
            has_alert: false,
            is_complete: true,
            is_beginning: true,
            has_lines,
        })
    }

    /// Reads until everything has ended, somebody wants the end, or nobody reads the output.
    fn watch(&mut self) -> anyhow::Result<()> {
        self.is_beginning = false;
        self.desk.from = Begin::Start;
        self.desk.notes.expect(self.sources.iter().map(Source::len).sum());
        // Whatever ends this run, the next one knows that there was one.
        self.save()?;
        while !self.is_over() {
            let mut is_busy = self.catch_up()?.is_continue();
            if self.desk.follows {
                self.desk.notes.arrived();
                is_busy = self.look_if_due();
                self.seldom();
            }
            self.save_if_due()?;
            if self.say().is_break() {
                break;
            }
            if !is_busy && self.desk.follows && !self.is_over() {
                self.waiting.wait(&self.sources);
                if let Some(news) = self.waiting.news(&self.sources) {
                    self.desk.notes.note("monitor", &news);
                }
            }
        }
        self.desk.notes.arrived();
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.is_stopped() || (self.sources.is_empty() && self.patterns.is_empty())
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Reads sources to their ends, the one that is furthest behind first.
    fn catch_up(&mut self) -> anyhow::Result<ControlFlow<()>> {
        while let Some(id) = self.desk.monitor.behind() {
            if self.is_stopped() {
                return Ok(ControlFlow::Break(()));
            }
            let Some(index) = self.sources.iter().position(|source| source.id() == id) else {
                // Nobody reads it any more.
                self.desk.monitor.finish(id);
                continue;
            };
            self.read(index);
            if self.last_tick.elapsed() >= TICK {
                self.tick();
            }
            self.save_if_due()?;
            if self.say().is_break() {
                self.stop.store(true, Ordering::Relaxed);
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Looks at every source if there may be something; answers whether anything came.
    fn look_if_due(&mut self) -> bool {
        let now = Instant::now();
        if !self.waiting.is_due(&self.sources, now) {
            self.tick();
            return false;
        }
        let is_busy = self.look();
        self.waiting.looked(now, is_busy);
        is_busy
    }

    /// Looks at every source once; answers whether anything came.
    fn look(&mut self) -> bool {
        let mut is_busy = false;
        for index in (0..self.sources.len()).rev() {
            is_busy |= matches!(self.read(index), Progress::Read(_));
        }
        self.tick();
        is_busy
    }

    fn read(&mut self, index: usize) -> Progress {
        let Some(source) = self.sources.get_mut(index) else { return Progress::Ended };
        let progress = source.read(&mut self.desk, Instant::now());
        match progress {
            Progress::Read(bytes) => self.desk.notes.advance(bytes),
            Progress::Idle if self.desk.follows => {
                let id = source.id();
                self.desk.monitor.caught_up(id);
            }
            Progress::Idle => {}
            Progress::Ended | Progress::Failed => {
                let source = self.sources.remove(index);
                let is_whole = source.finish(&mut self.desk, progress == Progress::Ended);
                self.is_complete &= is_whole && progress == Progress::Ended;
            }
        }
        progress
    }

    fn tick(&mut self) {
        self.last_tick = Instant::now();
        if self.desk.follows {
            let now = self.clock.now(self.last_tick);
            self.desk.monitor.tick(now);
        }
    }

    fn save_if_due(&mut self) -> anyhow::Result<()> {
        // What is told twice after a kill shall be little. A replay may tell of many changes at once.
        let is_urgent = self.has_alert && self.desk.follows;
        if !is_urgent && self.last_saved.elapsed() < SELDOM {
            return Ok(());
        }
        self.last_saved = Instant::now();
        self.save()
    }

    /// Writes the state: what was concluded from what was read so far, but not what is still open.
    fn save(&mut self) -> anyhow::Result<()> {
        if self.state.is_none() {
            return Ok(());
        }
        // Whether anybody still listens is asked again with what is said next.
        let _ = self.say();
        if !self.sinks.keep(&mut self.desk.notes) {
            // What they do not have yet will be read again.
            return Ok(());
        }
        let Some(state) = &self.state else { return Ok(()) };
        self.has_alert = false;
        self.sources.iter().for_each(|source| source.note(&mut self.desk.ledger));
        self.desk.ledger.save(state, &self.desk.monitor.save())
    }

    /// Hands what became certain to the sinks.
    fn say(&mut self) -> ControlFlow<()> {
        for said in self.drain() {
            self.has_alert |= matches!(said, Output::Alert(_));
            self.sinks.said(&said);
        }
        self.sinks.flush(&self.desk.monitor, &mut self.desk.notes)
    }

    /// Shows what is not certain yet, and what a later run will tell, to whoever looks at this one.
    fn show(&mut self) -> ControlFlow<()> {
        for said in self.drain() {
            self.sinks.shown(&said);
        }
        self.sinks.flush(&self.desk.monitor, &mut self.desk.notes)
    }

    fn drain(&mut self) -> Vec<Output> {
        let mut outputs: Vec<Output> = self.desk.monitor.drain().collect();
        outputs.retain(|said| {
            if let Output::Summary(summary) = said {
                self.has_lines |= summary.counts.hits + summary.bad + summary.late > 0;
                return self.has_lines;
            }
            true
        });
        outputs
    }

    /// Sums up what is left. If somebody wanted the end and a later run goes on from here, seconds that
    /// are still open are that one's: it knows more of them.
    fn end(mut self) -> anyhow::Result<Ended> {
        let is_stopped = self.is_stopped();
        let goes_on = is_stopped && self.state.is_some();
        if goes_on {
            self.save()?;
        }
        for source in std::mem::take(&mut self.sources) {
            source.finish(&mut self.desk, false);
        }
        self.desk.monitor.end();
        let said = if goes_on { self.show() } else { self.say() };
        let is_kept = self.sinks.keep(&mut self.desk.notes);
        self.sinks.ended(&self.desk.monitor, !is_stopped);
        let written = self.sinks.finish(&mut self.desk.notes);
        if said.is_continue() {
            let report = logq_monitor::render::report(self.desk.monitor.report());
            self.desk.notes.report(&report);
        }
        match self.state {
            Some(state) if goes_on => self.desk.ledger.save_deliveries(&state)?,
            Some(state) if is_kept => self.desk.ledger.save(&state, &self.desk.monitor.save())?,
            _ => {}
        }
        let is_complete = self.is_complete & written?;
        Ok(Ended { fired: self.desk.monitor.fired(), is_complete })
    }
}

/// Standard output, or the screen.
fn main_sink(
    wish: &Wish,
    stop: &Arc<AtomicBool>,
    identity: &str,
    notes: &Notes,
) -> anyhow::Result<Box<dyn Sink>> {
    #[cfg(feature = "tui")]
    if wish.on_screen {
        let (stop, is_coloured) = (Arc::clone(stop), wish.style.is_coloured());
        let screen = Screen::raise(&wish.options, is_coloured, notes.board(), stop)?;
        return Ok(Box::new(screen));
    }
    #[cfg(not(feature = "tui"))]
    let _ = (stop, notes);
    let (manner, rules) = (wish.manner.clone(), wish.options.rules.clone());
    let (style, identity) = (wish.style.clone(), identity.to_owned());
    Ok(Box::new(Printer::new(manner, style, wish.top, rules, identity)))
}
