//! A picture of ratios: a line for each workload, a mark for each contender on a
//! logarithmic scale, and a whisker from its least to its greatest.

use std::fmt::Write;

use super::words::{digits, ratio};
use super::{Report, Row};

const WIDTH: f64 = 860.0;
const LEFT: f64 = 250.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 30.0;
const LANE: f64 = 8.0;

/// Draws these lines; nothing, if they have no ratios.
pub fn ratios(report: &Report, rows: &[&Row]) -> Option<String> {
    let who: Vec<_> = report
        .participants
        .iter()
        .enumerate()
        .filter(|(_, it)| it.refused.is_none() && it.contender.id != "native")
        .collect();
    let has = |row: &&&Row| {
        row.cells
            .iter()
            .any(|cell| cell.ratio.is_some() && cell.contender != "native")
    };
    let rows: Vec<_> = rows.iter().filter(has).collect();
    let all = rows
        .iter()
        .flat_map(|row| &row.cells)
        .filter_map(|cell| cell.ratio)
        .filter(|it| it.min > 0.0);
    let (mut low, mut high) = (0_f64, 0_f64);
    for it in all {
        low = low.min(it.min.log10());
        high = high.max(it.max.log10());
    }
    if rows.is_empty() || who.is_empty() {
        return None;
    }
    // Whole and half decades, and room for the marks at the ends.
    let (low, high) = (
        (low * 2.0).floor() / 2.0,
        ((high * 2.0).ceil() / 2.0).max(0.5),
    );
    let x = |value: f64| LEFT + (value.log10() - low) / (high - low) * (WIDTH - LEFT - RIGHT);
    let row_height = LANE * who.len() as f64 + 12.0;
    let bottom = TOP + row_height * rows.len() as f64;
    let height = bottom + 14.0;
    let mut svg = format!(
        "<svg class=\"plot\" viewBox=\"0 0 {WIDTH} {height:.0}\" role=\"img\" \
         aria-label=\"How many times the native figure each contender took\">\n"
    );
    for decade in (low.floor() as i32)..=(high.ceil() as i32) {
        for (step, label) in [(1.0, true), (3.0, high - low < 3.0)] {
            let value = step * 10_f64.powi(decade);
            if value.log10() < low - 1e-9 || value.log10() > high + 1e-9 {
                continue;
            }
            let (at, class) = (x(value), if value == 1.0 { "one" } else { "grid" });
            let _ = writeln!(
                svg,
                "<line class=\"{class}\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{:.1}\" y2=\"{bottom:.1}\"/>",
                TOP - 6.0
            );
            if label {
                let _ = writeln!(
                    svg,
                    "<text class=\"tick\" x=\"{at:.1}\" y=\"{:.1}\">{}</text>",
                    TOP - 12.0,
                    label_of(value)
                );
            }
        }
    }
    for (number, row) in rows.iter().enumerate() {
        let top = TOP + row_height * number as f64;
        if number % 2 == 0 {
            let _ = writeln!(
                svg,
                "<rect class=\"band\" x=\"0\" y=\"{top:.1}\" width=\"{WIDTH}\" height=\"{row_height:.1}\"/>"
            );
        }
        let _ = writeln!(
            svg,
            "<text class=\"name\" x=\"{}\" y=\"{:.1}\">{}</text>",
            LEFT - 14.0,
            top + row_height / 2.0 + 4.5,
            super::html::escaped(row.title)
        );
        for (lane, (index, it)) in who.iter().enumerate() {
            let Some(found) = row.cell(it.contender.id).and_then(|cell| cell.ratio) else {
                continue;
            };
            if found.min <= 0.0 {
                continue;
            }
            let y = top + 6.0 + LANE * (lane as f64 + 0.5);
            let _ = writeln!(
                svg,
                "<g class=\"c{index}\"><title>{}, {}: {} ({} to {})</title>\
                 <line class=\"whisker\" x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 {}</g>",
                super::html::escaped(row.title),
                super::html::escaped(it.contender.title),
                ratio(found.median),
                digits(found.min),
                digits(found.max),
                x(found.min),
                x(found.max),
                mark(*index, x(found.median), y)
            );
        }
    }
    svg += "</svg>\n";
    Some(svg)
}

/// Each contender has a shape as well as a colour.
pub fn mark(index: usize, x: f64, y: f64) -> String {
    match index % 5 {
        0 => format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"/>"),
        1 => format!("<path d=\"M{x:.1} {y:.1}m-4.6 0l4.6 -4.6 4.6 4.6 -4.6 4.6z\"/>"),
        2 => format!("<path d=\"M{x:.1} {y:.1}m-3.7 -3.7h7.4v7.4h-7.4z\"/>"),
        3 => format!("<path d=\"M{x:.1} {y:.1}m-4.6 3.6l4.6 -7.8 4.6 7.8z\"/>"),
        _ => format!("<path d=\"M{x:.1} {y:.1}m-4.6 -3.6h9.2l-4.6 7.8z\"/>"),
    }
}

fn label_of(value: f64) -> String {
    match value {
        x if x >= 1.0 => format!("{x:.0}×"),
        // 0.3 is not quite what it says.
        x => format!("{}×", (x * 1000.0).round() / 1000.0),
    }
}
