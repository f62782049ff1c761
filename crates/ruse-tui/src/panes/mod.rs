//! What is drawn where.

mod cpu;
mod lies;
mod world;

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Block, Borders, Clear, Paragraph, Wrap};
use tui_term::widget::PseudoTerminal;

use crate::app::{App, Condition};
use crate::{SMALLEST, help};

/// The panes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Pane {
    Lies,
    Hart,
    Code,
    Csrs,
    Memory,
    Walk,
    Devices,
    Disk,
    Net,
    Counters,
}

impl Pane {
    pub(crate) const ALL: [Self; 10] = [
        Self::Lies,
        Self::Hart,
        Self::Code,
        Self::Csrs,
        Self::Memory,
        Self::Walk,
        Self::Devices,
        Self::Disk,
        Self::Net,
        Self::Counters,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Lies => "lies",
            Self::Hart => "hart",
            Self::Code => "code",
            Self::Csrs => "csrs",
            Self::Memory => "memory",
            Self::Walk => "walk",
            Self::Devices => "devices",
            Self::Disk => "disk",
            Self::Net => "net",
            Self::Counters => "counts",
        }
    }

    pub(crate) fn next(self, by: usize) -> Self {
        Self::ALL[(self as usize + by) % Self::ALL.len()]
    }
}

pub(crate) const DIM: Style = Style::new().fg(Color::DarkGray);
pub(crate) const HOST: Style = Style::new().fg(Color::Cyan);
pub(crate) const NAME: Style = Style::new().fg(Color::Yellow);
pub(crate) const HOT: Style = Style::new()
    .fg(Color::LightGreen)
    .add_modifier(Modifier::BOLD);
pub(crate) const CHOSEN: Style = Style::new().add_modifier(Modifier::REVERSED);

/// A line of a name and what is to be said of it.
pub(crate) fn named<'a>(name: impl Into<String>, rest: impl Into<String>) -> Line<'a> {
    Line::from(vec![
        Span::styled(name.into(), NAME),
        Span::raw(rest.into()),
    ])
}

/// The lines of a pane that is made of lines.
fn lines(app: &App, width: u16) -> Vec<Line<'static>> {
    match app.pane {
        Pane::Lies => Vec::new(),
        Pane::Hart => cpu::hart(app, width),
        Pane::Code => cpu::code(app),
        Pane::Csrs => cpu::csrs(app),
        Pane::Memory => world::memory(app),
        Pane::Walk => cpu::walk(app),
        Pane::Devices => world::devices(app),
        Pane::Disk => world::disk(app, width),
        Pane::Net => world::net(app),
        Pane::Counters => world::counters(app, width),
    }
}

/// How many lines there are to scroll through.
pub(crate) fn length(app: &App) -> usize {
    match app.pane {
        Pane::Csrs => app.view.as_ref().map_or(0, |view| view.hart.csrs.len()),
        _ => lines(app, SMALLEST.0).len(),
    }
}

/// Draws everything.
pub(crate) fn draw(frame: &mut Frame, app: &App) {
    let area = frame.area();
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        let text = format!(
            "This terminal has {} columns and {} rows; there is room in {} and {}.\nThe guest goes on. q leaves.",
            area.width, area.height, SMALLEST.0, SMALLEST.1
        );
        frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: true }), area);
        return;
    }
    let [top, middle, bottom] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Min(1),
        Constraint::Length(1),
    ])
    .areas(area);
    head(frame, app, top);
    if app.alone {
        console(frame, app, middle);
    } else if middle.width >= 140 {
        let [left, right] =
            Layout::horizontal([Constraint::Length(82), Constraint::Min(1)]).areas(middle);
        console(frame, app, left);
        pane(frame, app, right);
    } else {
        let rows = if app.typing {
            middle.height / 2
        } else {
            middle.height / 3
        };
        let [above, below] =
            Layout::vertical([Constraint::Length(rows), Constraint::Min(1)]).areas(middle);
        console(frame, app, above);
        pane(frame, app, below);
    }
    foot(frame, app, bottom);
    if app.help {
        let text = format!("{}\n\n{}", help::about(app.pane), help::KEYS);
        popup(frame, area, &format!(" {} ", app.pane.name()), text);
    } else if app.detail
        && let Some(told) = app.shown().nth(app.chosen.unwrap_or(0))
    {
        let text = format!(
            "{}.{:09} s, {}, {}\n\nThe guest believes:\n{}\n\nThe host did:\n{}\n\n{:?}",
            told.event.time / 1_000_000_000,
            told.event.time % 1_000_000_000,
            told.place,
            told.event.class.about(),
            told.lie.guest,
            told.lie.host,
            told.event.what
        );
        popup(frame, area, " a lie from both sides ", text);
    }
}

fn popup(frame: &mut Frame, area: Rect, title: &str, text: String) {
    let width = (area.width - 6).min(100);
    let height = (area.height - 2).min(22);
    let place = Rect {
        x: (area.width - width) / 2,
        y: (area.height - height) / 2,
        width,
        height,
    };
    frame.render_widget(Clear, place);
    let block = Block::bordered().title(title.to_owned());
    let text = Paragraph::new(text).block(block).wrap(Wrap { trim: false });
    frame.render_widget(text, place);
}

fn head(frame: &mut Frame, app: &App, area: Rect) {
    let (text, style) = match &app.condition {
        Condition::Runs => (
            " runs ".to_owned(),
            Style::new().fg(Color::Black).bg(Color::Green),
        ),
        Condition::Stands(why) => (
            format!(" stands: {why} "),
            Style::new().fg(Color::Black).bg(Color::Yellow),
        ),
        Condition::Over(why) => (
            format!(" over: {why} "),
            Style::new().fg(Color::White).bg(Color::Red),
        ),
    };
    let mut spans = vec![Span::styled(text, style)];
    if let Some(view) = &app.view {
        let hart = &view.hart;
        let at = match app.scene.symbols.find(hart.pc) {
            Some((name, offset)) => format!("{name}+{offset:#x}"),
            None => format!("{:#x}", hart.pc),
        };
        let asleep = if hart.awake { "" } else { ", asleep" };
        spans.push(Span::raw(format!(
            "  hart {} of {}: {:?} mode at {at}{asleep}",
            hart.id, view.harts, hart.privilege
        )));
    }
    let [left, right] =
        Layout::horizontal([Constraint::Min(1), Constraint::Length(12)]).areas(area);
    frame.render_widget(Paragraph::new(Line::from(spans)), left);
    let speed = format!("{:.0} MIPS ", app.counts.mips);
    frame.render_widget(Paragraph::new(speed).alignment(Alignment::Right), right);
}

fn foot(frame: &mut Frame, app: &App, area: Rect) {
    if let Some((question, text)) = &app.question {
        let line = Line::from(vec![
            Span::styled(question.text(), NAME),
            Span::raw(text.clone()),
            Span::styled(" ", CHOSEN),
        ]);
        frame.render_widget(Paragraph::new(line), area);
        return;
    }
    let text = if !app.message.is_empty() {
        app.message.clone()
    } else if app.typing {
        "keys go to the guest   Ctrl-A: to the lens".into()
    } else {
        "p pause s step b block t trap o out r run-to m x stop-at  ? help q quit".into()
    };
    frame.render_widget(Paragraph::new(text).style(DIM), area);
}

fn border(title: String, active: bool) -> Block<'static> {
    let style = if active {
        Style::new().fg(Color::LightBlue)
    } else {
        DIM
    };
    Block::default()
        .borders(Borders::ALL)
        .border_style(style)
        .title(Span::styled(title, style))
}

fn console(frame: &mut Frame, app: &App, area: Rect) {
    let block = border(" console ".into(), app.typing);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let mut parser = app.screen.lock();
    let (rows, columns) = parser.screen().size();
    if (rows, columns) != (inner.height, inner.width) && inner.height > 0 && inner.width > 0 {
        parser.screen_mut().set_size(inner.height, inner.width);
    }
    frame.render_widget(PseudoTerminal::new(parser.screen()), inner);
}

fn pane(frame: &mut Frame, app: &App, area: Rect) {
    let mut title = vec![Span::raw(" ")];
    for (n, pane) in Pane::ALL.into_iter().enumerate() {
        let text = format!("{} {}", (n + 1) % 10, pane.name());
        let style = if pane == app.pane { CHOSEN } else { DIM };
        title.push(Span::styled(text, style));
        title.push(Span::raw(" "));
    }
    let block = border(String::new(), !app.typing).title(Line::from(title));
    let inner = block.inner(area);
    frame.render_widget(block, area);
    if app.pane == Pane::Lies {
        return lies::draw(frame, app, inner);
    }
    let lines = lines(app, inner.width);
    let scrolls = !matches!(
        app.pane,
        Pane::Csrs | Pane::Devices | Pane::Disk | Pane::Code
    );
    let most = lines.len().saturating_sub(inner.height.into());
    let from = match app.pane {
        _ if scrolls => app.place().min(most),
        Pane::Csrs => (app.place())
            .saturating_sub(usize::from(inner.height) / 2)
            .min(most),
        Pane::Code => cpu::code_start(app, inner.height).min(most),
        _ => 0,
    };
    let shown: Vec<_> = lines.into_iter().skip(from).collect();
    frame.render_widget(Paragraph::new(Text::from(shown)), inner);
}
