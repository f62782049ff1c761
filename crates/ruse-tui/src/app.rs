//! The UI's state, and what keys do to it.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{
    self, Event as Input, KeyCode, KeyEvent, KeyEventKind, KeyModifiers,
};
use ruse_event::{Class, Classes, Event};
use ruse_lens::story::{Lie, Scene, Teller};
use ruse_machine::{Machine, MachineError, Outcome};

use crate::control::{Back, Control, Order, Reply, Step};
use crate::feed::{Catch, Feed, Screen};
use crate::panes::{self, Pane};
use crate::view::{View, Wish};
use crate::{Show, TuiError, shot};

/// Between two frames.
const FRAME: Duration = Duration::from_millis(50);
/// Between two looks at a machine that runs.
const LOOK: Duration = Duration::from_millis(250);
/// Lies that are kept.
const LIES: usize = 10_000;
/// Cells of a disk's map.
pub(crate) const CELLS: usize = 960;

/// An event that has been told.
pub(crate) struct Told {
    pub event: Event,
    pub place: String,
    pub lie: Lie,
}

/// What a disk's map shows of a cell.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Cell {
    pub read: bool,
    pub written: bool,
    pub allocated: bool,
}

/// What was seen of a disk.
pub(crate) struct DiskMap {
    pub base: u64,
    pub cells: Vec<Cell>,
    pub last: VecDeque<Lie>,
    pub requests: u64,
}

/// A connection that was seen.
pub(crate) struct Talk {
    pub protocol: &'static str,
    pub guest: std::net::SocketAddr,
    pub far: std::net::SocketAddr,
    pub host: Option<std::net::SocketAddr>,
    pub open: bool,
}

/// Frames and bytes through the cards.
#[derive(Default)]
pub(crate) struct Traffic {
    pub frames: [u64; 2],
    pub bytes: [u64; 2],
    pub last: VecDeque<Lie>,
}

/// Counters over time.
#[derive(Default)]
pub(crate) struct Counts {
    pub total: [u64; Class::ALL.len()],
    pub before: [u64; Class::ALL.len()],
    pub rate: [u64; Class::ALL.len()],
    pub dropped: u64,
    pub retired: u64,
    pub mips: f64,
    pub history: VecDeque<u64>,
}

/// What is being typed for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Question {
    RunTo,
    BackTo,
    Walk,
    Dump,
    Filter,
    Grep,
    Device,
}

impl Question {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::RunTo => "run to (address or symbol): ",
            Self::BackTo => "back to (address or symbol): ",
            Self::Walk => "walk to (address or symbol): ",
            Self::Dump => "memory at (address or symbol): ",
            Self::Filter => "events (all, or mmio,irq,...): ",
            Self::Device => "stop at accesses to (a device's name; empty for none): ",
            Self::Grep => "lines with (empty for all): ",
        }
    }
}

/// How the machine is.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Condition {
    Runs,
    Stands(String),
    Over(String),
}

pub(crate) struct App {
    pub scene: Arc<Scene>,
    pub screen: Screen,
    pub condition: Condition,
    pub pane: Pane,
    /// Whether keys go to the guest.
    pub typing: bool,
    /// Whether there is nothing but the console.
    pub alone: bool,
    pub help: bool,
    pub detail: bool,
    pub view: Option<Box<View>>,
    pub previous: Option<Box<View>>,
    pub lies: VecDeque<Told>,
    /// The chosen line, counted from the end; `None` follows the end.
    pub chosen: Option<usize>,
    pub grep: String,
    pub question: Option<(Question, String)>,
    pub message: String,
    pub wish: Wish,
    /// Scrolled or chosen, by pane.
    pub at: [usize; Pane::ALL.len()],
    pub disks: Vec<DiskMap>,
    pub talks: VecDeque<Talk>,
    pub traffic: Traffic,
    pub counts: Counts,
    /// How often each device's registers were accessed.
    pub touched: std::collections::HashMap<u64, u64>,
    pub classes: Classes,
    pub catch: Catch,
    teller: Teller,
    feed: Feed,
    control: Control,
    looked: Instant,
    asked: bool,
    /// Whether what was asked is not what is wanted any more.
    stale: bool,
    counted: Instant,
    shot: Option<File>,
    shoot: bool,
    outcome: Option<Result<Outcome, MachineError>>,
}

impl App {
    fn new(show: Show) -> Result<(Self, Arc<AtomicBool>, bool), TuiError> {
        let scene = Arc::new(show.scene);
        let disks = scene
            .props
            .iter()
            .filter(|prop| prop.medium.is_some())
            .map(|prop| DiskMap {
                base: prop.base,
                cells: vec![Cell::default(); CELLS],
                last: VecDeque::new(),
                requests: 0,
            });
        let disks = disks.collect();
        let control = Control::new(show.machine, scene.clone(), show.feed.clone())?;
        let app = Self {
            teller: Teller::new((*scene).clone()),
            disks,
            screen: show.screen,
            condition: Condition::Stands("before the first instruction".into()),
            pane: Pane::Lies,
            typing: !show.paused,
            alone: false,
            help: false,
            detail: false,
            view: None,
            previous: None,
            lies: VecDeque::new(),
            chosen: None,
            grep: String::new(),
            question: None,
            message: String::new(),
            wish: Wish::default(),
            at: [0; Pane::ALL.len()],
            talks: VecDeque::new(),
            traffic: Traffic::default(),
            counts: Counts::default(),
            touched: std::collections::HashMap::new(),
            classes: control.tap.wanted(),
            catch: Catch::default(),
            scene,
            feed: show.feed,
            control,
            looked: Instant::now(),
            asked: false,
            stale: false,
            counted: Instant::now(),
            shot: show.shot,
            shoot: false,
            outcome: None,
        };
        Ok((app, show.quit, show.paused))
    }

    /// Where a pane is scrolled to.
    pub(crate) fn place(&self) -> usize {
        self.at[self.pane as usize]
    }

    fn hear(&mut self) {
        while let Ok(reply) = self.control.replies.try_recv() {
            match reply {
                Reply::Seen(view) => {
                    self.asked = false;
                    self.counts.retired = view.retired;
                    let still = self.condition != Condition::Runs;
                    let moved = self
                        .view
                        .as_ref()
                        .is_some_and(|old| old.hart.retired != view.hart.retired);
                    if moved || !still {
                        self.previous = self.view.take();
                    }
                    self.view = Some(view);
                    if std::mem::take(&mut self.stale) {
                        self.look();
                    }
                }
                Reply::Runs => {
                    self.condition = Condition::Runs;
                    // Who goes back is not at the end any more.
                    self.outcome = None;
                }
                Reply::Stands(why) => {
                    self.condition = Condition::Stands(why);
                    self.look();
                }
                Reply::Over(outcome) => {
                    self.condition = Condition::Over(match &outcome {
                        Ok(Outcome::Off { code: 0 }) => "the guest switched off".into(),
                        Ok(Outcome::Off { code }) => {
                            format!("the guest switched off with code {code}")
                        }
                        Ok(Outcome::Stopped) => "stopped".into(),
                        Err(error) => error.to_string(),
                    });
                    self.typing = false;
                    self.outcome = Some(outcome);
                    self.look();
                }
            }
        }
    }

    fn look(&mut self) {
        if self.asked {
            self.stale = true;
        } else {
            self.asked = true;
            self.looked = Instant::now();
            self.control.tell(Order::Look(self.wish));
        }
    }

    fn news(&mut self) {
        let news = self.feed.take();
        for (total, new) in self.counts.total.iter_mut().zip(news.counts) {
            *total += new;
        }
        self.counts.dropped += news.dropped;
        for event in news.events {
            let lie = self.teller.tell(&event);
            self.notice(&event, &lie);
            let place = self.teller.place(event.origin);
            if self.lies.len() >= LIES {
                self.lies.pop_front();
            }
            self.lies.push_back(Told { event, place, lie });
            if let Some(chosen) = &mut self.chosen {
                *chosen = (*chosen + 1).min(LIES - 1);
            }
        }
        let passed = self.counted.elapsed();
        if passed >= Duration::from_secs(1) {
            self.counted = Instant::now();
            let seconds = passed.as_secs_f64();
            for n in 0..self.counts.total.len() {
                let new = self.counts.total[n] - self.counts.before[n];
                self.counts.rate[n] = (new as f64 / seconds) as u64;
                self.counts.before[n] = self.counts.total[n];
            }
            let retired = self.counts.retired;
            let before = self.counts.history.back().copied().unwrap_or(retired);
            self.counts.mips = retired.saturating_sub(before) as f64 / seconds / 1e6;
            self.counts.history.push_back(retired);
            if self.counts.history.len() > 61 {
                self.counts.history.pop_front();
            }
        }
    }

    /// Notes what the panes besides the log show.
    fn notice(&mut self, event: &Event, lie: &Lie) {
        use ruse_event::{Flow, Operation, Origin, What};
        fn keep(list: &mut VecDeque<Lie>, lie: &Lie) {
            if list.len() >= 64 {
                list.pop_front();
            }
            list.push_back(lie.clone());
        }
        match (&event.what, event.origin) {
            (What::Mmio { base, .. }, _) => *self.touched.entry(*base).or_default() += 1,
            (What::Disk { .. }, Origin::Device(base)) => {
                if let Some(disk) = self.disks.iter_mut().find(|disk| disk.base == base) {
                    disk.requests += 1;
                }
            }
            (
                What::Image {
                    operation,
                    offset,
                    len,
                    allocated,
                    ..
                },
                Origin::Device(base),
            ) => {
                let size = self.scene.at(base).and_then(|prop| prop.medium.as_ref());
                let size = size.map_or(1, |medium| medium.size.max(1));
                if let Some(disk) = self.disks.iter_mut().find(|disk| disk.base == base) {
                    keep(&mut disk.last, lie);
                    let cell = |byte: u64| {
                        let at = u128::from(byte) * CELLS as u128 / u128::from(size);
                        (at as usize).min(CELLS - 1)
                    };
                    let end = offset.saturating_add(len.saturating_sub(1));
                    for cell in &mut disk.cells[cell(*offset)..=cell(end)] {
                        match operation {
                            Operation::Read => cell.read = true,
                            _ => cell.written = true,
                        }
                        cell.allocated |= *allocated;
                    }
                }
            }
            (What::Frame { to_guest, len, .. }, _) => {
                self.traffic.frames[usize::from(*to_guest)] += 1;
                self.traffic.bytes[usize::from(*to_guest)] += u64::from(*len);
                keep(&mut self.traffic.last, lie);
            }
            (
                What::Flow {
                    protocol,
                    guest,
                    far,
                    host,
                    flow,
                },
                _,
            ) => match flow {
                Flow::Opened => {
                    if self.talks.len() >= 256 {
                        self.talks.pop_front();
                    }
                    self.talks.push_back(Talk {
                        protocol,
                        guest: *guest,
                        far: *far,
                        host: *host,
                        open: true,
                    });
                }
                Flow::Closed | Flow::Refused => {
                    let same = |talk: &&mut Talk| talk.guest == *guest && talk.far == *far;
                    if let Some(talk) = self.talks.iter_mut().rev().find(same) {
                        talk.open = false;
                    }
                }
            },
            _ => {}
        }
    }

    /// The lies that are to be shown, newest first.
    pub(crate) fn shown(&self) -> impl Iterator<Item = &Told> {
        let grep = self.grep.to_lowercase();
        self.lies.iter().rev().filter(move |told| {
            self.classes.has(told.event.class)
                && (grep.is_empty()
                    || told.lie.guest.to_lowercase().contains(&grep)
                    || told.lie.host.to_lowercase().contains(&grep)
                    || told.place.contains(&grep))
        })
    }

    /// An address as it was typed: a number, or a symbol's name.
    fn address(&self, text: &str) -> Result<u64, String> {
        let text = text.trim();
        let digits = text.strip_prefix("0x").unwrap_or(text).replace('_', "");
        if let Some(at) = self.scene.symbols.named(text) {
            return Ok(at);
        }
        u64::from_str_radix(&digits, 16).map_err(|_| {
            format!("`{text}` is no hexadecimal address, and no symbol that is known (--symbols)")
        })
    }

    fn answer(&mut self, question: Question, text: &str) {
        let result = match question {
            Question::Filter => match text.trim().parse::<Classes>() {
                Ok(classes) => {
                    self.classes = classes;
                    self.set_catch(self.catch);
                    Ok(format!("events told: {classes}"))
                }
                Err(error) => Err(error.to_string()),
            },
            Question::Grep => {
                self.grep = text.trim().into();
                self.chosen = None;
                Ok(String::new())
            }
            Question::Device => match text.trim() {
                "" => {
                    self.set_catch(Catch {
                        device: None,
                        ..self.catch
                    });
                    Ok("no device stops the machine".into())
                }
                name => match self.scene.named(name).map(|prop| prop.base) {
                    Some(base) => {
                        self.set_catch(Catch {
                            device: Some(base),
                            ..self.catch
                        });
                        Ok(format!("accesses to {name} stop the machine"))
                    }
                    None => {
                        let names: Vec<_> =
                            self.scene.props.iter().map(|prop| &*prop.name).collect();
                        Err(format!("no device `{name}`: {}", names.join(" ")))
                    }
                },
            },
            Question::RunTo => self.address(text).map(|at| {
                self.step(Step::To(at));
                format!("runs to {at:#x}; p interrupts")
            }),
            Question::BackTo => self.address(text).map(|at| {
                self.back(Back::To(at));
                String::new()
            }),
            Question::Walk => self.address(text).map(|at| {
                self.wish.walk = Some(at);
                self.pane = Pane::Walk;
                String::new()
            }),
            Question::Dump => self.address(text).map(|at| {
                self.wish.dump = Some(at);
                self.pane = Pane::Memory;
                String::new()
            }),
        };
        self.message = result.unwrap_or_else(|error| error);
        self.look();
    }

    /// Stops the machine for this from now on. What is not told is not noticed.
    fn set_catch(&mut self, catch: Catch) {
        self.catch = catch;
        let mut told = self.classes;
        if catch.device.is_some() {
            told = told.with(Class::Mmio, true);
        }
        if catch.traps {
            told = told.with(Class::Trap, true);
        }
        self.control.tap.want(told);
        self.feed.set_catch(catch, &self.control.brake);
    }

    fn step(&mut self, step: Step) {
        if let Condition::Over(_) = self.condition {
            self.message = "the guest is done".into();
            return;
        }
        self.control.tell(Order::Step(self.wish.hart, step));
    }

    /// Goes back, from the end too.
    fn back(&mut self, back: Back) {
        self.control.tell(Order::Back(self.wish.hart, back));
    }

    /// True if it was the last key.
    fn key(&mut self, key: KeyEvent) -> bool {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        if control && key.code == KeyCode::Char('a') {
            self.typing = !self.typing && !matches!(self.condition, Condition::Over(_));
            self.help = false;
            return false;
        }
        if self.typing {
            self.type_to_guest(key);
            return false;
        }
        if let Some((question, text)) = &mut self.question {
            match key.code {
                KeyCode::Esc => self.question = None,
                KeyCode::Backspace => {
                    text.pop();
                }
                KeyCode::Char('c') if control => self.question = None,
                KeyCode::Char(letter) if !control && text.len() < 256 => text.push(letter),
                KeyCode::Enter => {
                    let (question, text) = (*question, std::mem::take(text));
                    self.question = None;
                    self.answer(question, &text);
                }
                _ => {}
            }
            return false;
        }
        self.message.clear();
        if self.help || self.detail {
            self.help = false;
            self.detail = false;
            if matches!(key.code, KeyCode::Esc | KeyCode::Enter | KeyCode::Char('?')) {
                return false;
            }
        }
        self.command(key.code, control)
    }

    fn command(&mut self, code: KeyCode, control: bool) -> bool {
        match code {
            KeyCode::Char('q') => return true,
            KeyCode::Char('c') if control => return true,
            KeyCode::Char('?') | KeyCode::F(1) => self.help = true,
            KeyCode::Char(digit @ '0'..='9') => {
                let number = (digit as usize - '0' as usize + 9) % 10;
                self.pane = Pane::ALL[number.min(Pane::ALL.len() - 1)];
                self.look();
            }
            KeyCode::Tab => self.pane = self.pane.next(1),
            KeyCode::BackTab => self.pane = self.pane.next(Pane::ALL.len() - 1),
            KeyCode::Char('p' | ' ') => match self.condition {
                Condition::Runs => self.control.tell(Order::Pause),
                Condition::Stands(_) => self.control.tell(Order::Run),
                Condition::Over(_) => self.message = "the guest is done".into(),
            },
            KeyCode::Char('s') => self.step(Step::Instruction),
            KeyCode::Char('b') => self.step(Step::Block),
            KeyCode::Char('t') => self.step(Step::Trap),
            KeyCode::Char('o') => self.step(Step::Out),
            KeyCode::Char('r') => self.question = Some((Question::RunTo, String::new())),
            KeyCode::Char('<') => self.back(Back::Step),
            KeyCode::Char('T') => self.back(Back::Trap),
            KeyCode::Char('R') => self.question = Some((Question::BackTo, String::new())),
            KeyCode::Char('w') => self.question = Some((Question::Walk, String::new())),
            KeyCode::Char('d') => self.question = Some((Question::Dump, String::new())),
            KeyCode::Char('f') => {
                self.question = Some((Question::Filter, self.classes.to_string()))
            }
            KeyCode::Char('g') => self.question = Some((Question::Grep, self.grep.clone())),
            KeyCode::Char('m') => self.question = Some((Question::Device, String::new())),
            KeyCode::Char('x') => {
                self.set_catch(Catch {
                    traps: !self.catch.traps,
                    ..self.catch
                });
                let (on, off) = ("traps stop the machine", "traps do not stop the machine");
                self.message = if self.catch.traps { on } else { off }.into();
            }
            KeyCode::Char('i') => self.shoot = true,
            KeyCode::Char('z') => self.alone = !self.alone,
            KeyCode::Char('h') => {
                let harts = self.view.as_ref().map_or(1, |view| view.harts);
                self.wish.hart = (self.wish.hart + 1) % harts.max(1);
                self.previous = None;
                self.look();
            }
            KeyCode::Enter if self.pane == Pane::Lies => self.detail = true,
            KeyCode::Esc if self.pane == Pane::Lies => self.chosen = None,
            KeyCode::Up => self.scroll(-1),
            KeyCode::Down => self.scroll(1),
            KeyCode::PageUp => self.scroll(-15),
            KeyCode::PageDown => self.scroll(15),
            KeyCode::Home => self.scroll(isize::MIN / 2),
            KeyCode::End => self.scroll(isize::MAX / 2),
            KeyCode::Left => self.sideways(-1),
            KeyCode::Right | KeyCode::Enter => self.sideways(1),
            _ => {}
        }
        false
    }

    fn scroll(&mut self, by: isize) {
        if self.pane == Pane::Lies {
            let count = self.shown().count();
            let now = self.chosen.unwrap_or(0) as isize;
            let to = now
                .saturating_sub(by)
                .clamp(0, count.saturating_sub(1) as isize);
            self.chosen = (to > 0).then_some(to as usize);
            return;
        }
        let most = panes::length(self).saturating_sub(1) as isize;
        let at = &mut self.at[self.pane as usize];
        *at = (*at as isize).saturating_add(by).clamp(0, most) as usize;
    }

    /// The next device or disk.
    fn sideways(&mut self, by: isize) {
        let count = match self.pane {
            Pane::Devices => self.scene.props.len(),
            Pane::Disk => self.disks.len(),
            _ => return,
        };
        if count > 0 {
            let at = &mut self.at[self.pane as usize];
            *at = (*at as isize + by).rem_euclid(count as isize) as usize;
        }
    }

    fn type_to_guest(&mut self, key: KeyEvent) {
        let bytes: Vec<u8> = match key.code {
            KeyCode::Char(letter) if key.modifiers.contains(KeyModifiers::CONTROL) => {
                vec![letter.to_ascii_uppercase() as u8 & 0x1f]
            }
            KeyCode::Char(letter) => letter.to_string().into_bytes(),
            KeyCode::Enter => b"\r".to_vec(),
            KeyCode::Backspace => vec![0x7f],
            KeyCode::Tab => b"\t".to_vec(),
            KeyCode::Esc => vec![0x1b],
            KeyCode::Up => b"\x1b[A".to_vec(),
            KeyCode::Down => b"\x1b[B".to_vec(),
            KeyCode::Right => b"\x1b[C".to_vec(),
            KeyCode::Left => b"\x1b[D".to_vec(),
            KeyCode::Home => b"\x1b[H".to_vec(),
            KeyCode::End => b"\x1b[F".to_vec(),
            KeyCode::Delete => b"\x1b[3~".to_vec(),
            KeyCode::PageUp => b"\x1b[5~".to_vec(),
            KeyCode::PageDown => b"\x1b[6~".to_vec(),
            _ => return,
        };
        if self.condition == Condition::Runs {
            // Not held up by a guest that takes nothing: what it leaves is dropped.
            if !self.control.handle.try_send(&bytes) {
                self.message = "the guest takes no input".into();
            }
        } else {
            self.message = "the machine stands still: Ctrl-A, then p to go on".into();
        }
    }
}

/// Has `file` be nothing but `text`.
fn save(file: &mut File, text: &str) -> std::io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(text.as_bytes())
}

/// Shows the machine until somebody leaves.
pub(crate) fn run(
    terminal: &mut DefaultTerminal,
    show: Show,
) -> Result<(Machine, Result<Outcome, MachineError>), TuiError> {
    let (mut app, quit, paused) = App::new(show)?;
    if !paused {
        app.control.tell(Order::Run);
    }
    app.look();
    loop {
        app.hear();
        app.news();
        let due = app.condition == Condition::Runs || app.view.is_none();
        if due && app.looked.elapsed() >= LOOK {
            app.look();
        }
        let drawn = terminal.draw(|frame| panes::draw(frame, &app))?;
        if std::mem::take(&mut app.shoot) {
            let svg = shot::svg(drawn.buffer);
            app.message = match app.shot.as_mut().map(|file| save(file, &svg)) {
                None => "pictures need --shot FILE".into(),
                Some(Ok(())) => "the screen is in the file".into(),
                Some(Err(error)) => format!("cannot write the picture: {error}"),
            };
        }
        if quit.load(Ordering::Relaxed) {
            break;
        }
        if event::poll(FRAME)? {
            let mut last = false;
            // All that was typed, before the next frame.
            while !last && event::poll(Duration::ZERO)? {
                if let Input::Key(key) = event::read()?
                    && key.kind != KeyEventKind::Release
                {
                    last = app.key(key);
                }
            }
            if last {
                break;
            }
            app.looked = app.looked.checked_sub(LOOK / 2).unwrap_or(app.looked);
        }
    }
    let outcome = app.outcome.take();
    let Some(machine) = app.control.end() else {
        return Err(TuiError::Io(std::io::Error::other(
            "the machine's thread panicked",
        )));
    };
    Ok((machine, outcome.unwrap_or(Ok(Outcome::Stopped))))
}
