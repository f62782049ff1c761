//! Scripts: files that begin with `#!` (execve(2), "Interpreter scripts").

/// Bytes of a file's beginning that are looked at.
pub(crate) const HEAD: usize = 256;

/// The first line of a script.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Script {
    pub interpreter: Vec<u8>,
    /// All the rest of the line, as one argument.
    pub argument: Option<Vec<u8>>,
}

impl Script {
    /// Reads the first line of a file that begins with `head`; `None` if it is
    /// no script.
    pub(crate) fn parse(head: &[u8]) -> Option<Self> {
        let head = head.strip_prefix(b"#!")?;
        let head = &head[..head.len().min(HEAD - 2)];
        let line_end = head.iter().position(|&byte| byte == b'\n');
        let line = &head[..line_end.unwrap_or(head.len())];
        let line = match line.iter().position(|&byte| byte == 0) {
            Some(end) => &line[..end],
            None => line,
        };
        let line = line.trim_ascii_start();
        let blank = |byte: &u8| *byte == b' ' || *byte == b'\t';
        let (interpreter, rest) = match line.iter().position(blank) {
            Some(end) => line.split_at(end),
            // A path that may go on beyond what is looked at.
            None if line_end.is_none() && head.len() == HEAD - 2 => return None,
            None => (line, &[][..]),
        };
        if interpreter.is_empty() {
            return None;
        }
        let argument = rest.trim_ascii();
        Some(Self {
            interpreter: interpreter.to_vec(),
            argument: (!argument.is_empty()).then(|| argument.to_vec()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_lines() {
        let script = |interpreter: &str, argument: Option<&str>| {
            Some(Script {
                interpreter: interpreter.into(),
                argument: argument.map(Into::into),
            })
        };
        for (head, expected) in [
            ("#!/bin/sh\necho", script("/bin/sh", None)),
            ("#!/bin/sh", script("/bin/sh", None)),
            ("#! /bin/sh -e  x \n", script("/bin/sh", Some("-e  x"))),
            (
                "#!\t/usr/bin/env\tawk -f\n",
                script("/usr/bin/env", Some("awk -f")),
            ),
            ("#!/bin/sh\0junk\n", script("/bin/sh", None)),
            ("#!\n/bin/sh", None),
            ("#!   \n", None),
            ("# /bin/sh\n", None),
            ("#", None),
            ("", None),
        ] {
            assert_eq!(Script::parse(head.as_bytes()), expected, "{head:?}");
        }
        // An interpreter's path that is cut off is not run.
        let long = format!("#!/{}", "x".repeat(600));
        assert_eq!(Script::parse(long.as_bytes()), None);
        // But an argument may be.
        let long = format!("#!/bin/a {}", "x".repeat(600));
        assert_eq!(
            Script::parse(long.as_bytes()).map(|s| s.argument.map_or(0, |a| a.len())),
            Some(HEAD - "#!/bin/a ".len())
        );
    }
}
