//! Attempts to leave the box. Each must fail, and leave what is outside as it
//! was.
#![cfg(unix)]

use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::super::*;
use super::*;

#[test]
fn dots_stop_at_the_root() {
    let mut guest = Guest::new();
    let root = guest.stat("/").unwrap();
    for path in ["..", "/..", "/../../../..", "../../..", "/./../."] {
        assert_eq!(guest.stat(path).unwrap(), root, "{path}");
    }
    for path in [
        "../outside/secret",
        "/../outside/secret",
        "../../outside/secret",
        "/proc/../../outside/secret",
        "/tmp/../../outside/secret",
    ] {
        assert_eq!(guest.contents(path), Err(Errno::ENOENT), "{path}");
    }
    for _ in 0..10 {
        guest.chdir("..").unwrap();
    }
    assert_eq!(guest.cwd().unwrap(), b"/");
    // By the host's own absolute path.
    let host = guest.outside().join("secret");
    assert_eq!(
        guest.contents(host.as_os_str().as_encoded_bytes()),
        Err(Errno::ENOENT)
    );
}

#[test]
fn symbolic_links_lead_nowhere_outside() {
    let mut guest = Guest::new();
    let outside = guest.outside();
    symlink(outside.join("secret"), guest.host("absolute")).unwrap();
    symlink("../outside/secret", guest.host("relative")).unwrap();
    symlink("../../../../../../outside/secret", guest.host("deep")).unwrap();
    symlink(&outside, guest.host("dir")).unwrap();
    symlink("../outside", guest.host("reldir")).unwrap();
    let before = snapshot(&outside);
    for path in [
        "absolute",
        "relative",
        "deep",
        "dir/secret",
        "reldir/secret",
    ] {
        assert_eq!(guest.contents(path), Err(Errno::ENOENT), "{path}");
        assert_eq!(guest.stat(path), Err(Errno::ENOENT), "{path}");
        for flags in [O_WRONLY, O_RDWR, O_WRONLY | O_TRUNC, O_PATH] {
            assert_eq!(guest.open(path, flags), Err(Errno::ENOENT), "{path}");
        }
        assert!(guest.lstat(path).is_ok_and(|s| s.mode & S_IFMT == S_IFLNK) || path.contains('/'));
    }
    for dir in ["dir", "reldir"] {
        let new = format!("{dir}/new");
        let secret = format!("{dir}/secret");
        assert_eq!(guest.make(&new, b"x"), Err(Errno::ENOENT));
        assert_eq!(guest.mkdir(&new), Err(Errno::ENOENT));
        assert_eq!(guest.symlink("x", &new), Err(Errno::ENOENT));
        assert_eq!(guest.unlink(&secret), Err(Errno::ENOENT));
        assert_eq!(guest.rmdir(dir), Err(Errno::ENOTDIR));
        assert_eq!(guest.rename(&secret, "mine"), Err(Errno::ENOENT));
        guest.make("own", b"own").unwrap();
        assert_eq!(guest.rename("own", &secret), Err(Errno::ENOENT));
        assert_eq!(guest.at2(LINKAT, &secret, "mine", 0), Err(Errno::ENOENT));
        assert_eq!(guest.at2(LINKAT, "own", &secret, 0), Err(Errno::ENOENT));
        assert_eq!(
            guest.at(FCHMODAT, &secret, [0o777, 0, 0, 0]),
            Err(Errno::ENOENT)
        );
        assert_eq!(
            guest.at(FCHOWNAT, &secret, [7, 7, 0, 0]),
            Err(Errno::ENOENT)
        );
        assert_eq!(guest.at(UTIMENSAT, &secret, [0; 4]), Err(Errno::ENOENT));
        assert_eq!(
            guest.at(MKNODAT, &new, [0o644, 0, 0, 0]),
            Err(Errno::ENOENT)
        );
        let secret = guest.text(&secret);
        assert_eq!(
            guest.call(TRUNCATE, [secret, 0, 0, 0, 0, 0]),
            Err(Errno::ENOENT)
        );
        assert_eq!(guest.chdir(dir), Err(Errno::ENOENT));
    }
    assert_eq!(snapshot(&outside), before);
    // The same paths lead somewhere if they are there inside.
    std::fs::create_dir(guest.host("outside")).unwrap();
    std::fs::write(guest.host("outside/secret"), "inside").unwrap();
    for path in ["relative", "deep", "reldir/secret"] {
        assert_eq!(guest.contents(path).unwrap(), b"inside", "{path}");
    }
}

#[test]
fn creating_through_a_dangling_link_stays_inside() {
    let mut guest = Guest::new();
    let target = guest.outside().join("made");
    symlink(&target, guest.host("absolute")).unwrap();
    symlink("../made", guest.host("relative")).unwrap();
    assert_eq!(guest.make("absolute", b"x"), Err(Errno::ENOENT));
    guest.make("relative", b"x").unwrap();
    assert!(!guest.around.path().join("made").exists());
    assert!(!target.exists());
    assert_eq!(std::fs::read(guest.host("made")).unwrap(), b"x");
}

/// Runs `act` while another thread of the host exchanges `box/flip` for
/// `box/other` all the time.
fn race(guest: &mut Guest, rounds: usize, mut act: impl FnMut(&mut Guest)) {
    let stop = Arc::new(AtomicBool::new(false));
    let (flip, other) = (guest.host("flip"), guest.host("other"));
    let between = guest.host("between");
    let flipper = std::thread::spawn({
        let stop = Arc::clone(&stop);
        move || {
            let mut flips = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                std::fs::rename(&flip, &between).unwrap();
                std::fs::rename(&other, &flip).unwrap();
                std::fs::rename(&between, &other).unwrap();
                flips += 1;
            }
            flips
        }
    });
    for _ in 0..rounds {
        act(guest);
    }
    stop.store(true, Ordering::Relaxed);
    assert!(flipper.join().unwrap() > 0);
}

#[test]
fn a_directory_exchanged_for_a_link_outside_while_it_is_walked() {
    let mut guest = Guest::new();
    let outside = guest.outside();
    std::fs::create_dir(guest.host("flip")).unwrap();
    std::fs::write(guest.host("flip/secret"), "inside").unwrap();
    symlink(&outside, guest.host("other")).unwrap();
    let before = snapshot(&outside);
    let mut seen = 0;
    race(&mut guest, 3000, |guest| {
        match guest.contents("flip/secret") {
            Ok(bytes) => {
                assert_eq!(bytes, b"inside");
                seen += 1;
            }
            Err(error) => assert!(
                matches!(error, Errno::ENOENT | Errno::ELOOP | Errno::ENOTDIR),
                "{error:?}"
            ),
        }
        let _ = guest.make("flip/new", b"new");
        let _ = guest.at(FCHMODAT, "flip/secret", [0o600, 0, 0, 0]);
        let _ = guest.at(UTIMENSAT, "flip/secret", [0; 4]);
        let _ = guest.mkdir("flip/dir");
        let _ = guest.rename("flip/new", "flip/newer");
        let _ = guest.at2(LINKAT, "flip/newer", "flip/newest", 0);
        let _ = guest.unlink("flip/newest");
        let _ = guest.rmdir("flip/dir");
        if let Ok(names) = guest.list("flip") {
            assert!(!names.is_empty());
        }
    });
    assert!(seen > 0, "the race was never won by the directory");
    assert_eq!(snapshot(&outside), before);
}

#[test]
fn a_file_exchanged_for_a_link_outside_while_it_is_opened() {
    let mut guest = Guest::new();
    let outside = guest.outside();
    std::fs::write(guest.host("flip"), "inside").unwrap();
    symlink(outside.join("secret"), guest.host("other")).unwrap();
    let before = snapshot(&outside);
    race(&mut guest, 5000, |guest| {
        if let Ok(bytes) = guest.contents("flip") {
            assert_eq!(bytes, b"inside");
        }
        if let Ok(fd) = guest.open("flip", O_RDWR) {
            let _ = guest.call(PWRITE64, [fd, guest.data(), 0, 0, 0, 0]);
            let _ = guest.call(FCHMOD, [fd, 0o640, 0, 0, 0, 0]);
            guest.close(fd);
        }
        let _ = guest.at(FCHMODAT, "flip", [0o600, 0, 0, 0]);
        let _ = guest.at(UTIMENSAT, "flip", [0; 4]);
        let path = guest.text("flip");
        let _ = guest.call(TRUNCATE, [path, 6, 0, 0, 0, 0]);
    });
    assert_eq!(snapshot(&outside), before);
}

#[test]
fn links_in_proc_stay_in_the_box() {
    let mut guest = Guest::new();
    let pid = guest.tid;
    guest.mkdir("a").unwrap();
    guest.mkdir("a/b").unwrap();
    let root = guest.stat("/").unwrap();
    guest.chdir("a/b").unwrap();
    for path in [
        "/proc/self/root".to_string(),
        "/proc/self/root/..".to_string(),
        "/proc/self/root/proc/self/root/../..".to_string(),
        "/proc/self/cwd/../../..".to_string(),
        format!("/proc/{pid}/cwd/../../../.."),
        format!("/proc/{pid}/root/../.."),
        format!("/proc/{pid}/task/{pid}/root/.."),
        "/proc/thread-self/cwd/../..".to_string(),
    ] {
        assert_eq!(guest.stat(&path).unwrap(), root, "{path}");
        let outside = format!("{path}/outside/secret");
        assert_eq!(guest.contents(outside), Err(Errno::ENOENT), "{path}");
    }
    let fd = guest.open("/a", O_DIRECTORY).unwrap();
    for path in [
        format!("/proc/self/fd/{fd}/.."),
        format!("/proc/self/fd/{fd}/../../.."),
        format!("/dev/fd/{fd}/../../../../.."),
    ] {
        assert_eq!(guest.stat(&path).unwrap(), root, "{path}");
    }
    assert_eq!(
        guest.open_at(fd, "../../outside/secret", 0, 0),
        Err(Errno::ENOENT)
    );
    assert_eq!(
        guest.read_link(format!("/proc/self/fd/{fd}")).unwrap(),
        b"/a"
    );
    // The host's own processes are not there.
    assert_eq!(
        guest.stat(format!("/proc/{}", std::process::id() + 5_000_000)),
        Err(Errno::ENOENT)
    );
    assert!(!guest.contents("/proc/self/maps").unwrap().is_empty());
}

#[test]
fn descriptors_of_host_streams_give_no_more_than_they_are() {
    let mut guest = Guest::with(|around, config| {
        // A program outside, run without a root directory.
        config.root = None;
        config.program = around.join("outside/secret").into_os_string();
    });
    let path = guest.kernel.vfs.program.clone().unwrap();
    let before = snapshot(&guest.outside());
    assert_eq!(guest.contents(&path).unwrap(), SECRET);
    // Its directory holds nothing else, and nothing can be made there.
    let dir = &path[..path.len() - b"/secret".len()];
    std::fs::write(guest.outside().join("more"), "x").unwrap();
    assert_eq!(guest.list(dir).unwrap(), [b"secret"]);
    std::fs::remove_file(guest.outside().join("more")).unwrap();
    assert_eq!(guest.contents([dir, b"/more"].concat()), Err(Errno::ENOENT));
    assert_eq!(
        guest.make([dir, b"/made"].concat(), b"x"),
        Err(Errno::EROFS)
    );
    assert_eq!(guest.open(&path, O_RDWR), Err(Errno::EROFS));
    let fd = guest.open(&path, O_RDONLY).unwrap();
    let link = format!("/proc/self/fd/{fd}");
    for flags in [O_RDWR, O_WRONLY] {
        let error = guest.open(&link, flags).unwrap_err();
        assert!(matches!(error, Errno::EACCES | Errno::EROFS), "{error:?}");
    }
    assert!(guest.open(&link, O_RDONLY | O_TRUNC).is_err());
    assert_eq!(
        guest.call(FCHMOD, [fd, 0o777, 0, 0, 0, 0]),
        Err(Errno::EROFS)
    );
    assert_eq!(guest.write(fd, b"x"), Err(Errno::EBADF));
    assert_eq!(
        guest.call(FTRUNCATE, [fd, 0, 0, 0, 0, 0]),
        Err(Errno::EINVAL)
    );
    let after = snapshot(&guest.outside());
    // But for the directory's own times, which the test changed.
    assert_eq!(after.iter().filter(|l| l.contains("secret")).count(), 1);
    assert_eq!(
        after.iter().find(|l| l.contains("secret\"")),
        before.iter().find(|l| l.contains("secret\""))
    );
}

#[test]
fn hard_links_do_not_cross() {
    let mut guest = Guest::with(|around, config| {
        let shared = around.join("shared");
        std::fs::create_dir(&shared).unwrap();
        std::fs::write(shared.join("file"), "fixed").unwrap();
        config.shares.push(share(shared, "/share", true));
    });
    let outside = guest.outside();
    symlink(outside.join("secret"), guest.host("link")).unwrap();
    // A link to the symbolic link, never to what it leads to.
    guest.at2(LINKAT, "link", "hard", 0).unwrap();
    assert_eq!(guest.lstat("hard").unwrap().mode & S_IFMT, S_IFLNK);
    assert_eq!(
        guest.at2(LINKAT, "link", "hard2", 0x400),
        Err(Errno::ENOENT)
    );
    // Out of a read-only share, by any name, into where writing is allowed.
    assert_eq!(
        guest.at2(LINKAT, "/share/file", "/mine", 0),
        Err(Errno::EXDEV)
    );
    let fd = guest.open("/share/file", O_RDONLY).unwrap();
    let by_fd = format!("/proc/self/fd/{fd}");
    assert_eq!(guest.at2(LINKAT, &by_fd, "/mine", 0x400), Err(Errno::EXDEV));
    assert_eq!(
        guest.at2(LINKAT, &by_fd, "/share/mine", 0x400),
        Err(Errno::EROFS)
    );
    let (empty, mine) = (guest.text(""), guest.text("/mine"));
    assert_eq!(
        guest.call(LINKAT, [fd, empty, CWD, mine, 0x1000, 0]),
        Err(Errno::EXDEV)
    );
    assert_eq!(guest.rename("/share/file", "/mine"), Err(Errno::EXDEV));
    guest.make("/own", b"x").unwrap();
    assert_eq!(
        guest.at2(LINKAT, "/own", "/share/own", 0),
        Err(Errno::EXDEV)
    );
    guest.mkdir("/dir").unwrap();
    assert_eq!(guest.at2(LINKAT, "/dir", "/dir2", 0), Err(Errno::EPERM));
}

#[test]
fn directories_that_move_or_go_under_their_users() {
    let mut guest = Guest::new();
    for dir in ["a", "a/b", "a/b/c", "x"] {
        guest.mkdir(dir).unwrap();
    }
    guest.make("a/b/c/file", b"here").unwrap();
    let c = guest.open("a/b/c", O_DIRECTORY).unwrap();
    guest.chdir("a/b/c").unwrap();
    // A directory above moves: both follow, and `..` is the new one.
    guest.rename("/a/b", "/x/b").unwrap();
    assert_eq!(guest.cwd().unwrap(), b"/x/b/c");
    let fd = guest.open_at(c, "file", O_RDONLY, 0).unwrap();
    assert_eq!(guest.read(fd, 10).unwrap(), b"here");
    guest.close(fd);
    assert_eq!(guest.stat("../../../a").unwrap(), guest.stat("/a").unwrap());
    // Moved over its own parent's place, to the top.
    guest.rmdir("/a").unwrap();
    guest.rename("/x/b/c", "/a").unwrap();
    assert_eq!(guest.cwd().unwrap(), b"/a");
    assert_eq!(guest.stat("..").unwrap(), guest.stat("/").unwrap());
    assert_eq!(guest.stat("../..").unwrap(), guest.stat("/").unwrap());
    assert_eq!(
        guest.open_at(c, "../../outside/secret", 0, 0),
        Err(Errno::ENOENT)
    );
    // A directory cannot be put into itself, or over one above.
    assert_eq!(guest.rename("/x", "/x/b/x"), Err(Errno::EINVAL));
    assert_eq!(guest.rename("/x/b", "/x"), Err(Errno::ENOTEMPTY));
    // Exchanged: each is at the other's place.
    let (b, a) = (guest.open("/x/b", O_DIRECTORY).unwrap(), c);
    guest.at2(RENAMEAT2, "/x/b", "/a", 2).unwrap();
    assert_eq!(guest.cwd().unwrap(), b"/x/b");
    for (fd, path) in [(b, b"/a".as_slice()), (a, b"/x/b")] {
        assert_eq!(
            guest.read_link(format!("/proc/self/fd/{fd}")).unwrap(),
            path
        );
    }
    // Removed: nothing can be found in it, made in it, and another of the same
    // name is another.
    guest.unlink("file").unwrap();
    guest.rmdir("/x/b").unwrap();
    assert_eq!(guest.cwd(), Err(Errno::ENOENT));
    assert_eq!(
        guest.open_at(c, "new", O_CREAT | O_WRONLY, 0o644),
        Err(Errno::ENOENT)
    );
    assert_eq!(guest.open_at(c, ".", O_RDONLY, 0), Err(Errno::ENOENT));
    guest.mkdir("/x/b").unwrap();
    guest.make("/x/b/file", b"other").unwrap();
    assert_eq!(guest.open_at(c, "file", O_RDONLY, 0), Err(Errno::ENOENT));
    assert_eq!(guest.contents("file"), Err(Errno::ENOENT));
    assert_eq!(guest.getdents(c, 4096), Err(Errno::ENOENT));
    // It still knows the one above.
    assert_eq!(guest.stat("..").unwrap(), guest.stat("/x").unwrap());
    guest.call(FCHDIR, [c, 0, 0, 0, 0, 0]).unwrap();
}

#[test]
fn a_directory_that_the_host_takes_out_of_the_box() {
    let mut guest = Guest::new();
    guest.mkdir("dir").unwrap();
    guest.make("dir/file", b"x").unwrap();
    let fd = guest.open("dir", O_DIRECTORY).unwrap();
    guest.chdir("dir").unwrap();
    let outside = guest.outside().join("dir");
    std::fs::rename(guest.host("dir"), &outside).unwrap();
    let before = snapshot(&outside);
    assert_eq!(guest.open_at(fd, "file", O_RDWR, 0), Err(Errno::ENOENT));
    assert_eq!(
        guest.open_at(fd, "../secret", O_RDWR, 0),
        Err(Errno::ENOENT)
    );
    assert_eq!(guest.contents("../secret"), Err(Errno::ENOENT));
    assert_eq!(guest.make("file", b"y"), Err(Errno::ENOENT));
    assert_eq!(guest.mkdir("new"), Err(Errno::ENOENT));
    assert_eq!(snapshot(&outside), before);
}

#[test]
fn path_descriptors_only_name() {
    let mut guest = Guest::new();
    guest.make("file", b"text").unwrap();
    guest.symlink("file", "link").unwrap();
    let fd = guest.open("file", O_PATH).unwrap();
    assert_eq!(guest.fstat(fd).unwrap(), guest.stat("file").unwrap());
    assert_eq!(guest.read(fd, 4), Err(Errno::EBADF));
    assert_eq!(guest.write(fd, b"x"), Err(Errno::EBADF));
    assert_eq!(
        guest.call(FCHMOD, [fd, 0o600, 0, 0, 0, 0]),
        Err(Errno::EBADF)
    );
    assert_eq!(
        guest.call(FTRUNCATE, [fd, 0, 0, 0, 0, 0]),
        Err(Errno::EBADF)
    );
    assert_eq!(guest.call(LSEEK, [fd, 0, 0, 0, 0, 0]), Err(Errno::EBADF));
    // Through /proc it becomes an open file, by its name.
    assert_eq!(
        guest.contents(format!("/proc/self/fd/{fd}")).unwrap(),
        b"text"
    );
    let link = guest.open("link", O_PATH | O_NOFOLLOW).unwrap();
    assert_eq!(guest.fstat(link).unwrap().mode & S_IFMT, S_IFLNK);
    let (empty, data) = (guest.text(""), guest.data());
    let len = guest
        .call(READLINKAT, [link, empty, data, 100, 0, 0])
        .unwrap();
    assert_eq!(guest.get(len), b"file");
    assert_eq!(guest.open("link", O_NOFOLLOW), Err(Errno::ELOOP));
    let dir = guest.open("/", O_PATH | O_DIRECTORY).unwrap();
    let fd = guest.open_at(dir, "file", O_RDONLY, 0).unwrap();
    assert_eq!(guest.read(fd, 4).unwrap(), b"text");
    assert_eq!(guest.getdents(dir, 4096), Err(Errno::EBADF));
    assert_eq!(
        guest.open_at(dir, "../outside/secret", O_PATH, 0),
        Err(Errno::ENOENT)
    );
}

#[test]
fn special_files_of_the_host_do_nothing() {
    use rustix::fs::{CWD as HOST_CWD, FileType, Mode, mknodat};
    let mut guest = Guest::new();
    let fifo = guest.host("fifo");
    mknodat(
        HOST_CWD,
        &fifo,
        FileType::Fifo,
        Mode::from_raw_mode(0o666),
        0,
    )
    .unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(guest.host("socket")).unwrap();
    assert_eq!(guest.stat("fifo").unwrap().mode & S_IFMT, S_IFIFO);
    assert_eq!(guest.stat("socket").unwrap().mode & S_IFMT, S_IFSOCK);
    assert_eq!(guest.open("socket", O_RDWR), Err(Errno::ENXIO));
    // The FIFO is one of the box: it waits for a guest, not for the host.
    let path = guest.text("fifo");
    assert_eq!(guest.try_call(OPENAT, [CWD, path, 0, 0, 0, 0]), None);
    let writer = guest.open("fifo", O_RDWR | O_NONBLOCK).unwrap();
    let reader = guest.open("fifo", O_RDONLY).unwrap();
    guest.write(writer, b"within").unwrap();
    assert_eq!(guest.read(reader, 10).unwrap(), b"within");
    // Nothing of it arrived at the host.
    let host = std::fs::File::from(
        rustix::fs::open(
            &fifo,
            rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::NONBLOCK,
            Mode::empty(),
        )
        .unwrap(),
    );
    guest.write(writer, b"more").unwrap();
    let mut byte = [0];
    assert_eq!(std::io::Read::read(&mut &host, &mut byte).unwrap(), 0);
    // A device, where the host lets us make one.
    let device = guest.host("device");
    let zero = rustix::fs::makedev(1, 5);
    let mode = Mode::from_raw_mode(0o666);
    if mknodat(HOST_CWD, &device, FileType::CharacterDevice, mode, zero).is_ok() {
        assert_eq!(guest.stat("device").unwrap().mode & S_IFMT, S_IFCHR);
        for flags in [O_RDONLY, O_RDWR, O_WRONLY | O_TRUNC] {
            assert_eq!(guest.open("device", flags), Err(Errno::ENXIO));
        }
    }
    // Guests make no devices.
    for kind in [S_IFCHR, S_IFBLK] {
        let mode = u64::from(kind | 0o666);
        assert_eq!(
            guest.at(MKNODAT, "made", [mode, 0x103, 0, 0]),
            Err(Errno::EPERM)
        );
    }
}

#[test]
fn set_user_id_stays_in_the_box() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let mut guest = Guest::new();
    guest.make("program", b"#!").unwrap();
    guest.at(FCHMODAT, "program", [0o6755, 0, 0, 0]).unwrap();
    guest.at(FCHOWNAT, "program", [1234, 5678, 0, 0]).unwrap();
    let stat = guest.stat("program").unwrap();
    // A new owner does not get a set-user-id program.
    assert_eq!(
        (stat.mode & 0o7777, stat.uid, stat.gid),
        (0o755, 1234, 5678)
    );
    guest.at(FCHMODAT, "program", [0o6755, 0, 0, 0]).unwrap();
    assert_eq!(guest.stat("program").unwrap().mode & 0o7777, 0o6755);
    let host = std::fs::metadata(guest.host("program")).unwrap();
    assert_eq!(host.permissions().mode() & 0o7777, 0o755);
    assert_ne!(host.uid(), 1234);
    let fd = guest
        .open_at(CWD, "made", O_CREAT | O_RDWR, 0o4777)
        .unwrap();
    assert_eq!(guest.fstat(fd).unwrap().mode & 0o7777, 0o4755);
    assert_eq!(
        std::fs::metadata(guest.host("made")).unwrap().mode() & 0o7777,
        0o755
    );
    // Modes that would lock us out are kept beside the file.
    guest.at(FCHMODAT, "made", [0, 0, 0, 0]).unwrap();
    assert_eq!(guest.stat("made").unwrap().mode & 0o7777, 0);
    assert!(guest.open("made", O_RDWR).is_ok());
    // And go with it, not with the next of its number.
    guest.unlink("made").unwrap();
    guest.make("again", b"").unwrap();
    assert_eq!(guest.stat("again").unwrap().mode & 0o7777, 0o644);
}

#[test]
fn mount_points_have_the_right_parents() {
    let mut guest = Guest::with(|around, config| {
        let shared = around.join("shared");
        std::fs::create_dir_all(shared.join("sub")).unwrap();
        config.shares.push(share(shared, "/data/in/share", false));
    });
    let root = guest.stat("/").unwrap();
    for path in [
        "/dev/..",
        "/proc/..",
        "/tmp/..",
        "/dev/shm/../..",
        "/data/in/share/../../..",
    ] {
        assert_eq!(guest.stat(path).unwrap(), root, "{path}");
    }
    assert_eq!(
        guest.stat("/dev/shm/..").unwrap().ino,
        guest.stat("/dev").unwrap().ino
    );
    guest.chdir("/data/in/share/sub").unwrap();
    guest.chdir("../..").unwrap();
    assert_eq!(guest.cwd().unwrap(), b"/data/in");
    assert_eq!(guest.list(".").unwrap(), [b"share"]);
    // Beside the share's host directory is `outside`.
    assert_eq!(
        guest.contents("share/../outside/secret"),
        Err(Errno::ENOENT)
    );
    assert_eq!(
        guest.contents("share/sub/../../../outside/secret"),
        Err(Errno::ENOENT)
    );
    // What something is mounted on or beneath stays.
    for path in [
        "/dev",
        "/proc",
        "/data",
        "/data/in",
        "/data/in/share",
        "/dev/shm",
    ] {
        assert_eq!(guest.rmdir(path), Err(Errno::EBUSY), "{path}");
        let to = format!("{path}-moved");
        let error = guest.rename(path, &to).unwrap_err();
        assert!(
            matches!(error, Errno::EBUSY | Errno::EXDEV),
            "{path}: {error:?}"
        );
    }
    // A link of the guest into another mount is followed there.
    guest
        .symlink("../proc/self/../../dev/null", "/to-null")
        .unwrap();
    assert_eq!(guest.stat("/to-null").unwrap().mode & S_IFMT, S_IFCHR);
    // A relative link must not find what the host has under a mount point.
    std::fs::create_dir(guest.host("proc")).unwrap();
    std::fs::write(guest.host("proc/covered"), "x").unwrap();
    guest.symlink("proc/covered", "/to-covered").unwrap();
    assert_eq!(guest.contents("/to-covered"), Err(Errno::ENOENT));
    assert_eq!(guest.contents("/proc/covered"), Err(Errno::ENOENT));
}

#[test]
fn a_mount_point_behind_a_link_of_the_root() {
    let mut guest = Guest::with(|around, config| {
        let shared = around.join("shared");
        std::fs::create_dir(&shared).unwrap();
        std::fs::write(shared.join("file"), "shared").unwrap();
        std::fs::create_dir(around.join("box/real")).unwrap();
        symlink("/real", around.join("box/link")).unwrap();
        symlink("../outside", around.join("box/out")).unwrap();
        config
            .shares
            .push(share(shared.clone(), "/link/share", true));
        config.shares.push(share(shared, "/out/share", true));
    });
    assert_eq!(guest.contents("/link/share/file").unwrap(), b"shared");
    assert_eq!(guest.contents("/real/share/file").unwrap(), b"shared");
    assert_eq!(guest.contents("/out/secret"), Err(Errno::ENOENT));
    assert_eq!(guest.contents("/outside/share/file").unwrap(), b"shared");
    assert_eq!(std::fs::read_dir(guest.outside()).unwrap().count(), 1);
}

#[test]
fn a_changed_root_has_no_more_than_the_box() {
    let mut guest = Guest::new();
    guest.mkdir("jail").unwrap();
    guest.mkdir("jail/in").unwrap();
    guest.make("file", b"box").unwrap();
    let top = guest.open("/", O_DIRECTORY).unwrap();
    let jail = guest.text("/jail");
    guest.call(CHROOT, [jail, 0, 0, 0, 0, 0]).unwrap();
    guest.chdir("/").unwrap();
    assert_eq!(guest.cwd().unwrap(), b"/");
    assert_eq!(guest.contents("/../file"), Err(Errno::ENOENT));
    assert_eq!(guest.list("/").unwrap(), [b"in"]);
    // As on Linux, a descriptor from before leads out of it, not of the box.
    guest.call(FCHDIR, [top, 0, 0, 0, 0, 0]).unwrap();
    assert_eq!(guest.contents("file").unwrap(), b"box");
    assert_eq!(guest.contents("../outside/secret"), Err(Errno::ENOENT));
}

#[test]
fn names_at_their_limits() {
    let mut guest = Guest::new();
    let longest = "n".repeat(255);
    guest.make(&longest, b"x").unwrap();
    assert!(
        guest
            .list("/")
            .unwrap()
            .contains(&longest.clone().into_bytes())
    );
    for path in ["n".repeat(256), format!("a/{}/b", "n".repeat(300))] {
        assert_eq!(guest.stat(&path), Err(Errno::ENAMETOOLONG));
        assert_eq!(guest.make(&path, b""), Err(Errno::ENAMETOOLONG));
        assert_eq!(guest.mkdir(&path), Err(Errno::ENAMETOOLONG));
    }
    assert_eq!(
        guest.stat("/".repeat(4095)).unwrap(),
        guest.stat("/").unwrap()
    );
    assert_eq!(guest.stat("/".repeat(4096)), Err(Errno::ENAMETOOLONG));
    assert_eq!(guest.stat("./".repeat(3000)), Err(Errno::ENAMETOOLONG));
    assert_eq!(guest.stat(""), Err(Errno::ENOENT));
    assert_eq!(guest.mkdir(""), Err(Errno::ENOENT));
    assert_eq!(guest.open("", O_RDONLY), Err(Errno::ENOENT));
    // Bytes that are no text.
    let odd = b"\xff\xfe \n\x01*?\\:\xc3";
    guest.make(odd, b"odd").unwrap();
    assert_eq!(guest.contents(odd).unwrap(), b"odd");
    assert!(guest.list("/").unwrap().contains(&odd.to_vec()));
    guest.symlink(odd, b"\xfflink").unwrap();
    assert_eq!(guest.read_link(b"\xfflink").unwrap(), odd);
    assert_eq!(guest.contents(b"\xfflink").unwrap(), b"odd");
    // A NUL cannot come from a guest; nothing below trusts in that.
    let who = Who::of(&guest.kernel, guest.tid);
    assert_eq!(
        who.vfs().stat(&who, &Base::Cwd, b"a\0b", true).unwrap_err(),
        Errno::EINVAL
    );
    // A string that runs into memory that is not there.
    assert_eq!(
        guest.call(MKDIRAT, [CWD, 8, 0o755, 0, 0, 0]),
        Err(Errno::EFAULT)
    );
}

#[test]
fn directories_deeper_than_a_path_can_say() {
    let mut guest = Guest::new();
    let name = "d".repeat(250);
    for _ in 0..30 {
        guest.mkdir(&name).unwrap();
        guest.chdir(&name).unwrap();
    }
    guest.make("bottom", b"deep").unwrap();
    assert_eq!(guest.contents("bottom").unwrap(), b"deep");
    assert_eq!(guest.list(".").unwrap(), [b"bottom"]);
    assert_eq!(guest.cwd(), Err(Errno::ENAMETOOLONG));
    let fd = guest.open(".", O_DIRECTORY).unwrap();
    let at = guest.open_at(fd, "bottom", O_RDONLY, 0).unwrap();
    assert_eq!(guest.read(at, 10).unwrap(), b"deep");
    guest.unlink("bottom").unwrap();
    for _ in 0..30 {
        guest.chdir("..").unwrap();
        guest.rmdir(&name).unwrap();
    }
    assert_eq!(guest.cwd().unwrap(), b"/");
}

#[test]
fn loops_of_links_end() {
    let mut guest = Guest::new();
    guest.symlink("self", "self").unwrap();
    guest.symlink("pong", "ping").unwrap();
    guest.symlink("ping", "pong").unwrap();
    for path in ["self", "ping", "pong", "self/x", "ping/.."] {
        assert_eq!(guest.stat(path), Err(Errno::ELOOP), "{path}");
        assert_eq!(guest.open(path, O_CREAT | O_WRONLY), Err(Errno::ELOOP));
    }
    // Forty are followed, one more is not.
    guest.make("0", b"end").unwrap();
    for n in 1..=41 {
        guest.symlink((n - 1).to_string(), n.to_string()).unwrap();
    }
    assert_eq!(guest.contents("40").unwrap(), b"end");
    assert_eq!(guest.contents("41"), Err(Errno::ELOOP));
    // Links that grow the path.
    guest.symlink("grow/grow/grow/grow", "grow").unwrap();
    assert_eq!(guest.stat("grow"), Err(Errno::ELOOP));
}

#[test]
fn unnamed_files() {
    let mut guest = Guest::new();
    guest.mkdir("dir").unwrap();
    let Ok(fd) = guest.open("dir", O_TMPFILE | O_RDWR) else {
        // The host's file system cannot.
        return;
    };
    guest.write(fd, b"draft").unwrap();
    assert_eq!(guest.list("dir").unwrap(), Vec::<Vec<u8>>::new());
    assert_eq!(guest.fstat(fd).unwrap().nlink, 0);
    assert_eq!(guest.open("dir", O_TMPFILE | O_RDONLY), Err(Errno::EINVAL));
    assert_eq!(
        guest.open("../outside", O_TMPFILE | O_RDWR),
        Err(Errno::ENOENT)
    );
    let outside = guest.outside();
    symlink(&outside, guest.host("out")).unwrap();
    assert_eq!(guest.open("out", O_TMPFILE | O_RDWR), Err(Errno::ENOENT));
    // It gets a name, within the box only.
    let link = format!("/proc/self/fd/{fd}");
    assert_eq!(
        guest.at2(LINKAT, &link, "out/name", 0x400),
        Err(Errno::ENOENT)
    );
    guest.at2(LINKAT, &link, "dir/name", 0x400).unwrap();
    assert_eq!(guest.contents("dir/name").unwrap(), b"draft");
    assert_eq!(snapshot(&outside).len(), 4);
}

#[test]
fn restricted_walks() {
    const NO_XDEV: u64 = 1;
    const NO_MAGICLINKS: u64 = 2;
    const NO_SYMLINKS: u64 = 4;
    const BENEATH: u64 = 8;
    const IN_ROOT: u64 = 16;
    let mut guest = Guest::new();
    guest.mkdir("dir").unwrap();
    guest.mkdir("dir/sub").unwrap();
    guest.make("dir/file", b"x").unwrap();
    guest.make("above", b"x").unwrap();
    guest.symlink("../file", "dir/sub/up").unwrap();
    guest.symlink("../above", "dir/out").unwrap();
    guest.symlink("/file", "dir/absolute").unwrap();
    let dir = guest.open("dir", O_DIRECTORY).unwrap();
    let mut open2 = |path: &str, resolve: u64| {
        let how = [0, 0, resolve].map(u64::to_le_bytes).concat();
        guest.put(&how);
        let (path, data) = (guest.text(path), guest.data());
        let result = guest.call(437, [dir, path, data, 24, 0, 0]);
        if let Ok(fd) = result {
            guest.close(fd);
        }
        result.map(|_| ())
    };
    assert_eq!(
        open2("file", BENEATH | NO_XDEV | NO_SYMLINKS | NO_MAGICLINKS),
        Ok(())
    );
    assert_eq!(open2("sub/up", BENEATH), Ok(()));
    assert_eq!(open2("sub/up", NO_SYMLINKS), Err(Errno::ELOOP));
    assert_eq!(open2("sub/../file", BENEATH), Ok(()));
    for path in [
        "../above",
        "/dir/file",
        "out",
        "absolute",
        "sub/../../dir/file",
    ] {
        assert_eq!(open2(path, BENEATH), Err(Errno::EXDEV), "{path}");
    }
    assert_eq!(open2("absolute", IN_ROOT), Ok(()));
    assert_eq!(open2("/file", IN_ROOT), Ok(()));
    assert_eq!(open2("../../file", IN_ROOT), Ok(()));
    assert_eq!(open2("out", IN_ROOT), Err(Errno::ENOENT));
    assert_eq!(open2("../dev/null", NO_XDEV), Err(Errno::EXDEV));
    assert_eq!(open2("../dev/../above", NO_XDEV), Err(Errno::EXDEV));
    assert_eq!(open2("/proc/self/cwd", NO_MAGICLINKS), Err(Errno::ELOOP));
    assert_eq!(open2("/proc/self/cwd", 0), Ok(()));
    assert_eq!(open2("file", 1 << 20), Err(Errno::EINVAL));
}
