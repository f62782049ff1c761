//! `ruse disk`, checked by QEMU's tools, and machines on what it makes.

mod talk;

use std::path::Path;
use std::process::{Command, Output};

use talk::{Talk, ruse};

/// Whether QEMU's tools are there; CI insists.
fn qemu_img_is_missing() -> bool {
    let found = Command::new("qemu-img").arg("--version").output().is_ok();
    assert!(
        found || std::env::var_os("CI").is_none(),
        "CI needs qemu-img"
    );
    if !found {
        eprintln!("skipped: no qemu-img");
    }
    !found
}

struct Bench(tempfile::TempDir);

impl Bench {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, mut command: Command) -> Output {
        command.current_dir(self.0.path()).output().unwrap()
    }

    /// `ruse disk` with these arguments, which must end with `code`.
    #[track_caller]
    fn disk(&self, line: &str, code: i32) -> String {
        let args: Vec<&str> = ["disk"].into_iter().chain(line.split(' ')).collect();
        let output = self.run(ruse(&args));
        let text = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert_eq!(output.status.code(), Some(code), "disk {line}: {text}");
        text
    }

    /// `qemu-img` with these arguments, which must succeed.
    #[track_caller]
    fn qemu(&self, line: &str) -> String {
        let mut command = Command::new("qemu-img");
        command.args(line.split(' '));
        let output = self.run(command);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "qemu-img {line}: {text}{error}");
        text
    }

    /// A raw image of 8 MiB, some of it full of a pattern, some compressible.
    fn raw(&self, name: &str) {
        let mut bytes = vec![0u8; 8 << 20];
        let mut random = 1u32;
        for (at, byte) in bytes[1 << 20..3 << 20].iter_mut().enumerate() {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *byte = if at < 1 << 20 {
                (random >> 24) as u8
            } else {
                at as u8
            };
        }
        std::fs::write(self.path(name), bytes).unwrap();
    }
}

fn held(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).unwrap().blocks() * 512
}

#[test]
fn fifty_gigabytes_take_no_space() {
    if qemu_img_is_missing() {
        return;
    }
    let bench = Bench::new();
    bench.disk("create disk-1.qcow2 50G", 0);
    assert!(held(&bench.path("disk-1.qcow2")) < 300 << 10);
    bench.qemu("check -q disk-1.qcow2");
    let info = bench.disk("info --json disk-1.qcow2", 0);
    assert!(info.contains("53687091200"), "{info}");
    // There it stays: no second image in its place.
    bench.disk("create disk-1.qcow2 1G", 125);
    bench.disk("create nothing.qcow2 0", 120);
    bench.disk("create nothing.qcow2", 120);
}

#[test]
fn images_go_from_format_to_format() {
    if qemu_img_is_missing() {
        return;
    }
    let bench = Bench::new();
    bench.raw("a.img");
    for (line, image) in [
        ("convert a.img plain.qcow2", "plain.qcow2"),
        ("convert --compress zlib a.img small.qcow2", "small.qcow2"),
        ("convert small.qcow2 back.img", "back.img"),
    ] {
        bench.disk(line, 0);
        bench.qemu(&format!("compare {image} a.img"));
        if image.ends_with(".qcow2") {
            bench.qemu(&format!("check -q {image}"));
            bench.disk(&format!("check {image}"), 0);
        }
    }
    let [plain, small] = ["plain.qcow2", "small.qcow2"].map(|name| held(&bench.path(name)));
    assert!(small < plain && plain < 3 << 20, "{small} and {plain}");
    // Sparse stays sparse.
    assert!(held(&bench.path("back.img")) < 3 << 20);
}

#[test]
fn images_grow_and_shrink() {
    if qemu_img_is_missing() {
        return;
    }
    let bench = Bench::new();
    bench.raw("a.img");
    bench.disk("convert a.img b.qcow2", 0);
    bench.disk("resize b.qcow2 20G", 0);
    bench.qemu("check -q b.qcow2");
    assert!(bench.qemu("info b.qcow2").contains("20 GiB"));
    let refused = bench.disk("resize b.qcow2 2M", 125);
    assert!(refused.contains("--shrink"), "{refused}");
    bench.disk("resize --shrink b.qcow2 2M", 0);
    bench.qemu("check -q b.qcow2");
    bench.qemu("resize -f raw --shrink a.img 2M");
    bench.qemu("compare a.img b.qcow2");
    bench.disk("resize a.img 4M", 0);
    assert_eq!(
        std::fs::metadata(bench.path("a.img")).unwrap().len(),
        4 << 20
    );
}

#[test]
fn snapshots_are_seen_and_read() {
    if qemu_img_is_missing() {
        return;
    }
    let bench = Bench::new();
    bench.raw("a.img");
    bench.disk("convert a.img b.qcow2", 0);
    bench.qemu("snapshot -c before b.qcow2");
    let wiped = Command::new("qemu-io")
        .args(["-c", "write -P 9 0 4M", "b.qcow2"])
        .current_dir(bench.0.path())
        .output();
    assert!(wiped.unwrap().status.success());
    assert!(bench.disk("info b.qcow2", 0).contains("before"));
    bench.disk("convert b.qcow2,snapshot-id=before c.img", 0);
    bench.qemu("compare a.img c.img");
    let missing = bench.disk("convert b.qcow2,snapshot-id=never d.img", 125);
    assert!(missing.contains("never"), "{missing}");
}

#[test]
fn damage_is_found_and_repaired() {
    if qemu_img_is_missing() {
        return;
    }
    let bench = Bench::new();
    bench.raw("a.img");
    bench.disk("convert a.img b.qcow2", 0);
    // A cluster more than anybody refers to: the refcount block is the third
    // cluster of a fresh image or so; find it by the table.
    let mut bytes = std::fs::read(bench.path("b.qcow2")).unwrap();
    let word = |bytes: &[u8], at: usize| {
        u64::from_be_bytes(bytes[at..at + 8].try_into().unwrap()) as usize
    };
    let table = word(&bytes, 48);
    let block = word(&bytes, table);
    // 16-bit counts: the last cluster of the file gets one, and one that is
    // used loses its own.
    let last = bytes.len() / 65_536;
    bytes.resize((last + 1) * 65_536, 0);
    bytes[block + 2 * last + 1] = 1;
    std::fs::write(bench.path("leaky.qcow2"), &bytes).unwrap();
    bench.disk("check leaky.qcow2", 2);
    bench.disk("check --repair leaks leaky.qcow2", 0);
    bench.qemu("check -q leaky.qcow2");
    bench.qemu("compare leaky.qcow2 a.img");

    let l1 = word(&bytes, 40);
    let l2 = word(&bytes, l1) & 0x00ff_ffff_ffff_fe00;
    let data = (0..64)
        .map(|n| word(&bytes, l2 + 8 * n) & 0x00ff_ffff_ffff_fe00)
        .find(|&at| at != 0)
        .unwrap();
    bytes[block + 2 * (data / 65_536) + 1] = 0;
    std::fs::write(bench.path("broken.qcow2"), &bytes).unwrap();
    bench.disk("check broken.qcow2", 1);
    bench.disk("check --repair all broken.qcow2", 0);
    bench.qemu("check -q broken.qcow2");
    bench.qemu("compare broken.qcow2 a.img");
}

#[test]
fn what_is_no_image_says_so() {
    let bench = Bench::new();
    std::fs::write(bench.path("junk.qcow2"), vec![7; 4096]).unwrap();
    for line in [
        "info junk.qcow2",
        "check junk.qcow2",
        "convert junk.qcow2 x.img",
    ] {
        let says = bench.disk(line, 125);
        assert!(says.contains("junk.qcow2"), "{says}");
    }
    bench.disk("info missing.img", 125);
    // A guest may have written this into its raw disk.
    bench.disk("create trick.qcow2 1M", 0);
    std::fs::rename(bench.path("trick.qcow2"), bench.path("trick.img")).unwrap();
    let says = bench.disk("info trick.img", 125);
    assert!(says.contains("format="), "{says}");
}

/// The monitor, with this disk.
fn monitor(bench: &Bench, disk: &str) -> Talk {
    let mut command = ruse(&["--disk", disk]);
    command.current_dir(bench.0.path());
    let mut talk = Talk::start(command);
    talk.expect("ruse> ");
    talk
}

/// What it answers to a command.
#[track_caller]
fn ask(talk: &mut Talk, command: &str) -> String {
    talk.send(&format!("{command}\r"));
    talk.expect("\r\n");
    talk.expect("ruse> ")
}

#[test]
fn a_machine_writes_to_images_and_overlays() {
    if qemu_img_is_missing() {
        return;
    }
    let bench = Bench::new();
    bench.disk("create base.qcow2 50G", 0);
    let mut first = monitor(&bench, "base.qcow2");
    assert!(ask(&mut first, "write 90000000 the base").contains("now holds"));
    // A second machine is refused.
    let mut second = ruse(&["--disk", "base.qcow2"]);
    let refused = second.current_dir(bench.0.path()).output().unwrap();
    assert_eq!(refused.status.code(), Some(125));
    let says = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(says.contains("base.qcow2: in use"), "{says}");
    first.send("off\r");
    first.ends(0);
    bench.qemu("check -q base.qcow2");
    assert!(held(&bench.path("base.qcow2")) < 1 << 20);

    // What goes to an overlay stays in it; what goes to a snapshot is gone.
    let before = std::fs::read(bench.path("base.qcow2")).unwrap();
    for (disk, kept) in [("base.qcow2,snapshot", false), ("base.qcow2,overlay", true)] {
        let mut talk = monitor(&bench, disk);
        assert!(ask(&mut talk, "read 90000000").contains("|the base"));
        ask(&mut talk, "write 90000000 on top");
        assert!(ask(&mut talk, "read 90000000").contains("|on top"));
        talk.send("off\r");
        talk.ends(0);
        assert_eq!(std::fs::read(bench.path("base.qcow2")).unwrap(), before);
        let mut talk = monitor(&bench, disk);
        let found = ask(&mut talk, "read 90000000");
        assert!(
            found.contains(if kept { "|on top" } else { "|the base" }),
            "{found}"
        );
        talk.send("off\r");
        talk.ends(0);
    }
    bench.qemu("check -q base.qcow2.overlay.qcow2");
}
