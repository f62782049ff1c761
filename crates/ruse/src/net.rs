//! The network cards of a machine, as the command line has them.

use clap::Args;
use ruse_machine::Nic;
use ruse_net::{Forward, Link, NetError, NetSpec, Policy, User, Wire};

use crate::error::HostError;

/// Cards, and the ways in.
#[derive(Args)]
#[command(next_help_heading = "Network")]
pub struct NetArgs {
    /// Network card; repeat for more. `user`: a network of its own, from which
    /// it reaches others as this process does, but not this host (`restrict`:
    /// nobody; `host-loopback`: this host's 127.0.0.1 as 10.0.2.2).
    /// `socket:PATH`: a cable to the machine that has the same path
    /// [default: user, but none under the virtual clock]
    #[arg(
        long = "net",
        value_name = "none|user[,restrict][,host-loopback][,mac=MAC]|socket:PATH[,mac=MAC]"
    )]
    nets: Vec<NetSpec>,

    /// Port of this host that leads to one of the guest's, on 127.0.0.1 unless
    /// it says otherwise. Repeat for more
    #[arg(long = "forward", value_name = "[udp:][ADDR:]PORT:[GUEST:]PORT")]
    forwards: Vec<Forward>,
}

impl NetArgs {
    /// No cards.
    pub fn none() -> Self {
        Self {
            nets: Vec::new(),
            forwards: Vec::new(),
        }
    }

    /// The cards; `live`: what comes from outside may matter.
    pub fn cards(&self, live: bool) -> Vec<NetSpec> {
        let default = NetSpec {
            wire: Wire::User(Policy::default()),
            mac: None,
        };
        let wanted = match self.nets.is_empty() && (live || !self.forwards.is_empty()) {
            true => vec![default],
            false => self.nets.clone(),
        };
        wanted
            .into_iter()
            .filter(|card| card.wire != Wire::None)
            .collect()
    }

    /// The ports of this host that lead into the guest, as one would write
    /// them.
    pub fn ways_in(&self) -> Vec<String> {
        self.forwards.iter().map(shortest).collect()
    }

    /// Connects `cards`: binds ports, opens sockets.
    ///
    /// # Errors
    /// [`HostError`] if the host refuses, or there is no card for a forward.
    pub fn open(&self, cards: &[NetSpec]) -> Result<Vec<Nic>, HostError> {
        if !cards.is_empty() {
            allow_many_sockets();
        }
        // Ways in belong to the first user-mode network.
        let mut forwards = Some(&self.forwards[..]).filter(|all| !all.is_empty());
        let mut nics = Vec::new();
        for (index, card) in cards.iter().enumerate() {
            let nic = match &card.wire {
                Wire::None => continue,
                Wire::User(policy) => {
                    let mac = card.mac.unwrap_or(default_mac(index));
                    let forwards = forwards.take().unwrap_or(&[]);
                    let network = Box::new(User::new(*policy, forwards, mac)?);
                    Nic { mac, network }
                }
                Wire::Socket(path) => Nic {
                    mac: match card.mac {
                        Some(mac) => mac,
                        None => random_mac()?,
                    },
                    network: Box::new(Link::new(path)?),
                },
            };
            nics.push(nic);
        }
        match forwards {
            None => Ok(nics),
            Some(_) => Err(NetError::NoUser.into()),
        }
    }
}

/// A forward without what it would have anyway.
fn shortest(forward: &Forward) -> String {
    let kind = if forward.udp { "udp:" } else { "" };
    let short = format!("{kind}{}:{}", forward.host.port(), forward.guest.port());
    match short.parse::<Forward>() {
        Ok(same) if same == *forward => short,
        _ => forward.to_string(),
    }
}

/// Each connection is a descriptor, and many hosts give a process few unless
/// it asks for more.
fn allow_many_sockets() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, getrlimit, setrlimit};
        const ENOUGH: u64 = 8192;
        let mut limit = getrlimit(Resource::Nofile);
        let most = limit.maximum.unwrap_or(ENOUGH).min(ENOUGH);
        if limit.current.is_some_and(|current| current < most) {
            limit.current = Some(most);
            if let Err(error) = setrlimit(Resource::Nofile, limit) {
                log::info!("no more descriptors for sockets: {error}");
            }
        }
    }
}

/// The same for every machine: each is alone in its network. As QEMU's.
fn default_mac(index: usize) -> [u8; 6] {
    [0x52, 0x54, 0, 0x12, 0x34, (0x56 + index) as u8]
}

/// For machines that meet.
fn random_mac() -> Result<[u8; 6], HostError> {
    let mut mac = [0x52, 0x54, 0, 0, 0, 0];
    getrandom::fill(&mut mac[3..]).map_err(HostError::Randomness)?;
    Ok(mac)
}
