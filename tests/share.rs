//! Directories of the host in a Debian guest, whose own kernel mounts them.

mod talk;

use std::fs;
use std::path::Path;

use talk::Talk;
use talk::debian::{IMAGE, INITRD, KERNEL, ask, boot, disk, log_in, made};

/// What `md5sum` says of a file of the host's.
fn md5(path: &Path) -> String {
    let output = std::process::Command::new("md5sum").arg(path).output();
    let text = String::from_utf8(output.unwrap().stdout).unwrap();
    text.split(' ').next().unwrap().into()
}

/// Writes to a file through memory.
const MAPPER: &str = r#"
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
int main(int argc, char **argv) {
    int fd = open(argv[1], O_RDWR);
    if (fd < 0 || ftruncate(fd, 6)) return 1;
    char *at = mmap(0, 6, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) return 2;
    memcpy(at, "Mapped", 6);
    return msync(at, 6, MS_SYNC) || munmap(at, 6) || close(fd);
}
"#;

/// Compiles a program for the guest, if there is a compiler here; CI insists.
fn compile(source: &str, to: &Path) -> bool {
    if talk::package("/usr/bin/riscv64-linux-gnu-gcc").is_none() {
        return false;
    }
    let code = to.with_extension("c");
    fs::write(&code, source).unwrap();
    let mut command = std::process::Command::new("riscv64-linux-gnu-gcc");
    let command = command.args(["-O1", "-static", "-o"]).arg(to).arg(&code);
    assert!(command.status().unwrap().success());
    true
}

fn mount(guest: &mut Talk, tag: &str, at: &str, options: &str) {
    let options = format!("trans=virtio,version=9p2000.L{options}");
    ask(
        guest,
        &format!("mkdir -p {at}; mount -t 9p -o {options} {tag} {at}"),
    );
}

#[test]
fn a_guest_works_in_directories_of_the_host() {
    if !made(&[KERNEL, INITRD, IMAGE]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let outside = folder.path().join("outside");
    let (work, kept) = (folder.path().join("work"), folder.path().join("kept"));
    for dir in [&work, &kept, &outside] {
        fs::create_dir(dir).unwrap();
    }
    fs::write(outside.join("secret"), "secret").unwrap();
    fs::write(kept.join("file"), "kept").unwrap();
    let big: Vec<u8> = (0..9_000_001_u32)
        .map(|n| (n.wrapping_mul(0x9e37_79b9) >> 24) as u8)
        .collect();
    fs::write(work.join("big"), &big).unwrap();
    #[cfg(unix)]
    for (target, name) in [("../outside/secret", "up"), ("/etc/hostname", "absolute")] {
        std::os::unix::fs::symlink(target, work.join(name)).unwrap();
    }

    let mapper = compile(MAPPER, &work.join("mapper"));

    let image = disk(&folder);
    let shares = [
        format!("{}", work.display()),
        format!("{},ro,tag=other", kept.display()),
    ];
    // A guest mounts each of them once.
    let again = format!("{},tag=mapped", work.display());
    let args = [&shares[0], &shares[1], &again].map(|share| ["--share", share]);
    let args = args.concat();
    let mut guest = boot(&image, &args);
    let guest = &mut guest;
    log_in(guest);
    // No line so long that its echo is broken.
    ask(guest, "stty cols 1000");
    mount(guest, "work", "/work", "");
    mount(guest, "other", "/kept", "");

    // A large file, both ways.
    let sum = ask(guest, "md5sum < /work/big");
    assert_eq!(sum, format!("{}  -", md5(&work.join("big"))));
    ask(guest, "cat /work/big /work/big > /work/copy");
    let twice = [&big[..], &big].concat();
    assert!(fs::read(work.join("copy")).unwrap() == twice);
    // In the middle of a file, beyond its end, and shorter again.
    ask(
        guest,
        "printf XY | dd of=/work/copy bs=1 seek=1000000 conv=notrunc status=none",
    );
    assert_eq!(fs::read(work.join("copy")).unwrap()[999_999..1_000_003], {
        let mut bytes = twice[999_999..1_000_003].to_vec();
        bytes[1..3].copy_from_slice(b"XY");
        bytes
    });
    ask(
        guest,
        "truncate -s 100G /work/copy; truncate -s 5 /work/copy",
    );
    assert_eq!(fs::read(work.join("copy")).unwrap(), big[..5]);

    // Many small files and directories, as in a source tree.
    ask(
        guest,
        "mkdir /work/tree; cp -r /etc /work/tree/etc && diff -r --no-dereference /etc /work/tree/etc",
    );
    ask(
        guest,
        "cd /work/tree; for d in $(seq 40); do mkdir d$d; for f in $(seq 25); do echo $d/$f > d$d/f$f; done; done; cd",
    );
    assert_eq!(ask(guest, "cat /work/tree/d*/f* | wc -l"), "1000");
    assert_eq!(ask(guest, "find /work/tree/d* -type f | wc -l"), "1000");
    assert_eq!(
        fs::read_to_string(work.join("tree/d40/f25")).unwrap(),
        "40/25\n"
    );
    ask(guest, "mv /work/tree/d1 /work/moved && rm -r /work/tree");
    assert!(!work.join("tree").exists());
    assert_eq!(fs::read_dir(work.join("moved")).unwrap().count(), 25);

    // A file that is open while it is renamed and removed.
    let answer = ask(
        guest,
        "exec 3<>/work/open; echo one >&3; mv /work/open /work/opened; echo two >&3; rm /work/opened; echo three >&3; stat -L -c %s /proc/self/fd/3; exec 3>&-; ls /work/open* 2>/dev/null | wc -l",
    );
    assert_eq!(answer.split_whitespace().collect::<Vec<_>>(), ["14", "0"]);
    assert!(!work.join("opened").exists());

    // Links are the guest's to follow; FIFOs and sockets are its own.
    assert_eq!(ask(guest, "cat /work/absolute"), "debian");
    ask(guest, "! cat /work/up 2>/dev/null");
    ask(guest, "ln -s big /work/link; ln /work/big /work/hard");
    assert_eq!(ask(guest, "stat -L -c %h /work/link"), "2");
    ask(
        guest,
        "mkfifo /work/fifo; (echo through > /work/fifo &); grep through /work/fifo",
    );
    ask(guest, "! mknod /work/device c 1 3 2>/dev/null");
    // Modes and times.
    ask(guest, "chmod 640 /work/big; touch -d @1000000000 /work/big");
    assert_eq!(ask(guest, "stat -c '%a %Y' /work/big"), "640 1000000000");
    // A mapped file.
    mount(guest, "mapped", "/mapped", ",cache=mmap,msize=512000");
    assert_eq!(
        ask(
            guest,
            "cp /usr/bin/true /mapped/prog && /mapped/prog && echo runs"
        ),
        "runs"
    );
    if mapper {
        ask(guest, "/mapped/mapper /mapped/copy");
        assert_eq!(fs::read(work.join("copy")).unwrap(), b"Mapped");
    }
    ask(guest, "umount /mapped");

    // Read-only is read-only.
    assert_eq!(ask(guest, "cat /kept/file"), "kept");
    for wrong in [
        "echo > /kept/file",
        "echo > /kept/new",
        "rm /kept/file",
        "mkdir /kept/dir",
        "mv /kept/file /kept/else",
        "chmod 777 /kept/file",
        "ln -s x /kept/link",
        "touch /kept/file",
    ] {
        ask(guest, &format!("! {{ {wrong}; }} 2>/dev/null"));
    }
    assert_eq!(fs::read_dir(&kept).unwrap().count(), 1);
    assert_eq!(fs::read(kept.join("file")).unwrap(), b"kept");

    // What the host changes is seen; and all is well after a reboot.
    fs::write(work.join("news"), "from the host").unwrap();
    assert_eq!(ask(guest, "cat /work/news"), "from the host");
    guest.send("reboot\n");
    guest.expect("reboot: Restarting system");
    log_in(guest);
    mount(guest, "work", "/work", ",cache=loose");
    assert_eq!(ask(guest, "cat /work/news"), "from the host");
    ask(guest, "echo back > /work/back; sync");
    assert_eq!(fs::read(work.join("back")).unwrap(), b"back\n");
    guest.send("poweroff\n");
    guest.expect("reboot: Power down");
    assert_eq!(fs::read(outside.join("secret")).unwrap(), b"secret");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
}
