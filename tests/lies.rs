//! The log of lies: events in files, and live on a terminal.
#![cfg(unix)]

mod talk;

use std::process::Stdio;

use rustix::process::Signal;
use talk::tty::{Terminal, signal};
use talk::{Talk, rom, ruse};

const USAGE: i32 = 120;
const HOST: i32 = 125;
const STOPPED: i32 = 130;

/// Runs a command to its end: code, output, errors.
fn run(args: &[&str]) -> (i32, String, String) {
    let out = ruse(args).stdin(Stdio::null()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        out.status.code().unwrap(),
        text(out.stdout),
        text(out.stderr),
    )
}

fn hello() -> String {
    rom("hello/hello-rv64.elf")
}

#[test]
fn a_trace_tells_both_sides_in_each_format() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (text, lines, chrome) = (path("t.txt"), path("t.jsonl"), path("t.json"));
    for file in [&text, &lines, &chrome] {
        let (code, output, errors) = run(&["--trace", "mmio", "--trace-out", file, &hello()]);
        assert_eq!((code, errors.as_str()), (0, ""));
        assert!(output.contains("hello from RV64"));
    }
    let text = std::fs::read_to_string(text).unwrap();
    let h = text.lines().find(|line| line.contains("0x68 'h'")).unwrap();
    assert!(h.contains("hart 0") && h.contains("to THR of uart"), "{h}");
    assert!(h.contains("_start+0x"), "the ELF's symbols: {h}");
    assert!(h.contains("|  uart.rs: write(0x0, 1 byte, 0x68)"), "{h}");

    let lines = std::fs::read_to_string(lines).unwrap();
    let all: Vec<serde_json::Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let printed: String = all
        .iter()
        .map(|event| &event["what"])
        .filter(|what| what["base"] == 0x1000_0000 && what["offset"] == 0 && what["write"] == true)
        .map(|what| char::from(what["value"].as_u64().unwrap() as u8))
        .collect();
    assert_eq!(printed, "hello from RV64\r\n");
    assert!(
        all.windows(2)
            .all(|pair| pair[0]["time"].as_u64() <= pair[1]["time"].as_u64())
    );

    let chrome: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(chrome).unwrap()).unwrap();
    let events = chrome["traceEvents"].as_array().unwrap();
    assert!(events.len() > all.len() && events.iter().all(|event| event["ph"].is_string()));
}

#[test]
fn a_watched_run_is_the_same_run() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let monitor = rom("monitor/monitor.elf");
    let say = |extra: &[&str]| {
        let disk = path("disk.img");
        std::fs::write(&disk, vec![0; 1 << 20]).unwrap();
        let mut args = vec!["--clock", "virtual", "--disk", &disk];
        args.extend(extra);
        args.push(&monitor);
        let mut talk = Talk::new(&args);
        talk.expect("ruse> ");
        talk.send("time\rwrite 5 hello\rread 5\roff 3\r");
        talk.ends(3).output
    };
    let alone = say(&[]);
    let trace = path("all.jsonl");
    let watched = say(&["--trace", "all", "--trace-out", &trace]);
    assert_eq!(alone, watched);
    let trace = std::fs::read_to_string(trace).unwrap();
    for class in ["mmio", "irq", "queue", "dma", "disk"] {
        assert!(trace.contains(&format!("\"class\":\"{class}\"")), "{class}");
    }
    assert_eq!(alone, say(&["--stats", "--profile", &path("p.folded")]));
}

#[test]
fn what_was_executed_is_counted() {
    let (code, _, errors) = run(&["--stats", "--clock", "virtual", &hello()]);
    assert_eq!(code, 0);
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let lines: Vec<_> = errors.lines().map(words).collect();
    // One store a letter, one for the finisher.
    assert!(
        lines.iter().any(|line| line.starts_with("sb 17 ")),
        "{errors}"
    );
    assert!(
        lines.iter().any(|line| line.starts_with("sw 1 ")),
        "{errors}"
    );
    assert!(errors.contains("Busiest blocks") && errors.contains("_start+0x"));
    // Programs have the same option.
    let (_, _, errors) = run(&["--stats", "/bin/true"]);
    assert!(errors.contains("/bin/true"), "{errors}");
}

#[test]
fn a_profile_names_functions() {
    let dir = tempfile::tempdir().unwrap();
    let (folded, svg) = (dir.path().join("p.txt"), dir.path().join("p.svg"));
    for file in [&folded, &svg] {
        let spin = rom("spin/spin-rv64.elf");
        // On a busy host it may take longer until a sample is taken.
        for seconds in [0.3, 3.0, 30.0] {
            let (terminal, mut talk) =
                Terminal::start(&["--profile", file.to_str().unwrap(), &spin]);
            terminal.wait_until_it_listens(&mut talk);
            std::thread::sleep(std::time::Duration::from_secs_f64(seconds));
            signal(&talk, Signal::TERM);
            talk.ends(STOPPED);
            if std::fs::read_to_string(file).unwrap().contains("_start") {
                break;
            }
        }
    }
    let folded = std::fs::read_to_string(folded).unwrap();
    let line = folded.lines().next().unwrap();
    assert!(line.starts_with("machine;_start "), "{folded}");
    let svg = std::fs::read_to_string(svg).unwrap();
    assert!(svg.contains("<svg") && svg.contains("_start"));
}

#[test]
fn what_cannot_be_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let nowhere = dir
        .path()
        .join("no/such/place")
        .to_str()
        .unwrap()
        .to_owned();
    let image = dir.path().join("image");
    std::fs::write(&image, b"\xff\xfe nothing").unwrap();
    let cases: &[(&[&str], i32, &str)] = &[
        (
            &["--trace", "mmio,bogus"],
            USAGE,
            "no events called \"bogus\"",
        ),
        (
            &["--trace", "all", "--trace-format", "xml"],
            USAGE,
            "no trace format \"xml\"",
        ),
        (&["--trace-out", "x"], USAGE, "--trace <EVENTS>"),
        (
            &["--trace", "all", "--trace-out", &nowhere],
            HOST,
            "no/such/place: cannot write it",
        ),
        (
            &["--profile", &nowhere],
            HOST,
            "no/such/place: cannot write it",
        ),
        (
            &["--symbols", &nowhere],
            HOST,
            "no/such/place: cannot read it",
        ),
        (
            &["--symbols", image.to_str().unwrap()],
            HOST,
            "no symbols in it",
        ),
        (&["--lies"], HOST, "standard input is none"),
        (
            &["--lies", "--trace", "all", "--trace-out", "x"],
            USAGE,
            "cannot be used with",
        ),
    ];
    for (args, expected, words) in cases {
        let hello = hello();
        let mut args = args.to_vec();
        args.push(&hello);
        let (code, _, errors) = run(&args);
        assert_eq!(code, *expected, "{args:?}: {errors}");
        assert!(errors.contains(words), "{args:?}: {errors}");
    }
}

/// A live view on a terminal, and what is on the screen.
struct Live {
    terminal: Terminal,
    talk: Talk,
    screen: tui_term::vt100::Parser,
    seen: usize,
}

impl Live {
    fn start(args: &[&str], columns: u16, rows: u16) -> Self {
        let (terminal, talk) = Terminal::sized(args, columns, rows);
        Self {
            terminal,
            talk,
            screen: tui_term::vt100::Parser::new(rows, columns, 0),
            seen: 0,
        }
    }

    /// Waits until `words` are on the screen.
    #[track_caller]
    fn shows(&mut self, words: &str) -> String {
        let start = std::time::Instant::now();
        loop {
            let output = self.talk.printed();
            self.screen.process(&output[self.seen..]);
            self.seen = output.len();
            let text = self.screen.screen().contents();
            if text.contains(words) {
                return text;
            }
            let late = start.elapsed() > std::time::Duration::from_secs(120);
            assert!(!late, "no {words:?} on\n{text}");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    fn press(&mut self, keys: &str) {
        self.talk.send(keys);
    }
}

#[test]
fn the_live_view_shows_steps_and_stops() {
    let mut live = Live::start(&["--lies", "--paused", &hello()], 80, 24);
    live.shows("stands: before the first instruction");
    live.press("r_start\r");
    live.shows("stands: at 0x80000000");
    live.press("3");
    let code = live.shows("_start:");
    assert!(code.contains("> "), "{code}");
    live.press("s");
    live.shows("stands: one instruction");
    live.press("2");
    live.shows("_start+0x");
    // Stops at the first register of the serial port that is touched.
    live.press("1muart\r");
    live.shows("accesses to uart stop");
    live.press("p");
    live.shows("of the device was accessed");
    let lies = live.shows("of uart");
    assert!(lies.contains("uart.rs"), "{lies}");
    live.press("mnothing\r");
    live.shows("no device `nothing`");
    live.press("m\r");
    live.shows("no device stops the machine");
    live.press("p");
    live.shows("over: the guest switched off");
    live.shows("hello from RV64");
    for (key, words) in [
        ("4", "mstatus"),
        ("5", "one mapping of the host's"),
        ("w80000000\r", "satp says"),
        ("7", "test"),
        ("8", "this machine has no disk"),
        ("9", "frames"),
        ("0", "instructions"),
        ("?", "How many events of each class"),
    ] {
        live.press(key);
        live.shows(words);
    }
    live.press("\x1b");
    live.press("1");
    live.shows("THR of uart");
    live.press("\r");
    live.shows("The guest believes:");
    live.press("q");
    live.press("q");
    live.talk.ends(0);
    live.terminal.assert_restored();
}

#[test]
fn there_is_a_way_back() {
    let args = ["--lies", "--paused", "--clock", "virtual", &hello()];
    let mut live = Live::start(&args, 80, 24);
    live.shows("stands: before the first instruction");
    live.press("<");
    live.shows("this is the beginning");
    live.press("p");
    live.shows("over: the guest switched off");
    // From the end, too; and what was printed stays.
    live.press("<");
    live.shows("one step back, 1 before the present");
    live.press("<");
    let text = live.shows("one step back, 2 before the present");
    assert!(text.contains("hello from RV64"), "{text}");
    live.press("R_start\r");
    live.shows("back at 0x80000000");
    live.press("s");
    live.shows("stands: one instruction");
    live.press("T");
    live.shows("there was no exception");
    live.press("p");
    let text = live.shows("over: the guest switched off");
    assert_eq!(text.matches("hello from RV64").count(), 1, "{text}");
    live.press("q");
    live.talk.ends(0);
    live.terminal.assert_restored();
    // A replay too, that somebody leaves in the past.
    let dir = tempfile::tempdir().unwrap();
    let recording = dir.path().join("r.rec");
    let recording = recording.to_str().unwrap();
    let (code, ..) = run(&["--record", recording, &hello()]);
    assert_eq!(code, 0);
    let mut live = Live::start(&["replay", recording, "--lies"], 80, 24);
    live.shows("over: the guest switched off");
    live.press("<");
    live.shows("one step back, 1 before the present");
    live.press("q");
    live.talk.ends(STOPPED);
    live.terminal.assert_restored();
    // Not without the virtual clock.
    let mut live = Live::start(&["--lies", "--paused", &hello()], 80, 24);
    live.shows("stands: before the first instruction");
    live.press("<");
    live.shows("no way back");
    live.press("q");
    live.talk.ends(STOPPED);
}

#[test]
fn keys_reach_the_guest_and_signals_restore_the_terminal() {
    let monitor = rom("monitor/monitor.elf");
    let dir = tempfile::tempdir().unwrap();
    let disk = dir.path().join("disk.img");
    std::fs::write(&disk, vec![0; 1 << 20]).unwrap();
    let disk = disk.to_str().unwrap();
    let mut live = Live::start(&["--lies", "--disk", disk, &monitor], 160, 40);
    live.shows("ruse> ");
    live.press("echo abc\r");
    live.shows("│abc");
    live.press("\x01");
    live.press("8");
    live.shows("an SSD of 1 MiB");
    live.press("p");
    live.shows("stands: paused");
    live.press("x");
    live.shows("traps stop the machine");
    signal(&live.talk, Signal::TERM);
    live.talk.ends(STOPPED);
    live.terminal.assert_restored();
}

#[test]
fn a_small_terminal_is_refused() {
    let mut live = Live::start(&["--lies", &hello()], 79, 24);
    live.shows("79 columns and 24 rows");
    live.talk.ends(HOST);
    live.terminal.assert_restored();
}
