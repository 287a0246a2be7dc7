//! A program that logs through `tracing`, with a request in each span.
//!
//! ```sh
//! cargo run -p logq-writer --features tracing --example tracing_spans -- STORE
//! logq -v STORE
//! ```

use std::error::Error;

use logq_writer::integrations::tracing::{LayerOptions, LogqLayer};
use logq_writer::{
    Failure, LoggerOptions, RequestHead, RequestLogger, ResponseHead, WorkerId, WorkerLogger,
};
use tracing_subscriber::prelude::*;

fn main() -> Result<(), Box<dyn Error>> {
    run(&std::env::args().nth(1).ok_or("usage: tracing_spans STORE")?)
}

pub(crate) fn run(store: &str) -> Result<(), Box<dyn Error>> {
    let one = WorkerId::new(1).ok_or("worker numbers have 24 bits")?;
    let worker = WorkerLogger::open(store, one, LoggerOptions::default())?;
    let layer = LogqLayer::new(&worker, LayerOptions::default());
    tracing_subscriber::registry().with(layer).try_init()?;

    tracing::info!(orders = 3, "placing orders");
    for item in ["7", "13", "x"] {
        handle(&worker.new_request(), item);
    }

    // Returning from `main` would do that, too.
    worker.close()?;
    Ok(())
}

/// One request: everything inside its span belongs to it.
fn handle(request: &RequestLogger, item: &str) {
    let url = format!("/orders/{item}");
    request.request(&RequestHead { method: "POST", url: &url, ..RequestHead::default() });
    let span = tracing::info_span!("order", item);
    LogqLayer::attach(&span, request.clone());
    let response = match span.in_scope(|| order(item)) {
        Ok(()) => ResponseHead::status(201),
        // With the failure go the DEBUG events that were kept back since.
        Err(error) => ResponseHead::status(500).failure(Failure::from_error(error.as_ref())),
    };
    request.response(response);
    request.response_finished(());
}

fn order(item: &str) -> Result<(), Box<dyn Error + Send + Sync>> {
    tracing::debug!("parsing");
    let number = item.parse::<u32>()?;
    if number == 13 {
        tracing::debug_span!("stock").in_scope(|| tracing::debug!(number, "asking"));
        // An event of ERROR takes along what was kept back before it.
        tracing::error!(number, "no stock");
    } else {
        tracing::info!(number, "ordered");
    }
    Ok(())
}
