//! Pages of other origins (E.3.1).

use super::server::{TestServer, parse, request};

const EXPOSED: [&str; 6] =
    ["content-range", "content-length", "etag", "accept-ranges", "repr-digest", "logq-state"];

fn header<'a>(headers: &'a [String], name: &str) -> Option<&'a str> {
    headers.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_listed_origins_may_read() {
    let origins = || vec!["https://ci.example".to_owned(), "https://b.example:8443/".to_owned()];
    let listed = TestServer::start(|options| options.cors_origins = origins());
    let none = TestServer::start(|_| {});
    let all = TestServer::start(|options| options.cors_origins = vec!["*".to_owned()]);
    for (server, path, origin, expected) in [
        (&none, "/v1/streams/hello", "https://ci.example", None),
        (&listed, "/v1/streams/hello", "https://ci.example", Some("https://ci.example")),
        (&listed, "/v1/streams/hello", "https://b.example:8443", Some("https://b.example:8443")),
        (&listed, "/v1/streams/fail", "https://ci.example", Some("https://ci.example")),
        (&listed, "/v1/streams/hello", "http://ci.example", None),
        (&listed, "/v1/streams/hello", "https://ci.example.evil.example", None),
        (&listed, "/v1/streams/hello", "null", None),
        (&all, "/v1/streams/hello", "https://evil.example", Some("*")),
        (&none, "/log/", "https://ci.example", Some("*")),
        (&listed, "/log/", "https://evil.example", Some("*")),
    ] {
        let answer = server.get(path, &format!("Origin: {origin}\r\n")).await;
        let (_, headers, _) = parse(&answer);
        assert_eq!(header(&headers, "access-control-allow-origin"), expected, "{path} {origin}");
        assert_eq!(header(&headers, "access-control-allow-credentials"), None);
        let exposed = header(&headers, "access-control-expose-headers");
        assert_eq!(exposed.is_some(), expected.is_some());
        if let Some(exposed) = exposed {
            assert!(EXPOSED.iter().all(|name| exposed.contains(name)), "{exposed}");
        }
        let varies = header(&headers, "vary") == Some("origin");
        assert_eq!(varies, std::ptr::eq(server, &raw const listed), "{path} {origin}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_are_told_what_they_may_send() {
    let server = TestServer::start(|options| {
        options.cors_origins = vec!["https://ci.example".to_owned()];
        options.read_tokens = Some(logq_live::TokenSource::variable("T", "token"));
    });
    for (path, origin, permitted) in [
        ("/v1/streams/hello", "https://ci.example", true),
        ("/v1/streams/hello", "https://evil.example", false),
        ("/log/token", "https://evil.example", true),
    ] {
        let asks = format!(
            "Origin: {origin}\r\nAccess-Control-Request-Method: GET\r\n\
            Access-Control-Request-Headers: authorization, range\r\n"
        );
        let answer = server.ask(request("OPTIONS", path, &asks)).await;
        let (status, headers, body) = parse(&answer);
        assert_eq!((status, body), (204, ""), "{path} {origin}");
        let value = |name| header(&headers, name);
        let methods = permitted.then_some("get, head");
        assert_eq!(value("access-control-allow-methods"), methods, "{path} {origin}");
        let may = "authorization, range, if-range, last-event-id";
        assert_eq!(value("access-control-allow-headers"), permitted.then_some(may));
        assert_eq!(value("access-control-max-age"), permitted.then_some("600"));
        assert_eq!(value("access-control-allow-origin").is_some(), permitted);
    }
}
