//! Streams: one writer, many readers, bytes that never change once they are stored.
//!
//! ```text
//! PUT, PATCH --> receiving --> writer --> stream: file, ring, progress      GET <-- sending, events
//!                              limits       |  the pen: one writer at a time          |
//!                              grace        +-----> watch(length, state) ------> reader: an offset
//! ```
//!
//! A reader is an offset. One that keeps up is handed the chunks that the writer stored last, without
//! a copy; one that lags behind reads the file. Nobody waits for a reader, and nothing is queued for one.
//! One that lags behind a writer in a hurry is not even told of more, but looks for itself when a processor
//! has nothing else to do, and takes no lock that a writer takes.
//!
//! | what happens | what is kept |
//! |---|---|
//! | the writer ends its body | everything, and that it is complete |
//! | the writer is lost | everything; it may go on where the server is, or the stream is aborted |
//! | the server is killed | every byte that a reader can have seen; the stream is interrupted |
//! | the disk is full, or a limit reached | what came before; the stream is truncated |
//! | the power fails | what the system had written; if that is less than was recorded, it is interrupted |
//!
//! | question | file |
//! |---|---|
//! | what is answered | `routes` (`/v1/streams`), `legacy` (`/log`), `reading`, `writing`, `headers` |
//! | how bytes go out and come in | `sending`, `events`, `reader`; `receiving`, `writer`, `haste` |
//! | what a stream is | `stream`, `ring`, `table` |
//! | what is on disk, and what is left of it after a crash | `directory`, `record`, `recovery`, `digest`, `blocking` |

mod blocking;
mod digest;
mod directory;
mod events;
mod haste;
mod headers;
mod legacy;
mod reader;
mod reading;
mod receiving;
mod record;
mod recovery;
mod ring;
mod routes;
mod sending;
mod stream;
mod table;
mod writer;
mod writing;

pub use self::directory::DirectoryError;
pub use self::legacy::LegacyRoutes;
pub use self::routes::StreamRoutes;
pub use self::table::{Streams, StreamsOptions};
