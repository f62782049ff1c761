//! Nothing outside the directory is reached: not by links, not by `..`, not
//! when the host exchanges one thing for another meanwhile.
#![cfg(unix)]

mod client;

use std::cell::Cell;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use client::*;
use rustix::fs::{CWD, RenameFlags, renameat_with};

const SECRET: &str = "secret";

/// A directory to share, `in`, and one beside it that is not, `out`: each with
/// `dir/file` in it.
fn two() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (top, text) in [("in", "public"), ("out", SECRET)] {
        let dir = folder.path().join(top).join("dir");
        fs::create_dir_all(dir.join("sub")).unwrap();
        fs::write(dir.join("file"), text).unwrap();
    }
    folder
}

/// All that is beneath a directory: names, contents and modes.
fn snapshot(at: &Path) -> Vec<(String, Vec<u8>, u32, i64)> {
    use std::os::unix::fs::MetadataExt;
    let mut out = Vec::new();
    let mut left = vec![at.to_owned()];
    while let Some(path) = left.pop() {
        let meta = fs::symlink_metadata(&path).unwrap();
        let bytes = match meta.is_file() {
            true => fs::read(&path).unwrap(),
            false => Vec::new(),
        };
        let name = path.to_str().unwrap().to_owned();
        out.push((name, bytes, meta.mode(), meta.mtime_nsec()));
        if meta.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
        }
    }
    out.sort();
    out
}

/// All that can be done with a fid and with names in it, on the way out.
fn try_all(client: &mut Client, fid: u32, name: &str) {
    let set = Set {
        valid: 0x1ff & !6,
        mode: 0o777,
        size: 3,
        ..Set::default()
    };
    let _ = client.set(fid, &set);
    let _ = client.mkdir(fid, name);
    let _ = client.mknod(fid, name, 0o10_0777);
    let _ = client.symlink(fid, name, "x");
    let _ = client.link(fid, ROOT, name);
    let _ = client.link(ROOT, fid, "stolen");
    let _ = client.rename(fid, ROOT, "stolen");
    let _ = client.renameat(fid, name, ROOT, "stolen");
    let _ = client.renameat(fid, "file", ROOT, "stolen");
    let _ = client.renameat(ROOT, "bait", fid, "bait");
    let _ = client.unlink(fid, name, 0);
    let _ = client.unlink(fid, name, 0x200);
    let _ = client.unlink(fid, "file", 0);
    for flags in [0, 2, 0o1000] {
        let new = client.fid();
        let walk = fields().u32(fid).u32(new).u16(0);
        if client.ask(110, &walk).is_ok() {
            let create = fields()
                .u32(new)
                .string("file")
                .u32(flags)
                .u32(0o777)
                .u32(0);
            if client.ask(14, &create).is_ok() {
                let _ = client.write(new, 0, b"overwritten");
                assert_ne!(client.read(new, 0, 100).as_deref(), Ok(SECRET.as_bytes()));
            }
        }
        if client.ask(12, &fields().u32(fid).u32(flags)).is_ok() {
            let _ = client.write(fid, 0, b"overwritten");
            assert_ne!(client.read(fid, 0, 100).as_deref(), Ok(SECRET.as_bytes()));
            break;
        }
    }
    let _ = client.remove(fid);
}

#[test]
fn links_lead_nowhere() {
    let folder = two();
    let (inside, outside) = (folder.path().join("in"), folder.path().join("out"));
    let absolute = outside.join("dir");
    let absolute = absolute.to_str().unwrap();
    let before = snapshot(&outside);
    let mut client = Client::new(&inside);
    for (n, text) in [
        absolute,
        "../out/dir",
        "../out/dir/file",
        "../..",
        "/",
        "/proc/self/root",
        "/proc/self/cwd",
        "/dev/fd/0",
    ]
    .iter()
    .enumerate()
    {
        // Made by the host or by the guest, at the top or deeper.
        for by_guest in [false, true] {
            for deep in [false, true] {
                let name = format!("link-{n}-{by_guest}");
                let (at, dir) = match deep {
                    true => (format!("dir/{name}"), client.walk("dir").unwrap()),
                    false => (name.clone(), ROOT),
                };
                match by_guest {
                    true => client.symlink(dir, &name, text).unwrap(),
                    false => symlink(text, inside.join(&at)).unwrap(),
                }
                for beyond in ["file", "dir", "out", "etc", "sub", ".."] {
                    let path = format!("{at}/{beyond}");
                    if let Ok(fid) = client.walk(&path) {
                        // Back up from the link by its name, and only that.
                        assert_eq!(beyond, "..", "{path}");
                        client.clunk(fid).unwrap();
                    }
                }
                assert_eq!(client.open(&at, 0), Err(ELOOP));
                let fid = client.walk(&at).unwrap();
                assert_eq!(client.attributes(fid).unwrap().kind, LINK);
                try_all(&mut client, fid, "file");
                if dir != ROOT {
                    client.clunk(dir).unwrap();
                }
            }
        }
    }
    // A link that comes where a fid already is.
    fs::create_dir_all(inside.join("late/dir/sub")).unwrap();
    fs::write(inside.join("late/dir/file"), "public").unwrap();
    for path in ["late", "late/dir", "late/dir/file", "late/dir/sub"] {
        for name in ["sub", "file", "dir", "new"] {
            let fid = client.walk(path).unwrap();
            let open = client.open("late/dir", 0).unwrap();
            fs::rename(inside.join("late"), inside.join("gone")).unwrap();
            symlink(&outside, inside.join("late")).unwrap();
            try_all(&mut client, fid, name);
            let names = client.list(open, 4096).unwrap();
            assert!(names.iter().any(|(name, _)| name == "file"));
            client.clunk(open).unwrap();
            let late = inside.join("late");
            if fs::symlink_metadata(&late).is_ok() {
                fs::remove_file(&late).unwrap();
            }
            let _ = fs::remove_file(inside.join("stolen"));
            fs::rename(inside.join("gone"), &late).unwrap();
        }
    }
    assert_eq!(snapshot(&outside), before);
}

#[test]
fn names_lead_nowhere() {
    let folder = two();
    let outside = folder.path().join("out");
    let before = snapshot(&outside);
    let mut client = Client::new(&folder.path().join("in"));
    for name in [
        "..",
        ".",
        "../out/dir/file",
        "../../etc/passwd",
        "/etc/passwd",
        "dir/../../out/dir/file",
        "dir/file",
        "file/",
        "file\0",
    ] {
        for at in ["", "dir"] {
            let fid = client.walk(at).unwrap();
            assert!(client.mkdir(fid, name).is_err(), "{name:?}");
            assert!(client.unlink(fid, name, 0).is_err(), "{name:?}");
            assert!(client.unlink(fid, name, 0x200).is_err(), "{name:?}");
            assert!(client.renameat(fid, name, ROOT, "x").is_err(), "{name:?}");
            assert!(client.renameat(ROOT, "dir", fid, name).is_err(), "{name:?}");
            let walk = fields().u32(fid).u32(1000).u16(1).string(name);
            if name != ".." {
                assert_eq!(client.ask(110, &walk).err(), Some(ENOENT), "{name:?}");
            }
            client.clunk(fid).unwrap();
        }
    }
    for up in ["..", "../..", "dir/../..", "dir/../../../../.."] {
        let fid = client.walk(up).unwrap();
        let names = client.open(up, 0).unwrap();
        let names = client.list(names, 4096).unwrap();
        assert_eq!(names.len(), 3, "{names:?}");
        assert_eq!(client.unlink(fid, "out", 0x200), Err(ENOENT));
    }
    assert_eq!(snapshot(&outside), before);
}

/// While a thread of the host exchanges a directory for a link to the outside
/// and back, the guest does all it can.
#[test]
fn races_are_lost() {
    let folder = two();
    let (inside, outside) = (folder.path().join("in"), folder.path().join("out"));
    fs::create_dir(outside.join("dir/empty")).unwrap();
    let before = snapshot(&outside);
    let trap = inside.join("trap");
    symlink(outside.join("dir"), &trap).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let dir = inside.join("dir");
                let flags = RenameFlags::EXCHANGE;
                if renameat_with(CWD, &dir, CWD, &trap, flags).is_err() {
                    break;
                }
            }
        });
        let mut client = Client::new(&inside);
        // How often something worked, and how often it did not.
        let seen = [const { Cell::new(0_u32) }; 2];
        let count = |good: bool| {
            let cell = &seen[usize::from(good)];
            cell.set(cell.get() + 1);
        };
        // As long as it takes for both.
        for n in 0.. {
            if n >= 4000 && seen.iter().all(|count| count.get() > 0) {
                break;
            }
            let name = format!("n{}", n % 7);
            if let Ok(fid) = client.walk("dir") {
                count(client.mkdir(fid, &name).is_ok());
                count(client.unlink(fid, &name, 0x200).is_ok());
                count(client.mknod(fid, &name, 0o10_0600).is_ok());
                count(client.unlink(fid, &name, 0).is_ok());
                assert!(client.unlink(fid, "empty", 0x200).is_err());
                let set = Set {
                    valid: 1 | 0x1b0,
                    mode: 0o700 | n & 0o77,
                    atime: (u64::from(n), 0),
                    mtime: (u64::from(n), 0),
                    ..Set::default()
                };
                if client.attributes(fid).is_ok_and(|seen| seen.kind == DIR) {
                    let _ = client.set(fid, &set);
                }
                if client.ask(12, &fields().u32(fid).u32(0)).is_ok() {
                    let names = client.list(fid, 4096).unwrap();
                    assert!(names.iter().all(|(name, _)| name != "empty"));
                }
                client.clunk(fid).unwrap();
            }
            if let Ok(fid) = client.open("dir/file", 2) {
                let text = client.read(fid, 0, 100).unwrap();
                assert_ne!(text, SECRET.as_bytes());
                client.write(fid, 0, b"PUBLIC").unwrap();
                client.clunk(fid).unwrap();
                count(true);
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(snapshot(&outside), before);
}
