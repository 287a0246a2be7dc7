//! What a writer tells on the control page of its store, and learns from it.
//!
//! The background thread alone does this, and nothing fails because of it: without the page the
//! writer finds a new segment a second later, and readers wait for a flush where they need not.

use std::time::{Duration, Instant};

use logq_directory::{ControlPage, Directory, WriterEntry};

/// How often the page is opened anew: somebody may have deleted or replaced it.
const RENEW_EVERY: Duration = Duration::from_secs(1);

/// The page as one writer sees it.
#[derive(Debug, Default)]
pub(crate) struct Control {
    page: Option<ControlPage>,
    opened: Option<Instant>,
    told: Option<WriterEntry>,
}

impl Control {
    /// Tells everyone of this writer.
    pub(crate) fn tell(&mut self, directory: &Directory, entry: Option<WriterEntry>, now: Instant) {
        self.told = entry;
        self.renew(directory, now);
        if let (Some(page), Some(entry)) = (&self.page, &self.told) {
            // What is not told costs readers time; it is told again when the page is renewed.
            let _ = page.publish(entry);
        }
    }

    /// Opens the page anew if that is due, and mends what it says of this writer.
    pub(crate) fn renew(&mut self, directory: &Directory, now: Instant) {
        let is_fresh = |opened: Instant| now.saturating_duration_since(opened) < RENEW_EVERY;
        if self.opened.is_some_and(is_fresh) {
            return;
        }
        (self.page, self.opened) = (directory.control_page().ok(), Some(now));
        if let (Some(page), Some(entry)) = (&self.page, &self.told)
            && page.writer(entry.slot).as_ref() != Some(entry)
        {
            let _ = page.publish(entry);
        }
    }

    /// The number of the newest segment, as far as the page knows. One small read.
    pub(crate) fn current_segment(&self) -> Option<u64> {
        self.page.as_ref().and_then(ControlPage::current_segment)
    }

    /// Tells everyone which segment is the newest, where the page does not know it.
    pub(crate) fn mend_segment(&self, newest: u64) {
        if let Some(page) = &self.page
            && page.current_segment().is_none_or(|known| known < newest)
        {
            let _ = page.publish_segment(newest);
        }
    }
}
