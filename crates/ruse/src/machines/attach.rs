//! `ruse console`: the console of a machine that runs elsewhere.

use std::io::{self, ErrorKind, Read, Write};
use std::process::ExitCode;

use super::client::{self, Asked};
use super::registry::Registry;
use super::socket::Stream;
use super::wire::{self, Reply, Request, Typed};
use crate::console::Stdout;
use crate::error::HostError;
use crate::escape::{Action, Escape};
use crate::terminal;

const HELP: &str = "\r
Ctrl-A X  leaves; the machine runs on\r
Ctrl-A B  sends a break, which Linux takes for SysRq\r
Ctrl-A A  sends Ctrl-A to the guest\r
Ctrl-A H  shows this\r
";

/// Connects the terminal to the machine `name`, until either leaves.
///
/// # Errors
/// [`HostError`] if there is no such machine, or it does not answer.
pub fn attach(name: &str) -> Result<ExitCode, HostError> {
    use ruse_machine::ConsoleOut;
    let found = client::find(&Registry::open()?, name)?;
    let silent = |source| HostError::Silent {
        name: name.into(),
        pid: found.pid,
        source,
    };
    let mut asked = Asked::new(&found, &Request::Console).map_err(silent)?;
    match asked.answer().map_err(silent)? {
        Some(Reply::Attached) => {}
        _ => return Err(silent(ErrorKind::UnexpectedEof.into())),
    }
    asked.stream.set_read_timeout(None).map_err(silent)?;
    let raw = terminal::Raw::enter();
    if raw.is_some() {
        eprint!("ruse: {name}: connected; Ctrl-A X leaves, Ctrl-A H helps\r\n");
    }
    let keys = raw.is_some();
    let input = asked.stream.try_clone().map_err(silent)?;
    std::thread::spawn(move || {
        // What cannot be sent is of a machine that is gone.
        let _ = type_into(input, keys);
    });
    let mut out = Stdout::default();
    let mut bytes = [0; 4096];
    let left = loop {
        match asked.reader.read(&mut bytes) {
            Ok(0) => break false,
            Ok(len) => out.write(&bytes[..len]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // Ctrl-A X closes the connection from this side.
            Err(_) => break true,
        }
        if out.is_closed() {
            break true;
        }
    };
    drop(raw);
    let gone = !left && Registry::open()?.find(name)?.is_none();
    if keys {
        match gone {
            true => eprintln!("\nruse: {name}: has ended"),
            false => eprintln!("\nruse: {name}: runs on"),
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Sends what is typed until there is nothing more, or somebody leaves.
fn type_into(mut stream: Stream, keys: bool) -> io::Result<()> {
    let mut escape = Escape::default();
    let mut bytes = [0; 4096];
    loop {
        let len = match io::stdin().lock().read(&mut bytes) {
            // What the guest says to it is still to come.
            Ok(0) => return Ok(()),
            Ok(len) => len,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let actions = match keys {
            true => escape.parse(&bytes[..len]),
            false => vec![Action::Send(bytes[..len].to_vec())],
        };
        for action in actions {
            match action {
                Action::Send(bytes) => wire::send(&mut stream, &wire::keys(&bytes))?,
                Action::Break => wire::send(&mut stream, &Typed::Break)?,
                Action::Help => {
                    eprint!("{HELP}");
                    io::stderr().flush()?;
                }
                Action::Quit => return stream.shutdown(std::net::Shutdown::Both),
            }
        }
    }
}
