//! A program that logs through the `log` facade, as its libraries do.
//!
//! ```sh
//! cargo run -p logq-writer --features log --example log_facade -- STORE
//! logq STORE
//! ```

use std::error::Error;

use logq_writer::integrations::log::{LogOptions, init};
use logq_writer::{LoggerOptions, MasterLogger};

fn main() -> Result<(), Box<dyn Error>> {
    run(&std::env::args().nth(1).ok_or("usage: log_facade STORE")?)
}

pub(crate) fn run(store: &str) -> Result<(), Box<dyn Error>> {
    let master = MasterLogger::open(store, LoggerOptions::default())?;
    init(&master, LogOptions::default())?;
    master.starting_up();

    log::info!(items = 3; "placing orders");
    for item in ["7", "13", "x"] {
        log::debug!(item; "parsing"); // kept back until something goes wrong
        match item.parse::<u32>() {
            Ok(13) => log::warn!("no stock of item 13"),
            Ok(_) => log::info!(item; "ordered"),
            Err(error) => log::error!(item, error:%; "not an item"),
        }
    }

    // Returning from `main` would do that, too.
    master.close()?;
    Ok(())
}
