//! Machine files: the options of `ruse boot` as a TOML document.
//!
//! A key is an option's long name, and its value what one would write after
//! it; options that may be repeated have a plural name and take a list, and
//! those without a value take `true` or `false`. What an option means, and
//! what is wrong with its value, stays with the command line: there is one
//! way to describe a machine, with two spellings.

use std::ffi::OsString;
use std::ops::Range;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, Command};
use thiserror::Error;
use toml::de::{DeTable, DeValue};

/// No description of a machine is larger.
const LIMIT: u64 = 1 << 20;

/// Options that a file does not describe a machine with.
const NOT_HERE: &[&str] = &["help", "version", "verbose", "background"];

/// What is wrong with a machine file.
#[derive(Debug, Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("{}: cannot read it: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the host said.
        source: std::io::Error,
    },
    /// Its content makes no sense.
    #[error("{}:{place}{what}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// Line and column, as far as they are known.
        place: Place,
        /// What is wrong there.
        what: String,
    },
}

/// Line and column from 1 on; none if it is the file as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place(Option<(usize, usize)>);

impl std::fmt::Display for Place {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some((line, column)) => write!(out, "{line}:{column}: "),
            None => write!(out, " "),
        }
    }
}

impl Place {
    fn of(text: &str, at: usize) -> Self {
        let before = text.get(..at).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self(Some((line, before[start..].chars().count() + 1)))
    }
}

/// A file's options, as arguments of `ruse boot`.
pub struct Options {
    /// The file.
    pub path: PathBuf,
    /// The machine's name: as the file says, or the file's own.
    pub name: String,
    /// The arguments, name included.
    pub args: Vec<OsString>,
    text: String,
    /// Where each option is in the text, by its long name.
    places: Vec<(String, Range<usize>)>,
}

impl Options {
    /// Reads a file. `boot` is the command whose options it may give.
    ///
    /// # Errors
    /// [`FileError`] if it cannot be read or gives no such options.
    pub fn read(path: &Path, boot: &Command) -> Result<Self, FileError> {
        use std::io::Read;
        let failed = |source| FileError::Read {
            path: path.into(),
            source,
        };
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path).map_err(failed)?;
        file.take(LIMIT + 1)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
        let wrong = |what: &str| FileError::Content {
            path: path.into(),
            place: Place(None),
            what: what.into(),
        };
        if bytes.len() as u64 > LIMIT {
            return Err(wrong("larger than 1 MiB, which is no machine file"));
        }
        let text = String::from_utf8(bytes).map_err(|_| wrong("not a text in UTF-8"))?;
        Self::parse(path, text, boot)
    }

    fn parse(path: &Path, text: String, boot: &Command) -> Result<Self, FileError> {
        let wrong = |at: Option<usize>, what: String| FileError::Content {
            path: path.into(),
            place: at.map_or(Place(None), |at| Place::of(&text, at)),
            what,
        };
        let table = DeTable::parse(&text).map_err(|error| {
            let what = error.message().replace('\n', "; ");
            wrong(error.span().map(|span| span.start), what)
        })?;
        let mut found = Vec::new();
        for (key, value) in table.get_ref() {
            let name = key.get_ref().as_ref();
            let Some((arg, many)) = option(boot, name) else {
                let what = format!("unknown key `{name}`; allowed are {}", keys(boot));
                return Err(wrong(Some(key.span().start), what));
            };
            let values = values(arg, many, value.get_ref())
                .map_err(|what| wrong(Some(value.span().start), format!("{name}: {what}")))?;
            let long = arg.get_long().unwrap_or_default().to_owned();
            found.push((value.span(), long, values));
        }
        // As they stand in the file, whatever order the table has.
        found.sort_by_key(|(span, ..)| span.start);
        let (mut args, mut places, mut name) = (Vec::new(), Vec::new(), None);
        for (span, long, values) in found {
            for value in values {
                args.push(match &value {
                    Some(value) => format!("--{long}={value}").into(),
                    None => format!("--{long}").into(),
                });
                if long == "name" {
                    name = value;
                }
            }
            places.push((long, span));
        }
        let name = match name {
            Some(name) => name,
            None => {
                let stem = path.file_stem().and_then(|stem| stem.to_str());
                let name = stem.unwrap_or_default();
                super::name(name).map_err(|what| {
                    wrong(
                        None,
                        format!("its name makes no machine's name ({what}); give `name = \"...\"`"),
                    )
                })?;
                args.push(format!("--name={name}").into());
                name.to_owned()
            }
        };
        drop(table);
        Ok(Self {
            path: path.into(),
            name,
            args,
            text,
            places,
        })
    }

    /// The directory that its relative paths start from.
    pub fn directory(&self) -> &Path {
        match self.path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        }
    }

    /// What the command line says of an option, at its place in the file.
    pub fn wrong(&self, error: &clap::Error) -> FileError {
        use clap::error::ContextKind;
        let about = error
            .get(ContextKind::InvalidArg)
            .map(ToString::to_string)
            .unwrap_or_default();
        let long = about
            .trim_start_matches("--")
            .split([' ', '=', '['])
            .next()
            .unwrap_or_default();
        let place = self.places.iter().find(|(name, _)| name == long);
        let text = error.to_string();
        // Usage and hints are about the command line.
        let what = text
            .split("\n\n")
            .next()
            .unwrap_or(&text)
            .trim_start_matches("error: ")
            .replace("\n ", " ");
        FileError::Content {
            path: self.path.clone(),
            place: place.map_or(Place(None), |(_, span)| Place::of(&self.text, span.start)),
            what: what.trim().to_owned(),
        }
    }
}

/// Whether an option may be repeated.
fn is_list(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Append)
}

/// The key of an option: options that may be repeated have a plural.
fn key(arg: &Arg) -> Option<String> {
    let long = arg.get_long()?;
    if NOT_HERE.contains(&long) {
        return None;
    }
    Some(match is_list(arg) {
        true => format!("{long}s"),
        false => long.to_owned(),
    })
}

/// The option of a key, and whether it takes a list.
fn option<'a>(boot: &'a Command, name: &str) -> Option<(&'a Arg, bool)> {
    let arg = boot
        .get_arguments()
        .find(|arg| key(arg).as_deref() == Some(name))?;
    Some((arg, is_list(arg)))
}

/// All keys, as a sentence has them.
fn keys(boot: &Command) -> String {
    let mut keys: Vec<_> = boot.get_arguments().filter_map(key).collect();
    keys.sort();
    keys.join(", ")
}

/// The values of an option: `None` for one that has none but is given.
fn values(arg: &Arg, many: bool, value: &DeValue<'_>) -> Result<Vec<Option<String>>, String> {
    if !arg.get_action().takes_values() {
        return match value {
            DeValue::Boolean(true) => Ok(vec![None]),
            DeValue::Boolean(false) => Ok(Vec::new()),
            _ => Err("either true or false".into()),
        };
    }
    match value {
        DeValue::Array(items) if many => items
            .iter()
            .map(|item| scalar(item.get_ref()).map(Some))
            .collect(),
        _ if many => Err("a list, such as [\"...\"]".into()),
        value => scalar(value).map(|text| vec![Some(text)]),
    }
}

fn scalar(value: &DeValue<'_>) -> Result<String, String> {
    match value {
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map(|number| number.to_string())
            .map_err(|error| error.to_string()),
        _ => Err("either a text in quotes or a number".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Options, String> {
        let boot = crate::args::boot_command();
        Options::parse(Path::new("dir/web.toml"), text.into(), &boot)
            .map_err(|error| error.to_string())
    }

    fn args(text: &str) -> Vec<String> {
        let args = read(text).unwrap().args.into_iter();
        args.map(|arg| arg.into_string().unwrap()).collect()
    }

    #[test]
    fn every_option_of_boot_has_a_key() {
        let boot = crate::args::boot_command();
        for arg in boot.get_arguments() {
            let long = arg.get_long().unwrap();
            let Some(key) = key(arg) else {
                assert!(NOT_HERE.contains(&long), "{long}");
                continue;
            };
            let value = match (arg.get_action().takes_values(), is_list(arg)) {
                (false, _) => "true",
                (true, true) => "['x', 'y']",
                (true, false) => "'x'",
            };
            let line = format!("{key} = {value}");
            let args = args(&line);
            let expected = match (arg.get_action().takes_values(), is_list(arg)) {
                (false, _) => vec![format!("--{long}")],
                (true, true) => vec![format!("--{long}=x"), format!("--{long}=y")],
                (true, false) => vec![format!("--{long}=x")],
            };
            assert!(args.starts_with(&expected), "{line}: {args:?}");
        }
        for known in [
            "name",
            "memory",
            "harts",
            "clock",
            "bios",
            "kernel",
            "initrd",
            "append",
            "disks",
            "shares",
            "console",
            "console-log",
            "svadu",
            "rv32",
            "confine",
        ] {
            assert!(option(&boot, known).is_some(), "{known}");
        }
    }

    #[test]
    fn values_go_to_the_command_line_as_they_are() {
        let text = "# A machine\nmemory = \"2G\"\nharts = 0x2\nsvadu = false\nrv32 = true\n\
                    append = '-x \"y\" z'\ndisks = ['a.img', 'b.img,ro']\n";
        let expected = [
            "--memory=2G",
            "--harts=2",
            "--rv32",
            "--append=-x \"y\" z",
            "--disk=a.img",
            "--disk=b.img,ro",
            "--name=web",
        ];
        assert_eq!(args(text), expected);
        let options = read("name = 'other'").unwrap();
        assert_eq!(options.name, "other");
        assert_eq!(options.args, [OsString::from("--name=other")]);
        assert_eq!(options.directory(), Path::new("dir"));
    }

    #[test]
    fn errors_say_where_and_what() {
        for (text, expected) in [
            ("memory = 1G", "dir/web.toml:1:"),
            (
                "\n  memroy = '1G'",
                "dir/web.toml:2:3: unknown key `memroy`; allowed are append, bios,",
            ),
            ("disk = 'a'", "1:1: unknown key `disk`; allowed are"),
            ("verbose = true", "1:1: unknown key"),
            ("background = true", "1:1: unknown key"),
            ("disks = 'a'", "1:9: disks: a list"),
            ("disks = [['a']]", "1:9: disks: either a text"),
            ("memory = ['1G']", "1:10: memory: either a text"),
            ("memory = 1.5", "1:10: memory: either a text"),
            ("svadu = 'yes'", "1:9: svadu: either true or false"),
            ("[memory]\nsize = 1", "memory: either a text"),
            ("memory = '1G'\nmemory = '2G'", "dir/web.toml:2:"),
            ("name = '", "dir/web.toml:1:"),
            ("harts = 99999999999999999999", "1:9: harts: "),
        ] {
            let error = read(text).map(|_| ()).unwrap_err();
            assert!(error.contains(expected), "{text:?}: {error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn what_the_command_line_refuses_is_found_in_the_file() {
        let refused = |text: &str| {
            let options = read(text).unwrap();
            let error = crate::args::boot(&options, 0, None)
                .map(|_| ())
                .unwrap_err();
            error.to_string()
        };
        for (text, expected) in [
            (
                "kernel = 'k'\nmemory = 'lots'",
                "dir/web.toml:2:10: invalid value 'lots'",
            ),
            (
                "kernel = 'k'\nharts = 0",
                "dir/web.toml:2:9: invalid value '0'",
            ),
            (
                "kernel = 'k'\nclock = 'sun'",
                "dir/web.toml:2:9: invalid value 'sun'",
            ),
            (
                "kernel = 'k'\nname = 'a/b'",
                "dir/web.toml:2:8: invalid value 'a/b'",
            ),
            ("memory = '1G'", "dir/web.toml: nothing to boot"),
            ("initrd = 'i'", "dir/web.toml: "),
        ] {
            let error = refused(text);
            assert!(error.contains(expected), "{text:?}: {error}");
            assert!(!error.contains('\n'), "{error}");
        }
        let options = read("kernel = 'k'\ndisks = ['d']").unwrap();
        assert!(crate::args::boot(&options, 1, None).is_ok());
    }
}
