//! Panes about what is around harts: memory, devices, disks, connections, counters.

use ratatui::style::{Color, Style};
use ratatui::text::{Line, Span};
use ruse_event::Class;
use ruse_lens::story::Prop;

use super::{CHOSEN, DIM, HOST, HOT, NAME, Pane, named};
use crate::app::{App, CELLS, Cell};

/// A size as people say it.
fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let unit = UNITS.iter().find(|(unit, _)| bytes >= *unit);
    match unit {
        Some((unit, name)) => {
            format!("{:.4} {name}", bytes as f64 / *unit as f64).replace(".0000 ", " ")
        }
        None => format!("{bytes} bytes"),
    }
}

pub(super) fn memory(app: &App) -> Vec<Line<'static>> {
    let mut all = Vec::new();
    if let Some((va, bytes)) = app.view.as_ref().and_then(|view| view.dump.as_ref()) {
        if bytes.is_empty() {
            all.push(Line::raw(format!("there is no RAM at {va:#x}")));
        }
        for (n, row) in bytes.chunks(16).enumerate() {
            let hex: Vec<_> = row.iter().map(|byte| format!("{byte:02x}")).collect();
            let text: String = row
                .iter()
                .map(|byte| match byte {
                    0x20..0x7f => char::from(*byte),
                    _ => '.',
                })
                .collect();
            let at = va.wrapping_add(16 * n as u64);
            all.push(Line::from(vec![
                Span::styled(format!("{at:016x}  "), NAME),
                Span::raw(format!("{:<48} ", hex.join(" "))),
                Span::styled(text, DIM),
            ]));
        }
        all.push(Line::raw(""));
    }
    all.push(Line::styled("start              size        what", DIM));
    let ram = app
        .scene
        .props
        .partition_point(|prop| prop.base < app.scene.ram);
    for (n, prop) in app.scene.props.iter().enumerate() {
        if n == ram {
            all.push(ram_line(app));
        }
        all.push(device_line(app, prop));
    }
    if ram == app.scene.props.len() {
        all.push(ram_line(app));
    }
    all
}

fn ram_line(app: &App) -> Line<'static> {
    Line::from(vec![
        Span::styled(format!("{:#018x} ", app.scene.ram), NAME),
        Span::raw(format!("{:<11} RAM: ", size(app.scene.memory))),
        Span::styled(
            "one mapping of the host's, which gives a page when it is touched",
            HOST,
        ),
    ])
}

fn device_line(app: &App, prop: &Prop) -> Line<'static> {
    let times = match app.touched.get(&prop.base) {
        Some(times) => format!(", accessed {times} times"),
        None => String::new(),
    };
    let source = prop.source.map(|source| format!(", interrupt {source}"));
    Line::from(vec![
        Span::styled(format!("{:#018x} ", prop.base), NAME),
        Span::raw(format!(
            "{:<11} {}{}: ",
            size(prop.size),
            prop.name,
            source.unwrap_or_default()
        )),
        Span::styled(prop.file, HOST),
        Span::raw(times),
    ])
}

pub(super) fn devices(app: &App) -> Vec<Line<'static>> {
    let chosen = app.at[Pane::Devices as usize];
    let mut names = Vec::new();
    for (n, prop) in app.scene.props.iter().enumerate() {
        let style = if n == chosen { CHOSEN } else { DIM };
        names.push(Span::styled(prop.name.clone(), style));
        names.push(Span::raw(" "));
    }
    let mut all = vec![Line::from(names)];
    let Some(prop) = app.scene.props.get(chosen) else {
        return all;
    };
    all.push(Line::raw(format!("at {:#x}, {}", prop.base, prop.file)));
    if let Some(medium) = &prop.medium {
        all.push(named(
            "the guest: ",
            format!("an SSD of {}", size(medium.size)),
        ));
        all.push(named("the host:  ", medium.path.display().to_string()));
    }
    all.push(Line::raw(""));
    let seen = app.view.as_ref().and_then(|view| {
        let mut devices = view.devices.iter();
        devices.find(|(base, _)| *base == prop.base)
    });
    match seen {
        Some((_, registers)) if !registers.is_empty() => {
            all.extend(registers.iter().map(|register| {
                Line::from(vec![
                    Span::styled(format!("{:<16}", register.name), NAME),
                    Span::raw(format!("{:<#20x} ", register.value)),
                    Span::styled(register.meaning.clone(), DIM),
                ])
            }));
        }
        _ => all.push(Line::styled("it has no state to show", DIM)),
    }
    all
}

fn cell(cell: Cell) -> Span<'static> {
    match (cell.allocated, cell.written, cell.read) {
        (true, ..) => Span::styled("A", Style::new().fg(Color::LightRed)),
        (_, true, _) => Span::styled("W", Style::new().fg(Color::LightYellow)),
        (.., true) => Span::styled("r", Style::new().fg(Color::LightGreen)),
        _ => Span::styled(".", DIM),
    }
}

pub(super) fn disk(app: &App, width: u16) -> Vec<Line<'static>> {
    let chosen = app.at[Pane::Disk as usize];
    let Some(disk) = app.disks.get(chosen.min(app.disks.len().saturating_sub(1))) else {
        return vec![Line::styled("this machine has no disk", DIM)];
    };
    let Some(prop) = app.scene.at(disk.base) else {
        return Vec::new();
    };
    let Some(medium) = &prop.medium else {
        return Vec::new();
    };
    let mut all = vec![Line::from(vec![
        Span::styled(prop.name.clone(), NAME),
        Span::raw(format!(
            "  an SSD of {}: {}  {} requests; a cell is {}",
            size(medium.size),
            medium.path.display(),
            disk.requests,
            size(medium.size / CELLS as u64)
        )),
    ])];
    let columns = usize::from(width).clamp(20, 160);
    for row in disk.cells.chunks(columns) {
        all.push(Line::from(
            row.iter().map(|seen| cell(*seen)).collect::<Vec<_>>(),
        ));
    }
    for lie in disk.last.iter().rev() {
        all.push(Line::raw(lie.guest.clone()));
        all.push(Line::from(vec![
            Span::styled("  | ", DIM),
            Span::styled(lie.host.clone(), HOST),
        ]));
    }
    all
}

pub(super) fn net(app: &App) -> Vec<Line<'static>> {
    let traffic = &app.traffic;
    let mut all = vec![
        named(
            "sent      ",
            format!("{} frames, {}", traffic.frames[0], size(traffic.bytes[0])),
        ),
        named(
            "received  ",
            format!("{} frames, {}", traffic.frames[1], size(traffic.bytes[1])),
        ),
        Line::raw(""),
        Line::styled(
            "   the guest              with                   the host's socket",
            DIM,
        ),
    ];
    for talk in app.talks.iter().rev().take(64) {
        let host = talk
            .host
            .map_or_else(|| "none".into(), |host| host.to_string());
        let text = format!(
            "{} {:<22} {:<22} ",
            talk.protocol,
            talk.guest.to_string(),
            talk.far.to_string()
        );
        all.push(Line::from(vec![
            Span::styled(text, if talk.open { HOT } else { DIM }),
            Span::styled(host, HOST),
            Span::styled(if talk.open { "" } else { "  over" }, DIM),
        ]));
    }
    if app.talks.is_empty() {
        all.push(Line::styled(
            "no connections seen yet (events of class net)",
            DIM,
        ));
    }
    all.push(Line::raw(""));
    for lie in traffic.last.iter().rev() {
        all.push(Line::raw(lie.guest.clone()));
        all.push(Line::from(vec![
            Span::styled("  | ", DIM),
            Span::styled(lie.host.clone(), HOST),
        ]));
    }
    all
}

pub(super) fn counters(app: &App, width: u16) -> Vec<Line<'static>> {
    let counts = &app.counts;
    let mut all = vec![
        named(
            "instructions ",
            format!("{}, {:.1} million a second", counts.retired, counts.mips),
        ),
        named(
            "dropped      ",
            format!("{} events came too fast to be shown", counts.dropped),
        ),
        Line::raw(""),
        Line::styled("class         in all    a second  what", DIM),
    ];
    let most = counts.rate.iter().copied().max().unwrap_or(0).max(1);
    for (n, class) in Class::ALL.into_iter().enumerate() {
        let wanted = app.classes.has(class);
        let room = u64::from(width.saturating_sub(80));
        let bar = "#".repeat((counts.rate[n] * room / most) as usize);
        let style = if wanted { NAME } else { DIM };
        all.push(Line::from(vec![
            Span::styled(format!("{:<8}", class.name()), style),
            Span::raw(format!("{:>12}{:>12}  ", counts.total[n], counts.rate[n])),
            Span::styled(
                if wanted {
                    class.about()
                } else {
                    "not told; f chooses"
                },
                DIM,
            ),
            Span::styled(format!(" {bar}"), HOT),
        ]));
    }
    all
}
