//! QEMU, as a process whose RAM is a file that we read afterwards.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use ruse_isa::Xlen;

use crate::guest::{RAM_SIZE, RESULT_SIZE, result_offset};

/// How long one image may take.
const PATIENCE: Duration = Duration::from_secs(120);

pub struct Peer {
    program: &'static str,
    cpu: &'static str,
}

/// A file that is removed in the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(kind: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("ruse-diff-{}-{n}.{kind}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Peer {
    /// QEMU if it is installed; without it, the comparison is left out, but
    /// not where `CI` is set.
    pub fn find(xlen: Xlen) -> Option<Self> {
        let (program, cpu) = match xlen {
            Xlen::Rv32 => ("qemu-system-riscv32", "rv32,h=false,Zfh=true"),
            Xlen::Rv64 => ("qemu-system-riscv64", "rv64,h=false,Zfh=true"),
        };
        let found = Command::new(program)
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        match found {
            Ok(status) if status.success() => Some(Self { program, cpu }),
            _ => {
                assert!(std::env::var_os("CI").is_none(), "no {program}");
                println!("no {program}: comparing only the hart with itself");
                None
            }
        }
    }

    /// The records of the image's bodies.
    pub fn run(&self, image: &[u8], count: usize) -> Vec<u8> {
        let (flat, ram) = (Scratch::new("image"), Scratch::new("ram"));
        let end = image.iter().rposition(|b| *b != 0).map_or(0, |n| n + 1);
        std::fs::write(&flat.0, &image[..end]).expect("writable temporary folder");
        let backend = format!(
            "memory-backend-file,id=ram,size={RAM_SIZE},share=on,mem-path={}",
            ram.0.display()
        );
        let mut child = Command::new(self.program)
            .args(["-machine", "virt,memory-backend=ram", "-cpu", self.cpu])
            .args(["-object", &backend, "-m", &format!("{}M", RAM_SIZE >> 20)])
            .args(["-display", "none", "-serial", "none", "-monitor", "none"])
            .args(["-bios", "none", "-net", "none", "-device"])
            .arg(format!(
                "loader,file={},addr=0x80000000,force-raw=on",
                flat.0.display()
            ))
            .stdin(Stdio::null())
            .spawn()
            .expect("QEMU starts");
        let start = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().expect("QEMU is our child") {
                break status;
            }
            if start.elapsed() > PATIENCE {
                let _ = child.kill();
                let _ = child.wait();
                panic!("QEMU does not finish");
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        assert!(status.success(), "QEMU: {status}");
        let bytes = std::fs::read(&ram.0).expect("QEMU left its RAM");
        let from = result_offset(0);
        let mut records = bytes[from..from + count * RESULT_SIZE as usize].to_vec();
        records
            .chunks_mut(RESULT_SIZE as usize)
            .for_each(correct_causes);
        records
    }
}

/// QEMU 7.2 reports misaligned AMOs as misaligned loads, which there are none
/// of in the bodies; the manual demands the cause for stores and AMOs.
fn correct_causes(record: &mut [u8]) {
    let (log, entry) = (0x210, 24);
    for cause in record[log..log + 64 * entry].chunks_mut(entry) {
        if cause[..8] == 4u64.to_le_bytes() {
            cause[0] = 6;
        }
    }
}
