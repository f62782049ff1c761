//! The guided tour, on a terminal or into a pipe.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use ruse_tour::run::{self, Seen};
use ruse_tour::{LESSONS, Lesson, pages};

use crate::error::HostError;

/// Lies that are shown of a run.
const LIES: usize = 24;
/// The longest line that is taken.
const LONGEST: usize = 400;

#[derive(Args, Default)]
pub struct TourArgs {
    /// The lesson to begin with: trap, memory, timer, uart, disk, network or system, or
    /// its number
    #[arg(value_name = "LESSON", value_parser = lesson)]
    lesson: Option<usize>,

    /// List the lessons
    #[arg(long)]
    list: bool,

    /// Write the lessons as pages into this directory, and show nothing
    #[arg(long, value_name = "DIR")]
    pages: Option<PathBuf>,
}

fn lesson(text: &str) -> Result<usize, String> {
    let by_number = text.parse::<usize>().ok();
    LESSONS
        .iter()
        .enumerate()
        .position(|(n, lesson)| lesson.name == text || by_number == Some(n + 1))
        .ok_or_else(|| "no such lesson; `ruse tour --list` lists them".into())
}

const HELP: &str = "\
Enter          the next lesson
a value        run the code with that value instead
e LINE CODE    another line of code, such as: e 3 nop
r              the code as it was
b              the lesson before
q              leave
";

/// Text in lines of at most `width` columns. What is indented stays as it is.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for part in text.lines() {
        if part.starts_with(' ') || part.chars().count() <= width {
            lines.push(part.to_owned());
            continue;
        }
        let mut line = String::new();
        for word in part.split(' ') {
            let mut word = word;
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
                lines.push(std::mem::take(&mut line));
            }
            // A word that is longer than a line.
            while word.chars().count() > width {
                let cut = word
                    .char_indices()
                    .nth(width)
                    .map_or(word.len(), |(at, _)| at);
                lines.push(word[..cut].to_owned());
                word = &word[cut..];
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines
}

/// Colours, where they are wanted.
struct Paint {
    on: bool,
    width: usize,
}

impl Paint {
    fn new() -> Self {
        let terminal = io::stdout().is_terminal();
        let width = match crossterm::terminal::size() {
            Ok((columns, _)) if terminal => usize::from(columns).clamp(40, 160),
            _ => 80,
        };
        Self {
            on: terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
            width,
        }
    }

    fn with(&self, code: &str, text: &str) -> String {
        match self.on {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.into(),
        }
    }

    fn title(&self, number: usize, lesson: &Lesson) -> String {
        let text = format!("{} of {}. {}", number + 1, LESSONS.len(), lesson.title);
        format!(
            "\n{}\n{}\n",
            self.with("1", &text),
            "=".repeat(text.chars().count().min(self.width))
        )
    }

    fn text(&self, text: &str) -> String {
        wrap(text, self.width - 1).join("\n") + "\n"
    }

    fn code(&self, source: &str) -> String {
        let lines = source.lines().enumerate();
        lines
            .map(|(n, line)| format!("{} {line}\n", self.with("2", &format!("{:>3}", n + 1))))
            .collect()
    }

    fn seen(&self, seen: &Seen) -> String {
        let output = seen.output.trim_end();
        let mut text = format!(
            "The guest printed: {}\nThen {}.\n\n",
            self.with("1", output),
            seen.end
        );
        let left = (self.width - 3) / 2;
        let right = self.width - 4 - left;
        let row = |guest: &str, host: &str| {
            let (guest, host) = (wrap(guest, left), wrap(host, right));
            let mut rows = String::new();
            for n in 0..guest.len().max(host.len()) {
                let guest = format!("{:<left$}", guest.get(n).map_or("", String::as_str));
                let host = host.get(n).map_or("", String::as_str);
                let line = format!("{} | {}", self.with("33", &guest), self.with("36", host));
                rows.push_str(line.trim_end());
                rows.push('\n');
            }
            rows
        };
        text += &row("WHAT THE GUEST BELIEVES", "WHAT THE HOST DID");
        for lie in seen.lies.iter().take(LIES) {
            text += &row(&lie.guest, &lie.host);
        }
        if seen.lies.len() > LIES {
            text += &format!("... and {} more\n", seen.lies.len() - LIES);
        }
        if !seen.host.is_empty() {
            text += &format!("\nOn the host there is now:\n{}\n", seen.host.join("\n"));
        }
        text
    }
}

/// Shows the tour.
///
/// # Errors
/// [`HostError`] if the host fails.
pub fn run(args: &TourArgs) -> Result<ExitCode, HostError> {
    if args.list {
        for (n, lesson) in LESSONS.iter().enumerate() {
            say(&format!("{}  {:<8} {}\n", n + 1, lesson.name, lesson.title));
        }
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(folder) = &args.pages {
        let names = pages::write(folder)?;
        say(&format!("{} pages in {}\n", names.len(), folder.display()));
        return Ok(ExitCode::SUCCESS);
    }
    let paint = Paint::new();
    if !io::stdin().is_terminal() {
        let chosen = match args.lesson {
            Some(one) => one..one + 1,
            None => 0..LESSONS.len(),
        };
        for number in chosen {
            let lesson = LESSONS[number];
            let source = run::code(lesson, lesson.first);
            if !show(&paint, number, &source) || !attempt(&paint, lesson, &source) {
                break;
            }
            say(&format!("\n{}", paint.text(lesson.after)));
        }
        return Ok(ExitCode::SUCCESS);
    }
    say(&paint.text(
        "\nA virtual machine is a trick. In seven short lessons you see how it is done: guest code, \
         what it believes, and what the host did. Change it, and look again. ? helps, q leaves.\n",
    ));
    let mut number = args.lesson.unwrap_or(0);
    while let Some(&lesson) = LESSONS.get(number) {
        match talk(&paint, number, lesson)? {
            Next::Forward => number += 1,
            Next::Back => number = number.saturating_sub(1),
            Next::Leave => return Ok(ExitCode::SUCCESS),
        }
    }
    say("\nThat was all. `ruse --help` has the rest.\n");
    Ok(ExitCode::SUCCESS)
}

/// Prints; false if nobody reads it.
fn say(text: &str) -> bool {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .is_ok()
}

fn show(paint: &Paint, number: usize, source: &str) -> bool {
    let lesson = LESSONS[number];
    say(&format!(
        "{}\n{}\nThe guest's code:\n\n{}\n",
        paint.title(number, lesson),
        paint.text(lesson.text),
        paint.code(source)
    ))
}

/// Runs the code and shows what happened.
fn attempt(paint: &Paint, lesson: &Lesson, source: &str) -> bool {
    match run::run(lesson, source) {
        Ok(seen) => say(&paint.seen(&seen)),
        Err(error) => say(&format!("That does not work: {error}\n")),
    }
}

enum Next {
    Forward,
    Back,
    Leave,
}

/// One lesson, until somebody wants another.
fn talk(paint: &Paint, number: usize, lesson: &Lesson) -> Result<Next, HostError> {
    let mut source = run::code(lesson, lesson.first);
    show(paint, number, &source);
    attempt(paint, lesson, &source);
    say(&format!("\n{}", paint.text(lesson.after)));
    say(&paint.text(&format!(
        "\nChange it: type {}, for example {} ({}).",
        lesson.knob, lesson.then.0, lesson.then.1
    )));
    loop {
        say(&paint.with("1", &format!("\n{} [Enter: next, ? help] > ", lesson.name)));
        let mut line = String::new();
        let read = io::stdin().lock().read_line(&mut line);
        let read = read.map_err(|source| HostError::Read {
            path: "standard input".into(),
            source,
        })?;
        if read == 0 {
            say("\n");
            return Ok(Next::Leave);
        }
        let line = line.trim();
        if line.len() > LONGEST {
            say("That is too long.\n");
            continue;
        }
        match line {
            "" => return Ok(Next::Forward),
            "q" | "quit" => return Ok(Next::Leave),
            "b" => return Ok(Next::Back),
            "?" | "h" | "help" => {
                say(HELP);
            }
            "r" => {
                source = run::code(lesson, lesson.first);
                say(&paint.code(&source));
            }
            _ => {
                let changed = match line.strip_prefix("e ") {
                    Some(edit) => edited(&source, edit),
                    None => Ok(run::code(lesson, line)),
                };
                match changed {
                    Ok(changed) => {
                        source = changed;
                        attempt(paint, lesson, &source);
                    }
                    Err(what) => {
                        say(&format!("{what}\n"));
                    }
                }
            }
        }
    }
}

/// The code with another line.
fn edited(source: &str, edit: &str) -> Result<String, String> {
    let (number, code) = edit.trim().split_once(' ').unwrap_or((edit.trim(), ""));
    let mut lines: Vec<&str> = source.lines().collect();
    let count = lines.len();
    let at = number
        .parse::<usize>()
        .ok()
        .filter(|number| (1..=count).contains(number))
        .ok_or_else(|| format!("a line is a number from 1 to {count}: e 3 nop"))?;
    lines[at - 1] = code;
    Ok(lines.join("\n") + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_wrapped_between_words() {
        assert_eq!(wrap("one two three", 8), ["one two", "three"]);
        assert_eq!(wrap("    kept as it is", 8), ["    kept as it is"]);
        assert_eq!(wrap("aaaaaaaaaa b", 4), ["aaaa", "aaaa", "aa b"]);
    }

    #[test]
    fn lines_can_be_changed() {
        assert_eq!(edited("a\nb\n", "2 nop"), Ok("a\nnop\n".into()));
        assert_eq!(edited("a\nb\n", "1"), Ok("\nb\n".into()));
        assert!(edited("a\nb\n", "3 nop").is_err());
        assert!(edited("a\nb\n", "x").is_err());
    }
}
