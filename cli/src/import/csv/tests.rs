//! Tables and what their rows become.

use crate::import::Format;
use crate::import::testing::{check_lines, import, options};

const TIME: &str = "2026-02-03T14:05:06.000000Z";

#[test]
fn access_tables_become_requests() {
    check_lines(
        Format::Auto,
        concat!(
            "\"remotehost\",\"rfc931\",\"authuser\",\"date\",\"request\",\"status\",\"bytes\"\r\n",
            "\"10.0.0.2\",\"-\",\"apache\",1770127506,\"GET /a \"\"b\"\" HTTP/1.0\",200,1234\r\n",
        ),
        &[
            &format!(
                r#"{TIME} INFO REQUEST 1 - "ipAddress":"10.0.0.2","httpVersion":"1.0","method":"GET","url":"/a \"b\"""#
            ),
            &format!(r#"{TIME} INFO REQUEST_META 1 - {{"user":"apache"}}"#),
            &format!(r#"{TIME} INFO RESPONSE 1 - "statusCode":200,"bytes":1234"#),
            &format!(r#"{TIME} INFO RESPONSE_FINISHED 1 - "bytes":1234"#),
        ],
    );
}

#[test]
fn requests_may_be_in_parts_and_rows_uneven() {
    check_lines(
        Format::Csv,
        concat!(
            "time;ip;method;path;protocol;status;request_time;Region\n",
            "2026-02-03 14:05:06;1.2.3.4;GET;/;HTTP/1.1;oops;0.250;eu;more\n",
            "2026-02-03 14:05:06;1.2.3.4;GET;/;SPDY\n",
        ),
        &[
            &format!(
                r#"{TIME} INFO REQUEST 1 - "ipAddress":"1.2.3.4","httpVersion":"1.1","method":"GET","url":"/""#
            ),
            &format!(
                r#"{TIME} INFO REQUEST_META 1 - {{"status":"oops","Region":"eu","extra":["more"]}}"#
            ),
            &format!(r#"{TIME} INFO RESPONSE_FINISHED 1 - "durationMs":250"#),
            &format!(
                r#"{TIME} INFO REQUEST 1 - "ipAddress":"1.2.3.4","httpVersion":"0.0","method":"GET","url":"/""#
            ),
            &format!(r#"{TIME} INFO REQUEST_META 1 - {{"protocol":"SPDY"}}"#),
        ],
    );
}

#[test]
fn other_tables_become_objects() {
    check_lines(
        Format::Auto,
        concat!(
            "\u{feff}Timestamp,Level,n,\"a \"\"b\"\"\"\n",
            "2026-02-03T14:05:06Z,Error,007,\"x\ny\",z\n",
            "\n",
            ",,1.50,true\n",
        ),
        &[
            &format!(r#"{TIME} ERROR LOG 1 {{"n":"007","a \"b\"":"x\ny","column5":"z"}}"#),
            &format!(r#"{TIME} INFO LOG 1 {{"Timestamp":"","Level":"","n":1.50,"a \"b\"":true}}"#),
        ],
    );
}

#[test]
fn a_row_without_a_time_before_any_other_fails_once() {
    check_lines(
        Format::Csv,
        "date,request,status\nnever,GET / HTTP/1.1,200\n",
        &["failed NoTime line 2: never,GET / HTTP/1.1,200"],
    );
}

#[test]
fn rows_that_span_lines_are_never_cut() {
    let mut table = String::from("time,text\n");
    for row in 0..40_000 {
        table.push_str(&format!("{},\"row {row}\nof \"\"two\"\"\n lines\"\n", 1_770_127_506 + row));
    }
    let (lines, summary) = import(table.as_bytes(), &options(Format::Auto));
    assert_eq!(summary.failures.total(), 0);
    assert_eq!(summary.lines, 1 + 3 * 40_000);
    assert_eq!(lines.len(), 40_000);
    for (row, line) in lines.iter().enumerate() {
        let text = format!(r#"{{"text":"row {row}\nof \"two\"\n lines"}}"#);
        assert!(line.contains(&text), "{line}");
    }
}

#[test]
fn an_unclosed_quote_does_not_take_the_rest_of_the_table_into_memory() {
    let mut table = String::from("time,text\n1770127506,\"open\n");
    table.push_str(&"1770127506,x\n".repeat(800_000));
    let (lines, summary) = import(table.as_bytes(), &options(Format::Csv));
    assert_eq!(summary.lines, 800_002);
    assert!(lines.len() > 1);
}
