//! The clients of the demo: people who come, look, buy and go, over HTTP on loopback.
//!
//! A visit is one connection that is kept alive. Who is cut off comes again, to whichever worker
//! serves. The rate is moderate, so that the demo also works on a small machine that is busy.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, header};
use fastrand::Rng;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Interval, MissedTickBehavior, interval, sleep, timeout};

use super::addresses::Addresses;
use super::shop::{CLIENT_HEADER, ITEMS};

/// People who visit at the same time.
const CLIENTS: u64 = 16;

/// Between two requests of one of them: 800 requests a second altogether.
const PAUSE: Duration = Duration::from_millis(20);

/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a client waits where nobody serves.
const CLOSED_PAUSE: Duration = Duration::from_millis(20);

/// The most bytes of an answer; the shop's longest one has a few hundred.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// All clients, on a thread of their own.
pub(super) struct Load {
    street: Arc<Street>,
    thread: JoinHandle<()>,
}

/// What came of the requests.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    /// They got an answer, whatever it was.
    pub(super) answered: u64,
    /// They were sent and got none.
    pub(super) cut_off: u64,
}

/// What clients share.
struct Street {
    addresses: Addresses,
    is_over: AtomicBool,
    answered: AtomicU64,
    cut_off: AtomicU64,
    carts: AtomicU32,
}

impl Load {
    /// Opens the doors.
    ///
    /// # Errors
    ///
    /// The system refuses a thread or the descriptors of a runtime.
    pub(super) fn start(addresses: Addresses) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let street = Arc::new(Street {
            addresses,
            is_over: AtomicBool::new(false),
            answered: AtomicU64::new(0),
            cut_off: AtomicU64::new(0),
            carts: AtomicU32::new(0),
        });
        let visited = Arc::clone(&street);
        let visits = async move {
            let clients = (0..CLIENTS).map(|seed| tokio::spawn(client(seed, Arc::clone(&visited))));
            for client in clients.collect::<Vec<_>>() {
                // A client does not panic; if one did, the others go on.
                let _ = client.await;
            }
        };
        let run = move || runtime.block_on(visits);
        let thread = thread::Builder::new().name("demo-clients".to_owned()).spawn(run)?;
        Ok(Self { street, thread })
    }

    /// How many requests got an answer so far.
    pub(super) fn answered(&self) -> u64 {
        self.street.answered.load(Ordering::Relaxed)
    }

    /// Lets all clients finish their current request and go home.
    pub(super) fn finish(self) -> Tally {
        self.street.is_over.store(true, Ordering::Relaxed);
        // The thread catches what clients panic with.
        let _ = self.thread.join();
        let cut_off = self.street.cut_off.load(Ordering::Relaxed);
        Tally { answered: self.street.answered.load(Ordering::Relaxed), cut_off }
    }
}

impl Street {
    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }
}

/// One client's life: visit after visit.
async fn client(seed: u64, street: Arc<Street>) {
    let mut rng = Rng::with_seed(seed);
    let mut pace = interval(PAUSE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !street.is_over() {
        if visit(&street, &mut rng, &mut pace).await.is_err() {
            sleep(CLOSED_PAUSE).await;
        }
    }
}

/// Whatever ends a visit early; the tally tells what it was.
type Trouble = Box<dyn Error + Send + Sync>;

/// One visit: a connection and the requests on it.
async fn visit(street: &Street, rng: &mut Rng, pace: &mut Interval) -> Result<(), Trouble> {
    let address = rng.choice(street.addresses.online()).ok_or("nobody serves")?;
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Ends with the sender; its errors come to the sender, too.
    tokio::spawn(connection);
    let ip = format!("198.51.100.{}", rng.u8(1..=254));
    let user = rng.u32(1..500);
    for _ in 0..rng.u32(10..60) {
        pace.tick().await;
        if street.is_over() {
            break;
        }
        let request = request(street, rng, user, &ip)?;
        match timeout(PATIENCE, exchange(&mut sender, request)).await {
            Ok(Ok(())) => street.answered.fetch_add(1, Ordering::Relaxed),
            Ok(Err(trouble)) => {
                street.cut_off.fetch_add(1, Ordering::Relaxed);
                return Err(trouble);
            }
            Err(late) => {
                street.cut_off.fetch_add(1, Ordering::Relaxed);
                return Err(late.into());
            }
        };
    }
    Ok(())
}

/// Sends a request and waits for the end of its answer.
async fn exchange(sender: &mut SendRequest<Body>, request: Request<Body>) -> Result<(), Trouble> {
    sender.ready().await?;
    let response = sender.send_request(request).await?;
    to_bytes(Body::new(response.into_body()), ANSWER_BYTES_MAX).await?;
    Ok(())
}

/// What somebody in a shop may want.
fn request(street: &Street, rng: &mut Rng, user: u32, ip: &str) -> Result<Request<Body>, Trouble> {
    // A few look for what there is not.
    let item = rng.u32(1..=ITEMS + 5);
    let (method, target) = match rng.u32(0..100) {
        0..36 => (Method::GET, format!("/items?page={}", rng.u32(1..=5))),
        36..70 => (Method::GET, format!("/items/{item}")),
        70..73 => (Method::GET, format!("/search?q=thing+{item}")),
        73..84 => (Method::GET, format!("/carts/user{user}")),
        84..94 => (Method::POST, format!("/carts/user{user}/{item}")),
        _ => {
            // Numbered, so that a check-out fails soon, however short the demo.
            let cart = street.carts.fetch_add(1, Ordering::Relaxed);
            (Method::POST, format!("/checkout/{cart}"))
        }
    };
    let head = Request::builder().method(method).uri(target);
    let head = head.header(header::HOST, "shop.example").header(CLIENT_HEADER, ip);
    Ok(head.body(Body::empty())?)
}
