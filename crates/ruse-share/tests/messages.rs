//! Every message, and every refusal.
#![cfg(unix)]

mod client;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use client::*;
use ruse_share::{MAX_FIDS, MAX_MESSAGE, Server};
use tempfile::TempDir;

const RDONLY: u32 = 0;
const WRONLY: u32 = 1;
const RDWR: u32 = 2;
const EXCL: u32 = 0o200;
const TRUNC: u32 = 0o1000;
const DIRECTORY: u32 = 0o20_0000;
const REMOVEDIR: u32 = 0x200;

/// A directory with a few things in it.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::create_dir_all(at.join("dir/sub")).unwrap();
    fs::write(at.join("file"), "0123456789").unwrap();
    fs::write(at.join("dir/inner"), "inner").unwrap();
    std::os::unix::fs::symlink("file", at.join("link")).unwrap();
    folder
}

fn setup() -> (TempDir, Client) {
    let folder = folder();
    let client = Client::new(folder.path());
    (folder, client)
}

#[test]
fn a_session_begins_with_a_version() {
    let folder = folder();
    let mut client = Client::idle(Server::open(folder.path(), false).unwrap());
    assert_eq!(client.ask(104, &attach(ROOT, "")).err(), Some(EPROTO));
    let version = |msize: u32, text: &str| fields().u32(msize).string(text);
    let refused = client.ask(100, &version(4095, "9P2000.L"));
    assert_eq!(refused.err(), Some(EMSGSIZE));
    let mut body = client.ask(100, &version(8192, "9P2000.u")).unwrap();
    assert_eq!((body.number(4), body.string()), (8192, b"unknown".to_vec()));
    assert_eq!(client.ask(104, &attach(ROOT, "")).err(), Some(EPROTO));
    let mut body = client.ask(100, &version(8192, "9P2000.L")).unwrap();
    assert_eq!(
        (body.number(4), body.string()),
        (8192, b"9P2000.L".to_vec())
    );
    client.ask(104, &attach(ROOT, "")).unwrap();
    // Nothing longer goes from now on, in either direction.
    let fid = client.open("file", RDWR).unwrap();
    assert_eq!(client.write(fid, 0, &[1; 8000]), Ok(8000));
    assert_eq!(client.write(fid, 0, &[1; 8192]), Err(EMSGSIZE));
    assert_eq!(client.read(fid, 0, u32::MAX).map(|b| b.len()), Ok(8000));
    client.write(fid, 8000, &[1; 8000]).unwrap();
    assert_eq!(
        client.read(fid, 0, u32::MAX).map(|b| b.len()),
        Ok(8192 - 11)
    );
    // And another one ends it with all its fids.
    client.ask(100, &version(8192, "9P2000.L")).unwrap();
    assert_eq!(client.attributes(fid), Err(EBADF));
}

#[test]
fn attaching() {
    let (_folder, mut client) = setup();
    assert_eq!(client.ask(104, &attach(ROOT, "")).err(), Some(EBADF));
    let mut body = client.ask(104, &attach(50, "/dir/sub")).unwrap();
    assert_eq!(body.qid().0, DIR);
    for (beneath, error) in [
        ("/none", ENOENT),
        ("/file", ENOTDIR),
        ("/dir/../..", EINVAL),
        ("/..", EINVAL),
    ] {
        assert_eq!(client.ask(104, &attach(51, beneath)).err(), Some(error));
    }
    assert!(client.ask(104, &attach(51, "/link")).is_err());
    let with_auth = fields().u32(52).u32(3).string("").string("").u32(0);
    assert_eq!(client.ask(104, &with_auth).err(), Some(EOPNOTSUPP));
    let auth = fields().u32(3).string("").string("").u32(0);
    assert_eq!(client.ask(102, &auth).err(), Some(EOPNOTSUPP));
}

#[test]
fn walking() {
    let (_folder, mut client) = setup();
    let walk = |client: &mut Client, from: u32, to: u32, names: &[&str]| {
        let mut message = fields().u32(from).u32(to).u16(names.len() as u16);
        for name in names {
            message = message.string(name);
        }
        let mut body = client.ask(110, &message)?;
        let count = body.number(2);
        Ok::<_, u32>((0..count).map(|_| body.qid().0).collect::<Vec<_>>())
    };
    assert_eq!(walk(&mut client, ROOT, 50, &[]), Ok(vec![]));
    assert_eq!(
        walk(&mut client, ROOT, 51, &["dir", "sub", "..", "inner"]),
        Ok(vec![DIR, DIR, DIR, 0])
    );
    assert_eq!(client.attributes(51).unwrap().size, 5);
    assert_eq!(walk(&mut client, ROOT, 52, &["link"]), Ok(vec![LINK]));
    // Only in part: and then there is no new fid.
    assert_eq!(
        walk(&mut client, ROOT, 53, &["dir", "none", "x"]),
        Ok(vec![DIR])
    );
    assert_eq!(client.attributes(53), Err(EBADF));
    assert_eq!(walk(&mut client, ROOT, 53, &["link", "x"]), Ok(vec![LINK]));
    assert_eq!(walk(&mut client, ROOT, 53, &["none"]), Err(ENOENT));
    assert_eq!(walk(&mut client, 51, 53, &["x"]), Err(ENOTDIR));
    // There is nothing above.
    let root = client.attributes(ROOT).unwrap().path;
    assert_eq!(walk(&mut client, ROOT, 54, &[".."; 16]), Ok(vec![DIR; 16]));
    assert_eq!(client.attributes(54).unwrap().path, root);
    for bad in ["", ".", "a/b", "/", "dir/", "a\0b"] {
        assert_eq!(walk(&mut client, ROOT, 55, &[bad]), Err(ENOENT), "{bad:?}");
    }
    assert_eq!(walk(&mut client, ROOT, 55, &["dir"; 17]), Err(EINVAL));
    assert_eq!(walk(&mut client, ROOT, 51, &["dir"]), Err(EBADF));
    assert_eq!(walk(&mut client, 99, 98, &[]), Err(EBADF));
    // A fid can move itself.
    assert_eq!(walk(&mut client, 54, 54, &["dir"]), Ok(vec![DIR]));
    assert_eq!(walk(&mut client, 54, 54, &["inner"]), Ok(vec![0]));
    assert_eq!(client.attributes(54).unwrap().size, 5);
    let long = "n".repeat(256);
    assert_eq!(walk(&mut client, ROOT, 55, &[&long]), Err(ENAMETOOLONG));
    assert_eq!(client.clunk(54), Ok(()));
    assert_eq!(client.clunk(54), Err(EBADF));
}

#[test]
fn reading_and_writing() {
    let (folder, mut client) = setup();
    let fid = client.open("file", RDWR).unwrap();
    assert_eq!(client.read(fid, 3, 4), Ok(b"3456".to_vec()));
    assert_eq!(client.read(fid, 8, 100), Ok(b"89".to_vec()));
    assert_eq!(client.read(fid, 10, 100), Ok(vec![]));
    assert_eq!(client.read(fid, 1 << 40, 100), Ok(vec![]));
    assert_eq!(client.read(fid, u64::MAX, 100), Err(EINVAL));
    assert_eq!(client.write(fid, 4, b"xyz"), Ok(3));
    assert_eq!(client.write(fid, 12, b"!"), Ok(1));
    let bytes = fs::read(folder.path().join("file")).unwrap();
    assert_eq!(bytes, b"0123xyz789\0\0!");
    assert_eq!(client.write(fid, u64::MAX, b"x"), Err(EINVAL));
    // More is said to come than comes.
    let message = fields().u32(fid).u64(0).u32(10).bytes(b"short");
    assert_eq!(client.ask(118, &message).err(), Some(EPROTO));
    let big = vec![7; MAX_MESSAGE - 23];
    assert_eq!(client.write(fid, 0, &big), Ok(big.len()));
    let read = client.read(fid, 0, u32::MAX).unwrap();
    assert_eq!(read.len(), MAX_MESSAGE - 23);
    assert_eq!(client.write(fid, 1 << 20, b"x"), Ok(1));
    let read = client.read(fid, 0, u32::MAX).unwrap();
    assert_eq!(read.len(), MAX_MESSAGE - 11);

    let reader = client.open("file", RDONLY).unwrap();
    assert_eq!(client.write(reader, 0, b"x"), Err(EBADF));
    let writer = client.open("file", WRONLY | TRUNC).unwrap();
    assert_eq!(client.read(writer, 0, 1), Err(EBADF));
    assert_eq!(client.attributes(reader).unwrap().size, 0);
    let walked = client.walk("file").unwrap();
    assert_eq!(client.read(walked, 0, 1), Err(EBADF));
    assert_eq!(client.write(walked, 0, b"x"), Err(EBADF));
    for only_data in [0, 1] {
        let message = fields().u32(fid).u32(only_data);
        client.ask(50, &message).unwrap();
    }
    client.ask(50, &fields().u32(fid)).unwrap();
    assert_eq!(client.ask(50, &fields().u32(walked)).err(), Some(EBADF));
}

#[test]
fn opening() {
    let (folder, mut client) = setup();
    assert_eq!(client.open("dir", RDWR), Err(EISDIR));
    assert_eq!(client.open("dir", TRUNC), Err(EISDIR));
    assert_eq!(client.open("link", RDONLY), Err(ELOOP));
    assert_eq!(client.open("file", DIRECTORY), Err(ENOTDIR));
    assert_eq!(client.open("file", 3), Err(EINVAL));
    let dir = client.open("dir", DIRECTORY).unwrap();
    assert_eq!(client.read(dir, 0, 1), Err(EISDIR));
    assert_eq!(client.write(dir, 0, b"x"), Err(EBADF));
    client.ask(50, &fields().u32(dir).u32(0)).unwrap();
    // Not twice, and not walked on with.
    let again = fields().u32(dir).u32(0);
    assert_eq!(client.ask(12, &again).err(), Some(EBUSY));
    let walk = fields().u32(dir).u32(dir).u16(1).string("sub");
    assert_eq!(client.ask(110, &walk).err(), Some(EBUSY));
    // What could block or act by being opened is not.
    client.mknod(ROOT, "fifo", 0o01_0644).unwrap();
    assert_eq!(client.open("fifo", RDONLY), Err(6));
    let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("socket")).unwrap();
    assert_eq!(client.open("socket", RDONLY), Err(6));
    let fid = client.walk("file").unwrap();
    fs::remove_file(folder.path().join("file")).unwrap();
    let open = fields().u32(fid).u32(0);
    assert_eq!(client.ask(12, &open).err(), Some(ENOENT));
}

#[test]
fn creating() {
    let (folder, mut client) = setup();
    let mode = |name: &str| {
        let meta = fs::symlink_metadata(folder.path().join(name)).unwrap();
        meta.permissions().mode() & 0o7777
    };
    let fid = client.create("new", RDWR, 0o666).unwrap();
    assert_eq!(client.write(fid, 0, b"new"), Ok(3));
    assert_eq!(client.attributes(fid).unwrap().size, 3);
    // The guest's umask counts, not the host's; and no set-user-id.
    assert_eq!(mode("new"), 0o666);
    client.create("suid", WRONLY, 0o6755).unwrap();
    assert_eq!(mode("suid"), 0o755);
    client.create("mine", WRONLY, 0o400).unwrap();
    assert_eq!(mode("mine"), 0o400);
    let reader = client.create("empty", RDONLY, 0o600).unwrap();
    assert_eq!(client.read(reader, 0, 10), Ok(vec![]));
    assert_eq!(client.write(reader, 0, b"x"), Err(EBADF));
    // What is there is opened, unless it must not be.
    let old = client.create("file", RDONLY, 0o777).unwrap();
    assert_eq!(client.read(old, 0, 2), Ok(b"01".to_vec()));
    assert_eq!(client.create("file", RDWR | EXCL, 0o777), Err(EEXIST));
    client.create("file", RDONLY | TRUNC, 0o777).unwrap();
    assert_eq!(fs::read(folder.path().join("file")).unwrap(), b"");
    assert!(matches!(
        client.create("link", RDWR, 0o777),
        Err(ELOOP | EEXIST)
    ));
    assert!(client.create("dir", RDWR, 0o777).is_err());
    let full = client.create("file", RDONLY, 0).unwrap();
    let twice = fields().u32(full).string("x").u32(0).u32(0).u32(0);
    assert_eq!(client.ask(14, &twice).err(), Some(EBUSY));
    for name in ["", ".", "..", "a/b", "../x", "/x", "a\0"] {
        assert!(client.create(name, RDWR, 0o777).is_err(), "{name:?}");
        assert!(client.mkdir(ROOT, name).is_err(), "{name:?}");
        assert!(client.mknod(ROOT, name, 0o10_0644).is_err(), "{name:?}");
        assert!(client.symlink(ROOT, name, "x").is_err(), "{name:?}");
        assert!(client.unlink(ROOT, name, 0).is_err(), "{name:?}");
        assert!(client.link(ROOT, old, name).is_err(), "{name:?}");
        assert!(client.rename(old, ROOT, name).is_err(), "{name:?}");
        assert!(client.renameat(ROOT, name, ROOT, "x").is_err(), "{name:?}");
        assert!(
            client.renameat(ROOT, "new", ROOT, name).is_err(),
            "{name:?}"
        );
    }

    client.mkdir(ROOT, "made").unwrap();
    assert_eq!(mode("made"), 0o755);
    assert_eq!(client.mkdir(ROOT, "made"), Err(EEXIST));
    let message = fields().u32(ROOT).string("open").u32(0o1777).u32(0);
    client.ask(72, &message).unwrap();
    assert_eq!(mode("open"), 0o1777);
    for (name, kind, there) in [
        ("plain", 0o10_0000, true),
        ("fifo", 0o01_0000, true),
        ("socket", 0o14_0000, true),
        ("char", 0o02_0000, false),
        ("block", 0o06_0000, false),
        ("odd", 0o15_0000, false),
    ] {
        let made = client.mknod(ROOT, name, kind | 0o4622);
        assert_eq!(made, if there { Ok(()) } else { Err(EPERM) }, "{name}");
        assert_eq!(folder.path().join(name).exists(), there, "{name}");
        if there {
            assert_eq!(mode(name), 0o622, "{name}");
            let fid = client.walk(name).unwrap();
            assert_eq!(client.attributes(fid).unwrap().mode, kind | 0o622);
        }
    }
}

#[test]
fn attributes() {
    let (folder, mut client) = setup();
    let fid = client.walk("file").unwrap();
    let seen = client.attributes(fid).unwrap();
    let host = fs::metadata(folder.path().join("file")).unwrap();
    assert_eq!(
        (seen.mode, seen.uid, seen.gid, seen.links, seen.size),
        (host.mode(), host.uid(), host.gid(), 1, 10)
    );
    assert_eq!((seen.kind, seen.path), (0, host.ino()));
    let link = client.walk("link").unwrap();
    let seen = client.attributes(link).unwrap();
    assert_eq!((seen.kind, seen.size), (LINK, 4));

    let mode = |mode| Set {
        valid: 1,
        mode,
        ..Set::default()
    };
    client.set(fid, &mode(0o10_6640)).unwrap();
    assert_eq!(client.attributes(fid).unwrap().mode, 0o10_0640);
    assert_eq!(client.set(link, &mode(0o777)), Err(EOPNOTSUPP));
    let dir = client.walk("dir").unwrap();
    client.set(dir, &mode(0o3750)).unwrap();
    assert_eq!(client.attributes(dir).unwrap().mode & 0o7777, 0o3750);
    // Of what cannot be read, and of what would wait for somebody if it was.
    client.mknod(ROOT, "fifo", 0o01_0644).unwrap();
    client.mknod(ROOT, "socket", 0o14_0644).unwrap();
    client.mknod(ROOT, "hidden", 0o10_0000).unwrap();
    for name in ["fifo", "socket", "hidden"] {
        let fid = client.walk(name).unwrap();
        client.set(fid, &mode(0o620)).unwrap();
        assert_eq!(client.attributes(fid).unwrap().mode & 0o7777, 0o620);
    }
    assert_eq!(client.create("fifo", RDWR, 0o666), Err(6));
    let size = |size| Set {
        valid: 8,
        size,
        ..Set::default()
    };
    client.set(fid, &size(4)).unwrap();
    assert_eq!(fs::read(folder.path().join("file")).unwrap(), b"0123");
    assert_eq!(client.set(dir, &size(4)), Err(EISDIR));
    assert_eq!(client.set(link, &size(4)), Err(EINVAL));
    assert!(client.set(fid, &size(u64::MAX)).is_err());
    let times = |valid, atime, mtime| Set {
        valid,
        atime,
        mtime,
        ..Set::default()
    };
    let set = times(0x1b0, (1000, 1), (2000, 999_999_999));
    for path in ["file", "dir", "link", ""] {
        let fid = client.walk(path).unwrap();
        client.set(fid, &set).unwrap();
        let seen = client.attributes(fid).unwrap();
        assert_eq!((seen.atime, seen.mtime), (1000, 2000), "{path}");
    }
    // Now, for one of them.
    client.set(fid, &times(0x20, (7, 7), (7, 7))).unwrap();
    let seen = client.attributes(fid).unwrap();
    assert!(seen.atime == 1000 && seen.mtime > 1_700_000_000);
    let odd = times(0x1b0, (0, 1_000_000_000), (0, 0));
    assert_eq!(client.set(fid, &odd), Err(EINVAL));
    let before = times(0x1b0, ((-5_i64) as u64, 0), (0, 0));
    client.set(fid, &before).unwrap();
    assert_eq!(client.attributes(fid).unwrap().atime as i64, -5);
    // Itself to itself is always allowed.
    let own = Set {
        valid: 6,
        uid: host.uid(),
        gid: host.gid(),
        ..Set::default()
    };
    client.set(fid, &own).unwrap();
    client.set(link, &own).unwrap();
    let nobody = Set {
        valid: 6,
        uid: u32::MAX,
        gid: u32::MAX,
        ..Set::default()
    };
    client.set(fid, &nobody).unwrap();
    assert_eq!(client.attributes(fid).unwrap().uid, host.uid());
    // All by an open file, which has no name any more.
    let open = client.open("file", RDWR).unwrap();
    client.unlink(ROOT, "file", 0).unwrap();
    client.set(open, &size(77)).unwrap();
    client.set(open, &mode(0o600)).unwrap();
    client.set(open, &own).unwrap();
    client.set(open, &set).unwrap();
    let seen = client.attributes(open).unwrap();
    assert_eq!((seen.size, seen.links, seen.mtime), (77, 0, 2000));
    assert_eq!(client.attributes(fid), Err(ENOENT));
}

#[test]
fn listing() {
    let (folder, mut client) = setup();
    for n in 0..300 {
        fs::write(folder.path().join(format!("dir/entry-{n}")), "").unwrap();
    }
    let mut expected: Vec<_> = (0..300).map(|n| format!("entry-{n}")).collect();
    expected.extend([".", "..", "inner", "sub"].map(String::from));
    expected.sort();
    for count in [40, 100, 4096, u32::MAX] {
        let fid = client.open("dir", RDONLY).unwrap();
        let mut names: Vec<_> = client
            .list(fid, count)
            .unwrap()
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        names.sort();
        assert_eq!(names, expected);
        // And once more, from the start.
        assert_eq!(client.list(fid, count).unwrap().len(), expected.len());
    }
    let fid = client.open("", RDONLY).unwrap();
    let mut seen = client.list(fid, 8192).unwrap();
    seen.sort();
    let kinds = [(".", DIR), ("..", DIR), ("dir", DIR), ("file", 0)];
    let mut kinds = kinds.map(|(n, k)| (n.to_owned(), k)).to_vec();
    kinds.push(("link".into(), LINK));
    assert_eq!(seen, kinds);
    // Too little for even one is not the end.
    let few = fields().u32(fid).u64(0).u32(20);
    assert_eq!(client.ask(40, &few).err(), Some(EINVAL));
    let file = client.open("file", RDONLY).unwrap();
    assert_eq!(client.list(file, 100), Err(EBADF));
    let walked = client.walk("dir").unwrap();
    assert_eq!(client.list(walked, 100), Err(EBADF));
    // Nobody learns what is above.
    let mut body = client.ask(40, &fields().u32(fid).u64(0).u32(4096)).unwrap();
    body.number(4);
    let root = fs::metadata(folder.path()).unwrap().ino();
    while !body.0.is_empty() {
        let (_, path) = body.qid();
        body.take(9);
        if body.string().starts_with(b".") {
            assert_eq!(path, root);
        }
    }
}

#[test]
fn links() {
    let (folder, mut client) = setup();
    let link = client.walk("link").unwrap();
    assert_eq!(client.readlink(link).as_deref(), Ok("file"));
    let file = client.walk("file").unwrap();
    assert_eq!(client.readlink(file), Err(EINVAL));
    assert!(client.readlink(ROOT).is_err());
    for text in ["/etc/passwd", "../../..", "x".repeat(4095).as_str(), "a b"] {
        client.symlink(ROOT, "made", text).unwrap();
        let fid = client.walk("made").unwrap();
        assert_eq!(client.readlink(fid).as_deref(), Ok(text));
        client.remove(fid).unwrap();
    }
    assert_eq!(client.symlink(ROOT, "made", ""), Err(ENOENT));
    assert_eq!(
        client.symlink(ROOT, "made", &"x".repeat(4096)),
        Err(ENAMETOOLONG)
    );
    assert_eq!(client.symlink(ROOT, "file", "x"), Err(EEXIST));
    client.link(ROOT, file, "hard").unwrap();
    assert_eq!(client.attributes(file).unwrap().links, 2);
    assert_eq!(client.link(ROOT, file, "hard"), Err(EEXIST));
    let dir = client.walk("dir").unwrap();
    assert_eq!(client.link(ROOT, dir, "dir2"), Err(EPERM));
    // A link to a link is a link.
    client.link(dir, link, "link2").unwrap();
    let meta = fs::symlink_metadata(folder.path().join("dir/link2")).unwrap();
    assert!(meta.is_symlink());
    assert_eq!(client.link(ROOT, ROOT, "root"), Err(EBUSY));
}

#[test]
fn renaming() {
    let (folder, mut client) = setup();
    let at = |path: &str| folder.path().join(path);
    let inner = client.open("dir/inner", RDWR).unwrap();
    let below = client.walk("dir/inner").unwrap();
    let dir = client.walk("dir").unwrap();
    client.renameat(ROOT, "dir", ROOT, "moved").unwrap();
    assert!(at("moved/inner").exists() && !at("dir").exists());
    // Fids go with what they are about.
    assert_eq!(client.attributes(below).unwrap().size, 5);
    assert_eq!(client.attributes(dir).unwrap().kind, DIR);
    client.mkdir(dir, "fresh").unwrap();
    assert!(at("moved/fresh").exists());
    client.rename(below, ROOT, "outer").unwrap();
    assert_eq!(client.attributes(below).unwrap().size, 5);
    assert_eq!(client.write(inner, 5, b"!"), Ok(1));
    assert_eq!(fs::read(at("outer")).unwrap(), b"inner!");
    // Onto something else.
    client.renameat(ROOT, "outer", ROOT, "file").unwrap();
    assert_eq!(fs::read(at("file")).unwrap(), b"inner!");
    assert_eq!(client.renameat(ROOT, "none", ROOT, "x"), Err(ENOENT));
    assert_eq!(client.renameat(ROOT, "file", ROOT, "moved"), Err(EISDIR));
    assert_eq!(client.renameat(ROOT, "moved", ROOT, "file"), Err(ENOTDIR));
    assert_eq!(client.renameat(ROOT, "moved", dir, "self"), Err(EINVAL));
    fs::create_dir(at("full")).unwrap();
    fs::write(at("full/x"), "").unwrap();
    assert_eq!(client.renameat(ROOT, "moved", ROOT, "full"), Err(ENOTEMPTY));
    assert_eq!(client.rename(ROOT, dir, "root"), Err(EBUSY));
    // Two names of one file are both kept.
    fs::hard_link(at("file"), at("other")).unwrap();
    let fid = client.walk("file").unwrap();
    client.renameat(ROOT, "file", ROOT, "other").unwrap();
    assert!(at("file").exists() && at("other").exists());
    fs::remove_file(at("other")).unwrap();
    assert!(client.attributes(fid).is_ok());
}

#[test]
fn removing() {
    let (folder, mut client) = setup();
    assert_eq!(client.unlink(ROOT, "dir", 0), Err(EISDIR));
    assert_eq!(client.unlink(ROOT, "dir", REMOVEDIR), Err(ENOTEMPTY));
    assert_eq!(client.unlink(ROOT, "file", REMOVEDIR), Err(ENOTDIR));
    assert_eq!(client.unlink(ROOT, "file", 1), Err(EINVAL));
    assert_eq!(client.unlink(ROOT, "none", 0), Err(ENOENT));
    client.unlink(ROOT, "link", 0).unwrap();
    client.unlink(ROOT, "file", 0).unwrap();
    let dir = client.walk("dir").unwrap();
    client.unlink(dir, "sub", REMOVEDIR).unwrap();
    // The fid goes, even if the file does not.
    assert_eq!(client.remove(dir), Err(ENOTEMPTY));
    assert_eq!(client.clunk(dir), Err(EBADF));
    let inner = client.walk("dir/inner").unwrap();
    client.remove(inner).unwrap();
    let dir = client.walk("dir").unwrap();
    client.remove(dir).unwrap();
    let root = client.walk("").unwrap();
    assert_eq!(client.remove(root), Err(EBUSY));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn the_rest() {
    let (_folder, mut client) = setup();
    let mut body = client.ask(8, &fields().u32(ROOT)).unwrap();
    assert_eq!(body.number(4), 0x0102_1997);
    assert!(body.number(4) > 0 && body.number(8) > 0);
    body.take(4 * 8);
    assert_eq!((body.number(8), body.number(4)), (0, 255));
    for path in ["dir", "file", "link"] {
        let fid = client.walk(path).unwrap();
        assert!(client.ask(8, &fields().u32(fid)).is_ok(), "{path}");
    }
    client.ask(108, &fields().u16(3)).unwrap();
    let fid = client.open("file", RDWR).unwrap();
    let lock = |fid: u32, kind: u8, flags: u32| {
        let message = fields().u32(fid).u8(kind).u32(flags).u64(0).u64(0);
        message.u32(1).string("host")
    };
    let mut body = client.ask(52, &lock(fid, 1, 1)).unwrap();
    assert_eq!(body.number(1), 0);
    assert_eq!(client.ask(52, &lock(fid, 3, 0)).err(), Some(EINVAL));
    assert_eq!(client.ask(52, &lock(fid, 1, 4)).err(), Some(EINVAL));
    assert_eq!(client.ask(52, &lock(ROOT, 1, 0)).err(), Some(EBADF));
    let get = |fid: u32| fields().u32(fid).u8(1).u64(5).u64(6).u32(7).string("host");
    let mut body = client.ask(54, &get(fid)).unwrap();
    assert_eq!(body.number(1), 2);
    assert_eq!((body.number(8), body.number(8), body.number(4)), (5, 6, 7));
    assert_eq!(body.string(), b"host");
    assert_eq!(client.ask(54, &get(ROOT)).err(), Some(EBADF));
    let walk = fields().u32(fid).u32(99).string("user.x");
    assert_eq!(client.ask(30, &walk).err(), Some(EOPNOTSUPP));
    let create = fields().u32(fid).string("user.x").u64(1).u32(0);
    assert_eq!(client.ask(32, &create).err(), Some(EOPNOTSUPP));
    for unknown in [0, 6, 10, 98, 112, 200, 255_u8] {
        let reply = client.send(&fields().message(unknown, 5));
        assert_eq!(reply, fields().u32(EOPNOTSUPP).message(7, 5));
    }
}

#[test]
fn messages_that_are_none() {
    let (_folder, mut client) = setup();
    // Shorter than a header, than they say, than their fields.
    let error = |number: u32, tag: u16| fields().u32(number).message(7, tag);
    for len in 0..7 {
        let reply = client.send(&fields().message(120, 9)[..len]);
        assert_eq!(reply, error(EPROTO, 0xffff));
    }
    let mut message = fields().u32(ROOT).message(120, 9);
    message[0] += 1;
    assert_eq!(client.send(&message), error(EPROTO, 9));
    message[3] = 0xff;
    assert_eq!(client.send(&message), error(EMSGSIZE, 9));
    for len in 0..4 {
        let short = fields().bytes(&[0; 4][..len]).message(120, 9);
        assert_eq!(client.send(&short), error(EPROTO, 9));
    }
    // What follows a message does not belong to it.
    let mut message = fields().u32(ROOT).u64(0).message(24, 9);
    message.extend([0xff; 10]);
    assert_eq!(client.send(&message)[4], 25);
    // Room for an error, and not even that.
    let message = fields().u32(ROOT).u64(0).message(24, 9);
    let mut reply = [0; 160];
    for room in 0..160 {
        let len = client.server.answer(&message, &mut reply[..room]);
        match room {
            0..11 => assert_eq!(len, 0),
            11..160 => assert_eq!(reply[..len], error(EMSGSIZE, 9)),
            _ => unreachable!(),
        }
    }
}

#[test]
fn nothing_is_written_where_that_is_refused() {
    let folder = folder();
    let before = fs::metadata(folder.path()).unwrap().mtime_nsec();
    let mut client = Client::read_only(folder.path());
    let file = client.walk("file").unwrap();
    let dir = client.walk("dir").unwrap();
    for error in [
        client.open("file", RDWR).err(),
        client.open("file", WRONLY).err(),
        client.open("file", RDONLY | TRUNC).err(),
        client.create("new", RDONLY, 0o666).err(),
        client.create("file", RDONLY, 0o666).err(),
        client.mkdir(ROOT, "new").err(),
        client.mknod(ROOT, "new", 0o10_0644).err(),
        client.symlink(ROOT, "new", "x").err(),
        client.link(ROOT, file, "new").err(),
        client.rename(file, ROOT, "new").err(),
        client.renameat(ROOT, "file", ROOT, "new").err(),
        client.unlink(ROOT, "file", 0).err(),
        client.set(file, &Set::default()).err(),
        client
            .set(
                dir,
                &Set {
                    valid: 0x1ff,
                    ..Set::default()
                },
            )
            .err(),
        client.remove(dir).err(),
    ] {
        assert_eq!(error, Some(EROFS));
    }
    let fid = client.open("file", RDONLY).unwrap();
    assert_eq!(client.read(fid, 0, 100), Ok(b"0123456789".to_vec()));
    assert_eq!(client.write(fid, 0, b"x"), Err(EBADF));
    let after = fs::metadata(folder.path()).unwrap().mtime_nsec();
    assert_eq!(before, after);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
}

#[test]
fn fids_and_open_files_are_bounded() {
    let (_folder, mut client) = setup();
    let mut opened = Vec::new();
    let error = loop {
        match client.open("file", RDONLY) {
            Ok(fid) => opened.push(fid),
            Err(error) => break error,
        }
        assert!(opened.len() <= 8192);
    };
    assert_eq!(error, EMFILE);
    // The host process still has as many for itself.
    let others: Vec<_> = (0..opened.len().min(1000))
        .map(|_| fs::File::open("/dev/null").unwrap())
        .collect();
    assert!(opened.len() > 100 && !others.is_empty());
    client.clunk(opened.pop().unwrap()).unwrap();
    client.open("file", RDONLY).unwrap();

    let mut fids = opened.len() + 2;
    let error = loop {
        match client.walk("dir") {
            Ok(_) => fids += 1,
            Err(error) => break error,
        }
        assert!(fids <= MAX_FIDS);
    };
    assert_eq!((error, fids), (ENFILE, MAX_FIDS));
}
