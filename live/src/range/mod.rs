//! Byte ranges of a stream that grows: [`parse()`] reads the header field, [`decide()`] says what a request
//! gets. Both are pure; `streams` asks them and sends.
//!
//! ```text
//! Range: bytes=a-b  -- parse -->  Wanted  -- decide(progress, follow) -->  Answer
//! ```

mod compat;
mod decide;
mod parse;

pub use compat::{Refused, decide_compat, parse_compat};
pub use decide::{Answer, End, LAST_UNKNOWN, decide};
pub use parse::{Wanted, parse};
