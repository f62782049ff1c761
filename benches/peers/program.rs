//! What the engines run: our own programs, and some of Debian's.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// What a program is made of, for the summary's lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    Integer,
    Double,
    Debian,
}

/// One of Debian's, run for `n` iterations by its arguments or its input.
#[derive(Clone, Copy, Debug)]
pub struct Debian {
    pub command: &'static str,
    pub arguments: fn(u64) -> Vec<String>,
    pub input: Option<fn(u64) -> Vec<u8>>,
}

#[derive(Clone, Debug)]
pub struct Program {
    pub name: String,
    pub class: Class,
    pub debian: Option<Debian>,
    /// Whether another version, such as the host's own, prints the same.
    pub same_output: bool,
}

impl Program {
    /// Our own, from a line of `benches/programs/build --list`.
    pub fn listed(line: &str) -> Option<Self> {
        let (name, class) = line.trim().split_once(' ')?;
        let class = match class {
            "integer" => Class::Integer,
            "double" => Class::Double,
            _ => return None,
        };
        Some(Self {
            name: name.to_owned(),
            class,
            debian: None,
            same_output: true,
        })
    }

    /// The file to be fed to the program, made at its first use.
    pub fn input(&self, folder: &Path, iterations: u64) -> io::Result<Option<PathBuf>> {
        let Some(make) = self.debian.and_then(|debian| debian.input) else {
            return Ok(None);
        };
        let path = folder.join(format!("{}-{iterations}", self.name));
        if !path.exists() {
            fs::create_dir_all(folder)?;
            fs::write(&path, make(iterations))?;
        }
        Ok(Some(path))
    }
}

pub fn debian() -> Vec<Program> {
    let program = |name: &str, same_output, debian| Program {
        name: name.to_owned(),
        class: Class::Debian,
        debian: Some(debian),
        same_output,
    };
    vec![
        program(
            "python3",
            true,
            Debian {
                command: "python3",
                arguments: python,
                input: None,
            },
        ),
        program(
            "sqlite3",
            true,
            Debian {
                command: "sqlite3",
                arguments: |_| vec![":memory:".into()],
                input: Some(sql),
            },
        ),
        // What zstd's versions make of the same data differs.
        program(
            "zstd",
            false,
            Debian {
                command: "zstd",
                arguments: zstd,
                input: Some(records),
            },
        ),
    ]
}

/// Objects, dictionaries, strings, sorting, exceptions: what scripts do.
const SCRIPT: &str = r"
import sys
class Counter:
    def __init__(self): self.seen = {}
    def add(self, word): self.seen[word] = self.seen.get(word, 0) + 1
def fibonacci(n): return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)
total = 0
for turn in range(int(sys.argv[1])):
    counter = Counter()
    for i in range(2000):
        counter.add('word%d' % (i * i % 97))
    top = sorted(counter.seen.items(), key=lambda pair: (-pair[1], pair[0]))
    total += len(' '.join(word for word, _ in top).upper().split('W'))
    total += fibonacci(13) + sum(x * x % 7 for x in range(3000))
    for i in range(300):
        try: total += [1, 2, 3][i % 4]
        except IndexError: total -= 1
print(total)
";

fn python(iterations: u64) -> Vec<String> {
    // -I -S: nothing of the user's or the host's.
    ["-I", "-S", "-c", SCRIPT]
        .map(str::to_owned)
        .into_iter()
        .chain([iterations.to_string()])
        .collect()
}

fn zstd(_: u64) -> Vec<String> {
    ["-q", "-3", "--single-thread", "-c"]
        .map(str::to_owned)
        .to_vec()
}

/// A table filled, indexed, asked and emptied, as often as told.
fn sql(iterations: u64) -> Vec<u8> {
    let turn = "BEGIN;
WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 2000)
  INSERT INTO t SELECT i, i * 7919 % 1009, 'name ' || i * 31 % 512 FROM c;
CREATE INDEX k ON t(k);
INSERT INTO sums SELECT sum(a.k * b.k) FROM t a JOIN t b ON a.k = b.k WHERE a.id % 7 = 0;
INSERT INTO sums SELECT count(*) FROM (SELECT v, count(*) n FROM t GROUP BY v HAVING n > 3);
INSERT INTO sums SELECT sum(length(v)) FROM t WHERE v LIKE '%7%';
UPDATE t SET v = upper(v) WHERE k BETWEEN 100 AND 400;
DROP INDEX k;
DELETE FROM t;
COMMIT;
";
    let mut text =
        "CREATE TABLE t(id INTEGER PRIMARY KEY, k INTEGER, v TEXT);\nCREATE TABLE sums(s);\n"
            .to_owned();
    for _ in 0..iterations {
        text.push_str(turn);
    }
    text.push_str("SELECT count(*), sum(s) FROM sums;\n");
    text.into_bytes()
}

/// Log-like lines, 256 KiB an iteration: they compress to about a quarter.
fn records(iterations: u64) -> Vec<u8> {
    const WORDS: [&str; 8] = [
        "open", "close", "read", "write", "error", "retry", "flush", "timeout",
    ];
    let wanted = usize::try_from(iterations)
        .unwrap_or(usize::MAX)
        .saturating_mul(256 * 1024);
    let mut text = String::new();
    let mut state = 1_u64;
    while text.len() < wanted {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let bits = state >> 20;
        text.push_str(&format!(
            "{:08} worker-{:02} {} /srv/data/{:03x}/{} {} bytes\n",
            text.len(),
            bits & 31,
            WORDS[(bits >> 5 & 7) as usize],
            bits >> 8 & 0xfff,
            WORDS[(bits >> 20 & 7) as usize],
            bits >> 23 & 0xffff,
        ));
    }
    text.truncate(wanted);
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listed_programs() {
        let program = Program::listed("nbody double\n").unwrap();
        assert_eq!(
            (program.name.as_str(), program.class),
            ("nbody", Class::Double)
        );
        assert!(Program::listed("nbody").is_none());
        assert!(Program::listed("nbody quad").is_none());
    }

    #[test]
    fn inputs_grow_with_the_iterations() {
        assert_eq!(records(2).len(), 512 * 1024);
        assert_eq!(records(2)[..256 * 1024], records(1)[..]);
        let folder = tempfile::tempdir().unwrap();
        let sqlite = &debian()[1];
        let one = sqlite.input(folder.path(), 1).unwrap().unwrap();
        let three = sqlite.input(folder.path(), 3).unwrap().unwrap();
        let turns = |path| fs::read_to_string(path).unwrap().matches("COMMIT").count();
        assert_eq!((turns(one), turns(three)), (1, 3));
        assert!(
            Program::listed("fib integer")
                .unwrap()
                .input(folder.path(), 1)
                .unwrap()
                .is_none()
        );
    }
}
