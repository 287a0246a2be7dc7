//! What clients of `logq serve` may hold, and for how long: flags for what an operator knows better than
//! the defaults do. Everything else that `logq_live` limits is right for all.

use std::time::Duration;

use clap::Args;
use logq_live::{Limits, Timers};

use super::{size, time};

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "What clients may hold")]
pub(crate) struct ClientArguments {
    /// How many connections there may be; more are answered 503. Each costs a file descriptor and about 20 KiB
    #[arg(long, value_name = "N", default_value = "10000")]
    max_connections: usize,

    /// How many connections one address may have, or one /64 network of IPv6: more where all come through a proxy
    #[arg(long, value_name = "N", default_value = "2000")]
    max_connections_per_address: usize,

    /// How many requests may be under way with one token; more are answered 503
    #[arg(long, value_name = "N", default_value = "4000")]
    max_requests_per_token: usize,

    /// Close a connection that has not sent a whole head so long after it began, or after the last answer
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time)]
    header_timeout: Duration,

    /// Close a connection of HTTP/2 without requests, and one whose other side has hung up, after so long
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = time)]
    idle_timeout: Duration,

    /// Give up a reader that takes less than --stall-size of what there is for it in so long
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = time)]
    stall_timeout: Duration,

    /// What a reader must take in --stall-timeout; 1 asks for any sign of life
    #[arg(long, value_name = "SIZE", default_value = "1", value_parser = size)]
    stall_size: u64,
}

impl ClientArguments {
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            connections_max: self.max_connections,
            connections_per_address_max: self.max_connections_per_address,
            requests_per_token_max: self.max_requests_per_token,
            ..Limits::default()
        }
    }

    pub(crate) fn timers(&self) -> Timers {
        let defaults = Timers::default();
        Timers {
            head: self.header_timeout,
            tls_handshake: self.header_timeout,
            idle: self.idle_timeout,
            stall: self.stall_timeout,
            stall_bytes_min: usize::try_from(self.stall_size).unwrap_or(usize::MAX),
            // Looked at often enough that a time is kept to within a half.
            patrol: defaults.patrol.min(self.idle_timeout / 2),
            ..defaults
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        clients: ClientArguments,
    }

    /// The library and the help say the same.
    #[test]
    fn defaults_are_the_servers() {
        let clients = Line::parse_from(["serve"]).clients;
        assert_eq!(format!("{:?}", clients.limits()), format!("{:?}", Limits::default()));
        assert_eq!(format!("{:?}", clients.timers()), format!("{:?}", Timers::default()));
    }
}
