//! Recorded runs, again.
#![cfg(unix)]

mod talk;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use talk::debian::{IMAGE, INITRD, KERNEL, made};
use talk::{Talk, rom, ruse};

const HOST: i32 = 125;

/// Replays: code, output, errors.
fn replay(recording: &Path, more: &[&str]) -> (i32, String, String) {
    let args = [&["replay", recording.to_str().unwrap()], more].concat();
    let out = ruse(&args).stdin(Stdio::null()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (
        out.status.code().unwrap(),
        text(out.stdout),
        text(out.stderr),
    )
}

/// A session with the monitor, recorded: what it printed.
fn session(folder: &Path) -> String {
    let disk = folder.join("disk.img");
    std::fs::write(&disk, vec![0; 1 << 20]).unwrap();
    let disk = format!("{},snapshot", disk.display());
    let recording = folder.join("r.rec");
    let monitor = rom("monitor/monitor.elf");
    let mut talk = Talk::new(&[
        "--record",
        recording.to_str().unwrap(),
        "--disk",
        &disk,
        &monitor,
    ]);
    for command in ["time", "rng", "write 5 hello", "sleep 1", "read 5", "time"] {
        talk.expect("ruse> ");
        talk.send(&format!("{command}\r"));
    }
    talk.expect("ruse> ");
    talk.send("off 3\r");
    talk.ends(3).output
}

#[test]
fn what_was_typed_is_typed_again() {
    let folder = tempfile::tempdir().unwrap();
    let output = session(folder.path());
    let recording = folder.path().join("r.rec");
    let trace = folder.path().join("t.txt");
    let trace = trace.to_str().unwrap();
    let ways: [&[&str]; 3] = [
        &[],
        &["--trace", "all", "--trace-out", trace],
        // Even if code is cut into other blocks.
        &["--stats"],
    ];
    for more in ways {
        let (code, again, errors) = replay(&recording, more);
        assert_eq!((code, &again), (3, &output), "{more:?}: {errors}");
    }
    // Time goes on as the guest's does: a second and a bit.
    let text = std::fs::read_to_string(folder.path().join("t.txt")).unwrap();
    let times = text
        .lines()
        .filter_map(|line| line.split_whitespace().next()?.parse().ok());
    let times: Vec<f64> = times.collect();
    assert!(times.len() > 100 && times.is_sorted(), "{text}");
    let last = times.last().unwrap();
    assert!((1.0..2.0).contains(last), "{last}");
}

#[test]
fn what_does_not_fit_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let output = session(folder.path());
    let recording = folder.path().join("r.rec");
    let whole = std::fs::read(&recording).unwrap();
    let refuses = |bytes: &[u8], words: &str| {
        let path = folder.path().join("broken.rec");
        std::fs::write(&path, bytes).unwrap();
        let (code, _, errors) = replay(&path, &[]);
        assert_eq!(code, HOST, "{words}: {errors}");
        assert!(errors.contains(words), "{words}: {errors}");
    };
    refuses(b"not at all", "no recording");
    refuses(&[], "no recording");
    let mut other = whole.clone();
    other[7] = 200;
    refuses(&other, "format 200");
    let mut damaged = whole.clone();
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    refuses(&damaged, "damaged at offset");

    // What was cut off is good up to there.
    let path = folder.path().join("cut.rec");
    std::fs::write(&path, &whole[..whole.len() - 30]).unwrap();
    let (code, again, errors) = replay(&path, &[]);
    assert_eq!(code, 130, "{errors}");
    assert!(errors.contains("cut off"), "{errors}");
    assert!(output.starts_with(again.trim_end()), "{again}");

    // Another disk is another machine.
    std::fs::write(folder.path().join("disk.img"), vec![1; 1 << 20]).unwrap();
    let (code, _, errors) = replay(&recording, &[]);
    assert_eq!(code, HOST);
    assert!(errors.contains("disk.img: has been written to"), "{errors}");

    let disk = folder.path().join("disk.img");
    let out = folder.path().join("x.rec");
    let monitor = rom("monitor/monitor.elf");
    let tries: [(&[&str], &str); 2] = [
        (
            &["--disk", disk.to_str().unwrap()],
            "add `,snapshot` or `,ro`",
        ),
        (
            &["--share", folder.path().to_str().unwrap()],
            "cannot be recorded",
        ),
    ];
    for (args, words) in tries {
        let line = [&["--record", out.to_str().unwrap()], args, &[&monitor]].concat();
        let tried = ruse(&line).stdin(Stdio::null()).output().unwrap();
        assert_eq!(tried.status.code(), Some(HOST));
        let errors = String::from_utf8_lossy(&tried.stderr);
        assert!(errors.contains(words), "{errors}");
    }
}

#[test]
fn what_came_over_the_network_comes_again() {
    const BYTES: usize = 300_000;
    if !made(&[KERNEL, INITRD, IMAGE]) {
        return;
    }
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port();
    // It answers once, and takes its time.
    let served = std::thread::spawn(move || {
        let (mut stream, _) = server.accept().unwrap();
        let mut asked = [0; 4];
        stream.read_exact(&mut asked).unwrap();
        std::thread::sleep(Duration::from_millis(500));
        let body: Vec<u8> = (0..BYTES).map(|n| (n * 7 % 251) as u8).collect();
        stream.write_all(&body).unwrap();
    });
    let folder = tempfile::tempdir().unwrap();
    let recording = folder.path().join("r.rec");
    let disk = format!("{},snapshot", rom(IMAGE));
    let (kernel, initrd) = (rom(KERNEL), rom(INITRD));
    let mut guest = Talk::new(&[
        "boot",
        "--kernel",
        &kernel,
        "--initrd",
        &initrd,
        "--append",
        "root=/dev/vda rw console=ttyS0 quiet init=/bin/bash",
        "--disk",
        &disk,
        "--net",
        "user,host-loopback",
        "--record",
        recording.to_str().unwrap(),
    ]);
    guest.expect("# ");
    guest.send(
        "export PATH=/usr/sbin:/usr/bin; mount -t proc p /proc; modprobe virtio_net; \
         ip link set eth0 up; ip addr add 10.0.2.15/24 dev eth0; echo up\"\"$?\n",
    );
    guest.expect("up0");
    guest.send(&format!(
        "perl -MIO::Socket::INET -e '$s=IO::Socket::INET->new(\"10.0.2.2:{port}\"); \
         print $s \"GET \"; $s->flush; local $/; $x=<$s>; print length($x),\" \",\
         unpack(\"%32C*\",$x),time-$^T<60?\"!\":\", hours later\",\"\\n\"'\n"
    ));
    let sum: usize = (0..BYTES).map(|n| n * 7 % 251).sum();
    guest.expect(&format!("{BYTES} {sum}!"));
    served.join().unwrap();
    guest.send("echo o > /proc/sysrq-trigger\n");
    let output = guest.ends(0).output;
    // The server is gone.
    let (code, again, errors) = replay(&recording, &[]);
    assert_eq!(code, 0, "{errors}");
    assert_eq!(again, output);
}
