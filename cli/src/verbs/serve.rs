//! `logq serve`: logs live over HTTP. This file reads flags and livelog's environment variables; what
//! they set up is in `serve`.

mod clients;

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::args::ZoneArguments;
use crate::exit::Exit;
use crate::serve::{self, Failure};

pub(crate) use clients::ClientArguments;

const EXAMPLES: &str = "\
Examples:
  logq serve &
  make 2>&1 | curl -T - http://127.0.0.1:60022/log      write the stream /log
  curl -N http://127.0.0.1:60023/log/                   read it, from the beginning to the end
  curl -C - -o log http://127.0.0.1:60023/log/          get what came since
  ACCESS_TOKEN=secret logq serve --dir /var/lib/logs    for others at /log/secret, kept
  logq serve /var/log/shop             questions about a store, and a page: http://127.0.0.1:60023/
  curl 'http://127.0.0.1:60023/v1/stores/shop/records?since=1h&level=error'

Environment: ACCESS_TOKEN (to read), LOGQ_WRITE_TOKEN (to write), LIVELOG_PUT_PORT (60022),
LIVELOG_GET_PORT (60023), SERVER_CRT_FILE and SERVER_KEY_FILE (TLS for readers), LIVELOG_TEMP_DIR.
SIGHUP reads certificate, key and token files again; SIGTERM ends the server in order.

Exit status: 0 ended by a signal; 1 an address or a directory cannot be used; 2 wrong usage; 64 and 65
LIVELOG_PUT_PORT is no number, no port; 66 and 67 the same for LIVELOG_GET_PORT; 68 certificate or key
cannot be used; 69 others could read or write without a token.";

#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ServeArguments {
    /// Stores to answer questions about, at /v1/stores/NAME; a store has the name of its directory
    /// unless another one is given
    #[arg(value_name = "[NAME=]STORE")]
    pub(crate) stores: Vec<OsString>,

    /// The store that `logq monitor --store` writes to, for the graph and the alerts
    #[arg(long, value_name = "STORE")]
    pub(crate) monitor: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) zone: ZoneArguments,

    /// Keep streams in this directory, over restarts, instead of in one that goes with the server
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,

    /// Address for readers [default: all with ACCESS_TOKEN or --token-file, else 127.0.0.1]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<IpAddr>,

    /// Address for writers
    #[arg(long, value_name = "ADDRESS", default_value_t = Ipv4Addr::LOCALHOST.into())]
    pub(crate) put_listen: IpAddr,

    /// File of tokens that may read, one a line, instead of ACCESS_TOKEN
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,

    /// File of tokens that may write and read, instead of LOGQ_WRITE_TOKEN
    #[arg(long, value_name = "FILE")]
    pub(crate) write_token_file: Option<PathBuf>,

    /// Listen where others can connect although no token is needed
    #[arg(long)]
    pub(crate) insecure_no_auth: bool,

    /// Let pages of this origin read, such as `https://ci.example`, or * for all; may be repeated
    #[arg(long = "cors-origin", value_name = "ORIGIN")]
    pub(crate) cors_origins: Vec<String>,

    /// Answer under this name, too, where the server is for this machine alone; may be repeated
    #[arg(long = "allow-host", value_name = "NAME")]
    pub(crate) allow_hosts: Vec<String>,

    /// Let a PUT replace a stream that has ended
    #[arg(long)]
    pub(crate) replace: bool,

    /// Cut streams off at this length, such as 100M or 2G [default: none]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) max_bytes: Option<u64>,

    /// Write nothing when less of the disk than this is free
    #[arg(long, value_name = "SIZE", default_value = "64M", value_parser = size)]
    pub(crate) min_free: u64,

    /// How many streams there may be
    #[arg(long, value_name = "N", default_value = "1000")]
    pub(crate) max_streams: usize,

    /// Remove streams so long after their end
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = time)]
    pub(crate) keep: Duration,

    /// How long a lost writer may take to come back before its stream is aborted
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = time)]
    pub(crate) writer_grace: Duration,

    /// Give up a writer that sends nothing for so long [default: never]
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) writer_idle: Option<Duration>,

    /// How long requests may take to end when the server is asked to
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time)]
    pub(crate) grace: Duration,

    /// Answer exactly as another program would
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) compat: Option<Compat>,

    /// On standard error, tell nothing of requests
    #[arg(short, long)]
    pub(crate) quiet: bool,

    #[command(flatten)]
    pub(crate) clients: ClientArguments,
}

/// Programs that are imitated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Compat {
    /// The original: ranges with status 200, its words for second writers
    Livelog,
}

/// What the environment says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Environment {
    pub(crate) put_port: u16,
    pub(crate) get_port: u16,
    pub(crate) access_token: Option<String>,
    pub(crate) write_token: Option<String>,
    pub(crate) certificate: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
    pub(crate) temporary_in: Option<PathBuf>,
}

/// Serves until a signal asks for the end.
pub(crate) fn run(arguments: &ServeArguments) -> anyhow::Result<Exit> {
    let served = Environment::read(|name| std::env::var_os(name))
        .and_then(|environment| serve::run(arguments, environment));
    let Err(Failure { exit_code, reason }) = served else { return Ok(Exit::Success) };
    crate::explain(&reason);
    Ok(Exit::NotServed(exit_code))
}

impl Environment {
    /// Reads the variables; those that are empty are as good as absent.
    fn read(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, Failure> {
        let value = |name| variable(name).filter(|value| !value.is_empty());
        let path = |name| value(name).map(PathBuf::from);
        // What is not UTF-8 is no token; it is refused as such, not left out.
        let token = |name| value(name).map(|token| token.to_string_lossy().into_owned());
        Ok(Self {
            put_port: port("LIVELOG_PUT_PORT", value("LIVELOG_PUT_PORT"), 60_022, [64, 65])?,
            get_port: port("LIVELOG_GET_PORT", value("LIVELOG_GET_PORT"), 60_023, [66, 67])?,
            access_token: token("ACCESS_TOKEN"),
            write_token: token("LOGQ_WRITE_TOKEN"),
            certificate: path("SERVER_CRT_FILE"),
            key: path("SERVER_KEY_FILE"),
            temporary_in: path("LIVELOG_TEMP_DIR"),
        })
    }
}

/// A port, with livelog's messages and exit codes for what is none.
fn port(
    name: &str,
    value: Option<OsString>,
    default: u16,
    [no_number, no_port]: [u8; 2],
) -> Result<u16, Failure> {
    let Some(value) = value else { return Ok(default) };
    let text = value.to_string_lossy();
    let digits = text.strip_prefix(['-', '+']).unwrap_or(&text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Failure::new(no_number, format!("env var {name} is not a number ({text})")));
    }
    let out =
        || Failure::new(no_port, format!("env var {name} is not between [0, 65535] ({text})"));
    text.parse().map_err(|_| out())
}

/// A length of time with its unit.
fn time(text: &str) -> Result<Duration, String> {
    logq_query::when::parse_duration(text).map_err(|error| error.to_string())
}

/// Bytes, also as 64K, 100M, 2G or 1T, each 1,024 of the one before.
fn size(text: &str) -> Result<u64, String> {
    let expected = || "expected bytes, such as 65536, 64K, 100M or 2G".to_owned();
    let upper = text.trim_end_matches(['i', 'B']);
    let (number, shift) = match upper.char_indices().next_back() {
        Some((at, 'k' | 'K')) => (upper.get(..at), 10),
        Some((at, 'm' | 'M')) => (upper.get(..at), 20),
        Some((at, 'g' | 'G')) => (upper.get(..at), 30),
        Some((at, 't' | 'T')) => (upper.get(..at), 40),
        _ => (Some(upper), 0),
    };
    let number = number.and_then(|number| number.parse::<u64>().ok());
    number.and_then(|number| number.checked_mul(1 << shift)).ok_or_else(expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Result<Environment, (u8, String)> {
        let found = |name: &str| {
            let mut same = variables.iter().filter(|(key, _)| *key == name);
            same.next().map(|(_, value)| OsString::from(value))
        };
        Environment::read(found).map_err(|failure| (failure.exit_code, failure.reason.to_string()))
    }

    #[test]
    fn the_environment_is_livelogs() {
        let defaults = environment(&[("ACCESS_TOKEN", ""), ("LIVELOG_PUT_PORT", "")]).unwrap();
        assert_eq!((defaults.put_port, defaults.get_port), (60_022, 60_023));
        assert_eq!(defaults.access_token, None);
        let set = environment(&[("ACCESS_TOKEN", "x"), ("LIVELOG_GET_PORT", "0")]).unwrap();
        assert_eq!((set.access_token.as_deref(), set.get_port), (Some("x"), 0));
    }

    #[test]
    fn wrong_ports_are_told_in_livelogs_words() {
        for (name, value, code, text) in [
            ("LIVELOG_PUT_PORT", "abc", 64, "is not a number (abc)"),
            ("LIVELOG_PUT_PORT", "70000", 65, "is not between [0, 65535] (70000)"),
            ("LIVELOG_PUT_PORT", "-1", 65, "is not between [0, 65535] (-1)"),
            ("LIVELOG_GET_PORT", "6e4", 66, "is not a number (6e4)"),
            ("LIVELOG_GET_PORT", "65536", 67, "is not between [0, 65535] (65536)"),
            (
                "LIVELOG_GET_PORT",
                "99999999999999999999",
                67,
                "is not between [0, 65535] (99999999999999999999)",
            ),
        ] {
            let told = (code, format!("env var {name} {text}"));
            assert_eq!(environment(&[(name, value)]), Err(told), "{name}={value}");
        }
        let both = environment(&[("LIVELOG_GET_PORT", "x"), ("LIVELOG_PUT_PORT", "y")]);
        assert_eq!(both.unwrap_err().0, 64, "PUT comes first");
    }

    #[test]
    fn sizes_have_units() {
        for (text, expected) in [
            ("0", Some(0)),
            ("65536", Some(65_536)),
            ("64K", Some(65_536)),
            ("100M", Some(100 << 20)),
            ("2GiB", Some(2 << 30)),
            ("1T", Some(1 << 40)),
            ("20000000T", None),
            ("1.5G", None),
            ("-1", None),
            ("G", None),
            ("", None),
        ] {
            assert_eq!(size(text).ok(), expected, "{text}");
        }
    }
}
