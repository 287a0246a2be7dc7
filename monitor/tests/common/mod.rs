//! Runs monitors over texts, and puts what they say into the oracle's words.

use fastrand::Rng;
use logq_monitor::{
    Change, Input, InputOptions, Limits, Monitor, Options, Output, Report, Rule, Task,
};
use logq_testkit::monitor_oracle::{Line, Said, Setup};

/// How the bytes arrive.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Feed {
    /// The only source in pieces of so many bytes.
    Pieces(usize),
    /// In pieces of so many bytes, each read by several tasks.
    Spread(usize),
    /// Always from the source that holds the others back, in pieces of so many bytes.
    Behind(usize),
    /// From any source, in pieces of at most so many bytes.
    AnyOrder(usize),
}

/// The options for an oracle's setup.
pub(crate) fn options(setup: &Setup) -> Options {
    let rule = |text: &str, threshold: f64, recover: f64| {
        let window_s = u32::try_from(setup.window_s).unwrap();
        let rule = Rule::parse(text, window_s).unwrap();
        Rule { threshold, recover, ..rule }
    };
    let per_second = |hits: u64| hits as f64 / setup.window_s as f64;
    let traffic = Rule {
        for_s: setup.for_s,
        keep_firing_s: setup.keep_firing_s,
        ..rule("rate > 1", per_second(setup.fire_above), per_second(setup.recover_below))
    };
    let share = setup.error_percent as f64 / 100.0;
    let section = per_second(setup.section_above);
    Options {
        interval_s: u32::try_from(setup.interval_s).unwrap(),
        lateness_s: u32::try_from(setup.lateness_s).unwrap(),
        rules: vec![
            traffic,
            rule("error_ratio > 1", share, share),
            rule("rate > 1 by section", section, section),
        ],
        limits: Limits {
            gap_s: u32::try_from(setup.gap_s).unwrap(),
            back_s: u32::try_from(setup.back_s).unwrap(),
            back_lines: setup.back_lines,
            ..Limits::default()
        },
        ..Options::default()
    }
}

/// The lines as CSV with a header.
pub(crate) fn text_of(lines: &[Line]) -> String {
    let mut text = "date,request,status,bytes\n".to_owned();
    for line in lines {
        match line {
            Line::Hit(hit) => {
                let (second, section) = (hit.second, hit.section);
                let (status, bytes) = (hit.status, hit.bytes);
                text += &format!("{second},\"GET /{section}/x HTTP/1.1\",{status},{bytes}\n");
            }
            Line::Bad => text += "this is none\n",
        }
    }
    text
}

/// Reads the texts, one source each; all outputs and the report at the end.
pub(crate) fn run(
    options: Options,
    texts: &[String],
    feed: Feed,
    random: &mut Rng,
) -> (Vec<Output>, Report) {
    let mut monitor = Monitor::new(options);
    let input = InputOptions { force: true, ..InputOptions::default() };
    let mut inputs: Vec<Option<Input>> = (0..texts.len())
        .map(|index| Some(Input::new(monitor.open(&index.to_string()), input.clone())))
        .collect();
    let mut rests: Vec<&[u8]> = texts.iter().map(|text| text.as_bytes()).collect();
    let mut outputs = Vec::new();
    while let Some(index) = choose(&monitor, &inputs, feed, random) {
        let size = match feed {
            Feed::Pieces(size) | Feed::Spread(size) | Feed::Behind(size) => size,
            Feed::AnyOrder(most) => random.usize(1..=most),
        };
        let rest = rests[index];
        let (piece, rest) = rest.split_at(size.min(rest.len()));
        rests[index] = rest;
        let reader = inputs[index].as_mut().unwrap();
        if let Feed::Spread(_) = feed {
            let spread = reader.push_spread(piece, 5, &mut monitor, |tasks| {
                // Tasks run in any order; only their batches are in order.
                let mut batches: Vec<_> = tasks.into_iter().rev().map(Task::run).collect();
                batches.reverse();
                batches
            });
            spread.unwrap();
        } else {
            reader.push(piece, &mut monitor).unwrap();
        }
        if rest.is_empty() {
            inputs[index].take().unwrap().finish(&mut monitor).unwrap();
        }
        outputs.extend(monitor.drain());
    }
    monitor.end();
    outputs.extend(monitor.drain());
    (outputs, monitor.report().clone())
}

/// The same, line by line, by monitors each of which is cut off, one time in `odds` behind a line, and
/// followed by one that goes on by its saved state; all that they say. Sources are read as they hold one
/// another back.
pub(crate) fn run_cut_off(
    options: Options,
    texts: &[String],
    odds: u32,
    random: &mut Rng,
) -> Vec<Output> {
    let mut monitor = Monitor::new(options.clone());
    let mut sources = vec![None; texts.len()];
    let mut rests: Vec<Vec<&str>> =
        texts.iter().map(|text| text.split_inclusive('\n').rev().collect()).collect();
    let headers: Vec<&str> = rests.iter_mut().filter_map(Vec::pop).collect();
    let mut outputs = Vec::new();
    loop {
        let mut inputs: Vec<Option<Input>> = Vec::new();
        for (index, header) in headers.iter().enumerate() {
            let id = monitor.open(&index.to_string());
            let options = InputOptions { force: true, ..InputOptions::default() };
            let mut input = Input::new(id, options);
            input.push(header.as_bytes(), &mut monitor).unwrap();
            sources[index] = Some(id);
            inputs.push(Some(input));
        }
        for (input, rest) in inputs.iter_mut().zip(&rests) {
            if rest.is_empty() {
                input.take().unwrap().finish(&mut monitor).unwrap();
            }
        }
        let is_over = loop {
            let Some(behind) = monitor.behind() else { break true };
            let index = sources.iter().position(|source| *source == Some(behind)).unwrap();
            let line = rests[index].pop().unwrap();
            inputs[index].as_mut().unwrap().push(line.as_bytes(), &mut monitor).unwrap();
            if rests[index].is_empty() {
                inputs[index].take().unwrap().finish(&mut monitor).unwrap();
            }
            outputs.extend(monitor.drain());
            if random.u32(..odds) == 0 {
                break false;
            }
        };
        if is_over {
            break;
        }
        let state = serde_json::to_string(&monitor.save()).unwrap();
        monitor = Monitor::new(options.clone());
        monitor.restore(serde_json::from_str(&state).unwrap());
    }
    monitor.end();
    outputs.extend(monitor.drain());
    outputs
}

fn choose(
    monitor: &Monitor,
    inputs: &[Option<Input>],
    feed: Feed,
    random: &mut Rng,
) -> Option<usize> {
    let open: Vec<usize> = (0..inputs.len()).filter(|index| inputs[*index].is_some()).collect();
    match feed {
        Feed::AnyOrder(_) => random.choice(open),
        _ => {
            let behind = monitor.behind()?;
            open.into_iter().find(|index| inputs[*index].as_ref().unwrap().source() == behind)
        }
    }
}

/// What was said, in the oracle's words; jumps that are not followed are left out.
pub(crate) fn shown(outputs: &[Output]) -> Vec<Said> {
    let letter = |section: &[u8]| char::from(section[1]);
    let mut said = Vec::new();
    // Late hits of the last point that were not told one second at a time yet.
    let mut late = 0;
    for output in outputs {
        if let Output::Late { second, of, counts } = output {
            assert!(of < second && counts.hits > 0 && counts.hits <= late, "{output:?}");
            late -= counts.hits;
            continue;
        }
        assert_eq!(late, 0, "before {output:?}");
        said.push(match output {
            Output::Point(point) => {
                late = point.late;
                Said::Point { second: point.second, hits: point.counts.hits, late: point.late }
            }
            Output::Alert(transition) => Said::Alert {
                fired: transition.change == Change::Fired,
                rule: transition.rule,
                section: transition.section.as_deref().map(letter),
                second: transition.second,
                hits: transition.counts.hits,
            },
            Output::Summary(summary) => Said::Summary {
                start: summary.start,
                last: summary.last,
                hits: summary.counts.hits,
                bytes: u64::try_from(summary.counts.bytes).unwrap(),
                late: summary.late,
                bad: summary.bad,
                section: summary.section.as_deref().map(letter),
                is_partial: summary.is_partial,
            },
            Output::JumpedBack { is_followed: false, .. } => continue,
            Output::JumpedBack { from, to, is_followed } => {
                Said::Jump { from: *from, to: *to, is_followed: *is_followed }
            }
            other => panic!("unexpected: {other:?}"),
        });
    }
    assert_eq!(late, 0);
    said
}
