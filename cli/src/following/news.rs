//! Why nothing comes: told on standard error, once, and again when it goes on.

use std::path::PathBuf;

use jiff::tz::TimeZone;
use logq_format::Timestamp;
use logq_reader::{Follow, Notification, Waiting};
use logq_writer::{Clock as _, SystemClock};

use crate::completeness;
use crate::output::{escape, zoned_time};

/// How long records may wait for a writer before it is told.
const PATIENCE_US: i64 = 2_000_000;

/// What was told.
pub(crate) struct News {
    zone: TimeZone,
    quiet: bool,
    /// The stores that are not there yet.
    missing: Vec<PathBuf>,
    is_polling: bool,
    is_waiting: bool,
}

impl News {
    /// Tells which stores are not there.
    pub(crate) fn new(stores: &[PathBuf], zone: TimeZone, quiet: bool) -> Self {
        let missing: Vec<_> = stores.iter().filter(|store| !store.exists()).cloned().collect();
        let news = Self { zone, quiet, missing, is_polling: false, is_waiting: false };
        for store in &news.missing {
            news.tell(&format!("{}: no such store yet; waiting for it", store.display()));
        }
        news
    }

    /// Tells what has changed.
    pub(crate) fn look(&mut self, follow: &Follow<'_>) {
        if self.quiet {
            return;
        }
        let lines = [
            self.polling(follow.notification()),
            self.waiting(follow.waiting_for().as_ref(), SystemClock.now()),
        ];
        lines.iter().flatten().for_each(|line| self.tell(line));
        for store in std::mem::take(&mut self.missing) {
            match store.exists() {
                true => self.tell(&format!("{}: it is there now", store.display())),
                false => self.missing.push(store),
            }
        }
    }

    fn polling(&mut self, notification: Notification) -> Option<String> {
        let was_polling = std::mem::replace(
            &mut self.is_polling,
            matches!(notification, Notification::Polling(_)),
        );
        let has_begun = self.is_polling && !was_polling;
        has_begun.then(|| format!("following by {notification}"))
    }

    fn waiting(&mut self, waiting: Option<&Waiting>, now: Timestamp) -> Option<String> {
        let is_long = |waiting: &&Waiting| waiting.since.saturating_add_micros(PATIENCE_US) <= now;
        let long = waiting.filter(is_long);
        let was_waiting = std::mem::replace(&mut self.is_waiting, long.is_some());
        match (was_waiting, long) {
            (false, Some(waiting)) => Some(self.whom(waiting)),
            (true, None) => Some("it goes on".to_owned()),
            _ => None,
        }
    }

    fn whom(&self, waiting: &Waiting) -> String {
        let since = zoned_time(waiting.since, &self.zone);
        let records = match waiting.records {
            1 => "a record waits".to_owned(),
            count => format!("up to {count} records wait"),
        };
        let reason = match waiting.holding.split_first() {
            Some((slowest, others)) => {
                let more = match others.len() {
                    0 => String::new(),
                    1 => ", and one other".to_owned(),
                    more => format!(", and {more} others"),
                };
                format!("{} may hold back earlier ones{more}", completeness::writer(slowest))
            }
            None => "nothing proves that no earlier ones come".to_owned(),
        };
        format!("{records} since {since}: {reason}; --order arrival prints them at once")
    }

    fn tell(&self, line: &str) {
        if !self.quiet {
            tell!("logq: {}", escape::for_terminal_lines(line));
        }
    }
}

#[cfg(test)]
mod tests {
    use logq_reader::PollingReason;

    use super::*;

    #[test]
    fn polling_is_told_once_with_its_reason() {
        let mut news = News::new(&[], TimeZone::UTC, true);
        assert_eq!(news.polling(Notification::Inotify), None);
        let refused = Notification::Polling(PollingReason::Refused(24));
        let told = news.polling(refused).unwrap();
        assert!(told.starts_with("following by looking again and again, since"), "{told}");
        assert!(told.contains("fs.inotify.max_user_watches"), "{told}");
        assert_eq!(news.polling(refused), None);
    }
}
