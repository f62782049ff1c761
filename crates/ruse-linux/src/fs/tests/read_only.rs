//! A read-only share stays as it is, whatever way a guest tries.
#![cfg(unix)]

use super::super::*;
use super::*;

fn guest() -> Guest {
    Guest::with(|around, config| {
        let shared = around.join("shared");
        std::fs::create_dir_all(shared.join("dir/empty")).unwrap();
        std::fs::write(shared.join("file"), "fixed").unwrap();
        std::os::unix::fs::symlink("file", shared.join("link")).unwrap();
        config.shares.push(share(shared, "/share", true));
    })
}

fn tree(guest: &Guest) -> Vec<String> {
    let shared = guest.around.path().join("shared");
    [snapshot(&shared), snapshot(&shared.join("dir"))].concat()
}

#[test]
fn by_every_path() {
    let mut guest = guest();
    let before = tree(&guest);
    guest.make("/own", b"own").unwrap();
    guest.symlink("/share/file", "/into").unwrap();
    for path in ["/share/file", "/share/link", "/into", "/tmp/../share/file"] {
        for flags in [
            O_WRONLY,
            O_RDWR,
            O_RDONLY | O_TRUNC,
            O_WRONLY | O_APPEND,
            O_RDWR | O_CREAT,
        ] {
            assert_eq!(
                guest.open(path, flags),
                Err(Errno::EROFS),
                "{path} {flags:o}"
            );
        }
        let at = guest.text(path);
        assert_eq!(guest.call(TRUNCATE, [at, 0, 0, 0, 0, 0]), Err(Errno::EROFS));
        assert_eq!(
            guest.at(FCHMODAT, path, [0o777, 0, 0, 0]),
            Err(Errno::EROFS)
        );
        assert_eq!(guest.at(FCHOWNAT, path, [1, 1, 0, 0]), Err(Errno::EROFS));
        assert_eq!(guest.at(UTIMENSAT, path, [0; 4]), Err(Errno::EROFS));
        assert_eq!(guest.at(FACCESSAT, path, [2, 0, 0, 0]), Err(Errno::EROFS));
        assert_eq!(guest.at(FACCESSAT, path, [4, 0, 0, 0]), Ok(0));
    }
    let create = O_WRONLY | O_CREAT;
    assert_eq!(guest.open("/share/new", create), Err(Errno::EROFS));
    assert_eq!(guest.open("/share/new", create | O_EXCL), Err(Errno::EROFS));
    assert_eq!(
        guest.open("/share/dir", O_TMPFILE | O_RDWR),
        Err(Errno::EROFS)
    );
    assert_eq!(guest.mkdir("/share/new"), Err(Errno::EROFS));
    assert_eq!(guest.mkdir("/share/dir"), Err(Errno::EEXIST));
    assert_eq!(guest.symlink("x", "/share/new"), Err(Errno::EROFS));
    for kind in [S_IFREG, S_IFIFO, S_IFSOCK] {
        let mode = u64::from(kind | 0o666);
        assert_eq!(
            guest.at(MKNODAT, "/share/new", [mode, 0, 0, 0]),
            Err(Errno::EROFS)
        );
    }
    assert_eq!(guest.unlink("/share/file"), Err(Errno::EROFS));
    assert_eq!(guest.unlink("/share/link"), Err(Errno::EROFS));
    assert_eq!(guest.rmdir("/share/dir/empty"), Err(Errno::EROFS));
    assert_eq!(
        guest.rename("/share/file", "/share/other"),
        Err(Errno::EROFS)
    );
    assert_eq!(guest.rename("/share/dir", "/share/dir2"), Err(Errno::EROFS));
    assert_eq!(
        guest.at2(RENAMEAT2, "/share/file", "/share/link", 2),
        Err(Errno::EROFS)
    );
    assert_eq!(guest.rename("/share/file", "/moved"), Err(Errno::EXDEV));
    assert_eq!(guest.rename("/own", "/share/file"), Err(Errno::EXDEV));
    assert_eq!(
        guest.at2(LINKAT, "/share/file", "/share/hard", 0),
        Err(Errno::EROFS)
    );
    assert_eq!(tree(&guest), before);
}

#[test]
fn by_every_descriptor() {
    let mut guest = guest();
    let before = tree(&guest);
    let fd = guest.open("/share/file", O_RDONLY).unwrap();
    let dir = guest.open("/share/dir", O_DIRECTORY).unwrap();
    for fd in [fd, dir] {
        assert_eq!(
            guest.call(FCHMOD, [fd, 0o777, 0, 0, 0, 0]),
            Err(Errno::EROFS)
        );
        assert_eq!(guest.call(FCHOWN, [fd, 1, 1, 0, 0, 0]), Err(Errno::EROFS));
        assert_eq!(
            guest.call(UTIMENSAT, [fd, 0, 0, 0, 0, 0]),
            Err(Errno::EROFS)
        );
    }
    assert_eq!(guest.write(fd, b"x"), Err(Errno::EBADF));
    let data = guest.data();
    assert_eq!(
        guest.call(PWRITE64, [fd, data, 1, 0, 0, 0]),
        Err(Errno::EBADF)
    );
    assert_eq!(
        guest.call(FTRUNCATE, [fd, 0, 0, 0, 0, 0]),
        Err(Errno::EINVAL)
    );
    assert_eq!(
        guest.call(FALLOCATE, [fd, 0, 0, 100, 0, 0]),
        Err(Errno::EBADF)
    );
    guest.make("/own", b"own").unwrap();
    let own = guest.open("/own", O_RDONLY).unwrap();
    assert_eq!(
        guest.call(SENDFILE, [fd, own, 0, 3, 0, 0]),
        Err(Errno::EBADF)
    );
    assert_eq!(
        guest.call(COPY_FILE_RANGE, [own, 0, fd, 0, 3, 0]),
        Err(Errno::EBADF)
    );
    // F_SETFL changes no access mode.
    guest
        .call(FCNTL, [fd, 4, u64::from(O_RDWR), 0, 0, 0])
        .unwrap();
    assert_eq!(guest.write(fd, b"x"), Err(Errno::EBADF));
    // Opened again by its descriptor.
    for path in [format!("/proc/self/fd/{fd}"), format!("/dev/fd/{fd}")] {
        for flags in [O_RDWR, O_WRONLY, O_WRONLY | O_TRUNC] {
            let error = guest.open(&path, flags).unwrap_err();
            assert!(matches!(error, Errno::EACCES | Errno::EROFS), "{error:?}");
        }
        assert!(guest.open(&path, O_TRUNC).is_err());
        let error = guest.at(FCHMODAT, &path, [0o777, 0, 0, 0]).unwrap_err();
        assert_eq!(error, Errno::EROFS);
        let at = guest.text(&path);
        assert!(guest.call(TRUNCATE, [at, 0, 0, 0, 0, 0]).is_err());
    }
    // From its directory.
    assert_eq!(guest.open_at(dir, "../file", O_RDWR, 0), Err(Errno::EROFS));
    assert_eq!(
        guest.open_at(dir, "new", O_CREAT | O_RDWR, 0o644),
        Err(Errno::EROFS)
    );
    // Shared and writable memory of it.
    const MAP_SHARED: u64 = 1;
    assert_eq!(
        guest.call(MMAP, [0, 4096, 3, MAP_SHARED, fd, 0]),
        Err(Errno::EACCES)
    );
    let seen = guest.call(MMAP, [0, 4096, 1, MAP_SHARED, fd, 0]).unwrap();
    let mprotect = guest.call(226, [seen, 4096, 3, 0, 0, 0]);
    assert_eq!(mprotect, Err(Errno::EACCES));
    // A private mapping may be written to, and nobody sees it.
    let own = guest.call(MMAP, [0, 4096, 3, 2, fd, 0]).unwrap();
    guest.mm().borrow_mut().write(own, b"OTHER").unwrap();
    assert_eq!(guest.contents("/share/file").unwrap(), b"fixed");
    assert_eq!(tree(&guest), before);
}

#[test]
fn a_read_only_root_leaves_a_place_to_write() {
    let mut guest = Guest::with(|around, config| {
        std::fs::create_dir(around.join("box/tmp")).unwrap();
        config.root_read_only = true;
    });
    assert_eq!(guest.make("/file", b"x"), Err(Errno::EROFS));
    guest.make("/tmp/file", b"x").unwrap();
    guest.make("/dev/shm/file", b"x").unwrap();
    assert_eq!(guest.stat("/tmp").unwrap().mode & 0o7777, 0o1777);
    assert_eq!(std::fs::read_dir(guest.host("tmp")).unwrap().count(), 0);
}
