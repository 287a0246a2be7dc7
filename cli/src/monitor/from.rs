//! `--from`: where in a file or a store that is there already reading begins; of stores `records` finds
//! the place.
//!
//! The last minutes of a log are found from behind, block by block, by the times of its lines: a log
//! of a hundred gigabytes costs no more than what is read of it anyway.

use std::io;

use logq_monitor::{Format, Input, InputOptions, LineParser, Monitor, Options, Parsed};

use super::file::OpenFile;

/// Where reading begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Begin {
    /// With the first line.
    #[default]
    Start,
    /// Behind the last line or record.
    End,
    /// So many seconds before the newest line or record.
    Back(u32),
}

/// What is read at a time from behind.
const BLOCK_BYTES: usize = 256 << 10;
/// Lines at the start of a file show its format.
const HEAD_BYTES: usize = 64 << 10;

impl Begin {
    /// The offset of the first line to read; 0 where lines cannot be read.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub(super) fn offset(self, file: &OpenFile, options: &InputOptions) -> io::Result<u64> {
        let end = line_start_before(file, file.len(), BLOCK_BYTES)?;
        match self {
            Self::Start => Ok(0),
            Self::End => Ok(end),
            Self::Back(seconds) => match parser(file, options)? {
                Some(parser) => back(file, end, i64::from(seconds), &parser),
                None => Ok(0),
            },
        }
    }
}

/// A parser that has seen the header of the file.
fn parser(file: &OpenFile, options: &InputOptions) -> io::Result<Option<LineParser>> {
    let head = file.peek(0, HEAD_BYTES)?;
    let Some(format) = options.format.clone().or_else(|| format(&head, options)) else {
        return Ok(None);
    };
    let mut parser = LineParser::new(format);
    for line in lines(&head) {
        if !matches!(parser.parse(line), Ok(Parsed::Nothing)) {
            break;
        }
    }
    Ok(Some(parser))
}

fn format(head: &[u8], options: &InputOptions) -> Option<Format> {
    let mut monitor = Monitor::new(Options::default());
    let mut input = Input::new(monitor.open(""), options.clone());
    // What is wrong with it is told when it is read.
    let _ = input.push(head, &mut monitor);
    input.format().cloned()
}

/// The offset of the first line that is at most so many seconds older than the newest one.
fn back(file: &OpenFile, end: u64, seconds: i64, parser: &LineParser) -> io::Result<u64> {
    let (mut block_end, mut newest, mut found) = (end, None, end);
    while block_end > 0 {
        let wanted = u64::try_from(BLOCK_BYTES).unwrap_or(u64::MAX);
        let start = match block_end.checked_sub(wanted) {
            Some(start) => line_start_before(file, start, BLOCK_BYTES)?,
            None => 0,
        };
        let len = usize::try_from(block_end - start).unwrap_or(usize::MAX);
        let times = times(&file.peek(start, len)?, parser);
        let latest = times.iter().map(|(_, time)| *time).max();
        newest = newest.or(latest);
        if let (Some(newest), Some(latest)) = (newest, latest) {
            let since = newest - seconds;
            if let Some((at, _)) = times.iter().find(|(_, time)| *time >= since) {
                found = start + at;
            }
            if latest < since {
                return Ok(found);
            }
        }
        block_end = start;
    }
    Ok(found)
}

/// The lines of a block that are requests: where they begin, and their seconds.
fn times(block: &[u8], parser: &LineParser) -> Vec<(u64, i64)> {
    let (mut parser, mut at, mut times) = (parser.clone(), 0, Vec::new());
    for line in block.split_inclusive(|byte| *byte == b'\n') {
        let text = line.trim_ascii_end();
        if let Ok(Parsed::Hit(hit) | Parsed::HitAfterBroken(hit, _)) = parser.parse(text) {
            times.push((at, hit.second()));
        }
        at += u64::try_from(line.len()).unwrap_or(u64::MAX);
    }
    times
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end)
}

/// Behind the last line feed before an offset; 0 if there is none.
fn line_start_before(file: &OpenFile, mut offset: u64, step: usize) -> io::Result<u64> {
    while offset > 0 {
        let len = usize::try_from(offset).unwrap_or(usize::MAX).min(step);
        let start = offset - u64::try_from(len).unwrap_or(0);
        if let Some(at) = memchr::memrchr(b'\n', &file.peek(start, len)?) {
            return Ok(start + u64::try_from(at).unwrap_or(0) + 1);
        }
        offset = start;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    /// The number of the first line that is read, from 0, and how many there are.
    fn first_line(text: &str, from: Begin) -> usize {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        std::fs::write(&path, text).unwrap();
        let file = OpenFile::open(&path).unwrap();
        let offset = from.offset(&file, &InputOptions::default()).unwrap();
        let offset = usize::try_from(offset).unwrap();
        assert!(offset == 0 || text.as_bytes()[offset - 1] == b'\n', "{offset}");
        text[..offset].lines().count()
    }

    #[test]
    fn the_last_minutes_are_found_from_behind() {
        let mut text = "time,request,padding\n".to_owned();
        // Two hours, some megabytes; each tenth line is three seconds late.
        for second in 0..7_200 {
            let time = 1_549_573_860 + second - if second % 10 == 0 { 3 } else { 0 };
            writeln!(text, "{time},GET /a HTTP/1.1,{}", "x".repeat(500)).unwrap();
        }
        text.push_str("bad\nhalf a li");
        assert_eq!(first_line(&text, Begin::Start), 0);
        assert_eq!(first_line(&text, Begin::End), 7_202);
        assert_eq!(first_line(&text, Begin::Back(0)), 7_200);
        // Line 1 + n has second n; the first one of the last two minutes is second 7,079.
        assert_eq!(first_line(&text, Begin::Back(120)), 1 + 7_079);
        assert_eq!(first_line(&text, Begin::Back(5_000)), 1 + 2_199);
        assert_eq!(first_line(&text, Begin::Back(86_400)), 1);
    }

    #[test]
    fn where_there_is_nothing_to_find_reading_begins_at_the_start() {
        assert_eq!(first_line("", Begin::Back(10)), 0);
        assert_eq!(first_line("half a line", Begin::End), 0);
        assert_eq!(first_line("what is\nthis?\n", Begin::Back(10)), 0);
        let long = format!("time,request\n1549573860,GET /{} HTTP/1.1\n", "x".repeat(1 << 20));
        assert_eq!(first_line(&long, Begin::Back(10)), 1);
    }
}
