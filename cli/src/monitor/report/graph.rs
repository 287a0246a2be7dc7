//! Requests per second as a drawing in SVG: a bar for each stretch of time, the share of 5xx in its
//! foot, thresholds as lines, alerts as shades, gaps as hatching.

use std::fmt::Write as _;

use logq_monitor::series::Bar;

use super::html::escaped;
use super::{Past, alert, measured};

/// Of the drawing, in its own units.
const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 280.0;
/// Of the area with the bars.
const LEFT: f64 = 56.0;
const RIGHT: f64 = 948.0;
const TOP: f64 = 16.0;
const BOTTOM: f64 = 244.0;

/// Where things are.
struct Scale {
    from: i64,
    until: i64,
    /// The rate at the top.
    most: f64,
}

impl Scale {
    fn x(&self, second: i64) -> f64 {
        let share = (second - self.from) as f64 / (self.until - self.from).max(1) as f64;
        LEFT + share.clamp(0.0, 1.0) * (RIGHT - LEFT)
    }

    fn y(&self, rate: f64) -> f64 {
        BOTTOM - (rate / self.most).clamp(0.0, 1.0) * (BOTTOM - TOP)
    }
}

/// The drawing; `None` if there is nothing to draw.
pub(super) fn draw(past: &Past<'_>) -> Option<String> {
    let bars = past.graph.bars();
    let step_s = i64::from(past.graph.step_s());
    let (from, until) = (bars.first()?.start, bars.last()?.start + step_s);
    let thresholds: Vec<_> =
        past.graph.rules().iter().filter(|rule| rule.measure == "rate").collect();
    let busiest = bars.iter().map(Bar::rate).fold(0.0, f64::max);
    // A threshold is shown unless it is so high that the bars would vanish below it.
    let shown = thresholds.iter().map(|rule| rule.threshold);
    let most = shown.filter(|t| *t <= busiest * 4.0 || busiest == 0.0).fold(busiest, f64::max);
    let scale = Scale { from, until, most: if most > 0.0 { most * 1.05 } else { 1.0 } };

    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"Requests per second\">\n\
         <defs><pattern id=\"gap\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" \
         patternTransform=\"rotate(45)\"><rect width=\"2\" height=\"6\" class=\"gap\"/></pattern></defs>\n"
    );
    spans(&mut svg, past, &scale);
    grid(&mut svg, past, &scale);
    for bar in &bars {
        draw_bar(&mut svg, past, &scale, bar, step_s);
    }
    for rule in thresholds.iter().filter(|rule| rule.threshold <= scale.most) {
        let y = scale.y(rule.threshold);
        // Writing to a String cannot fail.
        let _ = writeln!(
            svg,
            "<g><title>{}</title><line class=\"threshold\" x1=\"{LEFT}\" x2=\"{RIGHT}\" \
             y1=\"{y:.1}\" y2=\"{y:.1}\"/></g>",
            escaped(&rule.rule)
        );
    }
    svg.push_str("</svg>\n");
    Some(svg)
}

/// The times in which alerts fired.
fn spans(svg: &mut String, past: &Past<'_>, scale: &Scale) {
    for span in past.graph.alerts() {
        let x = scale.x(span.from.unwrap_or(scale.from));
        let width = (scale.x(span.to.map_or(scale.until, |to| to + 1)) - x).max(1.0);
        let _ = writeln!(
            svg,
            "<rect class=\"alert\" x=\"{x:.2}\" y=\"{TOP}\" width=\"{width:.2}\" \
             height=\"{}\"><title>{}</title></rect>",
            BOTTOM - TOP,
            escaped(&alert(past, span))
        );
    }
}

/// Lines with their rates, and times below.
fn grid(svg: &mut String, past: &Past<'_>, scale: &Scale) {
    let step = nice(scale.most / 4.0);
    let mut rate = 0.0;
    while rate <= scale.most {
        let y = scale.y(rate);
        let decimals = if step < 1.0 { 2 } else { 0 };
        let _ = writeln!(
            svg,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{rate:.decimals$}</text>",
            LEFT - 6.0,
            y + 4.0
        );
        rate += step;
    }
    for (second, text) in ticks(past, scale) {
        let (x, anchor) = place(scale.x(second));
        let _ = writeln!(
            svg,
            "<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"{anchor}\">{}</text>",
            BOTTOM + 18.0,
            escaped(&text)
        );
    }
}

/// Where a text below the axis stands: around its place, or, where the drawing would cut it off, before
/// the end of that.
fn place(x: f64) -> (f64, &'static str) {
    /// More than half of a date, which is the longest.
    const HALF: f64 = 40.0;
    if x + HALF > WIDTH { (WIDTH, "end") } else { (x, "middle") }
}

/// Round times of the zone, not too many, each with its text.
fn ticks(past: &Past<'_>, scale: &Scale) -> Vec<(i64, String)> {
    const STEPS: [i64; 15] = [
        1, 5, 10, 30, 60, 300, 900, 1_800, 3_600, 7_200, 21_600, 43_200, 86_400, 604_800, 2_592_000,
    ];
    let span_s = scale.until - scale.from;
    let step = STEPS.into_iter().find(|step| span_s / step <= 8).unwrap_or(span_s / 8);
    let offset = past.offset_s(scale.from);
    let first = (scale.from + offset + step - 1).div_euclid(step) * step - offset;
    let seconds = (0..10).map(|number| first + number * step);
    let inside = seconds.filter(|second| *second <= scale.until);
    inside.map(|second| (second, past.short_time(second, span_s))).collect()
}

fn draw_bar(svg: &mut String, past: &Past<'_>, scale: &Scale, bar: &Bar, step_s: i64) {
    let (x, end) = (scale.x(bar.start), scale.x(bar.start + step_s));
    // Bars that are wide enough stand apart.
    let width = if end - x > 3.0 { end - x - 1.0 } else { (end - x).max(0.3) };
    if bar.covered_s == 0 {
        let _ = writeln!(
            svg,
            "<rect fill=\"url(#gap)\" x=\"{x:.2}\" y=\"{TOP}\" width=\"{:.2}\" height=\"{}\"/>",
            end - x,
            BOTTOM - TOP
        );
        return;
    }
    if bar.counts.hits == 0 {
        return;
    }
    let errors = bar.rate() * bar.counts.errors() as f64 / bar.counts.hits as f64;
    let (top, middle) = (scale.y(bar.rate()), scale.y(errors));
    let _ = write!(
        svg,
        "<g><title>{}: {}, {} with 5xx</title><rect class=\"bar\" x=\"{x:.2}\" y=\"{top:.2}\" \
         width=\"{width:.2}\" height=\"{:.2}\"/>",
        escaped(&past.time(bar.start)),
        measured("rate", bar.rate()),
        bar.counts.errors(),
        (middle - top).max(0.0)
    );
    if bar.counts.errors() > 0 {
        // As small as it is, it is seen.
        let height = (BOTTOM - middle).max(1.0);
        let _ = write!(
            svg,
            "<rect class=\"errors\" x=\"{x:.2}\" y=\"{:.2}\" width=\"{width:.2}\" \
             height=\"{height:.2}\"/>",
            BOTTOM - height
        );
    }
    svg.push_str("</g>\n");
}

/// The next number of 1, 2, 5, 10, 20 and so on that is not smaller.
fn nice(least: f64) -> f64 {
    let power = 10_f64.powf(least.max(1e-9).log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|n| *n >= least * 0.999)
        .unwrap_or(least)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grids_have_round_numbers() {
        for (least, expected) in
            [(0.3, 0.5), (1.0, 1.0), (1.1, 2.0), (26.0, 50.0), (700.0, 1_000.0)]
        {
            assert!((nice(least) - expected).abs() < expected * 1e-9, "{least}: {}", nice(least));
        }
        assert!(nice(0.0) > 0.0);
    }

    /// The last time of an axis was cut off: `21:16:`.
    #[test]
    fn no_text_leaves_the_drawing() {
        assert_eq!(place(LEFT), (LEFT, "middle"));
        assert_eq!(place(RIGHT), (WIDTH, "end"));
        assert_eq!(place(WIDTH - 41.0).1, "middle");
    }
}
