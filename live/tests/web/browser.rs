//! The page in a browser: what somebody sees who watches a log, loses the server, opens a request, or
//! meets text that wants to be code.

use std::path::Path;
use std::time::Instant;

use logq_writer::{Failure, LoggerOptions, RequestHead, ResponseHead, WorkerId, WorkerLogger};
use serde_json::json;

use crate::client::{Writing, get, send};
use crate::support::{Server, Serving, wait_until, write_shop};
use crate::webdriver::{Browser, Window};

fn logger(store: &Path) -> WorkerLogger {
    WorkerLogger::open(store, WorkerId::new(7).unwrap(), LoggerOptions::default()).unwrap()
}

fn page(server: &Server, fragment: &str) -> String {
    format!("http://{}/{fragment}", server.address)
}

/// The messages of all rows, in their order.
const MESSAGES: &str = "[...document.querySelectorAll('#rows .message')].map((m) => m.textContent)";

fn state(state: &str) -> String {
    format!("document.getElementById('status').dataset.state === '{state}'")
}

/// The browser may complain about the network, and about nothing else.
fn assert_calm(browser: &Browser) {
    let complaints = browser.console();
    let of_code = complaints
        .iter()
        .filter(|text| !text.contains("Failed to load resource") && !text.contains("net::ERR"));
    assert_eq!(of_code.collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn a_log_is_watched_paused_filtered_and_resumed_over_a_restart() {
    let Some(browser) = Browser::open(Window::Desk) else { return };
    let scratch = tempfile::tempdir().unwrap();
    let log = logger(scratch.path());
    let number = |n: u64| log.info(json!({ "message": format!("line {n}") }));
    (0..10).for_each(number);
    log.flush().unwrap();
    let server = Serving::store("shop", scratch.path()).start();
    browser.go(&page(&server, ""));
    browser.wait(&format!("{MESSAGES}.includes('line 9')"));
    browser.wait(&state("live"));

    // The browser's own client of event streams listens, too.
    browser.run(
        "window.heard = []; const source = new EventSource('v1/stores/shop/records?follow=1&since=1h'); \
         source.onmessage = (event) => window.heard.push(JSON.parse(event.data).data.message)",
    );
    browser.wait("window.heard.length === 10");

    // It comes as it is written.
    number(10);
    browser.wait(&format!("{MESSAGES}.at(-1) === 'line 10'"));

    // Paused, it stays as it is, and tells how much there is.
    browser.keys(" ");
    browser.wait(&state("paused"));
    (11..14).for_each(number);
    browser.wait("document.getElementById('follow').textContent === 'Follow · 3 new'");
    assert_eq!(browser.run(&format!("return {MESSAGES}.at(-1)")), "line 10");
    browser.click("#follow");
    browser.wait(&format!("{MESSAGES}.at(-1) === 'line 13'"));

    // The server goes away and comes back: every line once.
    let port = server.address.port();
    drop(server);
    browser.wait(&state("reconnecting"));
    (14..18).for_each(number);
    log.flush().unwrap();
    let _server = Serving { port, ..Serving::store("shop", scratch.path()) }.start();
    browser.wait(&format!("{MESSAGES}.includes('line 17')"));
    browser.wait(&state("live"));
    let shown = browser.run(&format!("return {MESSAGES}"));
    let expected: Vec<String> = (0..18).map(|n| format!("line {n}")).collect();
    assert_eq!(shown, json!(expected));
    browser.wait("window.heard.length === 18");
    assert_eq!(browser.run("return window.heard"), json!(expected));

    // By level, by text, and by an expression that is wrong first.
    log.error(json!({ "message": "no stock" }));
    browser.wait(&format!("{MESSAGES}.includes('no stock')"));
    browser.keys("ee");
    browser.wait(&format!("{MESSAGES}.join() === 'no stock'"));
    browser.keys("e");
    browser.wait(&format!("{MESSAGES}.length === 19"));
    browser.keys("/LINE 1");
    browser.keys("\u{e007}");
    // Upper case means upper case.
    browser.wait(&format!("{MESSAGES}.length === 0 && {}", state("live")));
    browser.run("document.getElementById('text').value = ''");
    browser.keys("line 1\u{e007}");
    browser.wait(&format!(
        "{MESSAGES}.join() === 'line 1,' + [...Array(8).keys()].map((n) => 'line 1' + n).join()"
    ));
    browser.run(
        "document.getElementById('text').value = ''; document.getElementById('where').focus()",
    );
    browser.keys("levl = error\u{e007}");
    browser.wait("document.getElementById('where').getAttribute('aria-invalid') === 'true'");
    browser
        .wait("document.getElementById('status-text').textContent.includes('did you mean level?')");
    browser.run("document.getElementById('where').value = 'level = error'");
    browser.keys("\u{e007}");
    browser.wait(&format!("{MESSAGES}.join() === 'no stock'"));
    assert!(browser.run("return location.hash").as_str().unwrap().contains("where=level"));
    assert_calm(&browser);
    log.close().unwrap();
}

/// The graph comes after the rows and takes some of their place, and so does a keyboard on a phone.
#[test]
fn who_follows_sees_the_newest_row_whatever_takes_place_beside_it() {
    let Some(browser) = Browser::open(Window::Desk) else { return };
    let scratch = tempfile::tempdir().unwrap();
    write_shop(scratch.path(), 3_000);
    let server = Serving::store("shop", scratch.path()).start();
    browser.go(&page(&server, ""));
    browser.wait(&state("live"));
    browser.wait("!document.getElementById('graph').hidden");
    let at_end = "(() => { const view = document.getElementById('view'); \
         return view.scrollHeight - view.scrollTop - view.clientHeight < 4 })()";
    browser.wait(at_end);
    browser.run("document.getElementById('graph').style.height = '300px'");
    browser.wait(at_end);
    browser.wait(&state("live"));
    assert_calm(&browser);
}

#[test]
fn a_request_is_opened_as_a_timeline() {
    let Some(browser) = Browser::open(Window::Desk) else { return };
    let scratch = tempfile::tempdir().unwrap();
    let log = logger(scratch.path());
    let request = log.new_request();
    request.request(&RequestHead { method: "POST", url: "/orders", ..RequestHead::default() });
    request.debug(json!({ "sql": "INSERT" }));
    request.info(json!({ "message": "placing", "items": 3 }));
    let failure = Failure::from_message("no stock");
    request.response(ResponseHead::status(500).failure(failure));
    request.response_finished(());
    log.close().unwrap();
    let server = Serving::store("shop", scratch.path()).start();
    browser.go(&page(&server, ""));
    browser.wait("document.querySelectorAll('#rows button.id').length === 4");
    browser.click("#rows button.id");
    browser.wait("document.querySelectorAll('#steps .step').length === 5");
    let steps = browser.run("return document.getElementById('steps').innerText");
    let steps = steps.as_str().unwrap();
    for part in ["POST /orders", "INSERT", "placing", "no stock", "+0.000 ms"] {
        assert!(steps.contains(part), "{part} in {steps}");
    }
    browser.keys("\u{e00c}");
    browser.wait("!document.getElementById('request').open");
    // By keys alone: down to the response, its fields, its request.
    browser.keys("jj\u{e007}");
    browser.wait("document.querySelector('.detail')?.innerText.includes('statusCode')");
    browser.keys("r");
    browser.wait("document.getElementById('request').open");
    assert_calm(&browser);
}

/// Text that wants to be more than text: script tags, attributes that are code, links that are, text that runs
/// backwards, words for terminals.
const HOSTILE: [&str; 15] = [
    "<script>window.hacked = 1</script>",
    "<script src=data:,window.hacked=1></script>",
    "<img src=x onerror=\"window.hacked = 1\">",
    "<div onpointerenter=window.hacked=1 onfocus=window.hacked=1 tabindex=0 autofocus>x</div>",
    "<iframe srcdoc=\"<script>parent.hacked = 1</script>\"></iframe>",
    "<style>* { display: none }</style><base href=//x.example>",
    "<a href=\"javascript:window.hacked = 1\">click</a>",
    "javascript:window.hacked=1",
    "</span></li><svg onload=window.hacked=1>",
    "abc\u{202e}gnp.exe\u{202c}",
    "\u{2066}\u{200b}isolated\u{2069}\u{061c}",
    "{\"message\":\"\\ud800 half a pair \\udfff\"}",
    "\u{1b}[31mred\u{1b}]8;;http://x.example\u{7}link\u{1b}]8;;\u{7}",
    "a\u{0}b\u{85}c\u{feff}d",
    "{{constructor.constructor('window.hacked=1')()}}",
];

/// E.3.2
#[test]
fn hostile_text_is_inert() {
    let Some(browser) = Browser::open(Window::Desk) else { return };
    let scratch = tempfile::tempdir().unwrap();
    let log = logger(scratch.path());
    for text in HOSTILE {
        log.info(json!({ "message": text, text: text }));
        let request = log.new_request();
        request.request(&RequestHead { method: "GET", url: text, ..RequestHead::default() });
    }
    log.error(json!({ "message": "x".repeat(1 << 20) }));
    log.close().unwrap();
    let server = Serving::store("shop", scratch.path()).start();
    // A stream of the same, with bytes that are no text, read from the other side.
    let mut stream = HOSTILE.join("\n").into_bytes();
    // No UTF-8, and halves of pairs that UTF-8 has no place for.
    stream.extend_from_slice(b"\n\xff\xfe\xc3\x28 \xed\xa0\x80 \xed\xbf\xbf\n");
    let mut writer = Writing::put(server.put, "/v1/streams/build");
    writer.write(&stream);

    browser.go(&page(&server, ""));
    browser.wait(&format!("{MESSAGES}.length === {}", 2 * HOSTILE.len() + 1));
    browser.run("document.querySelectorAll('.line').forEach((line) => line.click())");
    browser.wait("document.querySelectorAll('.detail').length > 3");
    inert(&browser);
    // What would turn the order of letters around is spelled out.
    let shown = browser.run(&format!("return {MESSAGES}.join('\\n')"));
    let shown = shown.as_str().unwrap();
    assert!(shown.contains("abc\\u{202e}gnp.exe"), "{}", &shown[..shown.len().min(2_000)]);
    assert!(shown.contains("\\u{1b}[31mred") && shown.contains(HOSTILE[0]));
    assert!(shown.len() < 100_000, "a line of a mebibyte is folded: {}", shown.len());
    browser.run("document.querySelector('.row.error .fold').click()");
    browser.wait("document.querySelector('.row.error .message').textContent.length > 20000");

    browser.go(&page(&server, "#stream=build"));
    browser.run("location.reload()");
    let count = HOSTILE.len() + 1;
    browser.wait(&format!("{MESSAGES}.length === {count} && {}", state("live")));
    writer.write(&[&[b'y'; 1 << 20][..], b"\nlast\n"].concat());
    assert_eq!(writer.finish().status, 201);
    browser.wait(&format!("{MESSAGES}.includes('last')"));
    browser.wait(&state("ended"));
    browser.run("document.querySelectorAll('.line').forEach((line) => line.click())");
    inert(&browser);
    let shown = browser.run(&format!("return {MESSAGES}"));
    let shown: Vec<String> = serde_json::from_value(shown).unwrap();
    assert_eq!(shown[0], HOSTILE[0]);
    assert!(shown.iter().any(|line| line == "abc\\u{202e}gnp.exe\\u{202c}"), "{shown:?}");
    assert!(shown.iter().any(|line| line == "\\u{2066}\\u{200b}isolated\\u{2069}\\u{61c}"));
    let broken = "\u{fffd}\u{fffd}\u{fffd}( \u{fffd}\u{fffd}\u{fffd} \u{fffd}\u{fffd}\u{fffd}";
    assert_eq!(shown[count - 1], broken, "what is no text is told as such");
    let long: usize = shown[count..].iter().map(String::len).sum();
    assert!(long < 200_000, "a line of a mebibyte is folded: {long}");
    assert_calm(&browser);
}

/// E.3.2: code that would get into the document in spite of all that does not run, and is not even taken.
#[test]
fn the_policy_of_the_page_stops_code() {
    let Some(browser) = Browser::open(Window::Desk) else { return };
    let scratch = tempfile::tempdir().unwrap();
    write_shop(scratch.path(), 10);
    let server = Serving::store("shop", scratch.path()).start();
    let policy = get(server.address, "/", &[]);
    let policy = policy.header("content-security-policy").unwrap();
    let directives: Vec<_> = policy.split(';').map(str::trim).collect();
    for directive in [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ] {
        assert!(directives.contains(&directive), "{directive} in {policy}");
    }
    browser.go(&page(&server, ""));
    browser.wait(&format!("{MESSAGES}.length > 0"));
    // Each of these would run, and is refused: by an error, or in silence.
    for attempt in [
        "document.querySelector('main').innerHTML = '<img src=x onerror=hacked=1>'",
        "document.write('<b onfocus=hacked=1 autofocus tabindex=0>')",
        "setTimeout(() => window.eval('hacked = 1'))",
        "setTimeout('hacked = 1')",
        "const s = document.createElement('script'); s.textContent = 'hacked = 1'; document.body.append(s)",
        "document.querySelector('main').setAttribute('onclick', 'hacked = 1'); document.querySelector('main').click()",
        "const i = new Image(); i.setAttribute('onerror', 'hacked = 1'); i.src = '//x.invalid/'; document.body.append(i)",
        "const a = document.createElement('a'); a.href = 'javascript:hacked=1'; document.body.append(a); a.click()",
        "const f = document.createElement('iframe'); f.src = 'javascript:parent.hacked=1'; document.body.append(f)",
    ] {
        browser.run(&format!("window.hacked = 0; try {{ {attempt} }} catch {{ }}"));
        let waited = "await new Promise((done) => setTimeout(done, 50))";
        let hacked =
            browser.run(&format!("return (async () => {{ {waited}; return window.hacked }})()"));
        assert_eq!(hacked, 0, "{attempt}");
    }
}

/// E.3.3
#[test]
fn a_log_that_is_opened_directly_is_text() {
    let Some(browser) = Browser::open(Window::Desk) else { return };
    let scratch = tempfile::tempdir().unwrap();
    let log = logger(scratch.path());
    HOSTILE.iter().for_each(|text| log.info(json!({ "message": text })));
    log.close().unwrap();
    let server = Serving::store("shop", scratch.path()).start();
    let html = format!("<!doctype html><title>hacked</title>\n{}\n", HOSTILE.join("\n"));
    for (path, kind) in [
        ("/v1/streams/plain", "text/plain; charset=utf-8"),
        ("/v1/streams/html", "text/html"),
        ("/v1/streams/svg", "image/svg+xml"),
        ("/v1/streams/lines", "application/x-ndjson"),
    ] {
        let headers = [("Content-Type", kind)];
        assert_eq!(send(server.put, "PUT", path, &headers, html.as_bytes()).status, 201);
        let answer = get(server.address, path, &[]);
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{kind}");
        assert_eq!(answer.header("content-security-policy"), Some("sandbox"), "{kind}");
        let served = answer.header("content-type").unwrap();
        assert!(!served.contains("html") && !served.contains("xml"), "{kind}: {served}");
    }
    for path in ["/v1/streams/plain", "/v1/stores/shop/records", "/v1/streams/lines"] {
        browser.go(&format!("http://{}{path}", server.address));
        let shown = browser.run(
            "return [document.title, document.contentType, window.hacked ?? 0, \
             document.querySelectorAll('script, img, a, svg, iframe').length, document.body.innerText]",
        );
        assert_eq!(shown[0], "", "{path}");
        assert!(
            ["text/plain", "application/x-ndjson"].contains(&shown[1].as_str().unwrap()),
            "{shown}"
        );
        assert_eq!((&shown[2], &shown[3]), (&json!(0), &json!(0)), "{path}");
        assert!(shown[4].as_str().unwrap().contains("<script>window.hacked"), "{path}: {shown}");
    }
}

/// Nothing in the page has become an element, an address or code.
fn inert(browser: &Browser) {
    let found = browser.run(
        "return [window.hacked ?? 0, document.querySelectorAll('main script, main img, main a, main svg').length, \
         [...document.querySelectorAll('main *')].filter((e) => [...e.attributes].some((a) => a.name.startsWith('on'))).length]",
    );
    assert_eq!(found, json!([0, 0, 0]));
}

#[test]
fn a_stream_is_watched_and_its_end_is_told() {
    let Some(browser) = Browser::open(Window::Phone) else { return };
    let scratch = tempfile::tempdir().unwrap();
    let serving =
        |port| Serving { port, streams: Some(scratch.path().into()), ..Serving::default() };
    let server = serving(0).start();
    let mut writer = Writing::put(server.put, "/v1/streams/build");
    writer.write(b"first\nsec");
    browser.go(&page(&server, ""));
    browser.wait(&format!("{MESSAGES}.join() === 'first,sec'"));
    browser.wait(&state("live"));
    writer.write(b"ond\n");
    browser.wait(&format!("{MESSAGES}.join() === 'first,second'"));
    // On a phone nothing is wider than the screen, however long a line is.
    writer.write(format!("{}\n", "long".repeat(1_000)).as_bytes());
    browser.wait(&format!("{MESSAGES}.length === 3"));
    let widths = browser.run("return [document.documentElement.scrollWidth, document.querySelector('main').scrollWidth, innerWidth]");
    let widths: Vec<u64> = serde_json::from_value(widths).unwrap();
    assert!(widths.iter().all(|width| *width <= 360), "{widths:?}");
    assert_eq!(writer.finish().status, 201);
    browser.wait(&state("ended"));
    assert_eq!(
        browser.run("return document.getElementById('status-text').textContent"),
        "complete"
    );
    assert_calm(&browser);
}

/// How many records the long log has. `LOGQ_TEST_PAGE_RECORDS=1000000` shows that the page does not care;
/// what each step took is told.
fn long_log() -> u64 {
    let set = std::env::var("LOGQ_TEST_PAGE_RECORDS").ok();
    set.map_or(30_000, |text| text.parse().expect("a number of records"))
}

/// Tells how long steps take, and for how long at most the page did not listen meanwhile.
struct Steps<'a> {
    browser: &'a Browser,
    since: Instant,
}

impl<'a> Steps<'a> {
    fn begin(browser: &'a Browser) -> Self {
        Self { browser, since: Instant::now() }
    }

    /// Watches for tasks of the page that are too long to react in between, over 50 ms.
    fn watch(&self) {
        self.browser.run(
            "window.busy = 0; \
             const see = (list) => { for (const task of list.getEntries()) window.busy = Math.max(window.busy, task.duration); }; \
             new PerformanceObserver(see).observe({ entryTypes: ['longtask'] });",
        );
    }

    fn done(&mut self, step: &str) {
        let busy = self.browser.run("const busy = window.busy ?? 0; window.busy = 0; return busy");
        eprintln!("{step}: {} ms, deaf for {busy} ms at most", self.since.elapsed().as_millis());
        self.since = Instant::now();
    }
}

#[test]
fn a_long_log_is_scrolled_in_pieces() {
    let Some(browser) = Browser::open(Window::Desk) else { return };
    let scratch = tempfile::tempdir().unwrap();
    write_shop(scratch.path(), long_log());
    let server = Serving::store("shop", scratch.path()).start();
    let mut steps = Steps::begin(&browser);
    browser.go(&page(&server, ""));
    browser.wait("document.querySelectorAll('#rows .row').length === 300");
    steps.done("the newest rows");
    steps.watch();
    let oldest = "document.querySelector('#rows .row time')?.title";
    let newest = browser.run(&format!("return {oldest}"));
    // Older ones come when somebody scrolls there, and the document stays small.
    for _ in 0..18 {
        let before = browser.run(&format!("return {oldest}")).as_str().unwrap().to_owned();
        browser
            .run("const m = document.querySelector('main'); m.scrollTop = 150; m.scrollTop = 0;");
        browser.wait(&format!("{oldest} < '{before}'"));
    }
    steps.done("eighteen pages up");
    let rows = "document.querySelectorAll('#rows > li').length";
    assert!(browser.run(&format!("return {rows}")).as_u64().unwrap() <= 5_010);
    let times = "[...document.querySelectorAll('#rows .row time')].map((t) => t.title)";
    assert_eq!(
        browser.run(&format!("const t = {times}; return t.every((x, i) => !i || t[i - 1] <= x)")),
        true
    );
    let keys = "[...document.querySelectorAll('#rows .row')].map((r) => r.item.record.writer + '/' + r.item.record.seq)";
    assert_eq!(
        browser.run(&format!("const k = {keys}; return new Set(k).size === k.length")),
        true
    );
    assert!(browser.run(&format!("return {oldest}")).as_str() < newest.as_str());

    // Jump to a time, go on from there, and back to the newest.
    steps.done("looking at all rows");
    browser.run("document.getElementById('jump-time').focus()");
    browser.keys("2026-02-03T06:00Z\u{e007}");
    browser.wait(&format!("{oldest}?.startsWith('2026-02-03T06:00')"));
    steps.done("a jump to six o'clock");
    browser.run("const m = document.querySelector('main'); m.scrollTop = m.scrollHeight;");
    browser.wait("document.querySelectorAll('#rows .row').length >= 600");
    steps.done("a page down");
    browser.keys("G");
    browser.wait(&format!("{times}.at(-1) > '2026-02-03T23'"));
    steps.done("back to the newest");

    // The histogram stands for a graph, and a click on it leads to its time.
    browser.wait("!document.getElementById('graph').hidden");
    let title = browser.run("return document.getElementById('graph-title').textContent");
    assert_eq!(title, "Records per 30m");
    assert_calm(&browser);
}

#[test]
fn a_token_comes_from_the_address_and_leaves_it() {
    let Some(browser) = Browser::open(Window::Desk) else { return };
    let scratch = tempfile::tempdir().unwrap();
    let log = logger(scratch.path());
    log.info(json!({ "message": "secret line" }));
    log.close().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let file = elsewhere.path().join("tokens");
    std::fs::write(&file, "wonderful-token-0123456789\n").unwrap();
    let serving = Serving { token: Some(file), ..Serving::store("shop", scratch.path()) };
    let server = serving.start();
    browser.go(&page(&server, "#token=wonderful-token-0123456789"));
    browser.wait(&format!("{MESSAGES}.join() === 'secret line'"));
    let address = browser.run("return location.href");
    assert!(!address.as_str().unwrap().contains("wonderful"), "{address}");
    // Without one, somebody is asked for it.
    browser.run("sessionStorage.clear(); location.reload()");
    browser.wait("document.getElementById('login')?.open");
    browser.run("document.getElementById('token').value = 'wonderful-token-0123456789'");
    browser.click("#login button");
    browser.wait(&format!("{MESSAGES}.join() === 'secret line'"));
    wait_until("calm", || browser.console().iter().all(|text| text.contains("401")));
}
