//! What the columns of a table mean.

use std::borrow::Cow;

use csv::{ByteRecord, Reader, ReaderBuilder};

use crate::import::fields::tells_time;

/// What a column of an access log means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::import) enum Column {
    Client,
    Time,
    Request,
    Method,
    Url,
    Protocol,
    Status,
    Bytes,
    Duration,
    /// Known by its name only.
    Other,
}

/// The columns of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::import) struct Layout {
    delimiter: u8,
    columns: Vec<(Column, String)>,
    is_access: bool,
}

impl Layout {
    /// The layout that the first row of a table tells; `None` if it names no column for the time.
    pub(in crate::import) fn detect(text: &str) -> Option<Self> {
        b",;\t".iter().find_map(|delimiter| {
            let mut row = ByteRecord::new();
            let found = reader(*delimiter, text.as_bytes()).read_byte_record(&mut row).ok()?;
            let names = row.iter().map(|name| String::from_utf8_lossy(name).trim().to_owned());
            let layout = Self::new(*delimiter, names.collect());
            let has_time = layout.columns.iter().any(|(column, _)| *column == Column::Time);
            (found && has_time && layout.columns.len() > 1).then_some(layout)
        })
    }

    fn new(delimiter: u8, names: Vec<String>) -> Self {
        let columns: Vec<_> = names.into_iter().map(named).collect();
        let has = |wanted| columns.iter().any(|(column, _)| *column == wanted);
        let is_access = has(Column::Request) || has(Column::Method) && has(Column::Url);
        Self { delimiter, columns, is_access }
    }

    /// Whether the rows are exchanges of requests and responses.
    pub(in crate::import) const fn is_access(&self) -> bool {
        self.is_access
    }

    /// Reads rows of any length.
    pub(super) fn reader<'t>(&self, text: &'t [u8]) -> Reader<&'t [u8]> {
        reader(self.delimiter, text)
    }

    /// The meaning and name of a column of an access log.
    pub(super) fn column(&self, index: usize) -> Option<(Column, &str)> {
        self.columns.get(index).map(|(column, name)| (*column, name.as_str()))
    }

    /// The name of a column; columns that the header does not name are counted from 1.
    pub(super) fn name(&self, index: usize) -> Cow<'_, str> {
        match self.columns.get(index) {
            Some((_, name)) => Cow::Borrowed(name),
            None => Cow::Owned(format!("column{}", index + 1)),
        }
    }

    /// Method, url and protocol of a row that has them in columns of their own.
    pub(super) fn request_of_parts<'a>(&self, fields: &[&'a str]) -> Option<[&'a str; 3]> {
        let field = |wanted| {
            let index = self.columns.iter().position(|(column, _)| *column == wanted)?;
            fields.get(index).copied()
        };
        if field(Column::Request).is_some() {
            return None;
        }
        let (method, url) = (field(Column::Method)?, field(Column::Url)?);
        Some([method, url, field(Column::Protocol).unwrap_or_default()])
    }
}

fn reader(delimiter: u8, text: &[u8]) -> Reader<&[u8]> {
    ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(false)
        .flexible(true)
        .buffer_capacity(1 << 16)
        .from_reader(text)
}

/// The meaning of a column, and the name it has in the data.
fn named(name: String) -> (Column, String) {
    let lower = name.to_ascii_lowercase();
    let column = match lower.as_str() {
        "remotehost" | "remote_host" | "remote_addr" | "client" | "client_ip" | "clientip"
        | "ip" => Column::Client,
        "request" | "request_line" => Column::Request,
        "method" | "request_method" => Column::Method,
        "url" | "uri" | "path" | "request_uri" => Column::Url,
        "protocol" | "http_version" | "server_protocol" => Column::Protocol,
        "status" | "status_code" | "statuscode" => Column::Status,
        "bytes" | "size" | "bytes_sent" | "body_bytes_sent" => Column::Bytes,
        "request_time" => Column::Duration,
        _ if tells_time(&name) => Column::Time,
        _ => Column::Other,
    };
    let known = match lower.as_str() {
        "rfc931" | "ident" | "identity" | "remote_logname" => "ident",
        "authuser" | "user" | "remote_user" => "user",
        "referer" | "referrer" | "http_referer" => "referer",
        "user_agent" | "useragent" | "http_user_agent" => "userAgent",
        _ => return (column, name),
    };
    (column, known.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_tells_delimiter_and_meaning() {
        let check = |header, delimiter, is_access| {
            let layout = Layout::detect(header).unwrap();
            assert_eq!((layout.delimiter, layout.is_access), (delimiter, is_access), "{header}");
        };
        check(
            "\"remotehost\",\"rfc931\",\"authuser\",\"date\",\"request\",\"status\",\"bytes\"\n",
            b',',
            true,
        );
        check("Timestamp;Level;Text\n1;2;3", b';', false);
        check("time\tmethod\tpath", b'\t', true);
        check("ip,time,method", b',', false);
    }

    #[test]
    fn what_names_no_time_is_no_table() {
        for header in
            ["", "a,b,c", "time", "2026-02-03 14:05:06,789 INFO x", "at the time, he said"]
        {
            assert_eq!(Layout::detect(header), None, "{header}");
        }
    }
}
