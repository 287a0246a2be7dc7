//! Input that somebody made to break something: the run goes on, counts it, and stays small.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on shall stop"
)]

use fastrand::Rng;
use logq_monitor::render::{self, Style};
use logq_monitor::{
    Format, Input, InputError, InputOptions, Lists, Monitor, Options, Output, Reason, Rule, Task,
};

const LINE: &str = r#"1.2.3.4 - - [07/Feb/2019:21:11:00 +0000] "GET /a HTTP/1.1" 200 12"#;

fn forced() -> InputOptions {
    InputOptions { force: true, ..InputOptions::default() }
}

/// Reads the text to its end; the outputs, and the monitor.
fn read(bytes: &[u8], options: InputOptions) -> (Vec<Output>, Monitor, Result<(), InputError>) {
    let lists = Lists { count: 10, urls: true, clients: true, statuses: true };
    let rules =
        vec![Rule::high_traffic(10.0, 120), Rule::parse("p99 > 1s by section", 120).unwrap()];
    let mut monitor = Monitor::new(Options { lists, rules, ..Options::default() });
    let mut input = Input::new(monitor.open("log"), options);
    let result = bytes
        .chunks(10_000)
        .try_for_each(|piece| input.push(piece, &mut monitor))
        .and_then(|()| input.finish(&mut monitor));
    monitor.end();
    let outputs = monitor.drain().collect();
    (outputs, monitor, result)
}

fn bad(monitor: &Monitor) -> Vec<(Reason, u64)> {
    monitor.report().bad().iter().map(|bad| (bad.reason, bad.count)).collect()
}

#[test]
fn bad_lines_among_good_ones_are_counted_by_reason_and_shown() {
    let mut lines = vec![LINE.to_owned(); 10];
    lines.push(LINE.replace("+0000", "+99:99"));
    lines.push(LINE.replace(" 200 12", " 2"));
    lines.push(LINE[..50].to_owned());
    lines.push("x".repeat(100_000));
    lines.push("\u{0}\u{1}\u{2} binary".to_owned());
    let (_, monitor, result) = read(lines.join("\n").as_bytes(), InputOptions::default());
    result.unwrap();
    assert_eq!(monitor.report().counts.hits, 10);
    let expected = [
        (Reason::TooLong, 1),
        (Reason::NoTime, 1),
        (Reason::BadTime, 1),
        (Reason::OpenQuote, 1),
        (Reason::BadStatus, 1),
    ];
    assert_eq!(bad(&monitor), expected);
    let too_long = &monitor.report().bad()[0].examples[0];
    assert_eq!((too_long.source.as_str(), too_long.line, too_long.excerpt.len()), ("log", 14, 120));
}

#[test]
fn times_far_away_move_nothing() {
    for (time, quarantined, too_late) in
        [("01/Jan/2066:00:00:00 +0000", 1, 0), ("01/Jan/1970:00:00:01 +0000", 0, 1)]
    {
        let stray = LINE.replace("07/Feb/2019:21:11:00 +0000", time);
        let mut lines = vec![LINE.to_owned(); 10];
        lines.insert(5, stray.clone());
        let (outputs, monitor, _) = read(lines.join("\n").as_bytes(), InputOptions::default());
        let report = monitor.report();
        assert_eq!((report.quarantined, report.too_late), (quarantined, too_late), "{time}");
        assert_eq!(report.counts.hits, 10, "{time}");
        assert_eq!(outputs.len(), 2, "a point and a summary: {outputs:?}");
        // As the very first line.
        let mut lines = vec![LINE.to_owned(); 200];
        lines.insert(0, stray);
        let (_, monitor, _) = read(lines.join("\n").as_bytes(), InputOptions::default());
        assert_eq!(monitor.report().counts.hits, 201, "{time}");
    }
}

#[test]
fn times_that_alternate_are_given_up() {
    let mut text = vec![LINE.to_owned()];
    for _ in 0..500 {
        text.push(LINE.replace("2019", "2066"));
        text.push(LINE.replace("2019", "1971"));
    }
    let (outputs, monitor, _) = read(text.join("\n").as_bytes(), InputOptions::default());
    let report = monitor.report();
    assert_eq!((report.counts.hits, report.quarantined, report.too_late), (1, 500, 500));
    assert!(outputs.len() < 10);
}

#[test]
fn times_beyond_all_measure_are_bad_lines() {
    for date in ["1000000000000000000000", "-5", "99999999999999999999999999", "1e18", "NaN"] {
        let text = format!("date,request\n1549573860,GET / HTTP/1.1\n{date},GET / HTTP/1.1\n");
        let (_, monitor, result) = read(text.as_bytes(), InputOptions::default());
        result.unwrap();
        assert_eq!(bad(&monitor), [(Reason::BadTime, 1)], "{date}");
    }
}

#[test]
fn a_gigantic_line_and_nul_bytes_take_no_memory_and_no_others() {
    let mut monitor = Monitor::new(Options::default());
    let mut input = Input::new(monitor.open("log"), InputOptions::default());
    let piece = vec![b'x'; 1 << 20];
    for _ in 0..64 {
        input.push(&piece, &mut monitor).unwrap();
    }
    input.push(b"\n", &mut monitor).unwrap();
    let nul = vec![0; 1 << 20];
    for _ in 0..64 {
        input.push(&nul, &mut monitor).unwrap();
    }
    input.push(format!("{LINE}\n{LINE}\n").as_bytes(), &mut monitor).unwrap();
    input.finish(&mut monitor).unwrap();
    monitor.end();
    assert_eq!(monitor.report().counts.hits, 2);
    assert_eq!(bad(&monitor), [(Reason::TooLong, 1)]);
    assert_eq!(input.nul_bytes(), 64 << 20);
}

#[test]
fn a_million_names_leave_the_frequent_ones_right() {
    let mut random = Rng::with_seed(1);
    let mut text = String::new();
    let mut expected = [0; 3];
    for index in 0..60_000 {
        // Three urls above 1 %, all others different, and all methods, statuses and clients.
        let url = match random.u32(0..100) {
            0..10 => 0,
            10..15 => 1,
            15..17 => 2,
            _ => 3,
        };
        if let Some(count) = expected.get_mut(url) {
            *count += 1;
        }
        let url = if url < 3 { format!("/top/{url}") } else { format!("/{index}/x") };
        let status = random.u32(100..1_000);
        text += &format!(
            "10.{}.{}.{} - - [07/Feb/2019:21:{:02}:{:02} +0000] \"M{index} {url} HTTP/1.1\" {status} 1 \"-\" \"-\" 0.{status:03}\n",
            index % 250,
            index % 251,
            index % 241,
            index / 1000,
            index / 17 % 60
        );
    }
    let (_, monitor, result) = read(text.as_bytes(), InputOptions::default());
    result.unwrap();
    let urls = monitor.lists().urls;
    for (entry, (index, count)) in urls.entries.iter().zip(expected.iter().enumerate()) {
        assert_eq!(String::from_utf8_lossy(&entry.key), format!("/top/{index}"));
        assert!(entry.count - entry.error <= *count && *count <= entry.count);
    }
    assert!(urls.other > 0);
}

#[test]
fn nothing_in_a_log_reaches_the_terminal_as_it_is() {
    let evil = "\u{1b}[2J\u{1b}]52;c;AAAA\u{7}\u{9b}31m\u{202e}\u{200b}";
    let mut text = vec![LINE.replace("/a", &format!("/{evil}")); 3];
    text.push(format!("{evil} bad line"));
    let json = format!("\\u001b]0;x\\u0007{}", "\\u202e");
    let (outputs, monitor, _) = read(text.join("\n").as_bytes(), InputOptions::default());
    let as_json = format!("{{\"time\":1549573860,\"uri\":\"/{json}\"}}\n");
    let (more, _, _) = read(as_json.as_bytes(), InputOptions::default());
    let rules = monitor.options().rules.clone();
    let mut lines: Vec<String> = outputs
        .iter()
        .chain(&more)
        .filter_map(|output| render::output(output, &rules, Style::FULL))
        .map(|line| line.to_string())
        .collect();
    lines.extend(render::report(monitor.report()));
    lines.extend(render::list("url", &monitor.lists().urls));
    assert!(lines.len() > 4);
    for line in lines {
        let is_safe = |c: char| c == '\t' || !(c.is_control() || "\u{202e}\u{200b}".contains(c));
        assert!(line.chars().all(is_safe), "{line:?}");
    }
}

#[test]
fn what_is_no_log_is_refused_with_the_reason() {
    let text = "2026-02-03 INFO started\n2026-02-03 WARN slow\n";
    let (_, monitor, result) = read(text.as_bytes(), InputOptions::default());
    let message = result.unwrap_err().to_string();
    assert!(message.starts_with("no known format: 2 of the first 2 lines are no requests"));
    assert!(message.contains("line 1, column 1: "), "{message}");
    assert_eq!(monitor.report().bad_count(), 2);

    // A log that turns out to be another: more than half of the first thousand lines fail.
    let text = format!("{LINE}\n{}", "nothing\n".repeat(2_000));
    let (_, monitor, result) = read(text.as_bytes(), InputOptions::default());
    let message = result.unwrap_err().to_string();
    assert!(message.starts_with("most lines are not in the format: 999 of the first 1000"));
    assert_eq!(monitor.report().bad_count(), 999);
    let (_, monitor, result) = read(text.as_bytes(), forced());
    assert_eq!((result, monitor.report().bad_count()), (Ok(()), 2_000));

    // A format that was named.
    let options = InputOptions { format: Some(Format::Json), ..InputOptions::default() };
    let (_, _, result) = read(LINE.as_bytes(), options);
    assert!(result.unwrap_err().to_string().contains("nearest is JSON lines"));
    // Nothing at all is fine.
    assert_eq!(read(b"", InputOptions::default()).2, Ok(()));
    assert_eq!(read(b"\n\n", InputOptions::default()).2, Ok(()));
    let header =
        b"\"remotehost\",\"rfc931\",\"authuser\",\"date\",\"request\",\"status\",\"bytes\"\n";
    assert_eq!(read(header, InputOptions::default()).2, Ok(()));
}

#[test]
fn lines_before_the_format_shows_are_counted_in_it() {
    let text = format!("# a remark\n\n{LINE}\n{LINE}\n");
    let (_, monitor, result) = read(text.as_bytes(), InputOptions::default());
    result.unwrap();
    assert_eq!(monitor.report().counts.hits, 2);
    assert_eq!(monitor.report().bad()[0].examples[0].line, 1);
    let text = "#Software: x\n#Fields: date time cs-uri-stem\n2019-02-07 21:11:00 /a\n";
    let (_, monitor, _) = read(text.as_bytes(), InputOptions::default());
    assert_eq!((monitor.report().counts.hits, monitor.report().bad_count()), (1, 0));
}

#[test]
fn random_bytes_in_any_format_only_count() {
    let mut random = Rng::with_seed(7);
    let templates = ["%h %t \"%r\" %s", "$time_local $request"].map(|t| Format::parse(t).unwrap());
    let formats = Format::NAMED.into_iter().map(Some).chain(templates).chain([None]);
    for format in formats {
        let samples = [
            LINE,
            "\"a\",b,\"c\"\"\",1549573860,\"GET / HTTP/1.0\",200,1",
            "{\"time\":1549573860,\"request\":{\"uri\":\"/\\u0041\"}}",
            "#Fields: date time cs-uri-stem\n2019-02-07 21:11:00 /a",
        ];
        let mut bytes = Vec::new();
        for _ in 0..2_000 {
            let mut line = random.choice(samples).unwrap().as_bytes().to_vec();
            for _ in 0..random.usize(0..4) {
                let at = random.usize(0..line.len());
                line[at] = random.u8(..);
            }
            line.truncate(random.usize(1..=line.len()));
            bytes.extend_from_slice(&line);
            bytes.extend_from_slice(random.choice([&b"\n"[..], b"\r\n", b"\0", b""]).unwrap());
        }
        let options = InputOptions { format, ..forced() };
        let (_, monitor, result) = read(&bytes, options);
        result.unwrap();
        assert!(monitor.report().lines > 500);
    }
}

#[test]
fn rotation_numbers_lines_anew_and_truncation_drops_the_half_line() {
    let mut monitor = Monitor::new(Options::default());
    let mut input = Input::new(monitor.open("log"), InputOptions::default());
    input.push(format!("{LINE}\n{LINE}").as_bytes(), &mut monitor).unwrap();
    input.rotate(&mut monitor).unwrap();
    assert_eq!(monitor.report().counts.hits, 2, "the last line of a file needs no line feed");
    input.push(format!("bad\n{LINE}\nhalf a l").as_bytes(), &mut monitor).unwrap();
    assert!(input.truncate());
    input.push(format!("{LINE}\nbad\n").as_bytes(), &mut monitor).unwrap();
    input.finish(&mut monitor).unwrap();
    assert_eq!(monitor.report().counts.hits, 4);
    let lines: Vec<u64> =
        monitor.report().bad()[0].examples.iter().map(|example| example.line).collect();
    assert_eq!(lines, [1, 2]);
}

/// Records over several lines, other headers, broken quotes, NUL bytes and long lines at any place
/// between tasks.
#[test]
fn tasks_read_what_one_reader_reads() {
    let mut random = Rng::with_seed(11);
    let mut text = "date,agent,request\n".to_owned();
    for index in 0..2_500 {
        let date = 1_549_573_860 + index / 50;
        text += &match random.u32(0..100) {
            // More than a thousand good lines first: then tasks take over.
            _ if index < 1_100 => format!("{date},x,GET /a HTTP/1.1\n"),
            0..20 => format!("{date},\"two\nlines\",GET /b HTTP/1.1\n"),
            20..22 => format!("{date},\"open,GET /c HTTP/1.1\n"),
            22..24 => "date,agent,request\n".to_owned(),
            24..25 => "request,date,agent\n".to_owned(),
            25..26 => "date,agent,request\n".to_owned(),
            26..28 => format!("\0\0\0{date},x,GET /d HTTP/1.1\r\n"),
            28..30 => format!("{}\n", "y".repeat(400)),
            30..40 => format!("GET /e HTTP/1.1,{date},x\n"),
            _ => format!("{date},\"a \"\"b\"\"\",GET /f HTTP/1.1\n"),
        };
    }
    let options = InputOptions { line_bytes_max: 300, ..forced() };
    let read = |size: usize, parts: Option<usize>| {
        let mut monitor = Monitor::new(Options::default());
        let mut input = Input::new(monitor.open("log"), options.clone());
        for piece in text.as_bytes().chunks(size) {
            match parts {
                Some(parts) => input.push_spread(piece, parts, &mut monitor, |tasks| {
                    tasks.into_iter().map(Task::run)
                }),
                None => input.push(piece, &mut monitor),
            }
            .unwrap();
        }
        input.finish(&mut monitor).unwrap();
        monitor.end();
        let outputs: Vec<Output> = monitor.drain().collect();
        format!("{outputs:?} {:?} {}", monitor.report(), input.nul_bytes())
    };
    let expected = read(1 << 20, None);
    for size in [50, 333, 5_000, 40_000] {
        for parts in [1, 2, 7, 100] {
            assert!(read(size, Some(parts)) == expected, "{size} {parts}");
        }
    }
}
