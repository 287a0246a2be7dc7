//! Webhooks against servers on this machine: good ones, slow ones, hostile ones.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::*;

/// A server that answers each connection with the next of these bytes, and then closes it; `None`
/// is no answer for as long as the client waits. Gives the requests.
fn server(answers: Vec<Option<&'static str>>) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook?a=b", listener.local_addr().unwrap());
    let (sender, requests) = mpsc::channel();
    thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let request = read_request(&mut stream);
            // A test that has ended wants no more.
            let _ = sender.send(request);
            match answer {
                Some(answer) => _ = stream.write_all(answer.as_bytes()),
                None => _ = stream.read(&mut [0; 1]),
            }
        }
    });
    (url, requests)
}

fn read_request(stream: &mut TcpStream) -> String {
    let (mut text, mut buffer) = (String::new(), [0; 1_024]);
    while !text.ends_with("}\n") {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(len) => text += std::str::from_utf8(&buffer[..len]).unwrap(),
        }
    }
    text
}

fn webhook(url: &str) -> Webhook {
    let pace = Pace {
        first: Duration::from_millis(1),
        longest: Duration::from_millis(5),
        attempts: 4,
        timeout: Duration::from_millis(500),
    };
    let secret = Some(b"it is a secret".to_vec());
    let mut webhook = Webhook::new(url, secret, false).unwrap();
    webhook.pace = pace;
    webhook
}

fn post_to(url: &str) -> anyhow::Result<()> {
    let message = Message { id: "7-1".to_owned(), json: "{\"change\":\"fired\"}\n".to_owned() };
    webhook(url).carry(&message, &Until::default())
}

const OK: Option<&str> = Some("HTTP/1.1 204 No Content\r\n\r\n");

#[test]
fn what_is_posted_is_signed_with_its_time() {
    let (url, requests) = server(vec![OK]);
    post_to(&url).unwrap();
    let request = requests.recv().unwrap();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /hook?a=b HTTP/1.1\r\n"), "{head}");
    let header = |name: &str| {
        let mut lines = head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    };
    assert_eq!(header("host"), url.split('/').nth(2));
    assert_eq!(header("content-type"), Some("application/json"));
    assert_eq!(header("logq-delivery"), Some("7-1"));
    assert_eq!(body, "{\"change\":\"fired\"}\n");
    let signed = header("logq-signature").unwrap();
    let seconds = signed.strip_prefix("t=").unwrap().split(',').next().unwrap().parse().unwrap();
    assert_eq!(signed, signature(b"it is a secret", seconds, body.as_bytes()).unwrap());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    assert!(now.abs_diff(seconds) < 3_600);
}

#[test]
fn signatures_are_hmac_sha_256() {
    // printf '1.{}' | openssl dgst -sha256 -hmac key
    let expected = "t=1,v1=1ba6b8171186efc613e8bcc0cbdab2748f24984d7c5a84faa2637afa0e40d224";
    assert_eq!(signature(b"key", 1, b"{}").unwrap(), expected);
}

#[test]
fn what_may_pass_is_tried_again_as_the_same_delivery() {
    let answers = vec![
        Some("HTTP/1.1 503 Unavailable\r\nRetry-After: 3600\r\n\r\n"),
        Some("HTTP/1.1 429 Slow\r\nRetry-After: x\r\n\r\n"),
        Some("not HTTP at all\r\n\r\n"),
        OK,
    ];
    let (url, requests) = server(answers);
    post_to(&url).unwrap();
    let requests: Vec<String> = requests.iter().take(4).collect();
    let id = "logq-delivery: 7-1\r\n";
    assert!(requests.iter().all(|request| request.contains(id)), "{requests:?}");
}

#[test]
fn what_never_passes_is_given_up() {
    let endless = "HTTP/1.1 200 OK\r\nX: ";
    for (answer, expected) in [
        (Some("HTTP/1.1 500 Oops\r\n\r\n"), "given up after 4 attempts: the server answers 500"),
        (Some(""), "given up after 4 attempts: no answer"),
        (Some(endless), "given up after 4 attempts"),
        (None, "given up after 4 attempts: no answer within 500ms"),
    ] {
        let (url, requests) = server(vec![answer; 4]);
        let error = format!("{:#}", post_to(&url).unwrap_err());
        assert!(error.starts_with(expected), "{error}");
        assert_eq!(requests.try_iter().count(), 4, "{error}");
    }
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = format!("{:#}", post_to(&format!("http://{free}/")).unwrap_err());
    assert!(error.contains("given up after 4 attempts: cannot connect"), "{error}");
}

#[test]
fn refusals_and_redirections_are_final() {
    for (answer, expected) in [
        (
            "HTTP/1.1 307 There\r\nLocation: http://169.254.169.254/\r\n\r\n",
            "redirections are not followed: the server answers 307",
        ),
        ("HTTP/1.1 403 No\r\n\r\n", "the server answers 403"),
    ] {
        let (url, requests) = server(vec![Some(answer), OK]);
        let error = format!("{:#}", post_to(&url).unwrap_err());
        assert!(error.starts_with(expected), "{error}");
        assert_eq!(requests.try_iter().count(), 1);
    }
}

/// A certificate for `localhost`, and a server that shows it and takes one request.
fn secure_server() -> (String, CertificateDer<'static>) {
    let names = vec!["localhost".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let config = Arc::new(builder.with_single_cert(vec![certificate.clone()], key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = StreamOwned::new(connection, stream.unwrap());
            // Whoever does not trust the certificate goes away.
            if stream.read(&mut [0; 4_096]).is_ok() {
                let _ = stream.write_all(OK.unwrap().as_bytes());
            }
        }
    });
    (format!("https://localhost:{port}/"), certificate)
}

#[test]
fn a_server_must_prove_who_it_is() {
    let (url, certificate) = secure_server();
    let (other_url, _) = secure_server();
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let post_to = |url: &str| {
        let mut webhook = webhook("http://127.0.0.1/");
        webhook.tls = Some(tls(roots.clone()).unwrap());
        webhook.url = Url::parse(url).unwrap();
        let message = Message { id: String::new(), json: "{}\n".to_owned() };
        webhook.carry(&message, &Until::default()).map_err(|error| format!("{error:#}"))
    };
    assert_eq!(post_to(&url), Ok(()));
    for url in [other_url, url.replace("localhost", "127.0.0.1")] {
        let error = post_to(&url).unwrap_err();
        assert!(error.contains("no secure connection: invalid peer certificate"), "{error}");
    }
}

#[test]
fn private_addresses_are_refused_unless_permitted() {
    // Nothing is sent there: the refusal comes before the connection.
    for url in ["https://10.255.255.1/", "https://[fd00::1]/", "https://169.254.169.254/latest"] {
        let mut webhook = webhook("http://127.0.0.1/");
        webhook.url = Url::parse(url).unwrap();
        let message = Message { id: String::new(), json: "{}\n".to_owned() };
        let error = webhook.carry(&message, &Until::default()).unwrap_err().to_string();
        assert!(error.contains("which is not public"), "{error}");
        webhook.allows_private = true;
        let runtime = webhook.runtime.take().unwrap();
        let allowed = runtime.block_on(webhook.resolve());
        assert!(allowed.is_ok_and(|addresses| addresses.len() == 1), "{url}");
    }
}

#[test]
fn pauses_double_up_to_a_minute_and_differ() {
    let pause = |attempt| Pace::USUAL.pause(attempt).as_secs_f64();
    for attempt in 1..40 {
        let longest = f64::from(1 << (attempt - 1).min(6)).min(60.0);
        for _ in 0..100 {
            let pause = pause(attempt);
            assert!(
                pause >= 1.0 && pause >= longest / 2.0 && pause <= longest,
                "{attempt}: {pause}"
            );
        }
    }
    assert!((0..20).any(|_| pause(5) != pause(5)));
}
