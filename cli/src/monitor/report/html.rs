//! The page: one file without scripts, in light and dark, for printing and for readers of screens.

use std::fmt::Write as _;

use logq_monitor::series::Bar;

use super::{COLUMNS, Past, alert, cells, graph, length};
use crate::output::escape;

/// The page of a store's series.
pub(crate) fn page(past: &Past<'_>, store: &str) -> String {
    let title = format!("Traffic in {store}");
    let mut page =
        format!("{HEAD}<title>{0}</title>\n</head>\n<body>\n<h1>{0}</h1>\n", escaped(&title));
    let Some((first, last)) = past.graph.range() else {
        page.push_str("<p>Nothing was watched in this time.</p>\n</body>\n</html>\n");
        return page;
    };
    let total = past.graph.total();
    // Writing to a String cannot fail.
    let _ = writeln!(
        page,
        "<p>{} to {}, {} watched</p>",
        escaped(&past.time(first)),
        escaped(&past.time(last)),
        length(i64::from(total.covered_s))
    );
    figures(&mut page, &total);
    page.push_str("<h2>Requests per second</h2>\n<figure>\n");
    page.push_str(&graph::draw(past).unwrap_or_default());
    page.push_str(LEGEND);
    mix(&mut page, &total);
    alerts(&mut page, past);
    table(&mut page, past, first);
    page.push_str("</body>\n</html>\n");
    page
}

/// The numbers that people look for first.
fn figures(page: &mut String, total: &Bar) {
    let share = total.counts.errors() as f64 * 100.0 / total.counts.hits.max(1) as f64;
    let quantile = |permille| logq_monitor::render::latency(total.latencies.quantile_us(permille));
    page.push_str("<dl>\n");
    for (name, value) in [
        ("requests", total.counts.hits.to_string()),
        ("per second", format!("{:.2}", total.rate())),
        ("in the busiest second", total.peak.to_string()),
        ("with 5xx", format!("{share:.2}%")),
        ("median latency", quantile(500)),
        ("99 of 100 within", quantile(990)),
    ] {
        let _ = writeln!(page, "<div><dt>{name}</dt><dd>{value}</dd></div>");
    }
    page.push_str("</dl>\n");
}

/// The shares of the classes of status.
fn mix(page: &mut String, total: &Bar) {
    let [other, c1, c2, c3, c4, c5] = total.counts.classes;
    page.push_str("<h2>Status</h2>\n<div class=\"mix\" aria-hidden=\"true\">");
    let classes =
        [("1xx", c1), ("2xx", c2), ("3xx", c3), ("4xx", c4), ("5xx", c5), ("other", other)];
    let share = |count: u64| count as f64 * 100.0 / total.counts.hits.max(1) as f64;
    for (name, count) in classes.into_iter().filter(|(_, count)| *count > 0) {
        let _ =
            write!(page, "<span class=\"s{name}\" style=\"width:{:.3}%\"></span>", share(count));
    }
    page.push_str("</div>\n<ul class=\"key\">\n");
    for (name, count) in classes.into_iter().filter(|(_, count)| *count > 0) {
        let _ = writeln!(
            page,
            "<li><i class=\"s{name}\"></i>{name}: {count} ({:.2}%)</li>",
            share(count)
        );
    }
    page.push_str("</ul>\n");
}

fn alerts(page: &mut String, past: &Past<'_>) {
    page.push_str("<h2>Alerts</h2>\n");
    if past.graph.alerts().is_empty() {
        page.push_str("<p>None.</p>\n");
        return;
    }
    page.push_str("<ul>\n");
    for span in past.graph.alerts() {
        let _ = writeln!(page, "<li>{}</li>", escaped(&alert(past, span)));
    }
    page.push_str("</ul>\n");
}

fn table(page: &mut String, past: &Past<'_>, first: i64) {
    page.push_str("<h2>Numbers</h2>\n<div class=\"wide\"><table>\n<thead><tr><th>time</th>");
    for column in COLUMNS {
        let _ = write!(page, "<th>{column}</th>");
    }
    page.push_str("</tr></thead>\n<tbody>\n");
    for bar in past.table.bars() {
        row(page, &past.time(bar.start.max(first)), &bar);
    }
    page.push_str("</tbody>\n<tfoot>\n");
    row(page, "total", &past.table.total());
    page.push_str("</tfoot>\n</table></div>\n");
}

fn row(page: &mut String, name: &str, bar: &Bar) {
    let _ = write!(page, "<tr><th>{}</th>", escaped(name));
    for cell in cells(bar) {
        let _ = write!(page, "<td>{}</td>", escaped(&cell));
    }
    page.push_str("</tr>\n");
}

/// Text that is text in HTML, between tags and in quotes; what cannot be seen is shown.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in escape::for_terminal_lines(text).chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

const LEGEND: &str = "<figcaption><span><i class=\"bar\"></i>requests</span>\
<span><i class=\"errors\"></i>with 5xx</span><span><i class=\"threshold\"></i>threshold</span>\
<span><i class=\"alert\"></i>alert</span><span><i class=\"gap\"></i>not watched</span></figcaption>\n</figure>\n";

const HEAD: &str = r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="referrer" content="no-referrer">
<meta name="color-scheme" content="light dark">
<style>
:root { --page: #fff; --text: #1b1f24; --soft: #667; --line: #d8dce2; --bar: #4778b8; --errors: #c22f2f;
  --alert: #f6d9a8; --threshold: #a35a00; --gap: #c9ced6; --s1: #9aa3ad; --s2: #4f9a5b; --s3: #4778b8; --s4: #d59a2b; }
@media (prefers-color-scheme: dark) {
  :root { --page: #15181c; --text: #e4e7ea; --soft: #9aa3ad; --line: #353b43; --bar: #6a9bd8; --errors: #e86a6a;
    --alert: #4a3a1c; --threshold: #e0a350; --gap: #3d444d; --s1: #78818b; --s2: #6cb878; --s3: #6a9bd8; --s4: #d8a851; }
}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--page); max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; overflow-wrap: anywhere; margin-bottom: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
dl { display: flex; flex-wrap: wrap; gap: 1rem 2.5rem; margin: 1rem 0; } dt { color: var(--soft); } dd { margin: 0; font-size: 1.4rem; font-variant-numeric: tabular-nums; }
figure { margin: 0; } svg { width: 100%; height: auto; display: block; } svg text { font: 12px system-ui, sans-serif; fill: var(--soft); }
.bar { fill: var(--bar); } .errors { fill: var(--errors); } .alert { fill: var(--alert); } .gap { fill: var(--gap); }
.grid { stroke: var(--line); } .threshold { stroke: var(--threshold); stroke-width: 1.5; stroke-dasharray: 6 4; }
figcaption, .key { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; color: var(--soft); padding: 0; list-style: none; margin: .25rem 0; }
i { display: inline-block; width: .8rem; height: .8rem; margin-right: .4rem; vertical-align: -.1rem; border-radius: 2px; }
i.bar { background: var(--bar); } i.errors { background: var(--errors); } i.alert { background: var(--alert); }
i.gap { background: repeating-linear-gradient(45deg, var(--gap) 0 2px, transparent 2px 5px); }
i.threshold { height: 0; border-top: 2px dashed var(--threshold); border-radius: 0; vertical-align: .25rem; }
.mix { display: flex; height: 1rem; border-radius: 3px; overflow: hidden; }
.s1xx, .sother { background: var(--s1); } .s2xx { background: var(--s2); } .s3xx { background: var(--s3); } .s4xx { background: var(--s4); } .s5xx { background: var(--errors); }
ul { padding-left: 1.25rem; } li { overflow-wrap: anywhere; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; white-space: nowrap; }
th, td { padding: .15rem .6rem; text-align: right; } th:first-child { text-align: left; font-weight: normal; }
thead th { color: var(--soft); font-weight: normal; border-bottom: 1px solid var(--line); } tbody tr:hover { background: color-mix(in srgb, var(--line) 40%, transparent); }
tfoot th, tfoot td { border-top: 1px solid var(--line); font-weight: 600; }
</style>
"#;
