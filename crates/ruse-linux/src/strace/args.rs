//! One argument of a system call as text. The letters are explained where the
//! table of system calls is.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::rc::Rc;

use super::names::{self, flags, one_of};
use crate::abi::AT_FDCWD;
use crate::errno::Errno;
use crate::kernel::Kernel;
use crate::mm::Mm;
use crate::thread::Tid;

/// Bytes of a buffer, and elements of an array, that are shown.
const SHOWN: usize = 32;
/// Bytes of a path that are shown.
const PATH: usize = 4096;

/// Prints the arguments of one call.
pub(super) struct Printer<'a> {
    mm: Option<Rc<RefCell<Mm>>>,
    args: &'a [u64; 6],
}

impl<'a> Printer<'a> {
    pub(super) fn new(kernel: &Kernel, tid: Tid, args: &'a [u64; 6]) -> Self {
        let mm = kernel.threads.get(&tid).map(|thread| Rc::clone(&thread.mm));
        Self { mm, args }
    }

    fn arg(&self, n: usize) -> u64 {
        self.args.get(n).copied().unwrap_or(0)
    }

    fn read(&self, va: u64, len: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; len];
        let mm = self.mm.as_ref()?;
        mm.borrow_mut().read(va, &mut bytes).ok()?;
        Some(bytes)
    }

    fn words<const N: usize>(&self, va: u64) -> Option<[u64; N]> {
        let bytes = self.read(va, 8 * N)?;
        let mut out = [0; N];
        for (word, bytes) in out.iter_mut().zip(bytes.chunks_exact(8)) {
            let mut eight = [0; 8];
            eight.copy_from_slice(bytes);
            *word = u64::from_le_bytes(eight);
        }
        Some(out)
    }

    fn word(&self, va: u64) -> Option<u64> {
        self.words::<1>(va).map(|[word]| word)
    }

    fn int(&self, va: u64) -> Option<u32> {
        let bytes = self.read(va, 4)?;
        Some(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    /// Whether an argument has a meaning: a mode has if a file may be created.
    pub(super) fn counts(&self, shape: &str, n: usize) -> bool {
        const CREATES: u64 = 0o100 | 0o20_000_000;
        match shape.get(n.wrapping_sub(1)..=n) {
            Some("om") => self.arg(n - 1) & CREATES != 0,
            _ => true,
        }
    }

    /// An argument, when the call begins; `None` if it is to be printed when
    /// the call ends.
    pub(super) fn before(&self, letter: char, n: usize) -> Option<String> {
        let value = self.arg(n);
        let int = value as i32;
        let low = u64::from(value as u32);
        Some(match letter {
            'i' | 'f' => int.to_string(),
            'd' if int == AT_FDCWD => "AT_FDCWD".into(),
            'd' => int.to_string(),
            'u' => value.to_string(),
            'p' => pointer(value),
            's' => self.text(value),
            'b' => self.buffer(value, self.arg(n + 1)),
            'o' => names::open_flags(value as u32),
            'D' => names::descriptor_flags(value as u32),
            'm' => format!("0{value:o}"),
            'P' => flags(low, names::PROT, "PROT_NONE"),
            'M' => names::map_flags(low),
            'S' => names::signal(value as u32),
            't' => self.object(value, |p| p.timespec(value)),
            'c' => one_of(low, names::CLOCKS),
            'F' => names::futex_op(value as u32),
            'G' => self.object(value, |p| Some(names::signals(p.word(value)?))),
            'A' => self.object(value, |p| p.action(value)),
            'H' => one_of(low, names::MASK_HOW),
            'K' => names::clone_flags(value),
            'w' => flags(low, names::WAIT_OPTIONS, "0"),
            'r' => one_of(low, names::RESOURCES),
            'R' => self.object(value, |p| p.limit(value)),
            'V' => self.object(value, |p| p.strings(value)),
            'E' => self.object(value, |p| {
                let count = p.count_strings(value);
                Some(format!("{value:#x} /* {count} vars */"))
            }),
            'v' => self.object(value, |p| p.vector(value, p.arg(n + 1))),
            'k' => self.object(value, |p| p.address(value, p.arg(n + 1))),
            'L' => self.object(value, |p| p.poll_list(value, p.arg(n + 1))),
            'C' => one_of(low, names::FCNTL),
            'I' => one_of(low, names::IOCTLS),
            '0' => one_of(low, names::WHENCE),
            'O' => one_of(low, names::PRCTL),
            'B' | 'T' | 'g' | 'a' | 'W' | 'q' | 'Z' | '2' => return None,
            _ => format!("{value:#x}"),
        })
    }

    /// An argument, when the call ends.
    pub(super) fn after(&self, letter: char, n: usize, result: Result<u64, Errno>) -> String {
        let value = self.arg(n);
        if let Some(text) = self.before(letter, n) {
            return text;
        }
        let Ok(result) = result else {
            return pointer(value);
        };
        self.object(value, |p| match letter {
            'B' => Some(p.buffer(value, result)),
            'T' => p.timespec(value),
            'g' => Some(names::signals(p.word(value)?)),
            'a' => p.action(value),
            'W' if result == 0 => None,
            'W' => Some(names::wait_status(p.int(value)?)),
            'q' => p.limit(value),
            'Z' => p.stat(value),
            '2' => Some(format!(
                "[{}, {}]",
                p.int(value)? as i32,
                p.int(value.wrapping_add(4))? as i32
            )),
            _ => None,
        })
    }

    /// What is behind a pointer, or the pointer itself.
    fn object(&self, va: u64, show: impl FnOnce(&Self) -> Option<String>) -> String {
        if va == 0 {
            return "NULL".into();
        }
        show(self).unwrap_or_else(|| pointer(va))
    }

    fn text(&self, va: u64) -> String {
        self.object(va, |p| {
            let mut text = Vec::new();
            while text.len() < PATH {
                let at = va.wrapping_add(text.len() as u64);
                let len = 64.min(4096 - (at & 4095)) as usize;
                let chunk = p.read(at, len)?;
                match chunk.iter().position(|&byte| byte == 0) {
                    Some(end) => {
                        text.extend_from_slice(&chunk[..end]);
                        return Some(quoted(&text));
                    }
                    None => text.extend_from_slice(&chunk),
                }
            }
            Some(quoted(&text) + "...")
        })
    }

    fn buffer(&self, va: u64, len: u64) -> String {
        let shown = len.min(SHOWN as u64) as usize;
        self.object(va, |p| {
            let text = quoted(&p.read(va, shown)?);
            let rest = if len > SHOWN as u64 { "..." } else { "" };
            Some(text + rest)
        })
    }

    fn timespec(&self, va: u64) -> Option<String> {
        let [seconds, nanos] = self.words(va)?;
        Some(format!(
            "{{tv_sec={}, tv_nsec={}}}",
            seconds as i64, nanos as i64
        ))
    }

    fn action(&self, va: u64) -> Option<String> {
        let [handler, flags, mask] = self.words(va)?;
        let handler = match handler {
            0 => "SIG_DFL".into(),
            1 => "SIG_IGN".into(),
            _ => format!("{handler:#x}"),
        };
        Some(format!(
            "{{sa_handler={handler}, sa_mask={}, sa_flags={}}}",
            names::signals(mask),
            names::flags(flags, names::ACTION, "0")
        ))
    }

    fn limit(&self, va: u64) -> Option<String> {
        let [soft, hard] = self.words(va)?;
        let show = |limit: u64| match limit {
            u64::MAX => "RLIM64_INFINITY".into(),
            limit if limit >= 1024 && limit.is_multiple_of(1024) => {
                format!("{}*1024", limit / 1024)
            }
            limit => limit.to_string(),
        };
        Some(format!(
            "{{rlim_cur={}, rlim_max={}}}",
            show(soft),
            show(hard)
        ))
    }

    fn stat(&self, va: u64) -> Option<String> {
        let mode = self.int(va.wrapping_add(16))?;
        let size = self.word(va.wrapping_add(48))?;
        let kind = one_of(u64::from(mode & 0o170_000), names::FILE_TYPES);
        Some(format!(
            "{{st_mode={kind}|0{:o}, st_size={size}, ...}}",
            mode & 0o7777
        ))
    }

    fn strings(&self, va: u64) -> Option<String> {
        let mut out = String::from("[");
        for n in 0..SHOWN as u64 {
            let text = self.word(va.wrapping_add(8 * n))?;
            if text == 0 {
                return Some(out + "]");
            }
            if n > 0 {
                out.push_str(", ");
            }
            out.push_str(&self.text(text));
        }
        Some(out + ", ...]")
    }

    fn count_strings(&self, va: u64) -> usize {
        (0..65_536)
            .take_while(|n| {
                let text = self.word(va.wrapping_add(8 * n));
                text.is_some_and(|text| text != 0)
            })
            .count()
    }

    fn vector(&self, va: u64, count: u64) -> Option<String> {
        let mut out = String::from("[");
        for n in 0..count.min(SHOWN as u64) {
            let [base, len] = self.words(va.wrapping_add(16 * n))?;
            let comma = if n > 0 { ", " } else { "" };
            let buffer = self.buffer(base, len);
            let _ = write!(out, "{comma}{{iov_base={buffer}, iov_len={len}}}");
        }
        let rest = if count > SHOWN as u64 { ", ..." } else { "" };
        Some(out + rest + "]")
    }

    fn poll_list(&self, va: u64, count: u64) -> Option<String> {
        let mut out = String::from("[");
        for n in 0..count.min(SHOWN as u64) {
            let word = self.word(va.wrapping_add(8 * n))?;
            let comma = if n > 0 { ", " } else { "" };
            let events = flags(word >> 32 & 0xffff, names::POLL, "0");
            let _ = write!(out, "{comma}{{fd={}, events={events}}}", word as i32);
        }
        let rest = if count > SHOWN as u64 { ", ..." } else { "" };
        Some(out + rest + "]")
    }

    /// A `struct sockaddr`.
    fn address(&self, va: u64, len: u64) -> Option<String> {
        let len = len.min(128) as usize;
        let bytes = self.read(va, len)?;
        let family = u16::from_le_bytes([*bytes.first()?, *bytes.get(1)?]);
        let port = || Some(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?]));
        match family {
            1 => {
                let path = &bytes[2..];
                Some(match path.first() {
                    None => "{sa_family=AF_UNIX}".into(),
                    Some(0) => format!("{{sa_family=AF_UNIX, sun_path=@{}}}", quoted(&path[1..])),
                    Some(_) => {
                        let end = path.iter().position(|&b| b == 0).unwrap_or(path.len());
                        format!("{{sa_family=AF_UNIX, sun_path={}}}", quoted(&path[..end]))
                    }
                })
            }
            2 => {
                let ip: [u8; 4] = bytes.get(4..8)?.try_into().ok()?;
                Some(format!(
                    "{{sa_family=AF_INET, sin_port=htons({}), sin_addr=inet_addr(\"{}\")}}",
                    port()?,
                    std::net::Ipv4Addr::from(ip)
                ))
            }
            10 => {
                let ip: [u8; 16] = bytes.get(8..24)?.try_into().ok()?;
                Some(format!(
                    "{{sa_family=AF_INET6, sin6_port=htons({}), \
                     inet_pton(AF_INET6, \"{}\", &sin6_addr)}}",
                    port()?,
                    std::net::Ipv6Addr::from(ip)
                ))
            }
            family => Some(format!("{{sa_family={family}, ...}}")),
        }
    }
}

fn pointer(va: u64) -> String {
    if va == 0 {
        "NULL".into()
    } else {
        format!("{va:#x}")
    }
}

/// Bytes as a C string.
fn quoted(bytes: &[u8]) -> String {
    let mut out = String::from("\"");
    for (n, &byte) in bytes.iter().enumerate() {
        let digit_follows = bytes.get(n + 1).is_some_and(u8::is_ascii_digit);
        let _ = match byte {
            b'"' => write!(out, "\\\""),
            b'\\' => write!(out, "\\\\"),
            b'\n' => write!(out, "\\n"),
            b'\t' => write!(out, "\\t"),
            b'\r' => write!(out, "\\r"),
            0x0b => write!(out, "\\v"),
            0x0c => write!(out, "\\f"),
            b' '..=b'~' => write!(out, "{}", char::from(byte)),
            byte if digit_follows => write!(out, "\\{byte:03o}"),
            byte => write!(out, "\\{byte:o}"),
        };
    }
    out + "\""
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn strings_are_quoted_as_strace_does() {
        assert_eq!(quoted(b"a\"b\\\n"), r#""a\"b\\\n""#);
        assert_eq!(quoted(b"\x7fELF\x02\x01\0\x001"), r#""\177ELF\2\1\0\0001""#);
    }
}
