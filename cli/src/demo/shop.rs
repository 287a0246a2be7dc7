//! The shop that the workers serve: quick pages, a slow search, and a check-out that fails now and
//! then and only then tells its DEBUG messages.

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use fastrand::Rng;
use logq_writer::integrations::tower::RequestLogLayer;
use logq_writer::{Failure, RequestLogger, WorkerLogger};
use serde_json::json;

/// The header in which a proxy would tell the client's address.
pub(super) const CLIENT_HEADER: &str = "x-forwarded-for";

/// How many kinds of things the shop has.
pub(super) const ITEMS: u32 = 100;

/// Of so many carts in a row, one cannot be paid because the payment gateway does not answer.
const GATEWAY_FAILS_EVERY: u32 = 11;

/// Of so many carts in a row, one is refused by the customer's bank, which is nobody's fault here.
const CARD_REFUSED_EVERY: u32 = 7;

/// What handlers share.
type Shop = Arc<Mutex<Rng>>;

/// The routes, and around them the layer that logs requests and responses.
pub(super) fn service(log: &WorkerLogger) -> Router {
    let shop: Shop = Arc::new(Mutex::new(Rng::with_seed(0x510C)));
    Router::new()
        .route("/items", get(items))
        .route("/items/{item}", get(item))
        .route("/search", get(search))
        .route("/carts/{user}", get(cart))
        .route("/carts/{user}/{item}", post(put))
        .route("/checkout/{cart}", post(check_out))
        .layer(RequestLogLayer::new(log).client_ip(|headers, _| client(headers)))
        .with_state(shop)
}

fn client(headers: &HeaderMap) -> Option<IpAddr> {
    headers.get(CLIENT_HEADER)?.to_str().ok()?.parse().ok()
}

/// Between `low` and `high` milliseconds.
fn some_time(shop: &Shop, low: u64, high: u64) -> Duration {
    // A number generator is as good after a panic as before.
    let mut rng = shop.lock().unwrap_or_else(PoisonError::into_inner);
    Duration::from_millis(rng.u64(low..=high))
}

async fn items(Extension(log): Extension<RequestLogger>) -> String {
    log.debug(json!({ "sql": "SELECT id, name, price FROM items LIMIT 20" }));
    (1..=20).map(|item| format!("{item:>4}  thing number {item}\n")).collect()
}

async fn item(Extension(log): Extension<RequestLogger>, Path(item): Path<u32>) -> Response {
    log.debug(json!({ "sql": "SELECT * FROM items WHERE id = ?", "id": item }));
    if item > ITEMS {
        return (StatusCode::NOT_FOUND, "no such item\n").into_response();
    }
    format!("thing number {item}\n").into_response()
}

async fn search(
    State(shop): State<Shop>,
    Extension(log): Extension<RequestLogger>,
    target: Uri,
) -> String {
    let took = some_time(&shop, 20, 200);
    tokio::time::sleep(took).await;
    if took > Duration::from_millis(150) {
        let ms = took.as_millis();
        log.warn(json!({ "message": "slow search", "query": target.query(), "ms": ms }));
    }
    "12 things found\n".to_owned()
}

async fn cart(Extension(log): Extension<RequestLogger>, Path(user): Path<String>) -> &'static str {
    log.request_meta(json!({ "user": user }));
    "3 things in the cart\n"
}

async fn put(
    Extension(log): Extension<RequestLogger>,
    Path((user, item)): Path<(String, u32)>,
) -> (StatusCode, &'static str) {
    log.request_meta(json!({ "user": user }));
    log.info(json!({ "message": "put into the cart", "item": item }));
    (StatusCode::CREATED, "it is in the cart\n")
}

async fn check_out(
    State(shop): State<Shop>,
    Extension(log): Extension<RequestLogger>,
    Path(cart): Path<u32>,
) -> Response {
    let amount = 5 + cart % 90;
    log.debug(json!({ "message": "cart read", "cart": cart, "things": 3 }));
    log.debug(json!({ "message": "things reserved", "amount": amount }));
    match pay(&shop, &log, cart).await {
        Ok(()) => {
            log.info(json!({ "message": "order placed", "cart": cart, "amount": amount }));
            (StatusCode::CREATED, "thank you\n").into_response()
        }
        Err(error @ NotPaid::Refused) => {
            let failure = Failure::from_error(&error).expected();
            (StatusCode::PAYMENT_REQUIRED, Extension(failure), "card refused\n").into_response()
        }
        Err(error @ NotPaid::Gateway { .. }) => {
            let properties = json!({ "cart": cart, "amount": amount });
            let failure = Failure::from_error(&error).with_properties(&properties);
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            (status, Extension(failure), "try again later\n").into_response()
        }
    }
}

/// Says why an order is not placed.
#[derive(Debug, thiserror::Error)]
enum NotPaid {
    #[error("the card was refused")]
    Refused,
    #[error("no answer from the payment gateway after {attempts} attempts")]
    Gateway { attempts: u32, source: io::Error },
}

/// Asks a payment gateway, as far as a demo has one.
async fn pay(shop: &Shop, log: &RequestLogger, cart: u32) -> Result<(), NotPaid> {
    const ATTEMPTS: u32 = 3;
    if cart % GATEWAY_FAILS_EVERY == 4 {
        for attempt in 1..=ATTEMPTS {
            tokio::time::sleep(some_time(shop, 2, 9)).await;
            log.debug(json!({ "message": "payment gateway: no answer", "attempt": attempt }));
        }
        let source = io::Error::from(io::ErrorKind::ConnectionReset);
        return Err(NotPaid::Gateway { attempts: ATTEMPTS, source });
    }
    tokio::time::sleep(some_time(shop, 1, 4)).await;
    if cart % CARD_REFUSED_EVERY == 3 { Err(NotPaid::Refused) } else { Ok(()) }
}
