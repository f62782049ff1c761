//! What `?` says.

use crate::panes::Pane;

/// Keys that work in every pane.
pub(crate) const KEYS: &str = "\
Ctrl-A     the keyboard is the guest's, or the lens's, in turns
1 to 9, 0  a pane; Tab and Shift-Tab the next and the one before
arrows, PgUp, PgDn, Home, End   move in a pane
p or space pause, and go on
s          step one instruction          b  step to the next block
t          step to the next trap, or out of its handler
o          step out, back to the caller  r  run to an address or symbol
<          one step backwards            R  back to an address or symbol
T          back to the last exception    (under the virtual clock)
m          stop at accesses to a device  x  stop at traps, or no longer
h          the next hart                 z  the console alone, or beside the pane
i          the screen into the file of --shot
?          this                          q  leave: switches the machine off
";

/// What a pane shows.
pub(crate) fn about(pane: Pane) -> &'static str {
    match pane {
        Pane::Lies => {
            "The log of lies: each line is something that happened. On the left what the guest \
             believes, on the right, or below, what the host did. Up and down choose a line, Enter shows \
             all of it. `f` chooses which events are told: all, or some of trap call mmio irq walk \
             tlb queue dma disk net sleep, with commas in between. `g` asks for words that must \
             be in a line."
        }
        Pane::Hart => {
            "A hart: its 32 integer registers by their ABI names, the mode it is in, the \
             function that it is at, and who called that. A register that changed since the \
             machine last stood still is bright. The CPU of the guest is these variables."
        }
        Pane::Code => {
            "The instructions around the one that is next (>), read from guest memory and \
             taken apart again for you. Ruse has decoded them once, into blocks of operations."
        }
        Pane::Csrs => {
            "Control and status registers, with their fields. Enter or the arrows open one: \
             each field by name, place, value and meaning."
        }
        Pane::Memory => {
            "The physical address space: RAM, which is one mapping of the host's, and devices, \
             which are code. For each device how often its registers were touched (when mmio \
             events are told). `d` asks for a virtual address to show memory at."
        }
        Pane::Walk => {
            "A page-table walk: `w` asks for a virtual address or symbol. Each line is an entry \
             that the MMU would read, where it lies, and what its bits say."
        }
        Pane::Devices => {
            "The registers of each device by name, with what their bits mean, looked at \
             without touching them. Left and right choose the device."
        }
        Pane::Disk => {
            "A disk from its start to its end, each cell a piece: `.` never touched since you \
             watch, `r` read, `W` written, `A` written where the image had to allocate. Below \
             the last requests, from the guest's sector to the host's file. Left and right \
             choose the disk."
        }
        Pane::Net => {
            "Connections through the user-mode network: who talks to whom as the guest sees \
             it, and the socket of the host that stands for it; frames and bytes each way."
        }
        Pane::Counters => {
            "How many events of each class there were, in all and in the last second; \
             instructions, and how fast they go. Events that came faster than the screen are \
             counted, and the oldest not shown."
        }
    }
}
