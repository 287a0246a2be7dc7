//! Where numbers and changes of alerts go besides standard output: what the flags ask for, opened.

use std::time::Duration;

use logq_monitor::Rule;

use super::deliver::{Carry, Delivery};
use super::exec::Program;
use super::ledger::Ledger;
#[cfg(feature = "listen")]
use super::listen::{Listen, Listener};
use super::notes::Notes;
use super::sink::Sink;
#[cfg(feature = "webhook")]
use super::webhook::Webhook;

/// What the command line asks for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outlets {
    /// Commands to run at each change of an alert.
    pub(crate) exec: Vec<String>,
    pub(crate) exec_timeout: Duration,
    /// URLs to post changes of alerts to.
    #[cfg(feature = "webhook")]
    pub(crate) webhooks: Vec<String>,
    /// What posts are signed with.
    #[cfg(feature = "webhook")]
    pub(crate) webhook_secret: Option<Vec<u8>>,
    #[cfg(feature = "webhook")]
    pub(crate) webhook_allows_private: bool,
    /// Where to serve metrics.
    #[cfg(feature = "listen")]
    pub(crate) listen: Option<Listen>,
}

impl Outlets {
    /// How many entries of each list they need.
    pub(crate) fn lists(&self) -> usize {
        #[cfg(feature = "listen")]
        if self.listen.is_some() {
            return super::listen::SECTIONS;
        }
        0
    }

    /// Opens all of them; they begin with what an earlier run did not deliver. `is_on_screen` says that
    /// the terminal is not to be written to.
    ///
    /// # Errors
    ///
    /// One of them cannot be what the command line asks for.
    pub(super) fn open(
        &self,
        rules: &[Rule],
        is_on_screen: bool,
        ledger: &mut Ledger,
        notes: &mut Notes,
    ) -> anyhow::Result<Vec<Box<dyn Sink>>> {
        let mut sinks: Vec<Box<dyn Sink>> = Vec::new();
        let mut tallies = Vec::new();
        let mut names: Vec<String> = Vec::new();
        let mut deliver = |kind: &str, carrier, name: String| -> anyhow::Result<()> {
            // Two of the same name are told apart by their order.
            let same = names.iter().filter(|other| **other == name).count();
            let receiver = if same == 0 { name.clone() } else { format!("{name} {}", same + 1) };
            names.push(name.clone());
            let left = ledger.take_left(&receiver);
            let identity = ledger.identity();
            let delivery = Delivery::start(name, identity, rules.to_vec(), left, carrier)?;
            ledger.note_undelivered(receiver, delivery.undelivered());
            tallies.push((format!("{kind} {}", tallies.len() + 1), delivery.tally()));
            sinks.push(Box::new(delivery));
            Ok(())
        };
        for command in &self.exec {
            let program = Program::parse(command, self.exec_timeout, is_on_screen)?;
            deliver("exec", Box::new(program) as Box<dyn Carry>, format!("--exec {command}"))?;
        }
        #[cfg(feature = "webhook")]
        for url in &self.webhooks {
            let secret = self.webhook_secret.clone();
            let webhook = Webhook::new(url, secret, self.webhook_allows_private)?;
            // The path of such a URL is often a secret.
            let name = format!("--webhook {}", webhook.authority());
            deliver("webhook", Box::new(webhook), name)?;
        }
        for (receiver, count) in ledger.forget_left() {
            let text = format!("not asked for any more; {}", super::deliver::not_delivered(count));
            notes.note(&receiver, &text);
        }
        #[cfg(feature = "listen")]
        if let Some(listen) = &self.listen {
            let listener = Listener::start(listen, rules, tallies)?;
            let text = format!("metrics on http://{}/metrics", listener.address());
            notes.note("--listen", &text);
            sinks.push(Box::new(listener));
        }
        #[cfg(not(feature = "listen"))]
        drop(tallies);
        Ok(sinks)
    }
}
