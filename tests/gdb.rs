//! Guests that GDB debugs, by GDB itself.
#![cfg(unix)]

mod talk;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use talk::{Talk, package, rom, ruse};

const GDB: &str = "/usr/bin/gdb-multiarch";
const STOPPED: i32 = 130;

/// A guest that waits for its debugger.
struct Guest {
    child: Child,
    errors: BufReader<std::process::ChildStderr>,
    address: String,
}

impl Guest {
    fn start(args: &[&str]) -> Self {
        let mut child = ruse(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut errors = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        errors.read_line(&mut line).unwrap();
        let address = line
            .split_once("target remote ")
            .and_then(|(_, rest)| rest.split_once('\''))
            .unwrap_or_else(|| panic!("{line}"));
        Self {
            child,
            errors,
            address: address.0.into(),
        }
    }

    /// What GDB says, told these commands; what `monitor` says comes last.
    fn gdb(&self, commands: &[&str]) -> String {
        let mut gdb = self.start_gdb(commands);
        let out = gdb.arg("-batch").stdin(Stdio::null()).output().unwrap();
        String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr)
    }

    /// A GDB that is connected, to talk to.
    fn talk(&self) -> Talk {
        let mut talk = Talk::start(self.start_gdb(&[]));
        talk.expect(" in ");
        talk
    }

    fn start_gdb(&self, commands: &[&str]) -> Command {
        let mut gdb = Command::new(GDB);
        gdb.args(["-nx", "-q", "-ex", "set pagination off"]);
        gdb.args(["-ex", "set confirm off", "-ex", "set remotetimeout 60"]);
        gdb.args(["-ex", "set architecture riscv:rv64"]);
        let connect = format!("target remote {}", self.address);
        for command in [connect.as_str()].iter().chain(commands) {
            gdb.args(["-ex", command]);
        }
        gdb
    }

    /// Its exit code, output and errors.
    fn end(mut self) -> (i32, String, String) {
        let (mut output, mut errors) = (String::new(), String::new());
        let stdout = self.child.stdout.as_mut().unwrap();
        stdout.read_to_string(&mut output).unwrap();
        self.errors.read_to_string(&mut errors).unwrap();
        let code = self.child.wait().unwrap().code().unwrap();
        (code, output, errors)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// That all of these come in this order.
#[track_caller]
fn in_order(text: &str, wanted: &[&str]) {
    let mut rest = text;
    for want in wanted {
        match rest.split_once(want) {
            Some((_, after)) => rest = after,
            None => panic!("no {want:?} (any more) in\n{text}"),
        }
    }
}

#[test]
fn a_bare_metal_program_is_debugged() {
    if package(GDB).is_none() {
        return;
    }
    let hello = rom("hello/hello-rv64.elf");
    let guest = Guest::start(&["--gdb=127.0.0.1:0", "--harts", "2", &hello]);
    let said = guest.gdb(&[
        &format!("file {hello}"),
        "info threads",
        "x/i $pc",
        "info registers priv",
        "break *0x80000000",
        "continue",
        "info registers pc",
        "stepi",
        "info registers pc",
        "print/x $mhartid",
        "set $t6 = 0x1234",
        "print/x $t6",
        "set $ft3 = 1.5",
        "print $ft3.double",
        "set var *(int*)0x80001000 = 77",
        "print *(int*)0x80001000",
        "print *(int*)0x10",
        "monitor csr misa",
        "monitor devices",
        "monitor phys 0x80001000 4",
        "delete",
        "continue",
    ]);
    in_order(
        &said,
        &[
            "hart 0, M-mode",
            "hart 1, M-mode",
            "=> 0x1000:",
            "[Machine]",
            "Breakpoint 1, ",
            "pc             0x80000000",
            "pc             0x80000004",
            "$1 = 0x0",
            "$2 = 0x1234",
            "$3 = 1.5",
            "$4 = 77",
            "exited normally]",
            "Cannot access memory at address 0x10",
            "misa (0x301",
            "uart0, interrupt 10",
            "0x80001000: 4d 00 00 00",
        ],
    );
    let (code, output, errors) = guest.end();
    assert_eq!((code, errors.as_str()), (0, ""));
    assert!(output.contains("hello from RV64"), "{output}");
}

#[test]
fn a_kernel_is_debugged() {
    if package(GDB).is_none() {
        return;
    }
    let Some(kernel) = package(&rom("debian/out/Image")) else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let socket = format!("--gdb=unix:{}", dir.path().join("gdb").display());
    let args = [
        "boot", &socket, "--harts", "2", "--memory", "256M", "--kernel", &kernel,
    ];
    let guest = Guest::start(&args);
    let said = guest.gdb(&[
        "info registers pc",
        "hbreak *0x80200002",
        "continue",
        // It goes to its virtual address by a page fault.
        "monitor catch 12",
        "continue",
        "print $pc > 0xffffffff00000000",
        "print $satp != 0",
        "monitor catch",
        "monitor walk 0xffffffff80000000",
        "info threads",
        "set $at = $pc",
        "stepi",
        "stepi",
        "hbreak *$pc",
        "set $here = $pc",
        "print $pc - $at < 16",
        "monitor info harts",
        "monitor irq",
        "kill",
    ]);
    in_order(
        &said,
        &[
            "pc             0x80200000",
            "Hardware assisted breakpoint 1",
            "Breakpoint 1, 0x0000000080200002",
            "received signal SIGTRAP",
            "$1 = 1",
            "$2 = 1",
            "hart 0, S-mode",
            "hart 1, M-mode, waits",
            "$3 = 1",
            "these stop: instruction page fault",
            "exceptions do not stop",
            "level 2",
            "is guest-physical 0x80",
            "hart 1 (thread 2): M-mode, waits",
            "hart 0  mip",
        ],
    );
    let (code, ..) = guest.end();
    assert_eq!(code, STOPPED);
}

/// Backwards in a machine under the virtual clock, and in a recording of one.
#[test]
fn a_run_goes_backwards() {
    if package(GDB).is_none() {
        return;
    }
    let hello = rom("hello/hello-rv64.elf");
    let dir = tempfile::tempdir().unwrap();
    let recording = dir.path().join("hello.rec");
    let recording = recording.to_str().unwrap();
    let status = ruse(&["--record", recording, &hello])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status();
    assert!(status.unwrap().success());
    let gdb = "--gdb=127.0.0.1:0";
    for args in [
        &[gdb, "--clock", "virtual", &hello][..],
        &["replay", gdb, recording],
    ] {
        let guest = Guest::start(args);
        let said = guest.gdb(&[
            &format!("file {hello}"),
            "break *0x80000000",
            "continue",
            "set $sp0 = $sp",
            "stepi 30",
            "set $there = $pc",
            "set $s = $sp + $a0 + $t0 * 3",
            "stepi 25",
            "reverse-stepi 25",
            "print $pc == $there",
            "print $s == $sp + $a0 + $t0 * 3",
            "reverse-continue",
            "print $pc == 0x80000000",
            "delete",
            // The device that it prints to, from before it ends.
            "watch *(char*)($sp - 8)",
            "delete",
            "reverse-continue",
            "info registers pc",
            "reverse-stepi",
            "break *0x80000004",
            "continue",
            "info registers pc",
            "delete",
            "continue",
        ]);
        in_order(
            &said,
            &[
                "Breakpoint 1, ",
                "$1 = 1",
                "$2 = 1",
                "Breakpoint 1, ",
                "$3 = 1",
                "No more reverse-execution history",
                "pc             0x1000",
                "No more reverse-execution history",
                "Breakpoint 3, ",
                "pc             0x80000004",
                "exited normally]",
            ],
        );
        let (code, output, errors) = guest.end();
        assert_eq!((code, errors.as_str()), (0, ""));
        assert_eq!(output.matches("hello from RV64").count(), 1, "{output}");
    }
    if let Some(kernel) = package(&rom("debian/out/Image")) {
        let args = [
            "boot", gdb, "--clock", "virtual", "--memory", "256M", "--kernel", &kernel,
        ];
        let guest = Guest::start(&args);
        let said = guest.gdb(&[
            // It goes to its virtual address by a page fault; and back again.
            "monitor catch 12",
            "continue",
            "set $high = $pc",
            "reverse-stepi",
            "print $pc < 0x90000000",
            "print $satp != 0",
            "continue",
            "print $pc == $high",
            "monitor catch",
            "hbreak *0x80200002",
            "reverse-continue",
            "info registers pc",
            "kill",
        ]);
        in_order(
            &said,
            &[
                "received signal SIGTRAP",
                "$1 = 1",
                "$2 = 1",
                "$3 = 1",
                "Breakpoint 1, 0x0000000080200002",
                "pc             0x80200002",
            ],
        );
        assert_eq!(guest.end().0, STOPPED);
    }
    // Not under the host's clock.
    let guest = Guest::start(&[gdb, &hello]);
    let said = guest.gdb(&["reverse-stepi", "kill"]);
    assert!(said.contains("does not support"), "{said}");
}

/// `j .`, for ever.
fn spin(dir: &tempfile::TempDir) -> String {
    let spin = dir.path().join("spin.bin");
    std::fs::write(&spin, 0x0000_006f_u32.to_le_bytes()).unwrap();
    spin.to_str().unwrap().into()
}

#[test]
fn a_long_way_back_can_be_broken_off() {
    if package(GDB).is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let guest = Guest::start(&["--gdb=127.0.0.1:0", "--clock", "virtual", &spin(&dir)]);
    let mut gdb = guest.talk();
    gdb.send("continue &\n");
    gdb.expect("Continuing.");
    std::thread::sleep(std::time::Duration::from_secs(1));
    gdb.send("interrupt\n");
    gdb.expect("SIGINT");
    gdb.send("set $there = $minstret\nreverse-continue &\n");
    gdb.expect("Continuing.");
    gdb.send("interrupt\n");
    // If that came too late, it is at the beginning.
    gdb.expect(" in ");
    gdb.send("print $minstret <= $there\nkill\nquit\n");
    gdb.expect("$1 = 1");
    gdb.ends(0);
    assert_eq!(guest.end().0, STOPPED);
}

/// Debuggers come to a guest that runs, stop it, and leave it running.
#[test]
fn debuggers_come_and_go() {
    if package(GDB).is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let guest = Guest::start(&["--gdb=127.0.0.1:0,nowait", "--harts", "2", &spin(&dir)]);
    let look = [
        "print $minstret > 1000",
        "set $t5 = 77",
        "set $before = $minstret",
        "detach",
    ];
    let said = guest.gdb(&look);
    in_order(&said, &["0x0000000080000000 in", "$1 = 1", "detached]"]);
    let mut gdb = guest.talk();
    gdb.send("print $t5\n");
    gdb.expect("$1 = 77");
    gdb.send("continue &\n");
    gdb.expect("Continuing.");
    // What Ctrl-C does.
    gdb.send("interrupt\n");
    gdb.expect("SIGINT");
    gdb.send("print $pc == 0x80000000\ninfo threads\ndetach\n");
    gdb.expect("$2 = 1");
    gdb.expect("hart 1, M-mode");
    gdb.expect("detached]");
    gdb.send("quit\n");
    gdb.ends(0);
    let said = guest.gdb(&["print $minstret > 100000", "kill"]);
    in_order(&said, &["$1 = 1"]);
    let (code, ..) = guest.end();
    assert_eq!(code, STOPPED);
}

/// Whatever comes over the wire, the guest waits for somebody who knows the protocol.
#[test]
fn garbage_is_survived() {
    let hello = rom("hello/hello-rv64.elf");
    let guest = Guest::start(&["--gdb=:0", &hello]);
    let address = format!("127.0.0.1{}", guest.address);
    let huge = [b"$".as_slice(), &[b'x'; 100_000]].concat();
    let garbage: [&[u8]; 9] = [
        b"",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x00\xff\x03\x03$$$###",
        b"$m80000000,ffffffffffffffff#00",
        b"$vCont;s:zz#5e",
        b"$Hgffffffffffffffffffff#00",
        b"$P99999=#ff",
        b"$qXfer:features:read:target.xml:ffffffffffffffff,ffffffffffffffff#00",
        &huge,
    ];
    for bytes in garbage {
        let mut stream = TcpStream::connect(&address).unwrap();
        // It may hang up on us before it has heard all.
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut said = Vec::new();
        let _ = stream.read_to_end(&mut said);
    }
    // By hand: go on to the end ("c", checksum 0x63).
    let mut stream = TcpStream::connect(&address).unwrap();
    stream.write_all(b"+$c#63").unwrap();
    let mut said = String::new();
    let _ = stream.read_to_string(&mut said);
    assert!(said.contains("$W00#b7"), "{said}");
    let (code, output, errors) = guest.end();
    assert_eq!(code, 0, "{errors}");
    assert!(output.contains("hello from RV64"), "{output}");
    assert!(
        errors.contains("the connection is lost; the guest waits for another"),
        "{errors}"
    );
    assert!(!errors.contains("panicked"), "{errors}");
}

#[test]
fn a_linux_program_is_debugged() {
    const CC: &str = "/usr/bin/riscv64-linux-gnu-gcc";
    const SOURCE: &str = r#"
#include <stdio.h>
int total;
static int add(int n) { int before = total; total += n; return before; }
int main(int argc, char **argv) {
    for (int i = 1; i <= 3; i++) add(i);
    printf("total %d of %d\n", total, argc);
    if (argc > 2) *(volatile int *)16 = 1;
    return 7;
}
"#;
    if package(GDB).is_none() || package(CC).is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (source, program) = (dir.path().join("p.c"), dir.path().join("p"));
    std::fs::write(&source, SOURCE).unwrap();
    let made = Command::new(CC)
        .args(["-g", "-O0", "-static", "-o"])
        .args([&program, &source])
        .status()
        .unwrap();
    assert!(made.success());
    let program = program.to_str().unwrap();
    let symbols = format!("file {program}");

    let guest = Guest::start(&["--gdb=127.0.0.1:0", program, "one"]);
    let said = guest.gdb(&[
        &symbols,
        "break main",
        "continue",
        "print argc",
        "info threads",
        "break add",
        "continue",
        "print n",
        "backtrace 2",
        "watch total",
        "continue",
        "print total",
        "delete",
        "finish",
        "set var total = 40",
        "stepi",
        "continue",
    ]);
    in_order(
        &said,
        &[
            "Breakpoint 1, main",
            "$1 = 2",
            "thread",
            "Breakpoint 2, add",
            "$2 = 1",
            "in main",
            "watchpoint 3: total",
            "Old value = 0",
            "New value = 1",
            "$3 = 1",
            "Value returned is",
            "exited with code 07",
        ],
    );
    let (code, output, _) = guest.end();
    assert_eq!((code, output.as_str()), (7, "total 45 of 2\n"));

    // A fault is told of where it happens, before the signal.
    let guest = Guest::start(&["--gdb=127.0.0.1:0", program, "one", "two"]);
    let said = guest.gdb(&[&symbols, "continue", "info line", "continue"]);
    in_order(
        &said,
        &[
            "SIGSEGV",
            "main (argc=3",
            "Line 8",
            "terminated with signal SIGSEGV",
        ],
    );
    assert_eq!(guest.end().0, 128 + 11);
}
