//! Tokens: where they come from, what they allow, and that a revoked one ends what it started.
//!
//! A token is kept as its SHA-256 digest only, so neither a core dump nor a `Debug` shows it. Digests
//! are compared in constant time and all of them are compared, so the time of an answer says nothing
//! of how much of a guess was right.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq};

use crate::auth::Access;
use crate::error::ServeError;
use crate::shutdown::{Shutdown, ShutdownTrigger};
use crate::tls::readable_by_others;

/// Tokens of one kind in one file, at most.
const TOKENS_MAX: usize = 1_000;
/// Bytes of a token.
const TOKEN_BYTES_MAX: usize = 1_024;
/// Bytes of a file of tokens.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Where tokens come from. Never from the command line, where every user of the machine sees them.
#[derive(Clone)]
pub struct TokenSource(Source);

#[derive(Clone)]
enum Source {
    Variable { name: &'static str, value: String },
    File(PathBuf),
}

impl TokenSource {
    /// The value of an environment variable; the name is for messages.
    pub fn variable(name: &'static str, value: impl Into<String>) -> Self {
        Self(Source::Variable { name, value: value.into() })
    }

    /// A file with one token a line; empty lines and lines that begin with `#` say nothing. It is read
    /// again at every reload, and may hold several so that a token can be changed without a gap.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self(Source::File(path.into()))
    }

    fn load(&self) -> Result<Vec<Fingerprint>, ServeError> {
        match &self.0 {
            Source::Variable { name, value } => {
                let token = is_token(value).then(|| vec![Fingerprint::of(value.as_bytes())]);
                token.ok_or(ServeError::Token { variable: name })
            }
            Source::File(path) => {
                let fail = |reason: String| ServeError::Tokens { path: path.clone(), reason };
                let text = read(path).map_err(|error| fail(error.to_string()))?;
                parse(&text).map_err(fail)
            }
        }
    }

    fn warning(&self) -> Option<String> {
        match &self.0 {
            Source::File(path) if readable_by_others(path) => {
                Some(format!("warning: {} is readable by others: chmod 600 it", path.display()))
            }
            _ => None,
        }
    }
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::Variable { name, .. } => write!(f, "TokenSource({name})"),
            Source::File(path) => write!(f, "TokenSource({})", path.display()),
        }
    }
}

fn read(path: &std::path::Path) -> std::io::Result<String> {
    use std::io::Read;
    let mut text = String::new();
    std::fs::File::open(path)?.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

fn parse(text: &str) -> Result<Vec<Fingerprint>, String> {
    let mut digests = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if !is_token(line) {
            return Err(format!(
                "line {}: a token is 1 to {TOKEN_BYTES_MAX} visible ASCII characters",
                index + 1
            ));
        }
        digests.push(Fingerprint::of(line.as_bytes()));
    }
    match digests.len() {
        0 => Err("no token is in this file".to_owned()),
        1..=TOKENS_MAX => Ok(digests),
        found => Err(format!("{found} tokens, at most {TOKENS_MAX} are possible")),
    }
}

fn is_token(text: &str) -> bool {
    (1..=TOKEN_BYTES_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// What is kept of a token: its SHA-256. It has no `==`, so there is one way only to compare two: in a time
/// that is the same whatever they have in common.
struct Fingerprint([u8; 32]);

impl Fingerprint {
    fn of(token: &[u8]) -> Self {
        Self(Sha256::digest(token).into())
    }
}

impl ConstantTimeEq for Fingerprint {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.0.ct_eq(&other.0)
    }
}

/// A token in use.
pub(crate) struct Token {
    fingerprint: Fingerprint,
    pub(crate) access: Access,
    /// What stands for it in lines and counters: 8 hexadecimal digits, of another digest than the one
    /// that is compared.
    pub(crate) id: String,
    pub(crate) in_flight: AtomicUsize,
    revoke: ShutdownTrigger,
    pub(crate) revoked: Shutdown,
}

impl Token {
    fn new(fingerprint: Fingerprint, access: Access) -> Arc<Self> {
        let named = Sha256::new().chain_update(b"logq token id ").chain_update(fingerprint.0);
        let named = named.finalize();
        let id = named.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        let (revoke, revoked) = ShutdownTrigger::new();
        let in_flight = AtomicUsize::new(0);
        Arc::new(Self { fingerprint, access, id, in_flight, revoke, revoked })
    }
}

/// All tokens in use.
pub(crate) struct Tokens {
    sources: Vec<(Access, TokenSource)>,
    tokens: RwLock<Arc<[Arc<Token>]>>,
}

impl Tokens {
    pub(crate) fn load(
        read: Option<TokenSource>,
        write: Option<TokenSource>,
    ) -> Result<Self, ServeError> {
        let read = read.map(|source| (Access::Read, source));
        let write = write.map(|source| (Access::Write, source));
        let sources: Vec<_> = read.into_iter().chain(write).collect();
        let tokens = Self { sources, tokens: RwLock::new(Arc::new([])) };
        tokens.reload()?;
        Ok(tokens)
    }

    /// Whether reading asks for a token.
    pub(crate) fn are_needed_for(&self, access: Access) -> bool {
        self.sources.iter().any(|(of, _)| *of == access)
    }

    pub(crate) fn warnings(&self) -> impl Iterator<Item = String> {
        self.sources.iter().filter_map(|(_, source)| source.warning())
    }

    /// Reads the sources again and revokes the tokens that are gone. Returns how many. If a source
    /// cannot be used, what was in use stays.
    pub(crate) fn reload(&self) -> Result<usize, ServeError> {
        let mut tokens: Vec<Arc<Token>> = Vec::new();
        let before = self.current();
        for (access, source) in &self.sources {
            for fingerprint in source.load()? {
                let same = |token: &&Arc<Token>| {
                    token.access == *access && bool::from(token.fingerprint.ct_eq(&fingerprint))
                };
                let kept = before.iter().find(same).cloned();
                tokens.push(kept.unwrap_or_else(|| Token::new(fingerprint, *access)));
            }
        }
        let is_gone = |token: &&Arc<Token>| !tokens.iter().any(|kept| Arc::ptr_eq(kept, token));
        let gone: Vec<_> = before.iter().filter(is_gone).cloned().collect();
        *self.tokens.write().unwrap_or_else(PoisonError::into_inner) = tokens.into();
        gone.iter().for_each(|token| token.revoke.request());
        Ok(gone.len())
    }

    fn current(&self) -> Arc<[Arc<Token>]> {
        self.tokens.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The token that `presented` is, the one that allows most if it is there for both kinds.
    pub(crate) fn find(&self, presented: &[u8]) -> Option<Arc<Token>> {
        let fingerprint = Fingerprint::of(presented);
        find(&self.current(), |token| token.fingerprint.ct_eq(&fingerprint)).cloned()
    }
}

/// The token that `is_it` says yes to, the one that allows most. Every token is asked, whichever it is.
fn find(tokens: &[Arc<Token>], mut is_it: impl FnMut(&Token) -> Choice) -> Option<&Arc<Token>> {
    let mut found: Option<&Arc<Token>> = None;
    for token in tokens {
        if bool::from(is_it(token)) && found.is_none_or(|best| best.access < token.access) {
            found = Some(token);
        }
    }
    found
}

/// One request in flight with a token.
pub(crate) struct Lease(pub(crate) Arc<Token>);

impl Lease {
    /// Counts a request in; `None` if `max` are in flight.
    pub(crate) fn take(token: Arc<Token>, max: usize) -> Option<Self> {
        let lease = Self(token);
        (lease.0.in_flight.fetch_add(1, Ordering::Relaxed) < max).then_some(lease)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_tokens_are_read_with_care() {
        assert_eq!(parse("# old\nabc\n\n  def \r\n").unwrap().len(), 2);
        assert_eq!(parse("\n# nothing\n").err().unwrap(), "no token is in this file");
        let error = parse("abc\nhas space\n").err().unwrap();
        assert!(error.starts_with("line 2: "), "{error}");
        assert!(!error.contains("space"), "no part of a token is told");
        assert!(parse(&"x".repeat(1_025)).is_err());
        assert!(parse(&"x\n".repeat(1_001)).is_err());
    }

    #[test]
    fn a_token_for_both_kinds_allows_to_write() {
        let source = |value| Some(TokenSource::variable("T", value));
        let tokens = Tokens::load(source("both"), source("both")).unwrap();
        assert_eq!(tokens.find(b"both").unwrap().access, Access::Write);
        assert!(tokens.find(b"").is_none());
        assert!(tokens.find(b"bot").is_none());
        assert!(tokens.find(b"both ").is_none());
    }

    /// E.2.2
    #[test]
    fn every_token_is_compared_whichever_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        std::fs::write(&path, "first\nmiddle\nlast\n").unwrap();
        let tokens = Tokens::load(Some(TokenSource::file(&path)), None).unwrap();
        let tokens = tokens.current();
        for (presented, place) in
            [("first", Some(0)), ("middle", Some(1)), ("last", Some(2)), ("firs", None), ("", None)]
        {
            let presented = Fingerprint::of(presented.as_bytes());
            let mut compared = 0;
            let found = find(&tokens, |token| {
                compared += 1;
                token.fingerprint.ct_eq(&presented)
            });
            assert_eq!(compared, 3);
            assert_eq!(found.map(|token| &token.id), place.map(|at: usize| &tokens[at].id));
        }
    }

    /// E.2.2: nanoseconds of a comparison, by how much of a guess is right. A figure for people, who run it
    /// where nothing else runs: `cargo test --release -p logq-live of_a_guess -- --ignored --nocapture`.
    #[test]
    #[ignore = "measures"]
    fn the_time_says_nothing_of_how_much_of_a_guess_is_right() {
        let right = "0123456789abcdef".repeat(4);
        let tokens = Tokens::load(Some(TokenSource::variable("T", right.clone())), None).unwrap();
        let guesses = [0, 1, 16, 32, 48, 63].map(|len| {
            let guess: String = right.chars().take(len).collect();
            (len, format!("{guess:x<64}"), Vec::new())
        });
        let mut guesses = guesses.to_vec();
        for _ in 0..200_000 {
            for (_, guess, times) in &mut guesses {
                let start = std::time::Instant::now();
                assert!(std::hint::black_box(tokens.find(guess.as_bytes())).is_none());
                times.push(start.elapsed().as_nanos());
            }
        }
        for (len, _, mut times) in guesses {
            times.sort_unstable();
            let [least, median] = [times[0], times[times.len() / 2]];
            eprintln!("{len} of 64 characters right: least {least} ns, median {median} ns");
        }
    }

    #[test]
    fn nothing_prints_a_token() {
        let source = TokenSource::variable("ACCESS_TOKEN", "s3cret");
        assert_eq!(format!("{source:?}"), "TokenSource(ACCESS_TOKEN)");
        let tokens = Tokens::load(Some(source), None).unwrap();
        let id = &tokens.find(b"s3cret").unwrap().id;
        assert_eq!(id.len(), 8);
        let hex: String =
            Fingerprint::of(b"s3cret").0.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(!hex.contains(id.as_str()), "the id is no part of what is compared");
    }
}
