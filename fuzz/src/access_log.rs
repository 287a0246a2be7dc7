//! Targets over what the traffic monitor reads: logs in every format, format strings, alert rules.

use logq_monitor::render::{self, Style};
use logq_monitor::{Format, Input, InputOptions, Lists, Monitor, Options, Output, Rule, Task};

/// An access log in any format: the first byte chooses the format, and for a format string the first
/// line is the string. However it is cut, the monitor says the same, and nothing active.
pub fn access_log(data: &[u8]) {
    let Some((choice, log)) = data.split_first() else { return };
    let (format, log) = match choice % 6 {
        0 => (None, log),
        5 => {
            let end = log.iter().position(|byte| *byte == b'\n').unwrap_or(log.len());
            let string = String::from_utf8_lossy(&log[..end]);
            let Ok(format) = Format::parse(&string) else { return };
            (format, &log[end..])
        }
        index => (Format::NAMED.get(usize::from(index) - 1).cloned(), log),
    };
    let options = InputOptions { format, line_bytes_max: 200, force: true };
    let whole = said(log, log.len().max(1), &options, false);
    assert_eq!(said(log, 1, &options, false), whole);
    assert_eq!(said(log, 64, &options, true), whole);
    let is_safe = |c: char| matches!(c, '\t' | '\n') || !c.is_control();
    assert!(whole.chars().all(is_safe), "{whole:?}");
}

/// What a monitor says of the log, cut into pieces.
fn said(log: &[u8], size: usize, options: &InputOptions, in_tasks: bool) -> String {
    let lists = Lists { count: 5, urls: true, clients: true, statuses: true };
    let rules = vec![
        Rule::high_traffic(1.0, 3),
        Rule::parse("p99 > 1ms by section", 5).expect("a rule"),
        Rule::parse("rate < 1 for 2s", 2).expect("a rule"),
    ];
    let mut monitor =
        Monitor::new(Options { lists, rules, empty: true, lateness_s: 1, ..Options::default() });
    let mut input = Input::new(monitor.open("log"), options.clone());
    for piece in log.chunks(size) {
        let read = match in_tasks {
            true => {
                input.push_spread(piece, 3, &mut monitor, |tasks| tasks.into_iter().map(Task::run))
            }
            false => input.push(piece, &mut monitor),
        };
        read.expect("forced");
    }
    input.finish(&mut monitor).expect("forced");
    monitor.end();
    let outputs: Vec<Output> = monitor.drain().collect();
    let rules = &monitor.options().rules;
    let lines = outputs.iter().filter_map(|output| render::output(output, rules, Style::FULL));
    let mut text: Vec<String> = lines.map(|line| line.to_string()).collect();
    text.extend(render::report(monitor.report()));
    text.extend(render::list("url", &monitor.lists().urls));
    text.push(format!("{} hits", monitor.report().counts.hits));
    text.join("\n")
}

/// An alert rule is read or refused; what was read is read again the same.
pub fn alert_rule(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(rule) = Rule::parse(&text, 120) else { return };
    assert!(rule.threshold.is_finite() && rule.recover.is_finite());
    assert!((1..=86_400).contains(&rule.window_s));
    assert_eq!(Rule::parse(&rule.text, 120), Ok(rule));
}
