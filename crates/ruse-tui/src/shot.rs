//! A picture of the screen: SVG, which any browser shows and a README can have.

use std::fmt::Write as _;

use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};

/// Pixels of a cell.
const WIDTH: u32 = 9;
const HEIGHT: u32 = 19;
/// Around all of it.
const MARGIN: u32 = 12;

const BACKGROUND: &str = "#16181d";
const TEXT: &str = "#d8dee9";

/// The colours of a terminal, by number.
const PALETTE: [&str; 16] = [
    "#2e3440", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#abb2bf",
    "#6b7280", "#ff8a94", "#b5e890", "#ffd98a", "#8ecbff", "#e0a0f0", "#7fdbe8", "#ffffff",
];

fn colour(color: Color, default: &str) -> String {
    let number = match color {
        Color::Rgb(r, g, b) => return format!("#{r:02x}{g:02x}{b:02x}"),
        Color::Reset => return default.into(),
        Color::Indexed(n @ 0..16) => n.into(),
        Color::Indexed(n @ 16..232) => {
            let n = n - 16;
            let level = |n: u8| if n == 0 { 0 } else { 55 + 40 * n };
            let (r, g, b) = (level(n / 36), level(n / 6 % 6), level(n % 6));
            return format!("#{r:02x}{g:02x}{b:02x}");
        }
        Color::Indexed(n) => {
            let grey = 8 + 10 * (n - 232);
            return format!("#{grey:02x}{grey:02x}{grey:02x}");
        }
        Color::Black => 0,
        Color::Red => 1,
        Color::Green => 2,
        Color::Yellow => 3,
        Color::Blue => 4,
        Color::Magenta => 5,
        Color::Cyan => 6,
        Color::Gray => 7,
        Color::DarkGray => 8,
        Color::LightRed => 9,
        Color::LightGreen => 10,
        Color::LightYellow => 11,
        Color::LightBlue => 12,
        Color::LightMagenta => 13,
        Color::LightCyan => 14,
        Color::White => 15,
    };
    PALETTE[number as usize].into()
}

/// Foreground and background.
fn colours(cell: &Cell) -> (String, String) {
    let (fg, bg) = (colour(cell.fg, TEXT), colour(cell.bg, BACKGROUND));
    match cell.modifier.contains(Modifier::REVERSED) {
        true => (bg, fg),
        false => (fg, bg),
    }
}

fn escape(text: &str, out: &mut String) {
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            ' ' => out.push('\u{a0}'),
            // No control character is allowed in XML.
            letter if letter.is_control() => out.push(' '),
            letter => out.push(letter),
        }
    }
}

/// The screen as an SVG document.
pub(crate) fn svg(buffer: &Buffer) -> String {
    let area = buffer.area;
    let width = u32::from(area.width) * WIDTH + 2 * MARGIN;
    let height = u32::from(area.height) * HEIGHT + 2 * MARGIN;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{BACKGROUND}\"/>\n\
         <g font-family=\"ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace\" \
         font-size=\"15\">\n"
    );
    for row in 0..area.height {
        let y = MARGIN + u32::from(row) * HEIGHT;
        let mut column = 0;
        while column < area.width {
            let first = &buffer[(area.x + column, area.y + row)];
            let (fg, bg) = colours(first);
            let bold = first.modifier.contains(Modifier::BOLD);
            let start = column;
            let mut text = String::new();
            // A run of cells that look alike.
            while column < area.width {
                let cell = &buffer[(area.x + column, area.y + row)];
                let alike = colours(cell) == (fg.clone(), bg.clone())
                    && cell.modifier.contains(Modifier::BOLD) == bold;
                if !alike {
                    break;
                }
                text.push_str(cell.symbol());
                column += 1;
            }
            let x = MARGIN + u32::from(start) * WIDTH;
            let length = u32::from(column - start) * WIDTH;
            if bg != BACKGROUND {
                let _ = writeln!(
                    out,
                    "<rect x=\"{x}\" y=\"{y}\" width=\"{length}\" height=\"{HEIGHT}\" fill=\"{bg}\"/>"
                );
            }
            // Spaces are not kept: what is around them is put where it belongs.
            let start = start + (text.chars().count() - text.trim_start().chars().count()) as u16;
            let text = text.trim();
            if text.is_empty() {
                continue;
            }
            let x = MARGIN + u32::from(start) * WIDTH;
            let length = text.chars().count() as u32 * WIDTH;
            let weight = if bold { " font-weight=\"bold\"" } else { "" };
            let _ = write!(
                out,
                "<text x=\"{x}\" y=\"{}\" fill=\"{fg}\"{weight} textLength=\"{length}\" \
                 lengthAdjust=\"spacingAndGlyphs\">",
                y + 15
            );
            escape(text, &mut out);
            out.push_str("</text>\n");
        }
    }
    out.push_str("</g>\n</svg>\n");
    out
}

#[cfg(test)]
mod tests {
    use ratatui::layout::Rect;
    use ratatui::style::Style;

    use super::*;

    #[test]
    fn what_is_on_the_screen_is_in_the_picture() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 20, 2));
        buffer.set_string(1, 0, "a < b & c", Style::new().fg(Color::LightGreen));
        buffer.set_string(
            0,
            1,
            "chosen",
            Style::new().add_modifier(Modifier::REVERSED),
        );
        let svg = svg(&buffer);
        assert!(
            svg.contains("a\u{a0}&lt;\u{a0}b\u{a0}&amp;\u{a0}c</text>"),
            "{svg}"
        );
        assert!(svg.contains("#b5e890"));
        assert!(
            svg.contains(&format!("fill=\"{TEXT}\"/>")),
            "reversed: {svg}"
        );
        assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
    }
}
