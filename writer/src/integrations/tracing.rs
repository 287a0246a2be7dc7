//! A layer for `tracing`: events become LOG records.
//!
//! ```
//! use logq_writer::integrations::tracing::{LayerOptions, LogqLayer};
//! use logq_writer::{LoggerOptions, WorkerId, WorkerLogger};
//! use tracing_subscriber::prelude::*;
//!
//! # let scratch = tempfile::tempdir()?;
//! # let directory = scratch.path().join("logs");
//! let one = WorkerId::new(1).ok_or("worker numbers have 24 bits")?;
//! let worker = WorkerLogger::open(&directory, one, LoggerOptions::default())?;
//! tracing_subscriber::registry().with(LogqLayer::new(&worker, LayerOptions::default())).init();
//!
//! tracing::info!(port = 8080, "listening"); // {"message":"listening","port":8080,"target":"shop"}
//!
//! // A span can carry a request: what happens inside belongs to it.
//! let request = worker.new_request();
//! let span = tracing::info_span!("order", id = 4711);
//! LogqLayer::attach(&span, request.clone());
//! span.in_scope(|| {
//!     tracing::debug!(sql = "SELECT ...", "asking the stock"); // kept back ...
//!     tracing::error!("no stock"); // ... and written with this
//! });
//! worker.close()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Data
//!
//! The data of a record is an object: the event's fields, `message` among them; `target`; `file` and
//! `line`, if asked for; `span`, the names of the spans around the event from the outermost on, such
//! as `order:payment`; and the fields of these spans, the innermost first. A name that is taken is
//! left out later on, so fields of the event win over everything and inner spans over outer ones.
//!
//! Numbers and booleans stay what they are, infinities and NaN become texts. An error is its text
//! with those of its sources, one a line, as in [`Failure`](crate::Failure). Everything else is text.
//!
//! # Levels
//!
//! ERROR, WARN and INFO are written under these names; CRITICAL is left to the loggers' own methods.
//! DEBUG and TRACE are kept back in memory unless [`LayerOptions::write_debug`] is set:
//!
//! | where the event is | where it is kept | what writes it |
//! |---|---|---|
//! | in a span with a request | with the request | an ERROR event in the same request, under `debug`; or its RESPONSE or RESPONSE_FINISHED with a failure |
//! | in other spans | with the outermost one | an ERROR event in the same outermost span, under `debug` |
//! | outside of spans | with the process | an ERROR event outside of spans, under `debug`; or UNCAUGHT_EXCEPTION |
//!
//! Entries are written once, with whichever comes first. They are forgotten when the outermost span
//! is closed or the request's logger dropped, and the oldest ones beyond
//! [`debug_log_limit`](crate::LoggerOptions::debug_log_limit) entries or a mebibyte. Entries from
//! TRACE have a field `level`.
//!
//! To serialize less, filter: `LogqLayer::new(..).with_filter(LevelFilter::INFO)`.

use std::fmt;
use std::sync::{Arc, Mutex};

use logq_format::{Level, LogSource};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Span, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::{LookupSpan, Registry, SpanRef};

use super::sink::{ProcessLogger, Sink};
use crate::RequestLogger;
use crate::failure::DebugLog;

mod data;

use data::{EventData, SpanFields};

/// A layer that writes events to a logger; see the [module](self) for what becomes of them.
///
/// A subscriber has room for one such layer.
pub struct LogqLayer {
    logger: ProcessLogger,
    options: LayerOptions,
}

/// Settings of a [`LogqLayer`]. All are off by default.
#[derive(Clone, Copy, Debug, Default)]
pub struct LayerOptions {
    /// Writes DEBUG and TRACE events at once, as records of these levels, instead of keeping them
    /// back.
    pub write_debug: bool,
    /// Adds `file` and `line` of each event.
    pub location: bool,
}

/// What a span carries if events inside belong to a request.
struct AttachedRequest(Arc<RequestLogger>);

/// What an outermost span carries once there are DEBUG entries.
struct KeptDebug(Arc<Mutex<DebugLog>>);

impl LogqLayer {
    /// A layer that writes to the logger of a master or a worker.
    pub fn new(logger: impl Into<ProcessLogger>, options: LayerOptions) -> Self {
        Self { logger: logger.into(), options }
    }

    /// Makes the span carry a request: events inside, also in spans within, become records of it.
    ///
    /// The innermost request counts. Returns whether it worked: it does not for spans that a filter
    /// has disabled, and without a subscriber that is built on [`Registry`].
    pub fn attach(span: &Span, request: RequestLogger) -> bool {
        let attached = AttachedRequest(Arc::new(request));
        let attach = |(id, dispatch): (&Id, &tracing::Dispatch)| {
            let span = dispatch.downcast_ref::<Registry>()?.span(id)?;
            // What was there before is dropped only when the lock is gone.
            let _before = span.extensions_mut().replace(attached);
            Some(())
        };
        span.with_subscriber(attach).flatten().is_some()
    }
}

/// On whose behalf an event in these spans is logged, the innermost first.
fn place<'a, S: LookupSpan<'a>>(spans: &[SpanRef<'a, S>], level: Level) -> Place {
    for span in spans {
        if let Some(AttachedRequest(request)) = span.extensions().get() {
            return Place::Request(Arc::clone(request));
        }
    }
    match spans.last() {
        // Only these add to what is kept, or take it.
        Some(outermost) if level >= Level::Debug || level <= Level::Error => {
            Place::Span(kept_debug(outermost))
        }
        _ => Place::Process,
    }
}

/// On whose behalf an event is logged.
enum Place {
    Request(Arc<RequestLogger>),
    Span(Arc<Mutex<DebugLog>>),
    Process,
}

fn kept_debug<'a, S: LookupSpan<'a>>(span: &SpanRef<'a, S>) -> Arc<Mutex<DebugLog>> {
    let mut extensions = span.extensions_mut();
    if let Some(KeptDebug(kept)) = extensions.get_mut() {
        return Arc::clone(kept);
    }
    let kept = Arc::default();
    extensions.insert(KeptDebug(Arc::clone(&kept)));
    kept
}

/// Foreign code, such as a field's `Debug`, may itself log. So no lock of a span is held while it
/// runs.
impl<S> Layer<S> for LogqLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let fields = SpanFields::new(|visitor| attributes.record(visitor));
        if let Some(span) = context.span(id) {
            fields.merge_into(&mut span.extensions_mut());
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let fields = SpanFields::new(|visitor| values.record(visitor));
        if let Some(span) = context.span(id) {
            fields.merge_into(&mut span.extensions_mut());
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let level = level_of(*event.metadata().level());
        let spans: Vec<_> = context.event_scope(event).into_iter().flatten().collect();
        let place = place(&spans, level);
        let sink = match &place {
            Place::Request(request) => Sink {
                logger: &request.logger,
                source: LogSource::Request(request.request_id()),
                debug: &request.debug,
            },
            Place::Span(kept) => self.logger.sink_keeping(kept),
            Place::Process => self.logger.sink(),
        };
        sink.log(level, self.options.write_debug, |extras| EventData {
            event,
            spans: &spans,
            location: self.options.location,
            extras,
        });
    }
}

impl fmt::Debug for LogqLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogqLayer").field("options", &self.options).finish_non_exhaustive()
    }
}

fn level_of(level: tracing::Level) -> Level {
    match level {
        tracing::Level::ERROR => Level::Error,
        tracing::Level::WARN => Level::Warn,
        tracing::Level::INFO => Level::Info,
        tracing::Level::DEBUG => Level::Debug,
        tracing::Level::TRACE => Level::Trace,
    }
}
