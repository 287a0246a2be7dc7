//! The texts of a record, for whoever searches them.

use crate::record::{ErrorInfo, Event, Record};

impl<'a> Record<'a> {
    /// Calls `look` with every text of the record, as it is stored: url, data, error, properties,
    /// DEBUG entries, event.
    pub fn for_each_text(&self, mut look: impl FnMut(&'a str)) {
        let mut error = |error: &ErrorInfo<'a>| {
            look(error.text);
            if let Some(properties) = error.properties {
                look(properties.as_str());
            }
            error.debug.iter().for_each(|entry| look(entry.data.as_str()));
        };
        match &self.event {
            Event::Response(response) => response.error.iter().for_each(error),
            Event::ResponseFinished(finished) => finished.error.iter().for_each(error),
            Event::UncaughtException { error: exception, .. } => {
                error(exception);
                look("UNCAUGHT_EXCEPTION");
            }
            Event::Request(request) => {
                look(request.method.as_str());
                look(request.url);
            }
            Event::RequestMeta { data, .. } | Event::Log { data, .. } => look(data.as_str()),
            Event::WorkerExited(exited) => {
                look("WORKER_EXITED");
                exited.signal.into_iter().for_each(look);
            }
            Event::Lost(lost) => look(lost.reason),
            Event::IoError(io) => [io.operation, io.path, io.message].into_iter().for_each(look),
            _ => self.event_name().into_iter().for_each(look),
        }
    }
}
