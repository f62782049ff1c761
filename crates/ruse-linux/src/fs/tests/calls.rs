//! What the system calls on files do.
#![cfg(unix)]

use super::super::*;
use super::*;

#[test]
fn reading_writing_and_positions() {
    let mut guest = Guest::new();
    let fd = guest.open("file", O_RDWR | O_CREAT | O_EXCL).unwrap();
    assert_eq!(
        guest.open("file", O_RDWR | O_CREAT | O_EXCL),
        Err(Errno::EEXIST)
    );
    assert_eq!(guest.write(fd, b"0123456789").unwrap(), 10);
    let data = guest.data();
    guest.put(b"ab");
    assert_eq!(guest.call(PWRITE64, [fd, data, 2, 3, 0, 0]), Ok(2));
    assert_eq!(
        guest.call(PWRITE64, [fd, data, 2, u64::MAX, 0, 0]),
        Err(Errno::EINVAL)
    );
    assert_eq!(guest.call(LSEEK, [fd, 0, 1, 0, 0, 0]), Ok(10));
    assert_eq!(guest.call(LSEEK, [fd, -3_i64 as u64, 2, 0, 0, 0]), Ok(7));
    assert_eq!(guest.read(fd, 100).unwrap(), b"789");
    assert_eq!(guest.read(fd, 100).unwrap(), b"");
    assert_eq!(
        guest.call(LSEEK, [fd, -1_i64 as u64, 0, 0, 0, 0]),
        Err(Errno::EINVAL)
    );
    assert_eq!(guest.call(PREAD64, [fd, data, 4, 2, 0, 0]), Ok(4));
    assert_eq!(guest.get(4), b"2ab5");
    // Pieces.
    guest.put(b"onetwo");
    let list = [data, 3, data + 3, 0, data + 3, 3]
        .map(u64::to_le_bytes)
        .concat();
    guest.mm().borrow_mut().write(data + 4096, &list).unwrap();
    let append = guest.open("file", O_WRONLY | O_APPEND).unwrap();
    assert_eq!(guest.call(WRITEV, [append, data + 4096, 3, 0, 0, 0]), Ok(6));
    assert_eq!(
        guest.call(WRITEV, [append, data + 4096, 1025, 0, 0, 0]),
        Err(Errno::EINVAL)
    );
    assert_eq!(guest.contents("file").unwrap(), b"012ab56789onetwo");
    // More than is moved at a time, and memory that ends in the middle.
    let long: Vec<u8> = (0..400_000_u32).map(|n| n as u8).collect();
    guest.make("long", &long).unwrap();
    assert_eq!(guest.contents("long").unwrap(), long);
    let end = guest.memory + (1 << 20);
    let fd = guest.open("long", O_RDONLY).unwrap();
    assert_eq!(guest.call(READ, [fd, end, 10, 0, 0, 0]), Err(Errno::EFAULT));
    assert_eq!(guest.call(LSEEK, [fd, 0, 1, 0, 0, 0]), Ok(0));
    assert_eq!(guest.call(WRITE, [fd, data, 1, 0, 0, 0]), Err(Errno::EBADF));
    assert_eq!(guest.call(READ, [99, data, 1, 0, 0, 0]), Err(Errno::EBADF));
    let dir = guest.open("/", O_RDONLY).unwrap();
    assert_eq!(guest.read(dir, 1), Err(Errno::EISDIR));
    assert_eq!(guest.open("/", O_RDWR), Err(Errno::EISDIR));
    assert_eq!(guest.open("file/", O_RDONLY), Err(Errno::ENOTDIR));
    assert_eq!(guest.open("file", O_DIRECTORY), Err(Errno::ENOTDIR));
    assert_eq!(guest.open("new/", O_CREAT | O_WRONLY), Err(Errno::EISDIR));
}

#[test]
fn holes_and_space() {
    let mut guest = Guest::new();
    let fd = guest.open("file", O_RDWR | O_CREAT).unwrap();
    guest.call(FTRUNCATE, [fd, 1 << 20, 0, 0, 0, 0]).unwrap();
    assert_eq!(guest.fstat(fd).unwrap().size, 1 << 20);
    let (data_from, hole_from) = (3, 4);
    assert_eq!(
        guest.call(LSEEK, [fd, 1 << 20, data_from, 0, 0, 0]),
        Err(Errno::ENXIO)
    );
    let hole = guest.call(LSEEK, [fd, 0, hole_from, 0, 0, 0]).unwrap();
    assert!(hole == 0 || hole == 1 << 20, "{hole}");
    guest.call(FALLOCATE, [fd, 0, 0, 2 << 20, 0, 0]).unwrap();
    assert_eq!(guest.fstat(fd).unwrap().size, 2 << 20);
    assert_eq!(
        guest.call(FALLOCATE, [fd, 0, 0, 0, 0, 0]),
        Err(Errno::EINVAL)
    );
}

#[test]
fn directories_read_in_parts_while_they_change() {
    let mut guest = Guest::new();
    guest.mkdir("dir").unwrap();
    for n in 0..100 {
        guest.make(format!("dir/file{n:03}"), b"").unwrap();
    }
    guest.mkdir("dir/sub").unwrap();
    guest.symlink("x", "dir/link").unwrap();
    guest
        .at(MKNODAT, "dir/fifo", [u64::from(S_IFIFO | 0o644), 0, 0, 0])
        .unwrap();
    let fd = guest.open("dir", O_DIRECTORY).unwrap();
    assert_eq!(guest.getdents(fd, 20), Err(Errno::EINVAL));
    let mut all = Vec::new();
    let mut places = vec![0];
    loop {
        // What comes and goes meanwhile changes no positions.
        let part = guest.getdents(fd, 300).unwrap();
        guest.make(format!("dir/new{}", all.len()), b"").unwrap();
        let _ = guest.unlink(format!("dir/file{:03}", all.len()));
        let Some(last) = part.last() else { break };
        places.push(last.1);
        all.extend(part);
    }
    let names: Vec<&[u8]> = all.iter().map(|entry| &entry.3[..]).collect();
    let mut unique = names.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), names.len(), "an entry came twice");
    for n in 0..100 {
        let name = format!("file{n:03}");
        assert!(names.contains(&name.as_bytes()), "{name} is lost");
    }
    // To the middle again: the same entries.
    let middle = places[places.len() / 2];
    guest.call(LSEEK, [fd, middle, 0, 0, 0, 0]).unwrap();
    let again = guest.getdents(fd, 300).unwrap();
    let at = all.iter().position(|entry| entry.1 > middle).unwrap();
    assert_eq!(again[0], all[at]);
    // Numbers and types are those of stat.
    for (ino, _, kind, name) in &all {
        let path = [b"dir/", &name[..]].concat();
        if let Ok(stat) = guest.lstat(&path) {
            assert_eq!(*ino, stat.ino, "{path:?}");
            assert_eq!(u32::from(*kind) << 12, stat.mode & S_IFMT, "{path:?}");
        }
    }
    // From the start: what is there now.
    guest.call(LSEEK, [fd, 0, 0, 0, 0, 0]).unwrap();
    let now = guest.getdents(fd, 1 << 16).unwrap();
    assert!(now.iter().any(|entry| entry.3 == b"new0"));
    assert!(!now.iter().any(|entry| entry.3 == b"file000"));
}

#[test]
fn descriptors() {
    let mut guest = Guest::new();
    guest.make("file", b"0123456789").unwrap();
    let fd = guest.open("file", O_RDONLY | O_CLOEXEC).unwrap();
    let cloexec = |guest: &mut Guest, fd| guest.call(FCNTL, [fd, 1, 0, 0, 0, 0]);
    assert_eq!(cloexec(&mut guest, fd), Ok(1));
    // One offset for both.
    let other = guest.call(DUP, [fd, 0, 0, 0, 0, 0]).unwrap();
    assert_eq!(cloexec(&mut guest, other), Ok(0));
    guest.read(fd, 4).unwrap();
    assert_eq!(guest.read(other, 2).unwrap(), b"45");
    assert_eq!(guest.call(DUP3, [fd, fd, 0, 0, 0, 0]), Err(Errno::EINVAL));
    assert_eq!(
        guest.call(DUP3, [fd, 77, u64::from(O_CLOEXEC), 0, 0, 0]),
        Ok(77)
    );
    assert_eq!(cloexec(&mut guest, 77), Ok(1));
    assert_eq!(guest.call(DUP3, [99, 77, 0, 0, 0, 0]), Err(Errno::EBADF));
    assert_eq!(
        guest.call(DUP3, [fd, 1 << 30, 0, 0, 0, 0]),
        Err(Errno::EBADF)
    );
    let high = guest.call(FCNTL, [fd, 0, 50, 0, 0, 0]).unwrap();
    assert_eq!(high, 50);
    assert_eq!(guest.call(FCNTL, [fd, 1030, 50, 0, 0, 0]), Ok(51));
    assert_eq!(cloexec(&mut guest, 51), Ok(1));
    assert_eq!(
        guest.call(FCNTL, [fd, 0, 1 << 30, 0, 0, 0]),
        Err(Errno::EINVAL)
    );
    assert_eq!(
        guest.call(FCNTL, [fd, 0, u64::MAX, 0, 0, 0]),
        Err(Errno::EINVAL)
    );
    let flags = guest.call(FCNTL, [fd, 3, 0, 0, 0, 0]).unwrap();
    assert_eq!(flags & u64::from(O_ACCMODE), u64::from(O_RDONLY));
    // All from 50 on; those below stay.
    guest
        .call(CLOSE_RANGE, [50, u64::from(u32::MAX), 0, 0, 0, 0])
        .unwrap();
    for gone in [50, 51, 77] {
        assert_eq!(guest.call(CLOSE, [gone, 0, 0, 0, 0, 0]), Err(Errno::EBADF));
    }
    assert_eq!(cloexec(&mut guest, other), Ok(0));
    guest.call(CLOSE_RANGE, [other, other, 4, 0, 0, 0]).unwrap();
    assert_eq!(cloexec(&mut guest, other), Ok(1));
    guest.close(fd);
    // The lowest is taken again.
    assert_eq!(guest.open("file", 0), Ok(fd));
    // As many as RLIMIT_NOFILE, no more, and no file is made for nothing.
    while guest.call(DUP, [fd, 0, 0, 0, 0, 0]).is_ok() {}
    assert_eq!(guest.open("made", O_CREAT | O_WRONLY), Err(Errno::EMFILE));
    assert!(!guest.host("made").exists());
}

fn flock_bytes(kind: u16, start: i64, len: i64) -> Vec<u8> {
    let mut bytes = vec![0; 32];
    bytes[0..2].copy_from_slice(&kind.to_le_bytes());
    bytes[8..16].copy_from_slice(&start.to_le_bytes());
    bytes[16..24].copy_from_slice(&len.to_le_bytes());
    bytes
}

const GETLK: u64 = 5;
const SETLK: u64 = 6;
const SETLKW: u64 = 7;
const RDLCK: u16 = 0;
const WRLCK: u16 = 1;
const UNLCK: u16 = 2;

/// Two processes with one file.
fn two() -> (Guest, Tid, Tid, u64) {
    let mut guest = Guest::new();
    guest.make("file", b"").unwrap();
    let fd = guest.open("file", O_RDWR).unwrap();
    let first = guest.tid;
    let files = guest.kernel.threads[&first].files.borrow().clone();
    let second = guest.spawn(files, Place::new());
    let mm = guest.mm();
    guest.kernel.threads.get_mut(&second).unwrap().mm = mm;
    (guest, first, second, fd)
}

#[test]
fn locks_of_processes() {
    let (mut guest, first, second, fd) = two();
    let data = guest.data();
    let lock = |guest: &mut Guest, tid, command, kind, start, len| {
        guest.tid = tid;
        guest.put(&flock_bytes(kind, start, len));
        guest.try_call(FCNTL, [fd, command, data, 0, 0, 0])
    };
    let held = Some(Err(Errno::EAGAIN));
    assert_eq!(lock(&mut guest, first, SETLK, WRLCK, 10, 10), Some(Ok(0)));
    assert_eq!(lock(&mut guest, second, SETLK, RDLCK, 0, 0), held);
    assert_eq!(lock(&mut guest, second, SETLK, WRLCK, 0, 10), Some(Ok(0)));
    assert_eq!(lock(&mut guest, second, SETLK, WRLCK, 20, 10), Some(Ok(0)));
    assert_eq!(lock(&mut guest, second, SETLKW, WRLCK, 15, 1), None);
    assert_eq!(lock(&mut guest, second, GETLK, WRLCK, 0, 0), Some(Ok(0)));
    let found = guest.get(32);
    assert_eq!(found[0..2], WRLCK.to_le_bytes());
    assert_eq!(found[8..24], flock_bytes(0, 10, 10)[8..24]);
    assert_eq!(found[24..28], first.to_le_bytes());
    // A hole in the middle, which leaves both sides.
    assert_eq!(lock(&mut guest, first, SETLK, UNLCK, 13, 2), Some(Ok(0)));
    assert_eq!(lock(&mut guest, second, SETLK, WRLCK, 13, 2), Some(Ok(0)));
    assert_eq!(lock(&mut guest, second, SETLK, WRLCK, 12, 1), held);
    assert_eq!(lock(&mut guest, second, SETLK, WRLCK, 15, 1), held);
    // The first becomes a reader: others may read with it.
    assert_eq!(lock(&mut guest, first, SETLK, RDLCK, 15, 5), Some(Ok(0)));
    assert_eq!(lock(&mut guest, second, SETLK, RDLCK, 15, 5), Some(Ok(0)));
    assert_eq!(lock(&mut guest, first, SETLK, WRLCK, 15, 5), held);
    // Closing any descriptor of the file gives up all of a process's locks.
    guest.tid = second;
    let other = guest.open("file", O_RDONLY).unwrap();
    guest.close(other);
    assert_eq!(lock(&mut guest, first, SETLK, WRLCK, 0, 0), Some(Ok(0)));
    assert_eq!(lock(&mut guest, second, SETLK, RDLCK, 5, 1), held);
    // So does the end of a process.
    guest
        .kernel
        .processes
        .get_mut(&first)
        .unwrap()
        .threads
        .clear();
    assert_eq!(lock(&mut guest, second, SETLK, WRLCK, 0, 0), Some(Ok(0)));
    assert_eq!(
        lock(&mut guest, second, SETLK, 7, 0, 0),
        Some(Err(Errno::EINVAL))
    );
    assert_eq!(
        lock(&mut guest, second, SETLK, WRLCK, -1, 5),
        Some(Err(Errno::EINVAL))
    );
}

#[test]
fn locks_of_open_files() {
    let mut guest = Guest::new();
    guest.make("file", b"").unwrap();
    let one = guest.open("file", O_RDWR).unwrap();
    let same = guest.call(DUP, [one, 0, 0, 0, 0, 0]).unwrap();
    let two = guest.open("file", O_RDWR).unwrap();
    let (shared, exclusive, unlock, now) = (1, 2, 8, 4);
    let flock = |guest: &mut Guest, fd, how| guest.try_call(FLOCK, [fd, how, 0, 0, 0, 0]);
    assert_eq!(flock(&mut guest, one, exclusive), Some(Ok(0)));
    assert_eq!(flock(&mut guest, same, exclusive | now), Some(Ok(0)));
    assert_eq!(
        flock(&mut guest, two, shared | now),
        Some(Err(Errno::EAGAIN))
    );
    assert_eq!(flock(&mut guest, two, shared), None);
    assert_eq!(flock(&mut guest, one, shared), Some(Ok(0)));
    assert_eq!(flock(&mut guest, two, shared), Some(Ok(0)));
    assert_eq!(
        flock(&mut guest, one, exclusive | now),
        Some(Err(Errno::EAGAIN))
    );
    assert_eq!(flock(&mut guest, two, unlock), Some(Ok(0)));
    assert_eq!(flock(&mut guest, one, exclusive | now), Some(Ok(0)));
    // It goes with the last descriptor of the open file.
    guest.close(one);
    assert_eq!(
        flock(&mut guest, two, exclusive | now),
        Some(Err(Errno::EAGAIN))
    );
    guest.close(same);
    assert_eq!(flock(&mut guest, two, exclusive | now), Some(Ok(0)));
    assert_eq!(flock(&mut guest, two, 3), Some(Err(Errno::EINVAL)));
    // Locks of open file descriptions (fcntl) are apart from these.
    let other = guest.open("file", O_RDWR).unwrap();
    guest.put(&flock_bytes(WRLCK, 0, 0));
    let data = guest.data();
    assert_eq!(guest.call(FCNTL, [two, 37, data, 0, 0, 0]), Ok(0));
    assert_eq!(
        guest.call(FCNTL, [other, 37, data, 0, 0, 0]),
        Err(Errno::EAGAIN)
    );
}

#[test]
fn renaming() {
    let mut guest = Guest::new();
    guest.make("a", b"a").unwrap();
    guest.make("b", b"b").unwrap();
    guest.mkdir("d").unwrap();
    guest.mkdir("e").unwrap();
    guest.make("e/x", b"").unwrap();
    assert_eq!(guest.at2(RENAMEAT2, "a", "b", 1), Err(Errno::EEXIST));
    assert_eq!(guest.at2(RENAMEAT2, "a", "c", 3), Err(Errno::EINVAL));
    guest.at2(RENAMEAT2, "a", "b", 2).unwrap();
    assert_eq!(guest.contents("a").unwrap(), b"b");
    assert_eq!(guest.rename("a", "d"), Err(Errno::EISDIR));
    assert_eq!(guest.rename("d", "a"), Err(Errno::ENOTDIR));
    assert_eq!(guest.rename("d", "e"), Err(Errno::ENOTEMPTY));
    guest.rename("e", "d").unwrap();
    assert_eq!(guest.list("d").unwrap(), [b"x"]);
    assert_eq!(guest.rename("gone", "x"), Err(Errno::ENOENT));
    assert_eq!(guest.rename("a", "x/y"), Err(Errno::ENOENT));
    assert_eq!(guest.rename("a/", "x"), Err(Errno::ENOTDIR));
    assert_eq!(guest.rename("d/.", "x"), Err(Errno::EBUSY));
    assert_eq!(guest.rename("d/..", "x"), Err(Errno::EBUSY));
    assert_eq!(guest.rmdir("d"), Err(Errno::ENOTEMPTY));
    assert_eq!(guest.rmdir("d/."), Err(Errno::EINVAL));
    assert_eq!(guest.rmdir("d/x"), Err(Errno::ENOTDIR));
    assert_eq!(guest.unlink("d"), Err(Errno::EISDIR));
    assert_eq!(guest.unlink("/"), Err(Errno::EISDIR));
    assert_eq!(guest.rmdir("/"), Err(Errno::EBUSY));
    guest.rename("d/", "f/").unwrap();
    // Two names of one file: nothing happens.
    guest.at2(LINKAT, "a", "hard", 0).unwrap();
    guest.rename("a", "hard").unwrap();
    assert_eq!(guest.stat("a").unwrap(), guest.stat("hard").unwrap());
    assert_eq!(guest.stat("a").unwrap().nlink, 2);
}

#[test]
fn others_than_root_need_permission() {
    let mut guest = Guest::new();
    guest.mkdir("closed").unwrap();
    guest.make("closed/file", b"x").unwrap();
    guest.at(FCHMODAT, "closed", [0o700, 0, 0, 0]).unwrap();
    guest.make("mine", b"mine").unwrap();
    guest.at(FCHMODAT, "mine", [0o600, 0, 0, 0]).unwrap();
    guest.mkdir("sticky").unwrap();
    guest.at(FCHMODAT, "sticky", [0o1777, 0, 0, 0]).unwrap();
    guest.make("sticky/roots", b"").unwrap();
    // Root may open what its mode forbids to all.
    guest.at(FCHMODAT, "mine", [0, 0, 0, 0]).unwrap();
    assert_eq!(guest.contents("mine").unwrap(), b"mine");
    assert_eq!(
        guest.at(FACCESSAT, "mine", [1, 0, 0, 0]),
        Err(Errno::EACCES)
    );
    guest.at(FCHMODAT, "mine", [0o640, 0, 0, 0]).unwrap();
    guest.at(FCHOWNAT, "mine", [0, 50, 0, 0]).unwrap();
    let pid = guest.tid;
    let become_user = |guest: &mut Guest, groups: &[u32]| {
        let who = &mut guest.kernel.processes.get_mut(&pid).unwrap().credentials;
        (who.ruid, who.euid, who.suid) = (1000, 1000, 1000);
        (who.rgid, who.egid, who.sgid) = (1000, 1000, 1000);
        who.groups = groups.to_vec();
    };
    become_user(&mut guest, &[]);
    assert_eq!(guest.contents("closed/file"), Err(Errno::EACCES));
    assert_eq!(guest.stat("closed/file"), Err(Errno::EACCES));
    assert_eq!(guest.list("closed"), Err(Errno::EACCES));
    assert_eq!(guest.chdir("closed"), Err(Errno::EACCES));
    assert_eq!(guest.stat("closed/../mine"), Err(Errno::EACCES));
    assert_eq!(guest.contents("mine"), Err(Errno::EACCES));
    become_user(&mut guest, &[7, 50]);
    assert_eq!(guest.contents("mine").unwrap(), b"mine");
    assert_eq!(guest.open("mine", O_RDWR), Err(Errno::EACCES));
    assert_eq!(guest.open("mine", O_TRUNC), Err(Errno::EACCES));
    assert_eq!(guest.make("new", b""), Err(Errno::EACCES));
    assert_eq!(guest.mkdir("new"), Err(Errno::EACCES));
    assert_eq!(guest.unlink("mine"), Err(Errno::EACCES));
    assert_eq!(
        guest.at(FCHMODAT, "mine", [0o777, 0, 0, 0]),
        Err(Errno::EPERM)
    );
    assert_eq!(
        guest.at(FCHOWNAT, "mine", [1000, 1000, 0, 0]),
        Err(Errno::EPERM)
    );
    guest.make("sticky/own", b"own").unwrap();
    assert_eq!(guest.stat("sticky/own").unwrap().uid, 1000);
    assert_eq!(guest.unlink("sticky/roots"), Err(Errno::EPERM));
    guest.rename("sticky/own", "sticky/renamed").unwrap();
    guest
        .at(FCHMODAT, "sticky/renamed", [0o400, 0, 0, 0])
        .unwrap();
    assert_eq!(guest.open("sticky/renamed", O_RDWR), Err(Errno::EACCES));
    guest.unlink("sticky/renamed").unwrap();
}

#[test]
fn umask_times_and_memory_files() {
    let mut guest = Guest::new();
    assert_eq!(guest.call(UMASK, [0o077, 0, 0, 0, 0, 0]), Ok(0o022));
    guest.make("private", b"").unwrap();
    assert_eq!(guest.stat("private").unwrap().mode & 0o777, 0o600);
    guest.call(UMASK, [0, 0, 0, 0, 0, 0]).unwrap();
    let fd = guest
        .open_at(CWD, "public", O_CREAT | O_RDWR, 0o666)
        .unwrap();
    assert_eq!(guest.fstat(fd).unwrap().mode & 0o777, 0o666);
    // Seconds before 1970, too; and links themselves.
    let times = [-5_i64 as u64, 0, -7_i64 as u64, 5]
        .map(u64::to_le_bytes)
        .concat();
    guest.put(&times);
    let data = guest.data();
    guest.at(UTIMENSAT, "public", [data, 0, 0, 0]).unwrap();
    assert_eq!(guest.stat("public").unwrap().mtime, -7);
    guest.symlink("public", "link").unwrap();
    let times = [1, 0, 2, 0].map(u64::to_le_bytes).concat();
    guest.put(&times);
    guest.at(UTIMENSAT, "link", [data, 0x100, 0, 0]).unwrap();
    assert_eq!(guest.lstat("link").unwrap().mtime, 2);
    assert_eq!(guest.stat("link").unwrap().mtime, -7);
    let bad = [0, 1_000_000_000, 0, 0].map(u64::to_le_bytes).concat();
    guest.put(&bad);
    assert_eq!(
        guest.at(UTIMENSAT, "link", [data, 0, 0, 0]),
        Err(Errno::EINVAL)
    );
    // memfd_create with seals.
    let name = guest.text("name");
    let fd = guest.call(MEMFD_CREATE, [name, 2, 0, 0, 0, 0]).unwrap();
    guest.write(fd, b"sealed").unwrap();
    assert_eq!(
        guest.read_link(format!("/proc/self/fd/{fd}")).unwrap(),
        b"/memfd:name (deleted)"
    );
    guest.call(FCNTL, [fd, 1033, 2 | 4 | 8, 0, 0, 0]).unwrap();
    assert_eq!(guest.call(FCNTL, [fd, 1034, 0, 0, 0, 0]), Ok(14));
    assert_eq!(guest.write(fd, b"x"), Err(Errno::EPERM));
    assert_eq!(
        guest.call(FTRUNCATE, [fd, 1, 0, 0, 0, 0]),
        Err(Errno::EPERM)
    );
    assert_eq!(
        guest.contents(format!("/proc/self/fd/{fd}")).unwrap(),
        b"sealed"
    );
    let name = guest.text("n".repeat(250));
    assert_eq!(
        guest.call(MEMFD_CREATE, [name, 0, 0, 0, 0, 0]),
        Err(Errno::EINVAL)
    );
}

#[test]
fn copies_within_the_kernel() {
    let mut guest = Guest::new();
    let long: Vec<u8> = (0..600_000_u32).map(|n| (n >> 3) as u8).collect();
    for chunk in long.chunks(300_000) {
        let fd = guest.open("from", O_WRONLY | O_CREAT | O_APPEND).unwrap();
        guest.write(fd, chunk).unwrap();
        guest.close(fd);
    }
    let from = guest.open("from", O_RDONLY).unwrap();
    let to = guest.open("to", O_WRONLY | O_CREAT).unwrap();
    assert_eq!(
        guest.call(SENDFILE, [to, from, 0, 1 << 30, 0, 0]),
        Ok(600_000)
    );
    let copy = std::fs::read(guest.host("to")).unwrap();
    assert!(copy == long);
    // At offsets, which move instead of the file's own.
    let data = guest.data();
    guest.put(&[100_u64, 7].map(u64::to_le_bytes).concat());
    assert_eq!(
        guest.call(COPY_FILE_RANGE, [from, data, to, data + 8, 50, 0]),
        Ok(50)
    );
    assert_eq!(guest.get(16), [150_u64, 57].map(u64::to_le_bytes).concat());
    let copy = std::fs::read(guest.host("to")).unwrap();
    assert_eq!(copy[7..57], long[100..150]);
    let both = guest.open("to", O_RDWR).unwrap();
    guest.put(&[0_u64, 10].map(u64::to_le_bytes).concat());
    assert_eq!(
        guest.call(COPY_FILE_RANGE, [both, data, both, data + 8, 50, 0]),
        Err(Errno::EINVAL)
    );
}

#[test]
fn fifos_meet() {
    let (mut guest, first, second, _) = two();
    guest
        .at(MKNODAT, "fifo", [u64::from(S_IFIFO | 0o666), 0, 0, 0])
        .unwrap();
    assert_eq!(guest.open("fifo", O_WRONLY | O_NONBLOCK), Err(Errno::ENXIO));
    // The first waits to read until the second opens to write.
    let path = guest.text("fifo");
    let read_args = [CWD, path, u64::from(O_RDONLY), 0, 0, 0];
    let write_args = [CWD, path, u64::from(O_WRONLY), 0, 0, 0];
    let block = |guest: &mut Guest, tid, args| {
        use crate::thread::{Blocked, State, Wait};
        guest.tid = tid;
        assert_eq!(guest.try_call(OPENAT, args), None);
        guest.kernel.threads.get_mut(&tid).unwrap().state = State::Blocked(Blocked {
            number: OPENAT,
            args,
            wait: Wait::default(),
            seen: 0,
            woken: false,
        });
    };
    block(&mut guest, first, read_args);
    guest.tid = second;
    let writer = guest.call(OPENAT, write_args).unwrap();
    guest.tid = first;
    let reader = guest.call(OPENAT, read_args).unwrap();
    guest.tid = second;
    guest.write(writer, b"through").unwrap();
    guest.tid = first;
    assert_eq!(guest.read(reader, 20).unwrap(), b"through");
    guest.tid = second;
    guest.close(writer);
    guest.tid = first;
    assert_eq!(guest.read(reader, 20).unwrap(), b"");
    guest.close(reader);
    // One that gave up waiting is no other end.
    block(&mut guest, first, read_args);
    guest.kernel.threads.get_mut(&first).unwrap().state = crate::thread::State::Ready;
    guest.tid = second;
    assert_eq!(guest.open("fifo", O_WRONLY | O_NONBLOCK), Err(Errno::ENXIO));
    assert_eq!(guest.try_call(OPENAT, write_args), None);
}

#[test]
fn what_proc_says() {
    let mut guest = Guest::new();
    let pid = guest.tid;
    guest.kernel.threads.get_mut(&pid).unwrap().name = b"a (name".to_vec();
    let text = |guest: &mut Guest, path: &str| {
        String::from_utf8(
            guest
                .contents(path)
                .unwrap_or_else(|e| panic!("{path}: {e:?}")),
        )
        .unwrap()
    };
    let stat = text(&mut guest, "/proc/self/stat");
    assert!(stat.starts_with(&format!("{pid} (a (name) ")), "{stat}");
    let fields = stat
        .trim_end()
        .rsplit(") ")
        .next()
        .unwrap()
        .split(' ')
        .count();
    assert_eq!(fields, 50, "{stat}");
    assert!(text(&mut guest, "/proc/self/status").contains(&format!("\nPid:\t{pid}\n")));
    assert!(text(&mut guest, "/proc/self/mounts").contains("root / ext4 rw 0 0\n"));
    assert!(text(&mut guest, "/proc/meminfo").starts_with("MemTotal:"));
    assert!(text(&mut guest, "/proc/cpuinfo").contains("rv64imafdc"));
    assert!(text(&mut guest, "/proc/sys/kernel/osrelease").starts_with('6'));
    assert_eq!(text(&mut guest, "/proc/self/comm"), "a (name\n");
    guest.make("/proc/self/comm", b"other\n").unwrap();
    assert_eq!(text(&mut guest, "/proc/self/comm"), "other\n");
    assert_eq!(guest.make("/proc/self/stat", b"x"), Err(Errno::EACCES));
    assert_eq!(guest.make("/proc/new", b"x"), Err(Errno::ENOENT));
    assert!(guest.mkdir("/proc/new").is_err());
    // Every file that is listed can be opened and read.
    let mut dirs = vec![format!("/proc/{pid}"), "/proc".to_string()];
    let mut seen = 0;
    while let Some(dir) = dirs.pop() {
        for name in guest.list(&dir).unwrap() {
            let path = format!("{dir}/{}", String::from_utf8(name).unwrap());
            // The directory itself was open while it was listed.
            if path.contains("/fd") && guest.lstat(&path).is_err() {
                continue;
            }
            let stat = guest
                .lstat(&path)
                .unwrap_or_else(|e| panic!("{path}: {e:?}"));
            match stat.mode & S_IFMT {
                S_IFDIR if dirs.len() < 50 && !path.ends_with("/task") => dirs.push(path),
                S_IFREG => {
                    text(&mut guest, &path);
                    seen += 1;
                }
                _ => {}
            }
        }
        if seen > 500 {
            break;
        }
    }
    assert!(seen > 80, "{seen}");
    // A deleted file.
    guest.make("file", b"").unwrap();
    let fd = guest.open("file", O_RDONLY).unwrap();
    guest.unlink("file").unwrap();
    assert_eq!(
        guest.read_link(format!("/proc/self/fd/{fd}")).unwrap(),
        b"/file (deleted)"
    );
    assert_eq!(guest.description(fd).file.stat().unwrap().nlink, 0);
}

#[test]
fn splices_lose_nothing() {
    const PIPE2: u64 = 59;
    const SPLICE: u64 = 76;
    let mut guest = Guest::new();
    guest.make("from", b"0123456789").unwrap();
    let file = guest.open("from", O_RDWR).unwrap();
    let data = guest.data();
    let pipe = |guest: &mut Guest| {
        guest
            .call(PIPE2, [data, u64::from(O_NONBLOCK), 0, 0, 0, 0])
            .unwrap();
        let ends = guest.get(8);
        let end = |at: usize| u64::from(u32::from_le_bytes(ends[at..at + 4].try_into().unwrap()));
        (end(0), end(4))
    };
    let (reader, writer) = pipe(&mut guest);
    let (reader2, writer2) = pipe(&mut guest);
    // In by an offset, which moves, while the file's own stays.
    guest.put(&2_u64.to_le_bytes());
    assert_eq!(guest.call(SPLICE, [file, data, writer, 0, 5, 0]), Ok(5));
    assert_eq!(guest.get(8), 7_u64.to_le_bytes());
    assert_eq!(guest.call(LSEEK, [file, 0, 1, 0, 0, 0]), Ok(0));
    // From pipe to pipe, as much as fits.
    guest.call(FCNTL, [writer2, 1031, 4096, 0, 0, 0]).unwrap();
    guest.write(writer2, &[b'x'; 4094]).unwrap();
    assert_eq!(guest.call(SPLICE, [reader, 0, writer2, 0, 5, 0]), Ok(2));
    assert_eq!(
        guest.call(SPLICE, [reader, 0, writer2, 0, 5, 0]),
        Err(Errno::EAGAIN)
    );
    assert_eq!(guest.read(reader2, 5000).unwrap()[4094..], *b"23");
    // Out to a file that has an offset of its own.
    assert_eq!(guest.call(SPLICE, [reader, 0, file, 0, 100, 0]), Ok(3));
    assert_eq!(guest.contents("from").unwrap(), b"4563456789");
    assert_eq!(
        guest.call(SPLICE, [reader, 0, file, 0, 100, 0]),
        Err(Errno::EAGAIN)
    );
    // Nobody reads: what could not be written is still there.
    guest.write(writer, b"kept").unwrap();
    guest.close(reader2);
    assert_eq!(
        guest.call(SPLICE, [reader, 0, writer2, 0, 5, 0]),
        Err(Errno::EPIPE)
    );
    assert_eq!(guest.read(reader, 10).unwrap(), b"kept");
    assert_eq!(
        guest.call(SPLICE, [file, 0, file, 0, 5, 0]),
        Err(Errno::EINVAL)
    );
    assert_eq!(
        guest.call(SPLICE, [reader, 0, writer, 0, 5, 0]),
        Err(Errno::EINVAL)
    );
    assert_eq!(
        guest.call(SPLICE, [reader, data, file, 0, 5, 0]),
        Err(Errno::ESPIPE)
    );
    guest.close(writer);
    assert_eq!(guest.call(SPLICE, [reader, 0, file, 0, 5, 0]), Ok(0));
}
