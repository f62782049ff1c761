//! Chapter "Debug Console Extension". The console is the serial port's.

use ruse_devices::ConsoleOut;

use super::{Answer, Call, Error};

pub(super) const ID: u64 = 0x4442_434e;

/// How much one call transfers at most, which the specification leaves to us.
const MAX: usize = 4096;

pub(super) fn call(call: &mut Call<'_>) -> Answer {
    match call.function {
        0 => write(call).into(),
        1 => read(call).into(),
        2 => {
            call.parts.out.clone().write(&[call.args[0] as u8]);
            Answer::Value(0)
        }
        _ => Answer::Error(Error::NotSupported),
    }
}

/// The guest's buffer: physical address and size, all of it in RAM.
fn buffer(call: &Call<'_>) -> Result<(u64, usize), Error> {
    let [size, low, high, ..] = call.args;
    let pa = match high {
        0 => low,
        // Only an RV32 guest has an upper half, above what it could have
        // RAM at; and a large address of an RV64 guest is in the lower.
        _ => return Err(Error::InvalidParam),
    };
    if !call.ram.contains(pa, size) {
        return Err(Error::InvalidParam);
    }
    Ok((pa, size.min(MAX as u64) as usize))
}

fn write(call: &mut Call<'_>) -> Result<u64, Error> {
    let (pa, size) = buffer(call)?;
    let mut bytes = [0; MAX];
    let bytes = &mut bytes[..size];
    call.ram.read(pa, bytes).map_err(|_| Error::InvalidParam)?;
    call.parts.out.clone().write(bytes);
    Ok(size as u64)
}

fn read(call: &mut Call<'_>) -> Result<u64, Error> {
    let (pa, size) = buffer(call)?;
    let mut bytes = [0; MAX];
    let mut len = 0;
    while len < size
        && let Some(byte) = call.parts.read_serial()
    {
        bytes[len] = byte;
        len += 1;
    }
    call.ram
        .write(pa, &bytes[..len])
        .map_err(|_| Error::InvalidParam)?;
    Ok(len as u64)
}
