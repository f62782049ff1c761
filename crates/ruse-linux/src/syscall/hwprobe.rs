//! riscv_hwprobe(2): what the hart can do (Linux,
//! `Documentation/arch/riscv/hwprobe.rst`).

use ruse_bus::{Space, TIMEBASE_HZ};
use ruse_hart::{Xlen, isa_extensions};

use super::{Answer, Cx};
use crate::errno::Errno;

/// Bits of `RISCV_HWPROBE_KEY_IMA_EXT_0`, by the name of the extension. F and
/// D together have one, which stands under `d`.
const EXTENSIONS: &[(&str, u32)] = &[
    ("d", 0),
    ("c", 1),
    ("v", 2),
    ("zba", 3),
    ("zbb", 4),
    ("zbs", 5),
    ("zicboz", 6),
    ("zbc", 7),
    ("zbkb", 8),
    ("zbkc", 9),
    ("zbkx", 10),
    ("zknd", 11),
    ("zkne", 12),
    ("zknh", 13),
    ("zksed", 14),
    ("zksh", 15),
    ("zkt", 16),
    ("zvbb", 17),
    ("zvbc", 18),
    ("zvkb", 19),
    ("zvkg", 20),
    ("zvkned", 21),
    ("zvknha", 22),
    ("zvknhb", 23),
    ("zvksed", 24),
    ("zvksh", 25),
    ("zvkt", 26),
    ("zfh", 27),
    ("zfhmin", 28),
    ("zihintntl", 29),
    ("zvfh", 30),
    ("zvfhmin", 31),
    ("zfa", 32),
    ("ztso", 33),
    ("zacas", 34),
    ("zicond", 35),
    ("zihintpause", 36),
    ("zve32x", 37),
    ("zve32f", 38),
    ("zve64x", 39),
    ("zve64f", 40),
    ("zve64d", 41),
    ("zimop", 42),
    ("zca", 43),
    ("zcb", 44),
    ("zcd", 45),
    ("zcmop", 47),
    ("zawrs", 48),
    ("zicntr", 50),
    ("zihpm", 51),
    ("zicbom", 55),
    ("zaamo", 56),
    ("zalrsc", 57),
    ("zabha", 58),
];

/// Extensions that are there when another one is.
const IMPLIED: &[(&str, &str)] = &[
    ("zfh", "zfhmin"),
    ("a", "zaamo"),
    ("a", "zalrsc"),
    ("c", "zca"),
    ("d", "zcd"),
];

/// The value of a key, and whether it is a set of bits.
fn value(key: i64) -> Option<(u64, bool)> {
    let plain = |value| Some((value, false));
    let bits = |value| Some((value, true));
    match key {
        // MVENDORID, MARCHID, MIMPID: of nobody in particular.
        0..=2 => plain(0),
        // BASE_BEHAVIOR: IMA.
        3 => bits(1),
        4 => bits(ima_ext_0()),
        // CPUPERF_0 and MISALIGNED_SCALAR_PERF: fast.
        5 => bits(3),
        9 => plain(3),
        // ZICBOZ_BLOCK_SIZE, ZICBOM_BLOCK_SIZE.
        6 | 12 => plain(64),
        // HIGHEST_VIRT_ADDRESS.
        7 => plain(Space::SIZE - 1),
        // TIME_CSR_FREQ.
        8 => plain(TIMEBASE_HZ),
        // MISALIGNED_VECTOR_PERF: unsupported, as vectors are.
        10 => plain(4),
        _ => None,
    }
}

fn ima_ext_0() -> u64 {
    let mut names = isa_extensions(Xlen::Rv64, false);
    for (of, implied) in IMPLIED {
        if names.contains(of) {
            names.push(implied);
        }
    }
    EXTENSIONS
        .iter()
        .filter(|(name, _)| names.contains(name))
        .fold(0, |bits, (_, bit)| bits | 1 << bit)
}

/// Most pairs in one call; more than there will be keys for long.
const PAIRS: u64 = 4096;
/// `RISCV_HWPROBE_WHICH_CPUS`.
const WHICH_CPUS: u64 = 1;

pub(crate) fn riscv_hwprobe(cx: &mut Cx) -> Answer {
    let [pairs, count, set_size, set, flags, _] = cx.args;
    if flags & !WHICH_CPUS != 0 || count > PAIRS {
        return Err(Errno::EINVAL.into());
    }
    let which = flags & WHICH_CPUS != 0;
    let set_size = set_size.min(128) as usize;
    let mut cpus = vec![0; set_size];
    if which && (set_size == 0 || set == 0) {
        return Err(Errno::EINVAL.into());
    }
    if set != 0 || set_size != 0 {
        cx.read(set, &mut cpus)?;
        let none = cpus.iter().all(|&byte| byte == 0);
        let ours = cpus.first().is_some_and(|byte| byte & 1 != 0);
        // There is one CPU; asking which ones, no CPU stands for all.
        let any = which && none;
        if !ours && !any {
            return Err(Errno::EINVAL.into());
        }
    }
    let mut all_match = true;
    for n in 0..count {
        let at = pairs.wrapping_add(n * 16);
        let key = cx.read_u64(at)? as i64;
        let answer = value(key);
        if which {
            let wanted = cx.read_u64(at.wrapping_add(8))?;
            all_match &= match answer {
                Some((has, true)) => has & wanted == wanted,
                Some((has, false)) => has == wanted,
                None => {
                    cx.write(at, &(-1i64).to_le_bytes())?;
                    cx.write(at.wrapping_add(8), &[0; 8])?;
                    false
                }
            };
            continue;
        }
        let (key, value) = match answer {
            Some((value, _)) => (key, value),
            None => (-1, 0),
        };
        cx.write(at, &key.to_le_bytes())?;
        cx.write(at.wrapping_add(8), &value.to_le_bytes())?;
    }
    if which {
        cpus.fill(0);
        if let Some(first) = cpus.first_mut() {
            *first = all_match.into();
        }
        cx.write(set, &cpus)?;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_those_of_the_hart() {
        let bits = ima_ext_0();
        for name in isa_extensions(Xlen::Rv64, false) {
            if let Some((_, bit)) = EXTENSIONS.iter().find(|(n, _)| *n == name) {
                assert!(bits >> bit & 1 != 0, "{name}");
            }
        }
        // F, D and C; Zba, Zbb, Zbs; no vectors; misaligned accesses are fast.
        assert_eq!(bits & 0b11_1111, 0b11_1011);
        assert_eq!(value(9), Some((3, false)));
        assert_eq!(value(99), None);
        assert!(EXTENSIONS.windows(2).all(|pair| pair[0].1 < pair[1].1));
    }
}
