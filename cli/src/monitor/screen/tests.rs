//! The screen at several sizes, and the terminal afterwards.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read as _;
use std::process::{Command, Stdio};

use crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};
use logq_monitor::{Input, InputOptions, Lists, Rule};
use nix::sys::termios::{LocalFlags, tcgetattr};
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::*;

/// Five minutes with a burst, errors in it, latencies, and names that play tricks.
fn log() -> String {
    let mut log = "date,client,request,status,bytes,request_time\n".to_owned();
    for second in 0..300 {
        let count = if (100..160).contains(&second) { 20 } else { 2 + second % 3 };
        for number in 0..count {
            let path = match number % 7 {
                0 => "/\u{1b}[31m日本語日本語日本語日本語/x",
                1 => "/e\u{301}te\u{301}\u{202e}/caf",
                2 | 3 => "/api/user?id=7",
                _ => "/index.html",
            };
            let status = if number == 7 {
                503
            } else if number == 5 {
                404
            } else {
                200
            };
            let time = 1_549_573_800 + second;
            let latency = f64::from(u32::try_from(number + 1).unwrap()) / 100.0;
            writeln!(log, "{time},10.0.0.{number},GET {path} HTTP/1.1,{status},500,{latency}")
                .unwrap();
        }
    }
    log.push_str("not a line\n");
    log
}

fn view() -> View {
    let rules = vec![Rule::high_traffic(10.0, 30), Rule::parse("error_ratio > 4%", 30).unwrap()];
    let lists = Lists { count: TOP, urls: true, clients: true, statuses: true };
    let mut monitor = Monitor::new(Options { rules, lists, ..Options::default() });
    let mut view = View::new(monitor.options());
    view.started("access\u{7}.log");
    view.started("other.log");
    let mut input = Input::new(monitor.open("access.log"), InputOptions::default());
    input.push(log().as_bytes(), &mut monitor).unwrap();
    input.finish(&mut monitor).unwrap();
    monitor.end();
    monitor.drain().collect::<Vec<_>>().iter().for_each(|said| view.said(said));
    view.look(&monitor);
    view
}

fn shown(view: &View, keys: &Keys, width: u16, height: u16, note: Option<&str>) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw::draw(frame, view, keys, note)).unwrap();
    let buffer = terminal.backend().buffer();
    let rows = buffer.area.rows().map(|row| {
        let (mut text, mut skip) = (String::new(), 0);
        for x in row.x..row.right() {
            let symbol = buffer.cell((x, row.y)).unwrap().symbol();
            if skip == 0 {
                text.push_str(symbol);
                skip = ratatui::text::Span::raw(symbol).width().max(1);
            }
            skip -= 1;
        }
        text.trim_end().to_owned()
    });
    rows.collect()
}

/// `LOGQ_BLESS=1` writes the files anew; what has changed in them is for people to judge.
fn check(name: &str, shown: &[String]) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/monitor/screen/snapshots");
    let path = format!("{folder}/{name}.txt");
    let shown = shown.join("\n") + "\n";
    if std::env::var_os("LOGQ_BLESS").is_some() {
        std::fs::write(&path, &shown).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    assert!(shown == expected, "{name}: expected\n{expected}\nfound\n{shown}");
}

fn keys(codes: &[KeyCode], view: &View) -> Keys {
    let mut keys = Keys::new(true);
    for code in codes {
        let event = Event::Key(KeyEvent::new(*code, KeyModifiers::NONE));
        assert_eq!(keys.press(&event, view), Pressed::Draw);
    }
    keys
}

#[test]
fn everything_has_its_place_at_every_size() {
    let view = view();
    let mut plain = Keys::new(false);
    plain.shows_interval = true;
    check("80x24", &shown(&view, &Keys::new(true), 80, 24, None));
    check("80x24-plain-interval", &shown(&view, &plain, 80, 24, Some("a.log: was truncated")));
    check("120x40-zoomed", &shown(&view, &keys(&[KeyCode::Char('-'); 3], &view), 120, 40, None));
    check("40x12", &shown(&view, &Keys::new(true), 40, 12, None));
    check("20x5", &shown(&view, &Keys::new(true), 20, 5, None));
    check("80x24-help", &shown(&view, &keys(&[KeyCode::Char('?')], &view), 80, 24, None));
}

#[test]
fn no_size_is_too_small_and_nothing_active_is_drawn() {
    let view = view();
    let empty = View::new(&Options::default());
    for (width, height) in [(1, 1), (2, 3), (7, 2), (8, 8), (10, 30), (200, 3), (300, 100)] {
        for keys in [Keys::new(true), keys(&[KeyCode::Char('?')], &view)] {
            for view in [&view, &empty] {
                let rows = shown(view, &keys, width, height, Some("note"));
                let text = rows.concat();
                assert!(!text.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{text}");
                assert_eq!(rows.len(), usize::from(height));
            }
        }
    }
}

#[test]
fn colours_are_used_only_where_they_are_wanted() {
    let view = view();
    let colours = |is_coloured| {
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
        let keys = Keys::new(is_coloured);
        terminal.draw(|frame| draw::draw(frame, &view, &keys, Some("note"))).unwrap();
        let cells = terminal.backend().buffer().content().iter();
        let reset = ratatui::style::Color::Reset;
        cells.filter(|cell| cell.fg != reset || cell.bg != reset).count()
    };
    assert_eq!(colours(false), 0);
    assert!(colours(true) > 500);
}

#[test]
fn keys_pause_scroll_and_quit() {
    let mut view = view();
    let mut hand = keys(&[KeyCode::Char('p'), KeyCode::End], &view);
    let version = view.version();
    view.started("later.log");
    assert_eq!(hand.frozen().map(View::version), Some(version));
    assert_eq!(hand.first_alert, view.alerts.len() - 1);
    let press = |hand: &mut Keys, code, modifiers| {
        hand.press(&Event::Key(KeyEvent::new(code, modifiers)), &view)
    };
    assert_eq!(press(&mut hand, KeyCode::Char('p'), KeyModifiers::NONE), Pressed::Draw);
    assert!(hand.frozen().is_none());
    assert_eq!(press(&mut hand, KeyCode::Char('c'), KeyModifiers::NONE), Pressed::Draw);
    assert_eq!(press(&mut hand, KeyCode::Char('c'), KeyModifiers::CONTROL), Pressed::Quit);
    assert_eq!(press(&mut hand, KeyCode::Char('q'), KeyModifiers::NONE), Pressed::Quit);
}

/// Not a test of its own: what the next one runs on a terminal.
#[test]
#[ignore = "it panics, on a terminal that it has taken"]
fn a_panic_on_the_screen() {
    let _raised = Raised::new().unwrap();
    panic!("something is wrong");
}

#[test]
fn a_panic_gives_the_terminal_back_before_it_is_told() {
    let pty = nix::pty::openpty(None, None).unwrap();
    let slave = File::from(pty.slave);
    let before = tcgetattr(&slave).unwrap().local_flags;
    assert!(before.contains(LocalFlags::ICANON | LocalFlags::ECHO));
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "monitor::screen::tests::a_panic_on_the_screen", "--ignored"]);
    command.arg("--nocapture").stdin(slave.try_clone().unwrap());
    command.stdout(slave.try_clone().unwrap()).stderr(slave.try_clone().unwrap());
    let mut child = command.spawn().unwrap();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let after = slave.try_clone().unwrap();
    assert!(!child.wait().unwrap().success());
    assert_eq!(tcgetattr(&after).unwrap().local_flags, before, "keys are lines again");
    drop((slave, after));
    let (mut master, mut bytes, mut chunk) = (File::from(pty.master), Vec::new(), [0; 4_096]);
    while let Ok(count @ 1..) = master.read(&mut chunk) {
        bytes.extend_from_slice(&chunk[..count]);
    }
    let text = String::from_utf8(bytes).unwrap();
    let at = |part: &str| text.find(part).unwrap_or_else(|| panic!("no {part:?} in {text:?}"));
    assert!(at("\u{1b}[?1049h") < at("\u{1b}[?1049l"), "{text:?}");
    assert!(at("\u{1b}[?1049l") < at("something is wrong"), "{text:?}");
}
