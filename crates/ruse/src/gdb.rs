//! `--gdb`: where a debugger connects, and saying so.

use std::str::FromStr;

use ruse_gdb::{Address, ListenError, Server};

use crate::terminal;

/// Where a debugger connects, and whether the guest waits for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gdb {
    address: Address,
    wait: bool,
}

impl Default for Gdb {
    fn default() -> Self {
        Self {
            address: Address::default(),
            wait: true,
        }
    }
}

impl FromStr for Gdb {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (text, wait) = match text.strip_suffix("nowait") {
            Some("") => ("", false),
            Some(rest) => match rest.strip_suffix(',') {
                Some(rest) => (rest, false),
                None => (text, true),
            },
            None => (text, true),
        };
        let address = match text {
            "" => Address::default(),
            text => text.parse()?,
        };
        Ok(Self { address, wait })
    }
}

/// A debugger can connect.
pub struct Open {
    server: Server,
    wait: bool,
}

impl Gdb {
    /// Listens.
    ///
    /// # Errors
    /// [`ListenError`] if the host refuses.
    pub fn open(self) -> Result<Open, ListenError> {
        Ok(Open {
            server: Server::open(self.address)?,
            wait: self.wait,
        })
    }
}

impl Open {
    /// Says how to connect; `symbols` is what GDB should read names from.
    pub fn announce(&self, symbols: &str) {
        let waits = if self.wait {
            ", which the guest waits for"
        } else {
            ""
        };
        let address = self.server.address();
        eprint!(
            "ruse: GDB can connect{waits}: gdb-multiarch -ex 'target remote {address}' {symbols}{}",
            terminal::line_end()
        );
    }

    /// Runs the guest for whoever connects.
    ///
    /// # Errors
    /// What the guest cannot go on for.
    pub fn serve<G: ruse_gdb::Guest>(self, guest: &mut G) -> Result<G::Outcome, G::Error> {
        self.server.serve(guest, self.wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_is_a_matter_of_taste() {
        let parse = |text: &str| {
            text.parse::<Gdb>()
                .map(|gdb| (gdb.address.to_string(), gdb.wait))
        };
        assert_eq!(parse(":5"), Ok((":5".into(), true)));
        assert_eq!(parse(":5,nowait"), Ok((":5".into(), false)));
        assert_eq!(parse("nowait"), Ok((":1234".into(), false)));
        assert_eq!(parse("unix:/a,nowait"), Ok(("/a".into(), false)));
        assert!(parse("anowait").is_err());
    }
}
