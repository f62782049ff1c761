//! The report for a terminal.

use std::fmt::Write;

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, Width};

use super::words::{bytes, digits, figure, moment, percent, ratio, spread, time};
use super::{Report, Row};
use crate::workload::Group;

/// All of it, for a terminal this wide.
pub fn show(report: &Report, width: u16) -> String {
    let mut text = String::new();
    let facts = &report.facts;
    let memory = facts
        .memory
        .map_or_else(String::new, |memory| format!(", {}", bytes(memory as f64)));
    let _ = writeln!(
        text,
        "ruse bench {} ({}), {}\n{}, {} processors{memory}, {}{}\n{} rounds in {} s{}",
        report.version,
        facts.build,
        moment(report.begun),
        facts.processor,
        facts.processors,
        facts.system,
        facts
            .load
            .map_or_else(String::new, |load| format!(", load {load}")),
        report.rounds,
        digits(report.seconds),
        if report.stopped { ", broken off" } else { "" },
    );
    let who = who(report);
    if !report.rows.is_empty() && !who.is_empty() {
        text +=
            "\nTimes the native figure of the same round: median, least-greatest. 1 is no cost.\n";
        text += &table(report, &who, width, |row, id| {
            let ratio_of = row.cell(id)?.ratio?;
            let (low, high) = (digits(ratio_of.min), digits(ratio_of.max));
            Some(format!("{}\n{low}-{high}", ratio(ratio_of.median)))
        });
        text += "\nFigures: median, least to greatest.\n";
        text += &table(report, &who, width, |row, id| {
            let it = row.cell(id)?.summary?;
            let median = figure(it.median, row.unit);
            Some(format!("{median}\n{}", spread(it.min, it.max, row.unit)))
        });
    }
    text += &rates(report, &who, width);
    for image in &report.images {
        let (Some(held), Some(overhead)) = (image.held, image.overhead()) else {
            continue;
        };
        let _ = writeln!(
            text,
            "{}: {} of data take {}, {} more",
            image.title,
            bytes(image.data as f64),
            bytes(held as f64),
            percent(overhead)
        );
    }
    for it in &report.installed {
        let _ = writeln!(
            text,
            "{} in {}: login after {}, a command's answer after {}",
            it.image,
            it.contender,
            time(it.login * 1e9),
            time(it.shell * 1e9)
        );
    }
    for claim in &report.claims {
        let _ = writeln!(text, "\n\"{}\": {}", claim.claim, claim.verdict.title());
        for line in &claim.answer {
            text += &wrapped(line, width);
        }
    }
    notes(report, &mut text, width);
    text
}

/// Those who have figures.
fn who(report: &Report) -> Vec<(&'static str, &'static str)> {
    let have = report.participants.iter().filter(|it| it.refused.is_none());
    have.map(|it| (it.contender.id, it.contender.title))
        .collect()
}

fn table(
    report: &Report,
    who: &[(&str, &str)],
    width: u16,
    cell: impl Fn(&Row, &str) -> Option<String>,
) -> String {
    let mut table = new_table(width);
    let heads = who.iter().map(|(_, title)| (*title).to_owned());
    table.set_header(std::iter::once(String::new()).chain(heads));
    for group in Group::ALL {
        for row in report.group(group) {
            let cells: Vec<_> = who.iter().map(|(id, _)| cell(row, id)).collect();
            if cells.iter().all(Option::is_none) {
                continue;
            }
            let cells = cells
                .into_iter()
                .map(|cell| cell.unwrap_or_else(|| "-".into()));
            table.add_row(std::iter::once(row.title.to_owned()).chain(cells));
        }
    }
    finish(table)
}

/// Guest instructions a second.
fn rates(report: &Report, who: &[(&str, &str)], width: u16) -> String {
    let rows = report.group(Group::Cpu);
    let counted = |row: &&&Row| row.cells.iter().any(|cell| cell.mips.is_some());
    let rows: Vec<_> = rows.iter().filter(counted).collect();
    if rows.is_empty() {
        return String::new();
    }
    let has = |id: &str| {
        rows.iter()
            .any(|row| row.cell(id).is_some_and(|it| it.mips.is_some()))
    };
    let who: Vec<_> = who.iter().filter(|(id, _)| has(id)).collect();
    let mut table = new_table(width);
    let heads = who.iter().map(|(_, title)| (*title).to_owned());
    table.set_header(std::iter::once(String::new()).chain(heads));
    for row in rows {
        let rate = |id: &str| row.cell(id).and_then(|cell| cell.mips);
        let cells = who
            .iter()
            .map(|(id, _)| rate(id).map_or("-".into(), digits));
        table.add_row(std::iter::once(row.title.to_owned()).chain(cells));
    }
    format!(
        "\nMillions of guest instructions a second, of the program's own.\n{}\n",
        finish(table)
    )
}

fn new_table(width: u16) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::UTF8_HORIZONTAL_ONLY);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(width);
    table
}

/// The width of `15.2-19.5`, and a space.
const SPREAD: u16 = 10;

fn finish(mut table: Table) -> String {
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
        // Six of them fit into 80 columns, each with a spread in one piece.
        column.set_padding((1, 0));
        column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(SPREAD)));
    }
    format!("{}\n", table.trim_fmt())
}

fn notes(report: &Report, text: &mut String, width: u16) {
    let mut notes: Vec<String> = Vec::new();
    for it in &report.participants {
        if let Some(why) = &it.refused {
            notes.push(format!("{}: {why}", it.contender.title));
        }
    }
    for row in &report.rows {
        for cell in &row.cells {
            let refused = report
                .participants
                .iter()
                .any(|it| it.contender.id == cell.contender && it.refused.is_some());
            if let Some(why) = &cell.skipped
                && !refused
                && why != "of machines only"
            {
                notes.push(format!("{}, {}: {why}", row.title, cell.contender));
            }
        }
    }
    notes.extend(report.problems.iter().cloned());
    if !notes.is_empty() {
        *text += "\nNot measured:\n";
        for note in notes {
            *text += &wrapped(&note, width);
        }
    }
    if !report.wrong.is_empty() {
        *text += "\nWRONG:\n";
        for wrong in &report.wrong {
            *text += &wrapped(wrong, width);
        }
    }
}

/// A paragraph of a list.
fn wrapped(text: &str, width: u16) -> String {
    let width = usize::from(width).max(20) - 2;
    let (mut lines, mut line) = (String::new(), String::from("- "));
    let mut used = 2;
    for word in text.split_whitespace() {
        let len = word.chars().count();
        if used > 2 && used + len > width {
            lines += line.trim_end();
            lines.push('\n');
            line = "  ".into();
            used = 2;
        }
        line += word;
        line.push(' ');
        used += len + 1;
    }
    lines + line.trim_end() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::example;

    #[test]
    fn a_report_is_shown() {
        insta::assert_snapshot!(show(&example(), 110));
    }

    #[test]
    fn lines_do_not_grow_beyond_the_terminal() {
        let text = show(&example(), 80);
        let longest = text.lines().map(|line| line.chars().count()).max();
        assert!(longest <= Some(80), "{longest:?}\n{text}");
        // And no figure is broken.
        assert!(text.contains("26.0-26.0"), "{text}");
    }
}
