//! What a person gets wrong: each time one line that says what, where and
//! what to do, and the exit code that `ruse --help` promises.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const USAGE: i32 = 120;
const STUCK: i32 = 124;
const HOST: i32 = 125;

/// `wfi; j -4`.
const PROGRAM: [u8; 8] = [0x73, 0x00, 0x50, 0x10, 0x6f, 0xf0, 0xdf, 0xff];

struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    /// A file with these contents.
    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().into()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn run(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_ruse"))
            .args(args)
            .current_dir(self.dir.path())
            .env("RUSE_HOME", self.dir.path().join("home"))
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// Runs `args`, which must fail with `code` and one line that has all of
    /// `parts`.
    #[track_caller]
    fn fails(&self, args: &[&str], code: i32, parts: &[&str]) {
        let output = self.run(args);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {stderr}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{args:?}");
        for part in parts {
            assert!(
                stderr.contains(part),
                "{args:?}: {stderr:?} has no {part:?}"
            );
        }
        if code != USAGE {
            assert_eq!(stderr.lines().count(), 1, "{args:?}: {stderr}");
            assert!(stderr.starts_with("ruse: "), "{args:?}: {stderr}");
        }
    }
}

fn rom(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("roms")
        .join(path)
}

fn hello() -> Vec<u8> {
    std::fs::read(rom("hello/hello-rv64.elf")).unwrap()
}

#[test]
fn programs() {
    let bench = Bench::new();
    bench.fails(&["none.elf"], HOST, &["none.elf: cannot read it"]);
    bench.fails(&["."], HOST, &[".: cannot read it"]);
    bench.file("empty", "");
    bench.fails(&["empty"], HOST, &["empty: it is empty"]);

    // Cut anywhere, it is refused or it still has all that it loads.
    let whole = hello();
    for len in (1..whole.len()).step_by(61) {
        bench.file("cut.elf", &whole[..len]);
        let output = bench.run(&["cut.elf"]);
        let stderr = String::from_utf8(output.stderr).unwrap();
        match output.status.code() {
            Some(0) => {}
            Some(HOST) if len >= 4 => {
                assert!(
                    stderr.starts_with("ruse: cut.elf: truncated"),
                    "{len}: {stderr}"
                );
            }
            // Less than the magic number is a flat binary of nonsense.
            Some(STUCK) if len < 4 => {}
            code => panic!("{len} bytes: {code:?}, {stderr}"),
        }
    }
    let segment = "truncated: segment 1 wants";
    bench.file("cut.elf", &whole[..0x1010]);
    bench.fails(
        &["cut.elf"],
        HOST,
        &["cut.elf", segment, "at file offset", "fetch it again"],
    );

    for (name, at, bytes, says) in [
        (
            "x86.elf",
            18,
            [62, 0],
            "another machine (X86_64, number 62); this one needs RISC-V",
        ),
        ("big.elf", 5, [2, 1], "big-endian"),
        ("object.elf", 16, [1, 0], "not an executable; link it first"),
        ("class.elf", 4, [9, 1], "ELF"),
    ] {
        let mut elf = whole.clone();
        elf[at..at + 2].copy_from_slice(&bytes);
        bench.file(name, elf);
        bench.fails(&[name], HOST, &[name, says]);
    }
    bench.file("raw.bin", vec![0; 2 << 20]);
    bench.fails(
        &["-m", "1M", "raw.bin"],
        HOST,
        &["raw.bin: more than the 0x100000 bytes"],
    );
}

#[test]
fn addresses() {
    let bench = Bench::new();
    let mut elf = hello();
    // The first program header's p_paddr, of 64-bit ELF.
    let phoff = u64::from_le_bytes(elf[32..40].try_into().unwrap()) as usize;
    let load = (0..)
        .map(|n| phoff + 56 * n)
        .find(|at| elf[*at..*at + 4] == 1u32.to_le_bytes())
        .unwrap();
    elf[load + 24..load + 32].copy_from_slice(&0x1000u64.to_le_bytes());
    bench.file("low.elf", &elf);
    bench.fails(
        &["low.elf"],
        HOST,
        &[
            "low.elf",
            "at 0x1000 is outside RAM (0x80000000 to 0xc0000000)",
            "link it",
        ],
    );
    elf[load + 24..load + 32].copy_from_slice(&(u64::MAX - 1).to_le_bytes());
    bench.file("wrap.elf", &elf);
    bench.fails(&["wrap.elf"], HOST, &["wrap.elf", "is outside RAM"]);

    // A kernel where the firmware is.
    bench.file("firmware", vec![1; 0x1000]);
    bench.file("kernel.elf", hello());
    bench.fails(
        &["boot", "--bios", "firmware", "--kernel", "kernel.elf"],
        HOST,
        &[
            "kernel.elf: segment",
            "overlaps firmware (image) at 0x80000000",
        ],
    );
}

#[test]
fn kernels() {
    let bench = Bench::new();
    bench.fails(&["boot"], USAGE, &["nothing to boot: give --kernel FILE"]);
    bench.fails(
        &["boot", "--kernel", "none"],
        HOST,
        &["none: cannot read it"],
    );
    let mut image = vec![0; 0x1000];
    image[0x10..0x18].copy_from_slice(&(1u64 << 30).to_le_bytes());
    image[0x38..0x3c].copy_from_slice(b"RSC\x05");
    bench.file("Image", &image);
    bench.fails(
        &["boot", "--kernel", "Image", "--memory", "64M"],
        HOST,
        &[
            "Image: kernel of 0x40000000 bytes at 0x80200000 is outside RAM",
            "more memory",
        ],
    );
    bench.file("initrd", vec![0; 14 << 20]);
    bench.file("small", PROGRAM);
    bench.fails(
        &[
            "boot", "--kernel", "small", "--initrd", "initrd", "--memory", "15M",
        ],
        HOST,
        &["initrd: no room for 0xe00000 bytes in RAM; give the guest more memory"],
    );
    bench.fails(
        &["boot", "--bios", "none", "--kernel", "small"],
        HOST,
        &["none: cannot read it"],
    );
}

#[test]
fn disks() {
    let bench = Bench::new();
    bench.file("program", PROGRAM);
    let disk = |arg: &str, parts: &[&str]| {
        bench.fails(&["--disk", arg, "program"], HOST, parts);
    };
    disk("none.img", &["disk image none.img: cannot open it"]);
    bench.file("odd.img", vec![0; 1000]);
    disk(
        "odd.img",
        &["odd.img: its size of 1000 bytes is not a multiple of 512"],
    );
    bench.file("empty.img", "");
    disk(
        "empty.img",
        &["empty.img: its size of 0 bytes is no disk at all"],
    );
    disk(".", &["disk image .: not a regular file"]);
    bench.file("disk.img", vec![0; 4096]);
    let twice = ["-d", "disk.img", "-d", "disk.img", "program"];
    bench.fails(&twice, HOST, &["disk.img: in use by another machine"]);
    let disks = ["-d", "disk.img,ro"].into_iter().cycle().take(60);
    let many: Vec<&str> = disks.chain(["program"]).collect();
    bench.fails(
        &many,
        HOST,
        &["virtio devices, disks included: this board has 24 slots"],
    );
}

/// The superuser may write to anything: tried only by others.
#[test]
#[cfg(unix)]
fn a_read_only_disk() {
    use std::os::unix::fs::PermissionsExt;
    let bench = Bench::new();
    bench.file("program", std::fs::read(rom("exit/exit-rv64.elf")).unwrap());
    let path = bench.file("ro.img", vec![0; 4096]);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o444)).unwrap();
    if std::fs::OpenOptions::new().write(true).open(&path).is_err() {
        bench.fails(
            &["--disk", "ro.img", "program"],
            HOST,
            &[
                "ro.img: cannot open it for writing",
                "; add `,ro` to use it read-only",
            ],
        );
    }
    let output = bench.run(&["--disk", "ro.img,ro", "program"]);
    assert_eq!(output.status.code(), Some(42));
}

#[test]
fn numbers() {
    let bench = Bench::new();
    bench.file("program", PROGRAM);
    for size in [
        "",
        "lots",
        "1.5G",
        "-1",
        "0",
        "12345",
        "1Q",
        "99999999999999999999G",
    ] {
        let arg = format!("--memory={size}");
        bench.fails(&[&arg, "program"], USAGE, &["--memory"]);
    }
    for harts in ["0", "65", "many", "-1"] {
        let arg = format!("--harts={harts}");
        bench.fails(&[&arg, "program"], USAGE, &["--harts", "from 1 to 64"]);
    }
    bench.fails(
        &["--clock", "sundial", "program"],
        USAGE,
        &["sundial", "host, virtual"],
    );
    bench.fails(&["--colour", "program"], USAGE, &["--colour"]);
    bench.fails(
        &["--rv32", "--memory", "3G", "program"],
        HOST,
        &["a 32-bit guest reaches at most 0x80000000"],
    );
    bench.fails(
        &["--memory", "16T", "--rv32", "program"],
        HOST,
        &["a 32-bit guest"],
    );
}

#[test]
fn guests_that_cannot_go_on() {
    let bench = Bench::new();
    let nothing = rom("nothing/nothing-rv64.elf");
    bench.fails(
        &[nothing.to_str().unwrap()],
        STUCK,
        &[
            "hart 0 cannot go on: its trap handler at 0x1000000",
            "access fault",
        ],
    );
    bench.file("sleep.bin", PROGRAM);
    bench.fails(&["sleep.bin"], STUCK, &["the guest waits for ever"]);
}

#[test]
fn linux_programs() {
    let bench = Bench::new();
    bench.file("hello.elf", hello());
    bench.file("text", "text");
    bench.fails(
        &["--root", "none", "sh"],
        HOST,
        &["none: cannot use this directory"],
    );
    bench.fails(
        &["--root", ".", "sh"],
        HOST,
        &["sh: not found below --root in PATH (/usr/local/sbin:"],
    );
    bench.fails(
        &["--root", ".", "/text"],
        HOST,
        &["/text: not a file that may be executed"],
    );
    bench.fails(
        &["--root", ".", "/hello.elf"],
        HOST,
        &["/hello.elf: not a file that may be executed"],
    );
    bench.fails(
        &["--root", ".", "--share", "text=here", "sh"],
        HOST,
        &["here: where the program sees a share must be an absolute path"],
    );
    bench.file("script", "#!/bin/sh\n");
    bench.fails(
        &["script"],
        HOST,
        &["script: needs /bin/sh: no such file", "--root DIR"],
    );
    for (args, says) in [
        (&["--net", "hello.elf"][..], "--net is for Linux programs"),
        (&["hello.elf", "x"], "takes no arguments"),
        (&["-m", "1G", "script"], "--memory is for machines"),
        (
            &["--max-time", "never", "script"],
            "not a number of seconds",
        ),
        (&["--strace"], "name one"),
    ] {
        bench.fails(args, USAGE, &[says]);
    }
}

#[test]
fn nowhere_for_the_ssd() {
    let bench = Bench::new();
    let home = bench.file("home", "a file, not a directory");
    bench.fails(&["monitor"], HOST, &[&home]);
}

#[test]
fn help_says_what_the_exit_codes_are() {
    let bench = Bench::new();
    for args in [&["--help"] as &[_], &["boot", "--help"], &["--version"]] {
        let output = bench.run(args);
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(output.stderr, b"");
        let text = String::from_utf8(output.stdout).unwrap();
        if args.contains(&"--help") {
            for code in ["120", "124", "125", "130"] {
                assert!(text.contains(code), "{text}");
            }
        }
    }
}
