//! Files of events: text for people, JSON lines for programs, and the trace event
//! format that Perfetto (`ui.perfetto.dev`) and Chrome's `about:tracing` show.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use ruse_event::{Event, Origin, Watch, What};
use serde_json::json;
use thiserror::Error;

use crate::explain;
use crate::story::{Lie, Scene, Teller};

/// How a trace is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A line an event.
    Text,
    /// A JSON object a line.
    Json,
    /// One JSON document in the trace event format.
    Chrome,
}

/// There is no such format.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("there is no trace format {0:?}: it is text, json or chrome")]
pub struct UnknownFormat(String);

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            "chrome" => Ok(Self::Chrome),
            other => Err(UnknownFormat(other.into())),
        }
    }
}

impl Format {
    /// The format that a file's name asks for: `.jsonl` is JSON lines, `.json` the
    /// trace event format, and everything else text.
    pub fn of(path: &Path) -> Self {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("jsonl" | "ndjson") => Self::Json,
            Some("json") => Self::Chrome,
            _ => Self::Text,
        }
    }
}

/// A file that events are written to. What is written is bounded: at a limit the
/// file ends, as a whole document, and says so.
#[derive(Clone)]
pub struct Trace(Arc<Mutex<State>>);

struct State {
    /// `None` until the scene is known.
    teller: Option<Teller>,
    out: Box<dyn Write + Send>,
    path: PathBuf,
    format: Format,
    left: u64,
    over: bool,
    events: u64,
    /// Tracks that have a name, for the trace event format.
    tracks: BTreeSet<u64>,
    /// How many traps deep each hart is.
    depth: Vec<u32>,
}

/// Room for what ends a document.
const ENDING: u64 = 4096;

impl Trace {
    /// A trace that is written to `out`, called `path`, up to `limit` bytes.
    pub fn new(out: Box<dyn Write + Send>, path: &Path, format: Format, limit: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            teller: None,
            out,
            path: path.into(),
            format,
            left: limit.max(2 * ENDING),
            over: false,
            events: 0,
            tracks: BTreeSet::new(),
            depth: Vec::new(),
        })))
    }

    /// Says where the events happen. What came before is not written.
    pub fn set_scene(&self, scene: Scene) {
        let mut state = self.lock();
        state.teller = Some(Teller::new(scene));
        state.begin();
    }

    /// Writes what ends the file, and all that waits to be written. Returns how many
    /// events there are in it.
    pub fn finish(&self) -> u64 {
        let mut state = self.lock();
        state.end("");
        state.events
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch for Trace {
    fn event(&self, event: Event) {
        self.lock().event(&event);
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.end("");
    }
}

/// The number of a track in the trace event format: harts first, then devices.
fn track(origin: Origin) -> u64 {
    match origin {
        Origin::Hart(hart) => 1 + hart,
        Origin::Thread(tid) => 1000 + tid,
        Origin::Device(base) => base,
        Origin::Host => 0,
    }
}

impl State {
    fn begin(&mut self) {
        let start = match self.format {
            Format::Text => {
                "# seconds          where    class  what the guest believes  |  what the host did\n"
            }
            Format::Json => "",
            Format::Chrome => "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n",
        };
        self.put(start);
        if self.format == Format::Chrome {
            let name = json!({"ph": "M", "name": "process_name", "pid": 1, "tid": 0,
                "args": {"name": "the guest"}});
            self.put(&name.to_string());
        }
    }

    fn end(&mut self, why: &str) {
        if self.over || self.teller.is_none() {
            return;
        }
        match self.format {
            Format::Text if !why.is_empty() => self.put(&format!("# {why}\n")),
            Format::Text | Format::Json => {}
            Format::Chrome => self.put(&format!("\n],\"otherData\":{}}}\n", json!({"end": why}))),
        }
        self.over = true;
        if let Err(error) = self.out.flush() {
            self.failed(&error);
        }
    }

    fn put(&mut self, text: &str) {
        if self.over {
            return;
        }
        self.left = self.left.saturating_sub(text.len() as u64);
        if let Err(error) = self.out.write_all(text.as_bytes()) {
            self.failed(&error);
        }
    }

    fn failed(&mut self, error: &io::Error) {
        self.over = true;
        log::error!(
            "{}: {error}; the trace ends here, the guest goes on",
            self.path.display()
        );
    }

    fn event(&mut self, event: &Event) {
        if self.over {
            return;
        }
        let Some(teller) = &mut self.teller else {
            return;
        };
        let lie = teller.tell(event);
        let place = teller.place(event.origin);
        let text = match self.format {
            Format::Text => line(event, &place, &lie),
            Format::Json => record(event, &place, &lie),
            Format::Chrome => self.chrome(event, &place, &lie),
        };
        if self.left < text.len() as u64 + ENDING {
            log::warn!(
                "{}: the trace has reached its limit; the guest goes on without",
                self.path.display()
            );
            return self.end("the trace has reached its limit");
        }
        self.events += 1;
        self.put(&text);
    }

    fn chrome(&mut self, event: &Event, place: &str, lie: &Lie) -> String {
        let tid = track(event.origin);
        let mut text = String::new();
        if self.tracks.insert(tid) {
            let name = json!({"ph": "M", "name": "thread_name", "pid": 1, "tid": tid,
                "args": {"name": place}});
            text = format!(",\n{name}");
        }
        let depth = match event.origin {
            Origin::Hart(hart) => {
                let hart = hart as usize;
                if self.depth.len() <= hart {
                    self.depth.resize(hart + 1, 0);
                }
                Some(&mut self.depth[hart])
            }
            _ => None,
        };
        // Handlers and sleep take time; the rest happens at once.
        let (phase, name) = match (&event.what, depth) {
            (What::Trap { cause, .. }, Some(depth)) => {
                *depth += 1;
                ("B", explain::exception(*cause))
            }
            (What::Interrupt { number, .. }, Some(depth)) => {
                *depth += 1;
                ("B", explain::interrupt(*number))
            }
            (What::Sleep, Some(depth)) => {
                *depth += 1;
                ("B", "sleeps".into())
            }
            (What::Return { .. } | What::Wake, Some(depth)) if *depth > 0 => {
                *depth -= 1;
                ("E", String::new())
            }
            (What::Return { .. }, _) => ("i", "starts".into()),
            _ => ("i", lie.guest.clone()),
        };
        let object = json!({
            "ph": phase,
            "name": name,
            "cat": event.class.name(),
            "pid": 1,
            "tid": tid,
            "ts": event.time as f64 / 1000.0,
            "s": "t",
            "args": {"guest": lie.guest, "host": lie.host, "what": event.what},
        });
        text + &format!(",\n{object}")
    }
}

/// An event as a line of text.
pub fn line(event: &Event, place: &str, lie: &Lie) -> String {
    let (seconds, nanos) = (event.time / 1_000_000_000, event.time % 1_000_000_000);
    format!(
        "{seconds:>6}.{nanos:09}  {place:<9} {:<6} {}  |  {}\n",
        event.class.name(),
        lie.guest,
        lie.host
    )
}

fn record(event: &Event, place: &str, lie: &Lie) -> String {
    let object = json!({
        "time": event.time,
        "place": place,
        "origin": event.origin,
        "class": event.class,
        "what": event.what,
        "guest": lie.guest,
        "host": lie.host,
    });
    format!("{object}\n")
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use ruse_event::Class;

    use super::*;

    struct Pipe(mpsc::Sender<Vec<u8>>);

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.send(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(format: Format, limit: u64, events: &[Event]) -> String {
        let (sender, receiver) = mpsc::channel();
        let trace = Trace::new(Box::new(Pipe(sender)), Path::new("t"), format, limit);
        trace.set_scene(Scene::new(0x8000_0000, 1 << 20));
        for event in events {
            trace.event(event.clone());
        }
        trace.finish();
        drop(trace);
        let all: Vec<u8> = receiver.iter().flatten().collect();
        String::from_utf8(all).unwrap()
    }

    fn events() -> Vec<Event> {
        let of = |time, class, what| Event {
            time,
            origin: Origin::Hart(0),
            class,
            what,
        };
        vec![
            of(
                5,
                Class::Trap,
                What::Return {
                    from: 3,
                    to: 1,
                    pc: 4,
                },
            ),
            of(
                1_000,
                Class::Trap,
                What::Trap {
                    pc: 0x8000_0000,
                    cause: 8,
                    tval: 0,
                    from: 0,
                    to: 1,
                    handler: 0x8000_1000,
                },
            ),
            of(
                2_500,
                Class::Trap,
                What::Return {
                    from: 1,
                    to: 0,
                    pc: 8,
                },
            ),
            of(3_000, Class::Sleep, What::Sleep),
            of(3_001, Class::Sleep, What::Wake),
        ]
    }

    #[test]
    fn text_has_a_line_an_event() {
        let text = written(Format::Text, 1 << 20, &events());
        assert_eq!(text.lines().count(), 6);
        assert!(text.contains("0.000001000  hart 0    trap   environment call from U-mode"));
    }

    #[test]
    fn json_lines_are_objects() {
        let text = written(Format::Json, 1 << 20, &events());
        let all: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(all.len(), 5);
        assert_eq!(all[1]["what"]["kind"], "trap");
        assert_eq!(all[1]["what"]["cause"], 8);
        assert_eq!(all[1]["origin"]["hart"], 0);
    }

    #[test]
    fn the_trace_event_format_is_one_document_whose_spans_are_balanced() {
        let text = written(Format::Chrome, 1 << 20, &events());
        let all: serde_json::Value = serde_json::from_str(&text).unwrap();
        let phases: Vec<_> = all["traceEvents"]
            .as_array()
            .unwrap()
            .iter()
            .map(|event| event["ph"].as_str().unwrap())
            .collect();
        assert_eq!(phases, ["M", "M", "i", "B", "E", "B", "E"]);
    }

    #[test]
    fn at_the_limit_a_file_ends_whole() {
        let many: Vec<_> = events().into_iter().cycle().take(10_000).collect();
        for format in [Format::Text, Format::Json, Format::Chrome] {
            let text = written(format, 20_000, &many);
            assert!(
                text.len() <= 20_000 && text.len() > 10_000,
                "{}",
                text.len()
            );
            match format {
                Format::Text => assert!(text.ends_with("limit\n")),
                Format::Json => assert!(text.ends_with("}\n")),
                Format::Chrome => {
                    let _: serde_json::Value = serde_json::from_str(&text).unwrap();
                }
            }
        }
    }
}
