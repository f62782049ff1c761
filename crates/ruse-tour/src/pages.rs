//! The lessons as pages: each a file that needs nothing else.

use std::fmt::Write as _;
use std::path::Path;

use ruse_lens::story::Lie;

use crate::lessons::{LESSONS, Lesson};
use crate::run::{self, Seen, TourError};

/// Lies that a page shows of a run.
const LIES: usize = 40;

const STYLE: &str = "\
:root{color-scheme:light dark;--back:#fdfdfb;--text:#22262b;--dim:#667;--line:#d8dade;--code:#f1f3f5;\
--guest:#8a5a00;--host:#00697a}\
@media(prefers-color-scheme:dark){:root{--back:#16181d;--text:#d8dee9;--dim:#98a0ab;--line:#343a43;\
--code:#1f232a;--guest:#e5c07b;--host:#56b6c2}}\
body{background:var(--back);color:var(--text);font:17px/1.6 system-ui,sans-serif;max-width:62rem;\
margin:0 auto;padding:1.5rem}\
h1{line-height:1.25}nav,footer{color:var(--dim);font-size:.9rem;margin:1rem 0}\
a{color:var(--host)}pre{background:var(--code);padding:1rem;overflow-x:auto;border-radius:6px;\
font:14px/1.45 ui-monospace,Consolas,monospace}\
table{border-collapse:collapse;width:100%;font-size:.88rem;table-layout:fixed}\
td,th{border-top:1px solid var(--line);padding:.35rem .6rem;text-align:left;vertical-align:top;\
overflow-wrap:anywhere}th.g,td.g{color:var(--guest)}th.h,td.h{color:var(--host)}mark{background:none;\
color:var(--guest);font-weight:bold}\
@media print{body{max-width:none;font-size:12px}pre{white-space:pre-wrap}nav{display:none}}";

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
         <title>{}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n",
        escape(title)
    )
}

/// A paragraph, in which what is between backquotes is code.
fn prose(text: &str) -> String {
    let text = escape(text);
    let mut parts = text.split('`');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for (n, part) in parts.enumerate() {
        out.push_str(if n % 2 == 0 { "<code>" } else { "</code>" });
        out.push_str(part);
    }
    out
}

fn paragraphs(text: &str) -> String {
    let mut out = String::new();
    for part in text.split("\n\n") {
        let _ = match part.starts_with("    ") {
            true => writeln!(out, "<pre>{}</pre>", escape(part)),
            false => writeln!(out, "<p>{}</p>", prose(part)),
        };
    }
    out
}

fn seen(seen: &Seen) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "<p>The guest printed:</p>\n<pre>{}</pre>\n<p>Then {}.</p>",
        escape(seen.output.trim_end()),
        escape(&seen.end)
    );
    let row = |lie: &Lie| {
        format!(
            "<tr><td class=\"g\">{}</td><td class=\"h\">{}</td></tr>\n",
            escape(&lie.guest),
            escape(&lie.host)
        )
    };
    let rows: String = seen.lies.iter().take(LIES).map(row).collect();
    let _ = writeln!(
        out,
        "<table><tr><th class=\"g\">what the guest believes</th><th class=\"h\">what the host did</th></tr>\n{rows}</table>"
    );
    if seen.lies.len() > LIES {
        let _ = writeln!(out, "<p>And {} more.</p>", seen.lies.len() - LIES);
    }
    if !seen.host.is_empty() {
        let _ = writeln!(
            out,
            "<p>On the host there is now:</p>\n<pre>{}</pre>",
            escape(&seen.host.join("\n"))
        );
    }
    out
}

/// The file of a lesson's page.
pub fn file(number: usize, lesson: &Lesson) -> String {
    format!("{}-{}.html", number + 1, lesson.name)
}

/// A lesson's page.
///
/// # Errors
/// [`TourError`] if it cannot be run.
pub fn lesson(number: usize) -> Result<String, TourError> {
    let lesson = LESSONS[number];
    let first = run::run(lesson, &run::code(lesson, lesson.first))?;
    let then = run::run(lesson, &run::code(lesson, lesson.then.0))?;
    let mut body = format!(
        "<nav><a href=\"index.html\">Seven lessons</a> &middot; {} of {}</nav>\n<h1>{}</h1>\n{}",
        number + 1,
        LESSONS.len(),
        escape(lesson.title),
        paragraphs(lesson.text)
    );
    let code =
        escape(lesson.code).replace("{KNOB}", &format!("<mark>{}</mark>", escape(lesson.first)));
    let _ = write!(
        body,
        "<h2>The guest's code</h2>\n<pre>{code}</pre>\n<h2>What happens</h2>\n{}{}",
        seen(&first),
        paragraphs(lesson.after)
    );
    let _ = write!(
        body,
        "<h2>Change something</h2>\n<p>The marked part is {}. With <mark>{}</mark> instead: {}.</p>\n{}",
        escape(lesson.knob),
        escape(lesson.then.0),
        escape(lesson.then.1),
        seen(&then)
    );
    let _ = writeln!(
        body,
        "<p>Do it yourself, and change what you like: <code>ruse tour {}</code></p>",
        lesson.name
    );
    if let Some(next) = LESSONS.get(number + 1) {
        let _ = writeln!(
            body,
            "<footer>Next: <a href=\"{}\">{}</a></footer>",
            file(number + 1, next),
            escape(next.title)
        );
    }
    Ok(page(lesson.title, &body))
}

fn index() -> String {
    let items: String = (0..)
        .zip(LESSONS)
        .map(|(number, lesson)| {
            format!(
                "<li><a href=\"{}\">{}</a></li>\n",
                file(number, lesson),
                escape(lesson.title)
            )
        })
        .collect();
    page(
        "How a machine is faked: seven lessons",
        &format!(
            "<h1>How a machine is faked: seven lessons</h1>\n\
             <p>A virtual machine is a trick. The guest believes in a CPU, memory, a clock, a serial \
             port, a 50 GB SSD and a network card; the host holds an ordinary process, an array, a \
             sparse file and a few sockets. Each lesson is a few lines of guest code, what it \
             believes, and what the host did, taken from a real run.</p>\n<ol>\n{items}</ol>\n\
             <p>The same on a terminal, where everything can be changed: <code>ruse</code></p>"
        ),
    )
}

/// Writes all pages into a folder. Returns their names.
///
/// # Errors
/// [`TourError`] if a lesson cannot be run, or a file not be written.
pub fn write(folder: &Path) -> Result<Vec<String>, TourError> {
    std::fs::create_dir_all(folder)?;
    let mut names = vec!["index.html".to_owned()];
    std::fs::write(folder.join("index.html"), index())?;
    for (number, made) in (0..).zip(LESSONS) {
        let name = file(number, made);
        std::fs::write(folder.join(&name), lesson(number)?)?;
        names.push(name);
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pages in `docs/` are what the lessons show. The network's thread works when the
    /// host lets it, so that the order of its events is not always the same.
    #[test]
    fn the_pages_are_what_happens() {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
        let there = |name: &str| std::fs::read_to_string(docs.join(name)).unwrap_or_default();
        let again = "`ruse tour --pages docs` makes them again";
        assert_eq!(there("index.html"), index(), "{again}");
        for (number, made) in (0..).zip(LESSONS) {
            let name = file(number, made);
            if made.name == "network" {
                assert!(there(&name).contains("who has 10.0.2.77?"), "{again}");
            } else {
                assert_eq!(there(&name), lesson(number).unwrap(), "{name}: {again}");
            }
        }
    }
}
