//! The device tree (Devicetree Specification v0.4; the RISC-V bindings of
//! Linux's `Documentation/devicetree/bindings/riscv`).

use std::ops::Range;

use ruse_bus::{DtValue, TIMEBASE_HZ};
use ruse_devices::test_finisher;
use ruse_hart::Xlen;
use vm_fdt::FdtWriter;

use crate::board::{Place, Wires};
use crate::error::MachineError;
use crate::layout;
use crate::lock;

/// Bytes in a cache block, for the CBO instructions.
const CACHE_BLOCK: u32 = 64;

/// What the tree says besides the devices.
pub(crate) struct Facts<'a> {
    pub(crate) xlen: Xlen,
    pub(crate) svadu: bool,
    pub(crate) harts: usize,
    pub(crate) memory: u64,
    pub(crate) cmdline: &'a str,
    pub(crate) initrd: Option<Range<u64>>,
    pub(crate) seed: [u8; 32],
}

/// Names of nodes, which other nodes refer to.
struct Phandles {
    harts: u32,
}

impl Phandles {
    fn cpu(&self, hart: u32) -> u32 {
        1 + hart
    }

    /// The interrupt controller inside a hart.
    fn pins(&self, hart: u32) -> u32 {
        1 + self.harts + hart
    }

    fn place(&self, index: usize) -> u32 {
        1 + 2 * self.harts + index as u32
    }

    fn find(&self, places: &[Place], name: &str) -> Option<u32> {
        let index = places.iter().position(|place| place.name == name)?;
        Some(self.place(index))
    }
}

/// Writes the tree of a board.
pub(crate) fn write(facts: &Facts<'_>, places: &[Place]) -> Result<Vec<u8>, MachineError> {
    tree(facts, places).map_err(|error| MachineError::DeviceTree(error.to_string()))
}

fn tree(facts: &Facts<'_>, places: &[Place]) -> Result<Vec<u8>, vm_fdt::Error> {
    let phandles = Phandles {
        harts: facts.harts as u32,
    };
    let mut fdt = FdtWriter::new()?;
    let root = fdt.begin_node("")?;
    fdt.property_u32("#address-cells", 2)?;
    fdt.property_u32("#size-cells", 2)?;
    fdt.property_string("compatible", "riscv-virtio")?;
    fdt.property_string("model", "ruse,virt")?;

    chosen(&mut fdt, facts, places)?;
    cpus(&mut fdt, facts, &phandles)?;

    let memory = fdt.begin_node(&format!("memory@{:x}", layout::RAM))?;
    fdt.property_string("device_type", "memory")?;
    fdt.property_array_u64("reg", &[layout::RAM, facts.memory])?;
    fdt.end_node(memory)?;

    let soc = fdt.begin_node("soc")?;
    fdt.property_u32("#address-cells", 2)?;
    fdt.property_u32("#size-cells", 2)?;
    fdt.property_string("compatible", "simple-bus")?;
    fdt.property_null("ranges")?;
    let plic = phandles.find(places, "plic");
    for (index, place) in places.iter().enumerate() {
        device(&mut fdt, place, phandles.place(index), plic, &phandles)?;
    }
    fdt.end_node(soc)?;

    if let Some(finisher) = phandles.find(places, "test") {
        for (name, compatible, value) in [
            ("poweroff", "syscon-poweroff", test_finisher::PASS),
            ("reboot", "syscon-reboot", test_finisher::RESET),
        ] {
            let node = fdt.begin_node(name)?;
            fdt.property_string("compatible", compatible)?;
            fdt.property_u32("regmap", finisher)?;
            fdt.property_u32("offset", 0)?;
            fdt.property_u32("value", value)?;
            fdt.end_node(node)?;
        }
    }
    fdt.end_node(root)?;
    fdt.finish()
}

/// What boot passes to the kernel, and which console it has.
fn chosen(fdt: &mut FdtWriter, facts: &Facts<'_>, places: &[Place]) -> Result<(), vm_fdt::Error> {
    let serial = places
        .iter()
        .find(|place| place.name == "uart0")
        .map(|place| format!("/soc/{}", node_name(place)));
    if let Some(serial) = &serial {
        let aliases = fdt.begin_node("aliases")?;
        fdt.property_string("serial0", serial)?;
        fdt.end_node(aliases)?;
    }
    let chosen = fdt.begin_node("chosen")?;
    if let Some(serial) = &serial {
        fdt.property_string("stdout-path", serial)?;
    }
    if !facts.cmdline.is_empty() {
        fdt.property_string("bootargs", facts.cmdline)?;
    }
    if let Some(initrd) = &facts.initrd {
        fdt.property_u64("linux,initrd-start", initrd.start)?;
        fdt.property_u64("linux,initrd-end", initrd.end)?;
    }
    fdt.property("rng-seed", &facts.seed)?;
    fdt.end_node(chosen)
}

fn cpus(fdt: &mut FdtWriter, facts: &Facts<'_>, phandles: &Phandles) -> Result<(), vm_fdt::Error> {
    let isa = ruse_hart::isa_string(facts.xlen, facts.svadu);
    let extensions: Vec<String> = ruse_hart::isa_extensions(facts.xlen, facts.svadu)
        .into_iter()
        .map(String::from)
        .collect();
    let (base, mmu) = match facts.xlen {
        Xlen::Rv32 => ("rv32i", "riscv,sv32"),
        Xlen::Rv64 => ("rv64i", "riscv,sv57"),
    };
    let cpus = fdt.begin_node("cpus")?;
    fdt.property_u32("#address-cells", 1)?;
    fdt.property_u32("#size-cells", 0)?;
    fdt.property_u32("timebase-frequency", TIMEBASE_HZ as u32)?;
    for hart in 0..phandles.harts {
        let cpu = fdt.begin_node(&format!("cpu@{hart:x}"))?;
        fdt.property_string("device_type", "cpu")?;
        fdt.property_u32("reg", hart)?;
        fdt.property_string("status", "okay")?;
        fdt.property_string("compatible", "riscv")?;
        fdt.property_string("riscv,isa", &isa)?;
        fdt.property_string("riscv,isa-base", base)?;
        fdt.property_string_list("riscv,isa-extensions", extensions.clone())?;
        fdt.property_string("mmu-type", mmu)?;
        for property in ["cbom", "cboz", "cbop"] {
            fdt.property_u32(&format!("riscv,{property}-block-size"), CACHE_BLOCK)?;
        }
        fdt.property_phandle(phandles.cpu(hart))?;
        let pins = fdt.begin_node("interrupt-controller")?;
        fdt.property_u32("#address-cells", 0)?;
        fdt.property_u32("#interrupt-cells", 1)?;
        fdt.property_null("interrupt-controller")?;
        fdt.property_string("compatible", "riscv,cpu-intc")?;
        fdt.property_phandle(phandles.pins(hart))?;
        fdt.end_node(pins)?;
        fdt.end_node(cpu)?;
    }
    let map = fdt.begin_node("cpu-map")?;
    let cluster = fdt.begin_node("cluster0")?;
    for hart in 0..phandles.harts {
        let core = fdt.begin_node(&format!("core{hart}"))?;
        fdt.property_u32("cpu", phandles.cpu(hart))?;
        fdt.end_node(core)?;
    }
    fdt.end_node(cluster)?;
    fdt.end_node(map)?;
    fdt.end_node(cpus)
}

fn node_name(place: &Place) -> String {
    format!("{}@{:x}", lock(&place.device).node().name, place.base)
}

/// A device: what it says of itself, and what the board knows of it.
fn device(
    fdt: &mut FdtWriter,
    place: &Place,
    phandle: u32,
    plic: Option<u32>,
    phandles: &Phandles,
) -> Result<(), vm_fdt::Error> {
    let described = lock(&place.device).node();
    let node = fdt.begin_node(&node_name(place))?;
    let compatible = described.compatible.iter().map(|&name| name.into());
    fdt.property_string_list("compatible", compatible.collect())?;
    fdt.property_array_u64("reg", &[place.base, place.size])?;
    match (place.wires, plic) {
        (Wires::Plic(source), Some(plic)) => {
            fdt.property_u32("interrupt-parent", plic)?;
            fdt.property_u32("interrupts", source)?;
        }
        (Wires::Harts(pins), _) => {
            let cells: Vec<u32> = (0..phandles.harts)
                .flat_map(|hart| pins.map(|pin| [phandles.pins(hart), pin]))
                .flatten()
                .collect();
            fdt.property_array_u32("interrupts-extended", &cells)?;
        }
        _ => {}
    }
    for (name, value) in &described.props {
        match value {
            DtValue::Empty => fdt.property_null(name)?,
            DtValue::U32(value) => fdt.property_u32(name, *value)?,
            DtValue::U64(value) => fdt.property_u64(name, *value)?,
            DtValue::Cells(cells) => fdt.property_array_u32(name, cells)?,
            DtValue::Str(text) => fdt.property_string(name, text)?,
        }
    }
    fdt.property_phandle(phandle)?;
    fdt.end_node(node)
}
