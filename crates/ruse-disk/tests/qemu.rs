//! The same images, read and written by Ruse and by QEMU's tools.

#![cfg(unix)]

use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use proptest::prelude::*;
use ruse_disk::qcow2::{Access, CreateOptions, Repair};
use ruse_disk::{Disk, DiskSpec, FileStorage, Format, Qcow2};

/// One test at a time: a process that another one starts holds all locks for
/// the moment until it runs its program.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether there is a `qemu-img`; in CI there must be.
fn has_qemu() -> bool {
    let has = Command::new("qemu-img").arg("--version").output().is_ok();
    if !has {
        assert!(std::env::var_os("CI").is_none(), "run tests/install");
        eprintln!("skipped: no qemu-img; tests/install installs it");
    }
    has
}

fn qemu(program: &str, args: &[&str], dir: &Path) -> String {
    let out = Command::new(program)
        .args(args)
        .current_dir(dir)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(
        out.status.success(),
        "{program} {args:?}: {text}{}",
        String::from_utf8_lossy(&out.stderr)
    );
    text
}

/// Neither checker finds anything.
fn assert_sound(dir: &Path, name: &str) {
    qemu("qemu-img", &["check", "-f", "qcow2", name], dir);
    let storage = FileStorage::open(dir.join(name), true).unwrap();
    let mut image = Qcow2::open(Box::new(storage), Access::Repair).unwrap();
    let found = image.check(Repair::Nothing, &mut |_, _| {}).unwrap();
    assert_eq!((found.leaks, found.corruptions), (0, 0), "{found:?}");
}

fn open(path: &Path, read_only: bool) -> Box<dyn Disk> {
    let mut spec = DiskSpec::new(path);
    spec.read_only = read_only;
    spec.format = Some(Format::Qcow2);
    ruse_disk::open(&spec).unwrap()
}

fn contents(disk: &mut dyn Disk) -> Vec<u8> {
    let mut all = vec![0; disk.size() as usize];
    disk.read_at(0, &mut all).unwrap();
    all
}

/// Some clusters of everything that there can be, written by qemu-io.
const WRITES: &[&str] = &[
    "-c",
    "write -P 1 0 64k",
    "-c",
    "write -P 2 100k 5k",
    "-c",
    "write -z 200k 64k",
    "-c",
    "write -P 3 3M 300k",
    "-c",
    "write -z -u 3100k 70k",
    "-c",
    "discard 20k 30k",
    "-c",
    "write -P 4 4190208 4k",
];

#[test]
fn what_qemu_wrote_reads_the_same() {
    let _alone = alone();
    if !has_qemu() {
        return;
    }
    for options in [
        "cluster_size=512",
        "cluster_size=4k,refcount_bits=1",
        "cluster_size=64k,refcount_bits=64",
        "cluster_size=2M",
        "compat=0.10",
        "lazy_refcounts=on",
        "extended_l2=on",
        "extended_l2=on,cluster_size=16k,refcount_bits=8",
    ] {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        qemu(
            "qemu-img",
            &["create", "-q", "-f", "raw", "base", "2M"],
            dir,
        );
        qemu(
            "qemu-io",
            &["-f", "raw", "-c", "write -P 9 0 2M", "base"],
            dir,
        );
        for backing in [false, true] {
            let mut args = vec!["create", "-q", "-f", "qcow2", "-o", options];
            if backing {
                args.extend(["-F", "raw", "-b", "base"]);
            }
            args.extend(["a.qcow2", "4M"]);
            qemu("qemu-img", &args, dir);
            let writes = [&["-f", "qcow2"], WRITES, &["a.qcow2"]].concat();
            qemu("qemu-io", &writes, dir);
            qemu(
                "qemu-img",
                &["convert", "-O", "raw", "a.qcow2", "plain"],
                dir,
            );
            let expected = std::fs::read(dir.join("plain")).unwrap();
            let mut disk = open(&dir.join("a.qcow2"), true);
            assert!(contents(&mut *disk) == expected, "{options} {backing}");
            drop(disk);
            // And on top of it.
            let mut disk = open(&dir.join("a.qcow2"), false);
            let mut expected = expected;
            for (at, len, byte) in [(10_000, 70_000, 7), (3 << 20, 512, 8), (210 << 10, 100, 6)] {
                disk.write_at(at as u64, &vec![byte; len]).unwrap();
                expected[at..at + len].fill(byte);
            }
            assert!(contents(&mut *disk) == expected, "{options} {backing}");
            drop(disk);
            std::fs::write(dir.join("plain"), &expected).unwrap();
            assert_sound(dir, "a.qcow2");
            qemu(
                "qemu-img",
                &["compare", "-F", "raw", "a.qcow2", "plain"],
                dir,
            );
        }
    }
}

#[test]
fn compressed_images_and_snapshots_read_the_same() {
    let _alone = alone();
    if !has_qemu() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let mut bytes: Vec<u8> = (0..3u32 << 18)
        .flat_map(|n| (n / 100).to_le_bytes())
        .collect();
    bytes[1 << 20..][..100_000].fill(0);
    std::fs::write(dir.join("plain"), &bytes).unwrap();
    for kind in [
        "compression_type=zlib",
        "compression_type=zstd",
        "cluster_size=4k",
    ] {
        let args = [
            "convert", "-c", "-O", "qcow2", "-o", kind, "plain", "c.qcow2",
        ];
        qemu("qemu-img", &args, dir);
        assert!(
            contents(&mut *open(&dir.join("c.qcow2"), true)) == bytes,
            "{kind}"
        );
        let mut disk = open(&dir.join("c.qcow2"), false);
        disk.write_at(1000, &[1; 200_000]).unwrap();
        drop(disk);
        assert_sound(dir, "c.qcow2");
    }
    qemu("qemu-img", &["snapshot", "-c", "before", "c.qcow2"], dir);
    let then = contents(&mut *open(&dir.join("c.qcow2"), true));
    let mut disk = open(&dir.join("c.qcow2"), false);
    disk.write_at(5000, &[2; 300_000]).unwrap();
    disk.discard(1 << 20, 1 << 20).unwrap();
    drop(disk);
    assert_sound(dir, "c.qcow2");
    let spec = format!("{},snapshot-id=before", dir.join("c.qcow2").display());
    let mut disk = ruse_disk::open(&spec.parse().unwrap()).unwrap();
    assert!(disk.read_only() && contents(&mut *disk) == then);
    drop(disk);
    qemu("qemu-img", &["snapshot", "-a", "before", "c.qcow2"], dir);
    assert!(contents(&mut *open(&dir.join("c.qcow2"), true)) == then);
    qemu("qemu-img", &["snapshot", "-d", "before", "c.qcow2"], dir);
    assert_sound(dir, "c.qcow2");
}

#[derive(Clone, Debug)]
enum Op {
    Write(u64, u64, u8),
    Zero(u64, u64, bool),
    Discard(u64, u64),
    Flush,
    Reopen,
    Snapshot,
}

const SIZE: u64 = 3 << 20;

fn op() -> impl Strategy<Value = Op> {
    let range = || (0..SIZE / 512, 1u64..600);
    prop_oneof![
        6 => (range(), 1u8..).prop_map(|((at, len), byte)| Op::Write(at, len, byte)),
        2 => (range(), any::<bool>()).prop_map(|((at, len), unmap)| Op::Zero(at, len, unmap)),
        2 => range().prop_map(|(at, len)| Op::Discard(at, len)),
        1 => Just(Op::Flush),
        1 => Just(Op::Reopen),
        1 => Just(Op::Snapshot),
    ]
}

fn options() -> impl Strategy<Value = CreateOptions> {
    let kinds = vec![
        (512, 16, 3, false),
        (512, 64, 3, false),
        (4096, 2, 3, false),
        (65536, 16, 3, false),
        (65536, 16, 2, false),
        (4096, 16, 2, false),
        (16384, 8, 3, true),
    ];
    prop::sample::select(kinds).prop_map(|(cluster_size, refcount_bits, version, extended_l2)| {
        CreateOptions {
            cluster_size,
            refcount_bits,
            version,
            extended_l2,
            ..CreateOptions::new(SIZE)
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("RUSE_CASES").map_or(24, |n| n.parse().unwrap()),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_order_of_requests_leaves_a_sound_image(
        options in options(),
        backing in any::<bool>(),
        ops in prop::collection::vec(op(), 1..40),
    ) {
        let _alone = alone();
        if !has_qemu() {
            return Ok(());
        }
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let path = dir.join("a.qcow2");
        let mut model = vec![0; SIZE as usize];
        let mut options = options;
        if backing {
            model[..2 << 20].fill(9);
            std::fs::write(dir.join("base"), &model[..2 << 20]).unwrap();
            options.backing = Some(ruse_disk::qcow2::Backing {
                name: "base".into(),
                format: Some("raw".into()),
            });
        }
        ruse_disk::create(&path, &options).unwrap();
        let mut disk = Some(open(&path, false));
        for (number, op) in ops.iter().enumerate() {
            let now = disk.as_mut().unwrap();
            let clip = |at: u64, len: u64| (at * 512, (len * 512).min(SIZE - at * 512));
            match *op {
                Op::Write(at, len, byte) => {
                    let (at, len) = clip(at, len);
                    now.write_at(at, &vec![byte; len as usize]).unwrap();
                    model[at as usize..(at + len) as usize].fill(byte);
                }
                Op::Zero(at, len, unmap) => {
                    let (at, len) = clip(at, len);
                    now.write_zeroes(at, len, unmap).unwrap();
                    model[at as usize..(at + len) as usize].fill(0);
                }
                Op::Discard(at, len) => {
                    let (at, len) = clip(at, len);
                    now.discard(at, len).unwrap();
                    let range = at as usize..(at + len) as usize;
                    let mut bytes = vec![0; len as usize];
                    now.read_at(at, &mut bytes).unwrap();
                    // Each sector as it was, or zeroes.
                    for (now, then) in bytes.chunks(512).zip(model[range.clone()].chunks(512)) {
                        prop_assert!(now == then || now.iter().all(|&byte| byte == 0));
                    }
                    model[range].copy_from_slice(&bytes);
                }
                Op::Flush => now.flush().unwrap(),
                Op::Reopen | Op::Snapshot => {
                    drop(disk.take());
                    if matches!(op, Op::Snapshot) && options.refcount_bits > 2 {
                        let name = number.to_string();
                        qemu("qemu-img", &["snapshot", "-c", &name, "a.qcow2"], dir);
                    }
                    disk = Some(open(&path, false));
                }
            }
        }
        prop_assert!(contents(&mut **disk.as_mut().unwrap()) == model);
        drop(disk);
        assert_sound(dir, "a.qcow2");
        std::fs::write(dir.join("plain"), &model).unwrap();
        qemu("qemu-img", &["compare", "-F", "raw", "a.qcow2", "plain"], dir);
    }
}
