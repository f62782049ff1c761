//! The `ruse` command on a terminal, and the signals that end it.
#![cfg(unix)]

mod talk;

use std::process::Stdio;

use rustix::process::Signal;
use talk::tty::{Terminal, signal};
use talk::{Talk, rom, ruse};

const STOPPED: i32 = 130;

#[test]
fn every_key_is_the_guests_but_ctrl_a() {
    let (terminal, mut talk) = Terminal::start(&[&rom("monitor/monitor.elf")]);
    talk.expect("ruse> ");
    // Ctrl-C and backspace reach the guest, which echoes what is typed; the
    // terminal does not.
    talk.send("\x03");
    assert_eq!(talk.expect("^C\r\nruse> "), "");
    talk.send("echo ap\x08bc\r");
    assert_eq!(talk.expect("\r\nabc\r\nruse> "), "echo ap\x08 \x08bc");
    talk.send("\x01h");
    talk.expect("Ctrl-A X  leave");
    // Ctrl-A twice is one for the guest, which ignores it.
    talk.send("\x01\x01echo x\r");
    talk.expect("\r\nx\r\nruse> ");
    talk.send("\x01x");
    talk.ends(STOPPED);
    terminal.assert_restored();
}

#[test]
fn the_terminal_is_as_before_however_it_ends() {
    let end = |program: &str, code: i32, way: &dyn Fn(&Terminal, &mut Talk)| {
        let (terminal, mut talk) = Terminal::start(&[&rom(program)]);
        way(&terminal, &mut talk);
        talk.ends(code);
        terminal.assert_restored();
    };
    end("exit/exit-rv64.elf", 42, &|_, _| {});
    end("nothing/nothing-rv64.elf", 124, &|_, talk| {
        // The message comes when the terminal needs no carriage returns.
        talk.expect("ruse: hart 0 cannot go on");
    });
    end("spin/spin-rv64.elf", STOPPED, &|terminal, talk| {
        terminal.wait_until_it_listens(talk);
        talk.send("\x01x");
    });
    for number in [Signal::TERM, Signal::INT, Signal::HUP] {
        end("spin/spin-rv32.elf", STOPPED, &|terminal, talk| {
            terminal.wait_until_it_listens(talk);
            signal(talk, number);
        });
    }
}

#[test]
fn a_signal_ends_it_quietly_over_pipes_too() {
    for number in [Signal::TERM, Signal::INT, Signal::HUP] {
        let mut talk = Talk::new(&[&rom("monitor/monitor.elf")]);
        talk.expect("ruse> ");
        signal(&talk, number);
        assert_eq!(talk.ends(STOPPED).errors, "");
    }
}

#[test]
fn over_pipes_ctrl_a_is_the_guests() {
    let mut talk = Talk::new(&[&rom("monitor/monitor.elf")]);
    talk.expect("ruse> ");
    talk.send("\x01xecho y\r");
    talk.expect("I know no command \"xecho\"");
    talk.send("off 5\r");
    talk.ends(5);
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let mut child = ruse(&[&rom("monitor/monitor.elf")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The guest has something to say and nobody to say it to.
    drop(child.stdout.take());
    let stdin = child.stdin.take();
    let ended = child.wait_with_output().unwrap();
    drop(stdin);
    assert_eq!(String::from_utf8_lossy(&ended.stderr), "");
    assert_eq!(ended.status.code(), Some(STOPPED));
}
