//! A browser, driven by the WebDriver protocol: Debian's chromium, through chromedriver.
//!
//! Where `CI` is set, a machine without them fails the tests; elsewhere they say loudly that they did not
//! run.

use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::send;

/// A window of a browser; both end when this is dropped.
pub(crate) struct Browser {
    address: SocketAddr,
    session: String,
    driver: Child,
    _profile: TempDir,
}

/// How large the window is, in CSS pixels.
#[derive(Clone, Copy)]
pub(crate) enum Window {
    Desk,
    Phone,
}

impl Browser {
    /// Opens a window; `None` where there is no browser and nobody insists on one.
    pub(crate) fn open(window: Window) -> Option<Self> {
        let Some(driver) =
            ["chromedriver", "/usr/lib/chromium/chromedriver"].into_iter().find(|path| {
                Command::new(path).arg("--version").stdout(Stdio::null()).status().is_ok()
            })
        else {
            let is_required = std::env::var_os("CI").is_some_and(|value| !value.is_empty());
            assert!(!is_required, "CI has to install chromium and chromium-driver");
            eprintln!("NOT TESTED IN A BROWSER: install chromium and chromium-driver");
            return None;
        };
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new(driver)
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let profile = tempfile::tempdir().unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let mut browser =
            Self { address, session: String::new(), driver: child, _profile: profile };
        browser.begin(window);
        Some(browser)
    }

    fn begin(&mut self, window: Window) {
        let begun = Instant::now();
        while std::net::TcpStream::connect(self.address).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(60), "chromedriver does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        let profile = format!("--user-data-dir={}", self._profile.path().display());
        let mut options = json!({ "args": [
            "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--disable-dev-shm-usage", "--window-size=1280,900", profile,
        ]});
        if matches!(window, Window::Phone) {
            let metrics = json!({ "width": 360, "height": 780, "pixelRatio": 3, "mobile": true });
            options["mobileEmulation"] = json!({ "deviceMetrics": metrics });
        }
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": options, "goog:loggingPrefs": { "browser": "ALL" },
        }}});
        let made = self.call("POST", "/session", &wanted);
        made["sessionId"].as_str().unwrap().clone_into(&mut self.session);
    }

    /// Goes to an address.
    pub(crate) fn go(&self, address: &str) {
        self.command("POST", "url", &json!({ "url": address }));
    }

    /// Runs a function body in the page, and answers what it returns.
    pub(crate) fn run(&self, script: &str) -> Value {
        self.command("POST", "execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Waits until an expression is true in the page; fails after half a minute, telling what is shown.
    pub(crate) fn wait(&self, expression: &str) {
        let begun = Instant::now();
        while self.run(&format!("return Boolean({expression})")) != true {
            if begun.elapsed() > Duration::from_secs(30) {
                let shown = self.run("return document.body.innerText.slice(0, 2000)");
                panic!(
                    "never: {expression}\n{}\n{:?}",
                    shown.as_str().unwrap_or(""),
                    self.console()
                );
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Presses keys one after the other, as somebody at the keyboard does.
    pub(crate) fn keys(&self, keys: &str) {
        let strokes = keys.chars().flat_map(|key| {
            let key = key.to_string();
            [json!({ "type": "keyDown", "value": key }), json!({ "type": "keyUp", "value": key })]
        });
        let strokes: Vec<_> = strokes.collect();
        let actions = json!([{ "type": "key", "id": "keyboard", "actions": strokes }]);
        self.command("POST", "actions", &json!({ "actions": actions }));
    }

    /// Clicks the first element that a selector finds.
    pub(crate) fn click(&self, selector: &str) {
        let found = json!({ "using": "css selector", "value": selector });
        let element = self.command("POST", "element", &found);
        let id = element.as_object().unwrap().values().next().unwrap().as_str().unwrap().to_owned();
        self.command("POST", &format!("element/{id}/click"), &json!({}));
    }

    /// What the browser complains about since it was asked last.
    pub(crate) fn console(&self) -> Vec<String> {
        let entries = self.command("POST", "se/log", &json!({ "type": "browser" }));
        let message = |entry: &Value| entry["message"].as_str().unwrap_or_default().to_owned();
        entries.as_array().into_iter().flatten().map(message).collect()
    }

    fn command(&self, method: &str, path: &str, body: &Value) -> Value {
        self.call(method, &format!("/session/{}/{path}", self.session), body)
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = body.to_string();
        let headers = [("Content-Type", "application/json"), ("Connection", "close")];
        let mut answer = send(self.address, method, path, &headers, body.as_bytes());
        let (text, _) = answer.rest();
        let mut told: Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(answer.status, 200, "{path}: {told}");
        told["value"].take()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() {
            // The browser goes with its session, not with its driver, also where a test has failed.
            let end = || self.call("DELETE", &format!("/session/{}", self.session), &json!({}));
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(end));
        }
        let _ = nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(self.driver.id().cast_signed()),
            nix::sys::signal::Signal::SIGTERM,
        );
        let _ = self.driver.wait();
    }
}
