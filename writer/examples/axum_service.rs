//! An axum service that logs its requests.
//!
//! ```sh
//! cargo run -p logq-writer --features tower --example axum_service -- STORE          # until Ctrl-C
//! cargo run -p logq-writer --features tower --example axum_service -- STORE --once   # visits itself
//! logq -v STORE
//! ```

#![expect(clippy::print_stdout, reason = "it tells where it listens")]

use std::error::Error;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use axum::extract::{ConnectInfo, Path};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use logq_writer::integrations::tower::RequestLogLayer;
use logq_writer::{Failure, LoggerOptions, RequestLogger, WorkerId, WorkerLogger};
use serde_json::json;
use tokio::net::TcpListener;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let store = arguments.next().ok_or("usage: axum_service STORE [--once]")?;
    run(&store, arguments.next().as_deref() == Some("--once"))
}

pub(crate) fn run(store: &str, once: bool) -> Result<(), Box<dyn Error>> {
    let one = WorkerId::new(1).ok_or("worker numbers have 24 bits")?;
    let worker = WorkerLogger::open(store, one, LoggerOptions::default())?;
    worker.log_panics();
    worker.worker_started();

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(service(&worker), &worker, once))?;

    worker.worker_done();
    worker.close()?;
    println!("logged to {store}");
    Ok(())
}

/// The routes, and around them the layer that logs.
fn service(worker: &WorkerLogger) -> Router {
    let log = RequestLogLayer::new(worker).client_ip(|_, extensions| {
        let ConnectInfo(address) = extensions.get::<ConnectInfo<SocketAddr>>()?;
        Some(address.ip())
    });
    Router::new().route("/cart", get(cart)).route("/orders/{item}", post(order)).layer(log)
}

async fn cart(Extension(log): Extension<RequestLogger>) -> &'static str {
    log.request_meta(json!({ "user": "ann" }));
    log.info(json!({ "message": "cart shown", "items": 3 }));
    "3 items\n"
}

/// Fails for one item, and says why.
async fn order(Extension(log): Extension<RequestLogger>, Path(item): Path<u32>) -> Response {
    log.debug(json!({ "sql": "SELECT amount FROM stock WHERE item = ?", "item": item }));
    if item == 13 {
        let failure = Failure::from_message("no stock").with_properties(&json!({ "item": item }));
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        return (status, Extension(failure), "try again later\n").into_response();
    }
    (StatusCode::CREATED, "ordered\n").into_response()
}

async fn serve(app: Router, worker: &WorkerLogger, once: bool) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    println!("serving http://{address}");
    worker.worker_online();
    let stop = async move {
        if once {
            let visit = tokio::task::spawn_blocking(move || visit(address));
            match visit.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => eprintln!("the visit failed: {error}"),
                Err(error) => eprintln!("the visit failed: {error}"),
            }
        } else if let Err(error) = tokio::signal::ctrl_c().await {
            eprintln!("cannot wait for Ctrl-C: {error}");
        }
    };
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(stop)
        .await?;
    worker.worker_offline();
    Ok(())
}

/// A client's view: three requests, one of which fails.
fn visit(address: SocketAddr) -> std::io::Result<()> {
    for target in ["GET /cart?user=ann", "POST /orders/7", "POST /orders/13"] {
        let mut connection = TcpStream::connect(address)?;
        let head = format!("{target} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
        connection.write_all(head.as_bytes())?;
        let mut response = String::new();
        connection.read_to_string(&mut response)?;
        let status = response.lines().next().unwrap_or_default();
        println!("{target}: {status}");
    }
    Ok(())
}
