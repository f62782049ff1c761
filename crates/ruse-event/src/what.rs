//! What happened.

use std::net::SocketAddr;

use serde::Serialize;

use crate::Class;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Event {
    /// Nanoseconds since power-on, by the machine's clock.
    pub time: u64,
    /// Where.
    pub origin: Origin,
    /// Of which class it is.
    pub class: Class,
    /// What.
    pub what: What,
}

/// Where something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// On this hart.
    Hart(u64),
    /// In this thread of a Linux program.
    Thread(u64),
    /// In the device whose registers are at this guest-physical address.
    Device(u64),
    /// Elsewhere on the host.
    Host,
}

/// The kinds of access that a translation is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Access {
    Fetch,
    Load,
    Store,
}

/// One step of a page-table walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The guest-physical address of the entry.
    pub at: u64,
    /// The entry.
    pub pte: u64,
}

/// One buffer of a descriptor chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Part {
    /// Its guest-physical address.
    pub addr: u64,
    /// Its length in bytes.
    pub len: u32,
    /// The device writes to it.
    pub write: bool,
}

/// What a disk is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Operation {
    Read,
    Write,
    Flush,
    Discard,
    Zero,
}

/// What becomes of a connection through the user-mode network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Flow {
    /// The host has a socket for it.
    Opened,
    /// The host would not or could not connect.
    Refused,
    /// It is over, and the socket closed.
    Closed,
}

/// What happened. Modes are numbered as in `mstatus.MPP`: 0 is U, 1 is S, 3 is M.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum What {
    /// An instruction raised an exception (privileged manual, `mcause`).
    Trap {
        /// The instruction.
        pc: u64,
        /// The exception code.
        cause: u64,
        /// What `mtval` or `stval` holds.
        tval: u64,
        /// The mode it happened in.
        from: u8,
        /// The mode that handles it.
        to: u8,
        /// Where the handler starts.
        handler: u64,
    },
    /// A hart took an interrupt.
    Interrupt {
        /// Its number (`mip`).
        number: u32,
        /// The instruction that comes later.
        pc: u64,
        /// The mode it happened in.
        from: u8,
        /// The mode that handles it.
        to: u8,
        /// Where the handler starts.
        handler: u64,
    },
    /// MRET or SRET.
    Return {
        /// The mode that was left.
        from: u8,
        /// The mode that goes on.
        to: u8,
        /// Where it goes on.
        pc: u64,
    },
    /// A program calls the guest's kernel (ECALL from U-mode).
    Syscall {
        /// a7.
        number: u64,
        /// a0 to a5.
        args: [u64; 6],
        /// What was answered, if Ruse itself did: for a Linux program without a kernel.
        answer: Option<i64>,
    },
    /// The guest's kernel called the built-in firmware.
    Sbi {
        /// a7.
        extension: u64,
        /// a6.
        function: u64,
        /// a0 to a5.
        args: [u64; 6],
        /// The answer in a0.
        error: i64,
        /// The answer in a1.
        value: u64,
    },
    /// A hart accessed a device register.
    Mmio {
        /// The instruction.
        pc: u64,
        /// Where the device's registers start.
        base: u64,
        /// The register.
        offset: u64,
        /// How many bytes.
        width: u8,
        /// What was read or written.
        value: u64,
        /// It was written.
        write: bool,
    },
    /// A device moved its line to the interrupt controller.
    Line {
        /// The controller's input.
        source: u32,
        /// The new level.
        level: bool,
    },
    /// An interrupt pin of a hart moved.
    Pin {
        /// The hart.
        hart: u64,
        /// The pin, numbered as in `mip`.
        number: u32,
        /// The new level.
        level: bool,
    },
    /// A page-table walk.
    Walk {
        /// The virtual address.
        va: u64,
        /// What for.
        access: Access,
        /// The physical address of the root table.
        root: u64,
        /// The entries that were read, from the root down.
        steps: Vec<Step>,
        /// Where it led; `None`: to a fault.
        pa: Option<u64>,
    },
    /// The TLB learnt a page.
    Fill {
        /// The virtual address.
        va: u64,
        /// The physical address.
        pa: u64,
        /// For accesses of this kind.
        access: Access,
        /// The size of the mapping in bytes.
        size: u64,
    },
    /// The driver rang a queue's doorbell.
    Notify {
        /// The queue.
        queue: u16,
    },
    /// The device took a descriptor chain from a queue.
    Chain {
        /// The queue.
        queue: u16,
        /// The first descriptor.
        head: u16,
        /// The buffers.
        parts: Vec<Part>,
    },
    /// The device gave a chain back.
    Used {
        /// The queue.
        queue: u16,
        /// The first descriptor.
        head: u16,
        /// Bytes written to it.
        written: u32,
    },
    /// A device read or wrote guest memory.
    Dma {
        /// Guest-physical address.
        addr: u64,
        /// Bytes.
        len: u64,
        /// It wrote.
        write: bool,
    },
    /// The guest asked a disk for something.
    Disk {
        /// What.
        operation: Operation,
        /// The first sector, of 512 bytes.
        sector: u64,
        /// How many sectors.
        count: u64,
        /// It did not work out.
        failed: bool,
    },
    /// What became of it in the image.
    Image {
        /// What.
        operation: Operation,
        /// The byte of the disk.
        offset: u64,
        /// How many bytes.
        len: u64,
        /// Where that is in the image file; `None`: nowhere.
        host: Option<u64>,
        /// The size of a cluster in bytes, where the format has clusters.
        cluster: Option<u64>,
        /// Clusters were allocated for it.
        allocated: bool,
    },
    /// A frame went through a network card.
    Frame {
        /// To the guest.
        to_guest: bool,
        /// Bytes.
        len: u32,
        /// Its first bytes: headers.
        head: Vec<u8>,
    },
    /// A connection through the user-mode network.
    Flow {
        /// `tcp` or `udp`.
        protocol: &'static str,
        /// The guest's end.
        guest: SocketAddr,
        /// The other end, as the guest sees it.
        far: SocketAddr,
        /// The host's socket, its own end.
        host: Option<SocketAddr>,
        /// What became of it.
        flow: Flow,
    },
    /// A hart has nothing to do until an interrupt.
    Sleep,
    /// It goes on.
    Wake,
}
