//! A lesson on a real machine.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use ruse_disk::{Disk, RawDisk, create_sparse};
use ruse_event::{Classes, Event, Watch};
use ruse_lens::story::{Lie, Medium, Teller};
use ruse_machine::{
    Boot, ConsoleOut, Image, Machine, MachineConfig, MachineError, Nic, Outcome, Time, layout,
};
use ruse_net::{Policy, User};
use thiserror::Error;

use crate::asm::{self, AsmError};
use crate::lessons::{Lesson, Scene};

/// 50 GB, as it says on the box.
const SSD: u64 = 50_000_000_000;
/// Instructions after which a lesson is stopped.
const PATIENCE: u64 = 200_000_000;
/// Time after which one is.
const LONGEST: Duration = Duration::from_secs(10);
/// Events that are kept.
const EVENTS: usize = 4096;
/// Bytes of output that are kept.
const OUTPUT: usize = 4096;
/// Where programs lie: those of M-mode at the start of memory, systems above firmware.
const SYSTEM: u64 = layout::RAM + 0x20_0000;

/// Why a lesson cannot be run.
#[derive(Debug, Error)]
pub enum TourError {
    /// The code makes no sense.
    #[error(transparent)]
    Asm(#[from] AsmError),
    /// The machine.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// The disk.
    #[error(transparent)]
    Disk(#[from] ruse_disk::DiskError),
    /// The network.
    #[error(transparent)]
    Net(#[from] ruse_net::NetError),
    /// A temporary file.
    #[error("a temporary file: {0}")]
    Io(#[from] std::io::Error),
}

/// What was seen.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// What the guest printed.
    pub output: String,
    /// The lies, in order.
    pub lies: Vec<Lie>,
    /// How it ended, in words.
    pub end: String,
    /// What is to be seen on the host, if anything.
    pub host: Vec<String>,
}

#[derive(Clone, Default)]
struct Screen(Arc<Mutex<Vec<u8>>>);

impl ConsoleOut for Screen {
    fn write(&mut self, bytes: &[u8]) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = OUTPUT.saturating_sub(all.len());
        all.extend(&bytes[..bytes.len().min(room)]);
    }
}

#[derive(Default)]
struct Log(Mutex<Vec<Event>>);

impl Watch for Log {
    fn event(&self, event: Event) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() < EVENTS {
            all.push(event);
        }
    }
}

/// The lesson's code with this value in its place.
pub fn code(lesson: &Lesson, value: &str) -> String {
    lesson.code.replace("{KNOB}", value)
}

/// Assembles and runs `source`, the code of `lesson` or what somebody made of it.
///
/// # Errors
/// [`TourError`] if it is no program, or the host fails.
pub fn run(lesson: &Lesson, source: &str) -> Result<Seen, TourError> {
    let base = match lesson.scene {
        Scene::System => SYSTEM,
        _ => layout::RAM,
    };
    let program = asm::assemble(source, base)?;
    let image = Image::new("lesson", program.bytes.clone());
    let boot = match lesson.scene {
        Scene::System => Boot::Sbi {
            kernel: image,
            initrd: None,
            cmdline: String::new(),
        },
        _ => Boot::Bare { image },
    };
    let (screen, log) = (Screen::default(), Arc::new(Log::default()));
    let mut config = MachineConfig::new(boot);
    config.memory = 64 << 20;
    config.time = Time::Virtual {
        instructions_per_tick: 100,
        epoch_nanos: 0,
    };
    config.console = Box::new(screen.clone());
    let classes: Classes = lesson.classes.iter().copied().collect();
    config.watch = Some((log.clone(), classes));
    let folder = tempfile::tempdir()?;
    let ssd = folder.path().join("ssd.img");
    match lesson.scene {
        Scene::Disk => {
            create_sparse(&ssd, SSD / 512 * 512)?;
            config.disks.push(Box::new(RawDisk::open(&ssd, false)?));
        }
        Scene::Network => {
            let mac = [0x52, 0x54, 0, 0x12, 0x34, 0x56];
            let network = Box::new(User::new(Policy::default(), &[], mac)?);
            config.nics.push(Nic { mac, network });
        }
        Scene::Bare | Scene::System => {}
    }
    let mut machine = Machine::new(config)?;
    let mut scene = ruse_lens::story::Scene::new(layout::RAM, 64 << 20);
    for placed in machine.board() {
        let kind = placed.name.trim_end_matches(char::is_numeric);
        scene.place(kind, placed.base, placed.size, placed.source, placed.names);
    }
    if lesson.scene == Scene::Disk {
        scene.set_media([Medium {
            path: PathBuf::from("ssd.img"),
            size: SSD / 512 * 512,
        }]);
    }
    let scene = scene.with_symbols(program.labels.into_iter().collect());
    // Nobody types, and nobody waits for ever.
    let handle = machine.handle();
    handle.close_input();
    let (done, over) = mpsc::channel::<()>();
    let watchdog = std::thread::spawn(move || {
        if over.recv_timeout(LONGEST) == Err(mpsc::RecvTimeoutError::Timeout) {
            handle.stop();
        }
    });
    let end = match machine.run_for(PATIENCE) {
        Ok(Some(Outcome::Off { code: 0 })) => "the guest switched off".into(),
        Ok(Some(Outcome::Off { code })) => format!("the guest switched off with code {code}"),
        Ok(Some(Outcome::Stopped)) => "stopped".into(),
        Ok(None) => format!("still at it after {PATIENCE} instructions: stopped"),
        Err(error) => error.to_string(),
    };
    drop(machine);
    drop(done);
    // Whether it panicked was told on stderr.
    let _ = watchdog.join();
    let mut host = Vec::new();
    if lesson.scene == Scene::Disk {
        host = held(&ssd)?;
    }
    let events = std::mem::take(&mut *log.0.lock().unwrap_or_else(PoisonError::into_inner));
    let mut teller = Teller::new(scene);
    let lies = events.iter().map(|event| teller.tell(event));
    let wanted = |lie: &Lie| {
        let has = |word: &str| lie.guest.contains(word);
        lesson.words.is_empty() || lesson.words.iter().any(|word| has(word))
    };
    let output = std::mem::take(&mut *screen.0.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(Seen {
        output: String::from_utf8_lossy(&output).into_owned(),
        lies: lies.filter(wanted).collect(),
        end,
        host,
    })
}

/// What is in the file that stands for the SSD.
fn held(path: &std::path::Path) -> Result<Vec<String>, TourError> {
    let mut disk = RawDisk::open(path, true)?;
    let mut lines = vec![format!(
        "ssd.img: {} bytes long, of which the host keeps {}",
        disk.size(),
        disk.held()
            .map_or_else(|| "some".into(), |held| held.to_string())
    )];
    let mut at = 0;
    while at < disk.size() {
        let extent = disk.extent(at)?;
        if !extent.zero {
            // The host keeps whole pages; what was written is somewhere in there.
            let mut bytes = vec![0; extent.len.min(1 << 16) as usize];
            disk.read_at(at, &mut bytes)?;
            if let Some(first) = bytes.iter().position(|byte| *byte != 0) {
                let text: String = bytes[first..]
                    .iter()
                    .take(40)
                    .map(|byte| match byte {
                        0x20..0x7f => char::from(*byte),
                        _ => '.',
                    })
                    .collect();
                let text = text.trim_end_matches('.');
                lines.push(format!("  at byte {}: {text}", at + first as u64));
            }
        }
        at += extent.len;
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LESSONS;

    #[test]
    fn every_lesson_shows_something_and_something_else() {
        for lesson in LESSONS {
            let first = run(lesson, &code(lesson, lesson.first)).unwrap();
            assert_eq!(first.end, "the guest switched off", "{}", lesson.name);
            assert!(
                !first.lies.is_empty() && first.lies.len() < 100,
                "{}: {}",
                lesson.name,
                first.lies.len()
            );
            let then = run(lesson, &code(lesson, lesson.then.0)).unwrap();
            assert_eq!(then.end, "the guest switched off", "{}", lesson.name);
            let same = first.output == then.output && first.host == then.host;
            assert!(!same || lesson.name == "timer", "{}: {then:?}", lesson.name);
        }
    }

    #[test]
    fn what_they_say_is_what_happens() {
        let seen = |name: &str, value: &str| {
            let lesson = LESSONS.iter().find(|lesson| lesson.name == name).unwrap();
            run(lesson, &code(lesson, value)).unwrap()
        };
        assert_eq!(seen("trap", "ecall").output, "L");
        assert_eq!(seen("trap", ".word 0").output, "C");
        assert_eq!(seen("trap", "ebreak").output, "D");
        assert_eq!(seen("memory", "0x200000cf").output, "m");
        assert_eq!(seen("memory", "0x200000c3").output, "P");
        assert_eq!(seen("timer", "1000").output, "...");
        assert_eq!(seen("uart", "hi").output, "hi\n");
        assert_eq!(seen("network", "2").output, "!");
        assert_eq!(seen("network", "77").output, "?");
        assert_eq!(seen("system", "Yours.").output, "Yours.\n");
        let disk = seen("disk", "2048").host.join("\n");
        assert!(
            disk.contains("at byte 1048576: a sector, as the guest"),
            "{disk}"
        );
        let disk = seen("disk", "97656250");
        assert_eq!(disk.host.len(), 1, "{:?}", disk.host);
    }

    #[test]
    fn whatever_is_made_of_the_code_ends() {
        let lesson = LESSONS[0];
        for source in ["hang: j hang", "wfi\n.word 0", ".zero 4"] {
            let seen = run(lesson, source).unwrap();
            assert!(!seen.end.is_empty());
        }
        assert!(run(lesson, "frob").is_err());
    }
}
