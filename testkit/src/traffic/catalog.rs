//! What the imaginary shop serves and says: routes, messages and errors, as templates.
//!
//! A template is text in which `%` and a letter stand for a value; [`Values::render`] knows them.

use std::fmt::Write;

use fastrand::Rng;
use logq_format::Method;

/// One route of the shop. Routes are listed by popularity.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) method: Method<'static>,
    pub(crate) url: &'static str,
    /// The median of the time to the response, in microseconds.
    pub(crate) median_us: u32,
    /// The median of the response's bytes; static files have a fixed size.
    pub(crate) bytes: u32,
    pub(crate) kind: Kind,
    /// The messages that serving the route may log.
    pub(crate) messages: &'static [&'static str],
}

/// How a route is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A file: fixed size, often not modified, logs nothing.
    Static,
    /// Something read.
    Read,
    /// Something changed: answered with 201, 204 or a redirect.
    Write,
}

/// The values that templates refer to; those of one request are the same in all its records.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Values {
    pub(crate) item: u32,
    pub(crate) user: u32,
    pub(crate) order: u32,
}

const FIRST_NAMES: [&str; 24] = [
    "anna", "ben", "carla", "david", "elena", "felix", "greta", "hugo", "ines", "jonas", "karin",
    "luca", "maria", "nils", "olga", "paul", "rosa", "sven", "tara", "udo", "vera", "wim", "yara",
    "zeno",
];

const WORDS: [&str; 32] = [
    "shoes", "red", "table", "lamp", "garden", "winter", "jacket", "blue", "chair", "wood", "set",
    "small", "bag", "leather", "phone", "case", "black", "kids", "bike", "helmet", "desk", "white",
    "rug", "wool", "mug", "steel", "knife", "green", "tea", "pot", "shelf", "oak",
];

const CITIES: [&str; 12] = [
    "Berlin", "Wien", "Zürich", "Lyon", "Porto", "Gent", "Oslo", "Turin", "Graz", "Brno", "Cork",
    "Bergen",
];

impl Values {
    /// Appends `template` with its values filled in.
    ///
    /// `%i` item, `%u` user number, `%n` user name, `%o` order, `%p` page or small count, `%w`
    /// word, `%c` city, `%m` milliseconds, `%a` amount, `%k` a number below 1,000, `%h` eight hex
    /// digits.
    pub(crate) fn render(&self, template: &str, random: &mut Rng, out: &mut String) {
        let mut pieces = template.split('%');
        out.push_str(pieces.next().unwrap_or_default());
        for piece in pieces {
            let mut rest = piece.chars();
            // Writing to a string cannot fail.
            let _ = match rest.next() {
                Some('i') => write!(out, "{}", self.item),
                Some('u') => write!(out, "{}", self.user),
                Some('n') => write!(out, "{}{}", pick(&FIRST_NAMES, self.user), self.user % 97),
                Some('o') => write!(out, "{}", self.order),
                Some('p') => write!(out, "{}", 1 + random.u32(..8) * random.u32(..8) / 8),
                Some('w') => out.write_str(pick(&WORDS, random.u32(..))),
                Some('c') => out.write_str(pick(&CITIES, self.user)),
                Some('m') => {
                    write!(out, "{}.{}", random.u32(..32) * random.u32(..32) / 32, random.u32(..10))
                }
                Some('a') => write!(out, "{}.{}9", 1 + random.u32(..100), random.u32(..10)),
                Some('k') => write!(out, "{}", random.u32(..1000)),
                Some('h') => write!(out, "{:08x}", random.u32(..)),
                _ => Ok(()),
            };
            out.push_str(rest.as_str());
        }
    }
}

fn pick<'a>(texts: &[&'a str], number: u32) -> &'a str {
    let index = usize::try_from(number).unwrap_or(0) % texts.len().max(1);
    texts.get(index).copied().unwrap_or_default()
}

const fn get(
    url: &'static str,
    median_us: u32,
    bytes: u32,
    messages: &'static [&'static str],
) -> Route {
    Route { method: Method::Get, url, median_us, bytes, kind: Kind::Read, messages }
}

const fn file(url: &'static str, bytes: u32) -> Route {
    Route { method: Method::Get, url, median_us: 350, bytes, kind: Kind::Static, messages: &[] }
}

const fn change(
    method: Method<'static>,
    url: &'static str,
    median_us: u32,
    bytes: u32,
    messages: &'static [&'static str],
) -> Route {
    Route { method, url, median_us, bytes, kind: Kind::Write, messages }
}

const ITEM: &[&str] = &[
    r#""cache hit""#,
    r#""cache miss""#,
    r#"{"loaded":"item","item":%i,"ms":%m}"#,
    r#"{"stock":%k,"item":%i}"#,
];
const LIST: &[&str] =
    &[r#"{"query":"items","rows":%k,"ms":%m}"#, r#"{"found":%k}"#, r#""cache hit""#];
const USER: &[&str] =
    &[r#"{"message":"session","user":"%n"}"#, r#"{"message":"user loaded","user":"%n","ms":%m}"#];
const CART: &[&str] = &[
    r#"{"cart":%p,"total":%a}"#,
    r#"{"message":"added","item":%i,"user":"%n"}"#,
    r#"{"message":"price","item":%i,"amount":%a}"#,
];
const ORDER: &[&str] = &[
    r#"{"message":"order placed","order":%o,"amount":%a}"#,
    r#"{"message":"payment accepted","order":%o,"ms":%m}"#,
    r#"{"message":"mail queued","to":"%n"}"#,
    r#"{"message":"order loaded","order":%o}"#,
];

/// The routes, most popular first.
pub(crate) static ROUTES: [Route; 40] = [
    get("/api/items/%i", 4_200, 1_900, ITEM),
    get("/", 9_500, 14_200, LIST),
    file("/static/app.7f3c21.js", 184_322),
    get("/items/%i", 12_000, 21_400, ITEM),
    file("/static/app.7f3c21.css", 41_870),
    get("/api/cart", 2_900, 640, CART),
    get("/api/items?page=%p", 15_800, 9_800, LIST),
    get("/search?q=%w+%w", 38_000, 17_300, LIST),
    get("/api/session", 1_600, 212, USER),
    file("/favicon.ico", 4_286),
    file("/static/logo.svg", 3_190),
    change(Method::Post, "/api/cart/items", 6_100, 310, CART),
    get("/api/items/%i/reviews?page=%p", 7_400, 5_200, LIST),
    get("/images/%i/small.webp", 700, 8_400, &[]),
    get("/images/%i/large.webp", 1_400, 61_000, &[]),
    get("/api/search/suggest?q=%w", 3_100, 420, LIST),
    change(Method::Post, "/api/events", 900, 0, &[]),
    get("/category/%w?page=%p&sort=price", 18_500, 19_900, LIST),
    get("/api/users/%u", 2_400, 530, USER),
    change(Method::Post, "/login", 84_000, 0, USER),
    get("/cart", 11_200, 9_700, CART),
    get("/health", 150, 2, &[]),
    change(Method::Delete, "/api/cart/items/%i", 4_800, 0, CART),
    get("/api/users/%u/orders?page=%p", 13_100, 4_100, ORDER),
    get("/category/%w", 17_300, 20_400, LIST),
    change(Method::Put, "/api/cart/items/%i", 5_200, 310, CART),
    get("/checkout", 14_600, 12_800, CART),
    change(Method::Post, "/api/orders", 122_000, 480, ORDER),
    get("/api/orders/%o", 5_300, 1_250, ORDER),
    file("/static/fonts/inter.woff2", 98_868),
    file("/robots.txt", 112),
    change(Method::Post, "/logout", 2_000, 0, USER),
    get("/account", 9_900, 8_700, USER),
    change(Method::Put, "/api/users/%u/address", 7_700, 260, USER),
    get("/api/items/%i/related", 21_000, 3_800, LIST),
    change(Method::Post, "/api/items/%i/reviews", 9_200, 350, ITEM),
    get("/sitemap.xml", 44_000, 412_000, &[]),
    change(Method::Post, "/api/orders/%o/cancel", 31_000, 240, ORDER),
    get("/metrics", 1_900, 18_600, &[]),
    change(Method::Options, "/api/orders", 120, 0, &[]),
];

/// What requests attach to themselves.
pub(crate) static METAS: [&str; 3] =
    [r#"{"user":"%n"}"#, r#"{"user":"%n","city":"%c"}"#, r#"{"tenant":"shop","variant":"B"}"#];

/// What may go slightly wrong.
pub(crate) static WARNINGS: [&str; 5] = [
    r#"{"message":"slow query","table":"orders","ms":%k.%p}"#,
    r#"{"message":"retry","attempt":%p,"host":"db-%p"}"#,
    r#"{"message":"deprecated parameter","name":"sort"}"#,
    r#"{"message":"rate limit near","user":"%n","left":%p}"#,
    r#""cache unavailable""#,
];

/// What workers say about themselves.
pub(crate) static WORKER_MESSAGES: [&str; 4] = [
    r#"{"message":"memory","rssMb":%k,"heapMb":%k}"#,
    r#"{"message":"pool","busy":%p,"idle":%p}"#,
    r#"{"message":"cache","entries":1%k%k,"hits":%k}"#,
    r#"{"message":"gc","ms":%m}"#,
];

/// What the master says.
pub(crate) static MASTER_MESSAGES: [&str; 2] =
    [r#"{"message":"cluster","workers":4,"requests":%k}"#, r#"{"message":"load","one":%m}"#];

/// DEBUG entries that errors bring to light.
pub(crate) static DEBUG_MESSAGES: [&str; 5] = [
    r#"{"sql":"select * from orders where id = $1","ms":%m}"#,
    r#"{"sql":"select * from items where id = $1","ms":%m}"#,
    r#"{"step":"authorized","user":"%n"}"#,
    r#"{"step":"price computed","item":%i,"amount":%a}"#,
    r#"{"http":"POST https://pay.example/v1/charges","status":%k}"#,
];

/// Errors that handlers expect, with their status.
pub(crate) static EXPECTED: [(u16, &str); 5] = [
    (404, "item %i not found"),
    (404, "no such page"),
    (401, "session expired"),
    (403, "not your order"),
    (409, "item %i is sold out"),
];

/// The first lines of errors with a stack; the status of the response goes with them.
pub(crate) static FAILURES: [(u16, &str); 10] = [
    (500, "TypeError: Cannot read properties of undefined (reading 'price')"),
    (500, "Error: connect ECONNREFUSED 10.0.3.17:5432"),
    (504, "TimeoutError: payment provider did not answer within %k ms"),
    (500, "ReferenceError: discount is not defined"),
    (502, "FetchError: request to https://pay.example/v1/charges failed, reason: socket hang up"),
    (500, "DatabaseError: deadlock detected, process %k waits for transaction %o"),
    (500, "ValidationError: amount %a does not match order %o"),
    (503, "PoolError: no connection free after %k ms"),
    (500, "RangeError: Invalid time value"),
    (500, "Error: item %i has no price for tenant shop"),
];
