//! The report as one page that needs nothing else: no script, no font, no network.

use std::fmt::Write;

use super::words::{bytes, digits, figure, moment, percent, ratio, spread, time};
use super::{Report, Row, svg};
use crate::claims::{Claim, Verdict};
use crate::workload::Group;

const STYLE: &str = include_str!("style.css");

/// The page.
pub fn page(report: &Report) -> String {
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>What a virtual machine costs</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n"
    );
    head(report, &mut html);
    if !report.wrong.is_empty() {
        html += "<div class=\"alarm\"><h3>Wrong results</h3>";
        list(&report.wrong, &mut html);
        html += "</div>\n";
    }
    html += "<section class=\"claims\">\n";
    for claim in &report.claims {
        card(claim, &mut html);
    }
    html += "</section>\n";
    for group in Group::ALL {
        section(report, group, &mut html);
    }
    storage(report, &mut html);
    installed(report, &mut html);
    facts(report, &mut html);
    html += "</body>\n</html>\n";
    html
}

/// Text that is not markup.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

fn list(items: &[String], html: &mut String) {
    *html += "<ul>";
    for item in items {
        let _ = write!(html, "<li>{}</li>", escaped(item));
    }
    *html += "</ul>\n";
}

fn head(report: &Report, html: &mut String) {
    let _ = writeln!(
        html,
        "<h1>What a virtual machine costs</h1>\n<p class=\"soft\">One program, natively and in \
         virtual machines, one at a time, in turns: {} rounds, {}, on {}.{}</p>",
        report.rounds,
        moment(report.begun),
        escaped(&report.facts.processor),
        if report.stopped {
            " It was broken off."
        } else {
            ""
        },
    );
}

fn card(claim: &Claim, html: &mut String) {
    let class = match claim.verdict {
        Verdict::Holds => "holds",
        Verdict::Fails => "fails",
        Verdict::Depends => "depends",
        Verdict::Unknown => "unknown",
    };
    let _ = writeln!(
        html,
        "<article class=\"claim {class}\"><h3>“{}” <span class=\"verdict\">{}</span></h3>",
        escaped(claim.claim),
        claim.verdict.title()
    );
    list(&claim.answer, html);
    let _ = writeln!(
        html,
        "<p class=\"soft small\">{}</p></article>",
        escaped(&claim.how)
    );
}

fn legend(report: &Report, html: &mut String) {
    *html += "<ul class=\"legend\">";
    for (index, it) in report.participants.iter().enumerate() {
        if it.refused.is_none() && it.contender.id != "native" {
            let _ = write!(
                html,
                "<li><svg class=\"c{index}\" viewBox=\"-6 -6 12 12\" aria-hidden=\"true\">{}</svg>{}</li>",
                svg::mark(index, 0.0, 0.0),
                escaped(it.contender.title)
            );
        }
    }
    *html += "</ul>\n";
}

fn section(report: &Report, group: Group, html: &mut String) {
    let rows = report.group(group);
    let has_figures = |row: &&&Row| row.cells.iter().any(|cell| cell.summary.is_some());
    let rows: Vec<_> = rows.iter().filter(has_figures).copied().collect();
    if rows.is_empty() {
        return;
    }
    let _ = writeln!(html, "<section><h2>{}</h2>", group.title());
    if let Some(plot) = svg::ratios(report, &rows) {
        *html += "<p class=\"soft small\">Times the native figure of the same round; marks are \
                  medians, whiskers reach from the least to the greatest. Left of the line is \
                  better than native.</p>\n";
        legend(report, html);
        *html += &plot;
    }
    table(report, &rows, html);
    if rows
        .iter()
        .any(|row| row.cells.iter().any(|cell| cell.mips.is_some()))
    {
        *html += "<p class=\"small soft\">Millions of guest instructions a second, of the \
                  program's own:</p>\n";
        rates(report, &rows, html);
    }
    *html += "<details open><summary>What was done</summary><dl class=\"small\">";
    for row in &rows {
        let _ = write!(
            html,
            "<dt>{}</dt><dd>{}</dd>",
            escaped(row.title),
            escaped(row.how)
        );
    }
    *html += "</dl></details></section>\n";
}

/// Identifiers and headings of those who have figures in these lines.
fn columns(report: &Report, has: impl Fn(&str) -> bool) -> Vec<(&'static str, &'static str)> {
    let all = report.participants.iter();
    let all = all.map(|it| (it.contender.id, it.contender.title));
    all.filter(|(id, _)| has(id)).collect()
}

fn start_table(columns: &[(&str, &str)], html: &mut String) {
    *html += "<div class=\"scroll\"><table><thead><tr><th></th>";
    for (_, title) in columns {
        let _ = write!(html, "<th>{}</th>", escaped(title));
    }
    *html += "</tr></thead><tbody>\n";
}

const END: &str = "</tbody></table></div>\n";

fn table(report: &Report, rows: &[&Row], html: &mut String) {
    let filled = |id: &str| {
        let mut cells = rows.iter().filter_map(|row| row.cell(id));
        cells.any(|cell| cell.summary.is_some())
    };
    let columns = columns(report, filled);
    start_table(&columns, html);
    for row in rows {
        let _ = write!(html, "<tr><th>{}</th>", escaped(row.title));
        for (id, _) in &columns {
            let cell = row.cell(id);
            *html += "<td>";
            match cell.and_then(|cell| cell.summary) {
                None => {
                    let why = cell
                        .and_then(|cell| cell.skipped.clone())
                        .unwrap_or_default();
                    let _ = write!(html, "<span title=\"{}\">–</span>", escaped(&why));
                }
                Some(it) => {
                    let found = cell.and_then(|cell| cell.ratio);
                    let value = figure(it.median, row.unit);
                    match found.filter(|_| *id != "native") {
                        Some(found) => {
                            let _ =
                                write!(html, "<b>{}</b><span>{value}</span>", ratio(found.median));
                        }
                        None => {
                            let _ = write!(html, "<b>{value}</b>");
                        }
                    }
                    let _ = write!(html, "<span>{}</span>", spread(it.min, it.max, row.unit));
                }
            }
            *html += "</td>";
        }
        *html += "</tr>\n";
    }
    *html += END;
}

fn rates(report: &Report, rows: &[&Row], html: &mut String) {
    let rate = |row: &Row, id: &str| row.cell(id).and_then(|cell| cell.mips);
    let columns = columns(report, |id| rows.iter().any(|row| rate(row, id).is_some()));
    start_table(&columns, html);
    for row in rows {
        let _ = write!(html, "<tr><th>{}</th>", escaped(row.title));
        for (id, _) in &columns {
            let text = rate(row, id).map_or("–".into(), digits);
            let _ = write!(html, "<td>{text}</td>");
        }
        *html += "</tr>\n";
    }
    *html += END;
}

fn storage(report: &Report, html: &mut String) {
    if report.images.is_empty() {
        return;
    }
    *html += "<section><h2>Disk images</h2>\n";
    start_table(&[("", "data"), ("", "on the host"), ("", "more")], html);
    for it in &report.images {
        let (held, overhead) = (it.held.map(|it| it as f64), it.overhead());
        let _ = writeln!(
            html,
            "<tr><th>{}</th><td>{}</td><td>{}</td><td>{}</td></tr>",
            escaped(&it.title),
            bytes(it.data as f64),
            held.map_or("–".into(), bytes),
            overhead.map_or("–".into(), percent)
        );
    }
    *html += END;
    *html += "</section>\n";
}

fn installed(report: &Report, html: &mut String) {
    if report.installed.is_empty() {
        return;
    }
    *html += "<section><h2>An installed system</h2>\n";
    let columns = [
        ("", "login"),
        ("", "shell"),
        ("", "memory in use"),
        ("", "process"),
        ("", "files"),
        ("", "image"),
    ];
    start_table(&columns, html);
    for it in &report.installed {
        let known = |bytes_: Option<u64>| bytes_.map_or("–".into(), |it| bytes(it as f64));
        let _ = writeln!(
            html,
            "<tr><th>{} in {}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            escaped(&it.image),
            escaped(&it.contender),
            time(it.login * 1e9),
            time(it.shell * 1e9),
            bytes(it.inner as f64),
            known(it.resident),
            bytes(it.files as f64),
            known(it.held)
        );
    }
    *html += END;
    *html += "</section>\n";
}

fn facts(report: &Report, html: &mut String) {
    let facts = &report.facts;
    *html += "<section><h2>How, and on what</h2><dl class=\"small\">\n";
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(
            html,
            "<dt>{}</dt><dd>{}</dd>",
            escaped(name),
            escaped(value)
        );
    };
    line(
        "Host",
        &format!("{}, {} processors", facts.processor, facts.processors),
    );
    line("Host’s kernel", &facts.system);
    if let Some(memory) = facts.memory {
        line("Host’s memory", &bytes(memory as f64));
    }
    if let Some(load) = facts.load {
        line("Load before it began", &format!("{load}"));
    }
    line("Ruse", &format!("{} ({})", report.version, facts.build));
    for it in &report.participants {
        let mut text = it.contender.what.to_owned();
        if let Some(version) = &it.version {
            text += &format!(" ({version})");
        }
        if let Some(kernel) = it
            .kernel
            .as_ref()
            .filter(|_| it.contender.kind.is_machine())
        {
            text += &format!(", Linux {kernel}");
        }
        if let Some(why) = &it.refused {
            text += &format!(". Not measured: {why}");
        }
        line(it.contender.title, &text);
    }
    let settings = &report.settings;
    line(
        "Settings",
        &format!(
            "{} rounds of {}, {} ms a workload, disks of {}, machines with {} of RAM; {} s in all",
            report.rounds,
            settings.rounds,
            settings.ms,
            bytes(settings.disk as f64),
            bytes(settings.memory as f64),
            digits(report.seconds)
        ),
    );
    line(
        "Method",
        "A workload is repeated until its time is over, once beforehand without counting. A \
         figure is the median of the rounds, a ratio the median of the ratios of runs of the \
         same round. Every result has a checksum, which must be the same everywhere.",
    );
    *html += "</dl>\n";
    if !report.problems.is_empty() {
        *html += "<h3>What did not work</h3>";
        list(&report.problems, html);
    }
    *html += "</section>\n";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::example;

    #[test]
    fn a_page_is_made() {
        let page = page(&example());
        let body = page.split_once("<body>").unwrap().1;
        insta::assert_snapshot!(body);
    }

    #[test]
    fn a_page_needs_nothing_else() {
        let page = page(&example());
        for foreign in ["http://", "https://", "<script", "url(", "<img", "<link"] {
            assert!(!page.contains(foreign), "{foreign}");
        }
        assert!(page.contains("Imagined &lt;CPU&gt; &amp; co"));
        // Every element that is opened is closed.
        for tag in [
            "section", "table", "tr", "td", "dl", "ul", "li", "svg", "g", "article",
        ] {
            let opened = page.matches(&format!("<{tag}>")).count()
                + page.matches(&format!("<{tag} ")).count();
            assert_eq!(opened, page.matches(&format!("</{tag}>")).count(), "{tag}");
        }
    }

    #[test]
    fn markup_in_texts_is_text() {
        assert_eq!(
            escaped("<a b=\"c\">&'\x1b"),
            "&lt;a b=&quot;c&quot;&gt;&amp;&#39;\u{fffd}"
        );
    }
}
