//! Reads the log files of the Node package `super-server-logs`, version 4 of their format.
//!
//! Everything here is bytes in, values out: no file, no clock. Whoever has the files cuts them at each
//! [`SEPARATOR`] and shows the pieces, in order, to a [`Decoder`]; a [`Processes`] tells which process
//! wrote which record, and the number of the record there.
//!
//! ```text
//! piece --Decoder--> Entry (or Gap) --Processes--> writer and sequence number
//! ```
//!
//! | | |
//! |---|---|
//! | file | named by its creation, 14 digits of milliseconds and `.log`; blocks, each ended by `FA` |
//! | block | records, deflated or not; `F8 01` stands for `F8`, `F8 02` for `FA`, `F8 03` for "what is before this in the block is torn" |
//! | deflated | a zlib stream whose first byte has its halves exchanged, so that its top bit is set, as no record's is |
//! | record | type u8, time u48 in ms, nonce u16, fields; big-endian, without a length |
//!
//! Only zlib's Adler-32 protects anything, and blocks of one small record have not even that. So what
//! is damaged is a [`Gap`] beside the records, and in damaged bytes the decoder looks for streams whose
//! checksum proves them.
//!
//! # Example
//!
//! ```
//! use logq_nodelogs::{Decoder, Event, Item, SEPARATOR};
//!
//! // A master that starts, one millisecond after the epoch.
//! let file = [40, 0, 0, 0, 0, 0, 1, 0, 0, SEPARATOR];
//! let mut found = 0;
//! for piece in file.split_inclusive(|byte| *byte == SEPARATOR) {
//!     let (piece, is_finished) = match piece.split_last() {
//!         Some((&SEPARATOR, piece)) => (piece, true),
//!         _ => (piece, false),
//!     };
//!     Decoder::new().decode(piece, is_finished, |item| {
//!         let Item::Entry(entry) = item else { return Err("damaged") };
//!         assert_eq!((entry.time_ms, entry.nonce), (1, 0));
//!         assert!(matches!(entry.event, Event::Lifecycle { worker: None, .. }));
//!         found += 1;
//!         Ok(())
//!     })?;
//! }
//! assert_eq!(found, 1);
//! # Ok::<(), &str>(())
//! ```

mod block;
mod cursor;
mod entry;
mod exception;
mod inflate;
mod processes;

pub use block::{Cause, Decoder, Gap, Item, is_file_name, is_likely};
pub use entry::{Entry, EntryError, Event, Source};
pub use exception::Exception;
pub use processes::{Identity, Placed, Processes};

/// The byte that ends a block, and is nowhere else.
pub const SEPARATOR: u8 = 0xFA;

/// The most bytes a block may have as it is stored, its separator not counted: 16 MiB.
///
/// Loggers write some 32 KiB; one huge record makes one huge block, and logq keeps texts of 4 MiB.
pub const STORED_BYTES_MAX: usize = 16 << 20;

/// The most bytes a block may have after inflation: 64 MiB, which bounds what a hostile one takes.
pub const INFLATED_BYTES_MAX: usize = 64 << 20;
