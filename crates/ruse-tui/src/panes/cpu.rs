//! Panes about harts: registers, code, CSRs, translations.

use ratatui::text::{Line, Span};
use ruse_isa::{Xlen, f_name, x_name};
use ruse_lens::explain;

use super::{CHOSEN, DIM, HOT, NAME, Pane, named};
use crate::app::App;

fn nothing() -> Vec<Line<'static>> {
    vec![Line::styled("the machine has not been looked at yet", DIM)]
}

/// An address by name if it has one.
fn symbol(app: &App, at: u64) -> String {
    match app.scene.symbols.find(at) {
        Some((name, 0)) => format!("{at:#x} <{name}>"),
        Some((name, offset)) => format!("{at:#x} <{name}+{offset:#x}>"),
        None => format!("{at:#x}"),
    }
}

pub(super) fn hart(app: &App, width: u16) -> Vec<Line<'static>> {
    let Some(view) = &app.view else {
        return nothing();
    };
    let hart = &view.hart;
    let digits = match hart.xlen {
        Xlen::Rv32 => 8,
        Xlen::Rv64 => 16,
    };
    let mask = u64::MAX >> (64 - 4 * digits);
    let previous = app.previous.as_ref().map(|view| &view.hart);
    let mut all = vec![
        named("pc   ", symbol(app, hart.pc)),
        named(
            "mode ",
            format!(
                "{:?}, {} instructions retired{}",
                hart.privilege,
                hart.retired,
                if hart.awake {
                    ""
                } else {
                    ", asleep or stopped"
                }
            ),
        ),
    ];
    let columns = (usize::from(width) / (digits + 8)).clamp(1, 4);
    let rows = 32usize.div_ceil(columns);
    for row in 0..rows {
        let mut spans = Vec::new();
        for n in (row..32).step_by(rows) {
            let value = hart.x[n] & mask;
            let changed = previous.is_some_and(|before| before.x[n] != hart.x[n]);
            spans.push(Span::styled(format!("{:<5}", x_name(n as u8)), NAME));
            let text = format!("{value:0digits$x}  ");
            spans.push(if changed {
                Span::styled(text, HOT)
            } else {
                Span::raw(text)
            });
        }
        all.push(Line::from(spans));
    }
    all.push(Line::raw(""));
    all.push(Line::styled("called by (frame pointers):", DIM));
    all.extend(
        hart.stack
            .iter()
            .skip(1)
            .map(|at| Line::raw(format!("  {}", symbol(app, at.wrapping_sub(1))))),
    );
    all.push(Line::raw(""));
    all.push(Line::styled("floating point, as bits:", DIM));
    for row in 0..rows {
        let mut spans = Vec::new();
        for n in (row..32).step_by(rows) {
            spans.push(Span::styled(format!("{:<5}", f_name(n as u8)), NAME));
            spans.push(Span::raw(format!("{:016x}  ", hart.f[n])));
        }
        all.push(Line::from(spans));
    }
    all
}

pub(super) fn code(app: &App) -> Vec<Line<'static>> {
    let Some(view) = &app.view else {
        return nothing();
    };
    let mut all = Vec::new();
    for line in &view.hart.code {
        if let Some(name) = app.scene.symbols.at(line.at) {
            all.push(Line::styled(format!("{name}:"), NAME));
        }
        let mark = if line.next { ">" } else { " " };
        let text = format!("{mark} {:>16x}  {}", line.at, line.text);
        all.push(match line.next {
            true => Line::styled(text, HOT),
            false => Line::raw(text),
        });
    }
    if all.is_empty() {
        all.push(Line::styled("there is no memory at pc", DIM));
    }
    all
}

/// The first line to show, so that the next instruction is in sight.
pub(super) fn code_start(app: &App, height: u16) -> usize {
    let lines = code(app);
    let next = lines
        .iter()
        .position(|line| line.to_string().starts_with('>'));
    let scrolled = app.at[Pane::Code as usize];
    next.unwrap_or(0).saturating_sub(usize::from(height) / 3) + scrolled
}

pub(super) fn csrs(app: &App) -> Vec<Line<'static>> {
    let Some(view) = &app.view else {
        return nothing();
    };
    let chosen = app.at[Pane::Csrs as usize];
    let mut all = Vec::new();
    for (n, (number, value)) in view.hart.csrs.iter().enumerate() {
        let Ok(csr) = explain::csr(*number, *value, view.hart.xlen) else {
            continue;
        };
        let before = app.previous.as_ref().and_then(|before| {
            let found = before.hart.csrs.iter().find(|(known, _)| known == number);
            found.map(|(_, value)| *value)
        });
        let style = match (n == chosen, before.is_some_and(|before| before != *value)) {
            (true, _) => CHOSEN,
            (false, true) => HOT,
            (false, false) => NAME,
        };
        let short = match csr.fields.is_empty() {
            true => symbol_of(app, *value),
            false => set_fields(&csr.fields),
        };
        all.push(Line::from(vec![
            Span::styled(format!("{:<9}", csr.name), style),
            Span::raw(format!("{value:016x}  ")),
            Span::styled(short, DIM),
        ]));
        if n == chosen {
            all.extend(csr.fields.iter().map(|field| {
                Line::raw(format!(
                    "    {:<6} {:>6} = {:<#8x} {}",
                    field.name,
                    field.place(),
                    field.value,
                    field.says
                ))
            }));
        }
    }
    all
}

fn symbol_of(app: &App, at: u64) -> String {
    match app.scene.symbols.find(at) {
        Some((name, 0)) => name.into(),
        Some((name, offset)) => format!("{name}+{offset:#x}"),
        None => String::new(),
    }
}

/// The fields that are not zero, in short.
fn set_fields(fields: &[explain::Field]) -> String {
    let set = fields.iter().filter(|field| field.value != 0);
    let set = set.map(|field| match field.high == field.low {
        true => field.name.clone(),
        false => format!("{}={:x}", field.name, field.value),
    });
    set.collect::<Vec<_>>().join(" ")
}

pub(super) fn walk(app: &App) -> Vec<Line<'static>> {
    let Some(walk) = app.view.as_ref().and_then(|view| view.walk.as_ref()) else {
        return vec![Line::styled(
            "w asks for an address whose page-table walk is to be shown",
            DIM,
        )];
    };
    let wide = app
        .view
        .as_ref()
        .is_none_or(|view| view.hart.xlen == Xlen::Rv64);
    let mode = match wide {
        true => walk.satp >> 60,
        false => walk.satp >> 31,
    };
    let mut all = vec![named("virtual  ", symbol(app, walk.va))];
    let Some(mode) = explain::Mode::of_satp(mode, wide) else {
        all.push(Line::raw("satp says that addresses are not translated"));
        all.push(named("physical ", format!("{:#x}", walk.va)));
        return all;
    };
    all.push(named(
        "satp     ",
        format!("{:#x}: {mode:?}, {} levels", walk.satp, mode.levels()),
    ));
    if walk.steps.is_empty() {
        all.push(Line::raw(
            "the hart is in M-mode, whose addresses are not translated",
        ));
    }
    let mut level = mode.levels();
    for step in &walk.steps {
        level = level.saturating_sub(1);
        let pte = explain::pte(step.pte, mode, level);
        all.push(Line::raw(""));
        all.push(named(
            format!("level {level}  "),
            format!("entry at {:#x} = {:#018x}", step.at, step.pte),
        ));
        all.push(Line::raw(format!("         {}", pte.verdict)));
        all.push(Line::styled(
            format!("         {}", set_fields(&pte.fields)),
            DIM,
        ));
    }
    all.push(Line::raw(""));
    all.push(match walk.pa {
        Some(pa) => named("physical ", format!("{pa:#x}{}", place_of(app, pa))),
        None => named("nothing  ", "is mapped there: a page fault"),
    });
    all
}

/// What lies at a physical address.
fn place_of(app: &App, pa: u64) -> String {
    let scene = &app.scene;
    if pa.wrapping_sub(scene.ram) < scene.memory {
        let offset = pa - scene.ram;
        return format!(": RAM, {offset:#x} into the host's mapping");
    }
    let found = scene
        .props
        .iter()
        .find(|prop| pa.wrapping_sub(prop.base) < prop.size);
    found.map_or_else(String::new, |prop| format!(": {}", prop.name))
}
