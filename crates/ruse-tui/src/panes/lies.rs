//! The log of lies.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::Paragraph;

use super::{CHOSEN, DIM, HOST, NAME};
use crate::app::{App, Told};

/// Columns in which both sides have room beside each other.
const WIDE: u16 = 150;

fn cut(text: &str, width: usize) -> String {
    match text.chars().count() > width {
        true => text
            .chars()
            .take(width.saturating_sub(1))
            .chain(['…'])
            .collect(),
        false => text.into(),
    }
}

/// A lie in one line, or in two where there is no room.
fn lines(told: &Told, width: u16, chosen: bool) -> Vec<Line<'static>> {
    let width = usize::from(width);
    let time = told.event.time / 1_000;
    let time = format!("{:>5}.{:06} ", time / 1_000_000, time % 1_000_000);
    let class = format!("{:<6}", told.event.class.name());
    let left = width.saturating_sub(time.len() + class.len());
    let style = if chosen { CHOSEN } else { Style::new() };
    if width >= usize::from(WIDE) {
        let half = left / 2;
        let guest = cut(&told.lie.guest, half - 1);
        let host = cut(&told.lie.host, left - half - 2);
        return vec![Line::from(vec![
            Span::styled(time, DIM),
            Span::styled(class, NAME),
            Span::styled(format!("{guest:<half$}"), style),
            Span::styled("| ", DIM),
            Span::styled(host, HOST),
        ])];
    }
    vec![
        Line::from(vec![
            Span::styled(time, DIM),
            Span::styled(class, NAME),
            Span::styled(cut(&told.lie.guest, left), style),
        ]),
        Line::from(vec![
            Span::styled("             | ", DIM),
            Span::styled(cut(&told.lie.host, width.saturating_sub(15)), HOST),
        ]),
    ]
}

pub(super) fn draw(frame: &mut Frame, app: &App, area: Rect) {
    let height = usize::from(area.height);
    let each = if area.width >= WIDE { 1 } else { 2 };
    let fit = (height / each).max(1);
    let chosen = app.chosen.unwrap_or(0);
    // The chosen one stays in sight.
    let skip = (chosen + 1).saturating_sub(fit);
    let mut told: Vec<_> = app.shown().skip(skip).take(fit).collect();
    if told.is_empty() {
        let text = match app.lies.is_empty() {
            true => format!("nothing yet; told are {}", app.classes),
            false => "nothing that fits `f` and `g`".into(),
        };
        frame.render_widget(Paragraph::new(text).style(DIM), area);
        return;
    }
    told.reverse();
    let count = told.len();
    let lines: Vec<_> = told
        .into_iter()
        .enumerate()
        .flat_map(|(n, told)| {
            let is = app.chosen.is_some() && count - 1 - n == chosen - skip;
            lines(told, area.width, is)
        })
        .collect();
    frame.render_widget(Paragraph::new(Text::from(lines)), area);
}
