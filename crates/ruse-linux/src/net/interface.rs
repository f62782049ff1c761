//! Network interfaces as ioctls show them (netdevice(7)): a box has one,
//! `lo`, at 127.0.0.1.

use super::addr::AF_INET;
use crate::errno::Errno;
use crate::syscall::{Answer, Cx};

/// Bytes of `struct ifreq`; a name of 16 comes first.
const IFREQ: usize = 40;
const NAME: &[u8] = b"lo";

/// Answers `SIOCGIF*`.
pub(super) fn ioctl(cx: &mut Cx, request: u32, argument: u64) -> Answer {
    const SIOCGIFNAME: u32 = 0x8910;
    const SIOCGIFCONF: u32 = 0x8912;
    const SIOCGIFFLAGS: u32 = 0x8913;
    const SIOCGIFADDR: u32 = 0x8915;
    const SIOCGIFNETMASK: u32 = 0x891b;
    const SIOCGIFMTU: u32 = 0x8921;
    const SIOCGIFHWADDR: u32 = 0x8927;
    const SIOCGIFINDEX: u32 = 0x8933;
    const SIOCGIFTXQLEN: u32 = 0x8942;
    /// Up, loopback, running.
    const FLAGS: u16 = 0x1 | 0x8 | 0x40;
    const ARPHRD_LOOPBACK: u16 = 772;

    if request == SIOCGIFCONF {
        return list(cx, argument);
    }
    let mut entry = [0; IFREQ];
    let known = [
        SIOCGIFNAME,
        SIOCGIFFLAGS,
        SIOCGIFADDR,
        SIOCGIFNETMASK,
        SIOCGIFMTU,
        SIOCGIFHWADDR,
        SIOCGIFINDEX,
        SIOCGIFTXQLEN,
    ];
    if !known.contains(&request) {
        return Err(Errno::ENOTTY.into());
    }
    cx.read(argument, &mut entry)?;
    let value = &mut entry[16..];
    if request == SIOCGIFNAME {
        if value[..4] != 1u32.to_le_bytes() {
            return Err(Errno::ENODEV.into());
        }
        entry[..16].fill(0);
        entry[..NAME.len()].copy_from_slice(NAME);
    } else {
        let value = value_of(&mut entry)?;
        value.fill(0);
        match request {
            SIOCGIFFLAGS => value[..2].copy_from_slice(&FLAGS.to_le_bytes()),
            SIOCGIFADDR => address(value, [127, 0, 0, 1]),
            SIOCGIFNETMASK => address(value, [255, 0, 0, 0]),
            SIOCGIFMTU => value[..4].copy_from_slice(&65536u32.to_le_bytes()),
            SIOCGIFHWADDR => value[..2].copy_from_slice(&ARPHRD_LOOPBACK.to_le_bytes()),
            SIOCGIFINDEX => value[..4].copy_from_slice(&1u32.to_le_bytes()),
            _ => value[..4].copy_from_slice(&1000u32.to_le_bytes()),
        }
    }
    cx.write(argument, &entry)?;
    Ok(0)
}

/// The part of an entry behind the name, which must be that of the interface.
fn value_of(entry: &mut [u8; IFREQ]) -> Result<&mut [u8], Errno> {
    let (name, value) = entry.split_at_mut(16);
    let end = name.iter().position(|&b| b == 0).unwrap_or(name.len());
    if &name[..end] == NAME {
        Ok(value)
    } else {
        Err(Errno::ENODEV)
    }
}

fn address(value: &mut [u8], ip: [u8; 4]) {
    value[..2].copy_from_slice(&AF_INET.to_le_bytes());
    value[4..8].copy_from_slice(&ip);
}

/// `struct ifconf`: a length and where the entries go.
fn list(cx: &mut Cx, argument: u64) -> Answer {
    let room = cx.read_u32(argument)? as i32;
    let entries = cx.read_u64(argument.wrapping_add(8))?;
    let mut len = IFREQ as u32;
    if entries != 0 {
        if room < IFREQ as i32 {
            len = 0;
        } else {
            let mut entry = [0; IFREQ];
            entry[..NAME.len()].copy_from_slice(NAME);
            address(&mut entry[16..], [127, 0, 0, 1]);
            cx.write(entries, &entry)?;
        }
    }
    cx.write(argument, &len.to_le_bytes())?;
    Ok(0)
}
