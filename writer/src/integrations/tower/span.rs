//! The span around a request, if the feature `tracing` is there to make one.

use super::Settings;
use crate::RequestLogger;

/// The span that service and body run in; none if it is not asked for.
#[cfg(feature = "tracing")]
pub(super) struct RequestSpan(tracing::Span);

#[cfg(feature = "tracing")]
impl RequestSpan {
    pub(super) fn new(settings: &Settings, request: &RequestLogger) -> Self {
        if !settings.in_spans {
            return Self(tracing::Span::none());
        }
        // At ERROR, so that a filter by level hides events but not whose they are.
        let span = tracing::error_span!(target: "logq", "request");
        crate::integrations::tracing::LogqLayer::attach(&span, request.clone());
        Self(span)
    }

    pub(super) fn run<T>(&self, step: impl FnOnce() -> T) -> T {
        self.0.in_scope(step)
    }
}

/// The span that service and body run in: none.
#[cfg(not(feature = "tracing"))]
pub(super) struct RequestSpan;

#[cfg(not(feature = "tracing"))]
impl RequestSpan {
    pub(super) fn new(settings: &Settings, _: &RequestLogger) -> Self {
        debug_assert!(!settings.in_spans, "nothing asks for spans without the feature");
        Self
    }

    pub(super) fn run<T>(&self, step: impl FnOnce() -> T) -> T {
        step()
    }
}
