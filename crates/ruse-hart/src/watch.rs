//! What a hart tells of what happens in it.

use ruse_event::{Class, Origin, Step, Tap, What};

use crate::engine::Cursor;
use crate::hart::Hart;
use crate::mmu::Access;
use crate::trap::{Cause, Privilege, Trap};

/// a0 and a7.
const A0: u8 = 10;
const A7: u8 = 17;

impl From<Access> for ruse_event::Access {
    fn from(access: Access) -> Self {
        match access {
            Access::Fetch => Self::Fetch,
            Access::Load => Self::Load,
            Access::Store => Self::Store,
        }
    }
}

impl Hart {
    /// From now on tells `tap` what happens, as coming from this hart.
    pub fn watch(&mut self, tap: &Tap) {
        self.tap = tap.from(Origin::Hart(self.hartid));
    }

    /// Whom it tells.
    pub fn tap(&self) -> &Tap {
        &self.tap
    }

    /// Tells of something, if anybody wants to know.
    #[inline]
    pub fn tell(&self, class: Class, what: impl FnOnce() -> What) {
        if self.tap.wants(class) {
            // In the middle of a block the clock may know more than the count.
            let untold = self.retired().saturating_sub(self.published);
            self.tap.tell_ahead(self.clock.ahead(untold), class, what);
        }
    }

    /// The hart has entered a trap handler, coming from `pc` in mode `from`.
    pub(crate) fn tell_trap(&self, pc: u64, from: u64, cause: Result<(u64, u64), u32>) {
        if !self.tap.wants(Class::Trap) && !self.tap.wants(Class::Call) {
            return;
        }
        let (from, to, handler) = (from as u8, self.privilege as u8, self.pc);
        match cause {
            Err(number) => self.tell(Class::Trap, || What::Interrupt {
                number,
                pc,
                from,
                to,
                handler,
            }),
            Ok((cause, tval)) => {
                self.tell(Class::Trap, || What::Trap {
                    pc,
                    cause,
                    tval,
                    from,
                    to,
                    handler,
                });
                if cause == Cause::EcallFromUser as u64 {
                    self.tell(Class::Call, || What::Syscall {
                        number: self.x(A7),
                        args: std::array::from_fn(|n| self.x(A0 + n as u8)),
                        answer: None,
                    });
                }
            }
        }
    }

    /// The hart of a program leaves its run for an exception.
    pub(crate) fn tell_exception(&self, trap: Trap) {
        self.tell(Class::Trap, || What::Trap {
            pc: self.pc,
            cause: trap.cause as u64,
            tval: trap.tval,
            from: 0,
            to: 0,
            handler: self.pc,
        });
    }

    pub(crate) fn tell_return(&self, from: Privilege, pc: u64) {
        self.tell(Class::Trap, || What::Return {
            from: from as u8,
            to: self.privilege as u8,
            pc,
        });
    }

    pub(crate) fn tell_walk(
        &self,
        va: u64,
        access: Access,
        steps: Vec<Step>,
        found: Result<u64, Trap>,
    ) {
        self.tell(Class::Walk, || What::Walk {
            va,
            access: access.into(),
            root: self.root_table(),
            steps,
            pa: found.ok(),
        });
    }

    /// The instruction at `c` accesses `width` bytes at `pa`, where no RAM is.
    pub(crate) fn tell_mmio(&self, c: Cursor, pa: u64, width: u64, value: u64, write: bool) {
        if let Some(region) = self.bus.region(pa) {
            let pc = self.pc.wrapping_add(self.code.mark(c).offset.into());
            self.tell(Class::Mmio, || What::Mmio {
                pc,
                base: region.base,
                offset: pa - region.base,
                width: width as u8,
                value,
                write,
            });
        }
    }
}
