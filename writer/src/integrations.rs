//! Loggers behind the interfaces that Rust services already use. Each is a cargo feature, off by
//! default.
//!
//! | feature | |
//! |---|---|
//! | `tracing` | `integrations::tracing::LogqLayer`: events become records, of the request that their span carries |
//! | `log` | `integrations::log::init`: messages become records |
//! | `tower` | `integrations::tower::RequestLogLayer`: logs the requests of axum, hyper and tonic services |

// What a message is and where it comes from is each one's own matter; what becomes of DEBUG entries
// (`sink`) and how a JSON object is put together (`fields`) is the same for all.
#[cfg(any(feature = "log", feature = "tracing"))]
mod fields;
#[cfg(feature = "log")]
pub mod log;
#[cfg(any(feature = "log", feature = "tracing"))]
mod sink;
#[cfg(feature = "tower")]
pub mod tower;
#[cfg(feature = "tracing")]
pub mod tracing;

#[cfg(any(feature = "log", feature = "tracing"))]
pub use sink::ProcessLogger;
