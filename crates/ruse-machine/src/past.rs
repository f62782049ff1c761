//! The way back: a machine whose inputs are recorded or replayed is put where it was at
//! some checkpoint, and does from there what it did.

use std::io::Cursor;
use std::path::Path;
use std::time::{Duration, Instant};

use ruse_event::Classes;

use crate::debug::DebugStop;
use crate::error::MachineError;
use crate::exact::Until;
use crate::machine::Machine;
use crate::snapshot::{Snapshot, SnapshotError};

/// The most checkpoints that are kept.
const MOST: usize = 32;
/// The most bytes that they take up.
const ROOM: usize = 512 << 20;
/// How many times as long as a checkpoint takes it is until the next.
const SHARE: u32 = 5;
/// After how many steps on the way back it looks up.
const GLANCE: u64 = 1 << 20;

/// The machine as it was.
struct Checkpoint {
    /// Steps that all harts had made.
    steps: u64,
    /// How much had come in.
    cursor: usize,
    snapshot: Vec<u8>,
}

/// Where a machine has been.
pub(crate) struct Past {
    checkpoints: Vec<Checkpoint>,
    /// The most steps that it has ever made.
    frontier: u64,
    /// What the last checkpoint took, and when it was.
    cost: Duration,
    last: Instant,
    /// It is on its way to where it was.
    seeking: bool,
}

impl Past {
    fn new() -> Self {
        Self {
            checkpoints: Vec::new(),
            frontier: 0,
            cost: Duration::ZERO,
            last: Instant::now(),
            seeking: false,
        }
    }

    /// Whether it is time for a checkpoint after so many steps.
    fn is_due(&self, steps: u64) -> bool {
        match self.checkpoints.last() {
            None => true,
            Some(last) => {
                !self.seeking && steps > last.steps && self.last.elapsed() >= self.cost * SHARE
            }
        }
    }

    /// Forgets some, the more the longer ago they are.
    fn thin_out(&mut self) {
        let bytes = |all: &[Checkpoint]| -> usize { all.iter().map(|c| c.snapshot.len()).sum() };
        while self.checkpoints.len() > MOST
            || self.checkpoints.len() > 2 && bytes(&self.checkpoints) > ROOM
        {
            // The first is the beginning. Of the others that goes without which the gap is
            // the smallest for how long ago it is.
            let all = &self.checkpoints;
            let end = all.last().map_or(0, |last| last.steps);
            let loss = |n: usize| {
                let gap = all[n + 1].steps - all[n - 1].steps;
                gap as f64 / (end - all[n].steps).max(1) as f64
            };
            let least = (1..all.len() - 1).min_by(|a, b| loss(*a).total_cmp(&loss(*b)));
            let Some(least) = least else { return };
            self.checkpoints.remove(least);
        }
    }
}

/// Why there is no way back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoWayBack {
    /// Nobody had the machine remember.
    Forgotten,
    /// It is where it began to remember.
    Beginning,
}

impl Machine {
    /// From now on remembers where it has been; whether it can. That takes a recording or a
    /// replay, and disks to which nothing is written that stays.
    pub fn remember(&mut self) -> bool {
        let Some(journal) = &mut self.journal else {
            return false;
        };
        journal.remember();
        self.past.get_or_insert_with(Past::new);
        true
    }

    /// Whether it remembers where it has been.
    pub fn remembers(&self) -> bool {
        self.past.is_some()
    }

    /// Steps until the machine is where it has never been; 0 if it is there.
    pub fn past_left(&self) -> u64 {
        let frontier = self.past.as_ref().map_or(0, |past| past.frontier);
        frontier.saturating_sub(self.steps())
    }

    /// Somebody is about to change the machine from outside: whether that may be. Where it
    /// has been it may not; and nobody gets from what it was before to what it is then, so
    /// that there the way back ends.
    pub fn may_change(&mut self) -> bool {
        if self.past_left() > 0 {
            return false;
        }
        if let Some(past) = &mut self.past {
            past.checkpoints.clear();
            self.epoch = None;
        }
        true
    }

    pub(crate) fn is_seeking(&self) -> bool {
        self.past.as_ref().is_some_and(|past| past.seeking)
    }

    /// An epoch begins: notes how the machine is, if it is time to.
    pub(crate) fn checkpoint(&mut self) -> Result<(), MachineError> {
        let steps = self.steps();
        if !self.past.as_ref().is_some_and(|past| past.is_due(steps)) {
            return Ok(());
        }
        let start = Instant::now();
        let mut snapshot = Vec::new();
        self.write_all(&mut snapshot)?;
        let cursor = self.journal.as_ref().map_or(0, crate::Journal::cursor);
        if let Some(past) = &mut self.past {
            past.checkpoints.push(Checkpoint {
                steps,
                cursor,
                snapshot,
            });
            past.thin_out();
            past.cost = start.elapsed();
            past.last = Instant::now();
        }
        Ok(())
    }

    /// Becomes what it was at a checkpoint.
    fn restore(&mut self, index: usize) -> Result<(), MachineError> {
        let steps = self.steps();
        let Some(past) = &mut self.past else {
            return Ok(());
        };
        past.frontier = past.frontier.max(steps);
        let checkpoint = &past.checkpoints[index];
        let cursor = checkpoint.cursor;
        let bytes = Cursor::new(checkpoint.snapshot.clone());
        let (snapshot, _) = Snapshot::new(Box::new(bytes), Path::new("a checkpoint"))?;
        self.load(snapshot, true)?;
        (self.turn, self.epoch) = (None, None);
        if let Some(journal) = &mut self.journal {
            journal.go_back(cursor);
        }
        Ok(())
    }

    /// Does something without anybody being told.
    fn quietly<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        let wanted = self.parts.tap.wanted();
        self.parts.tap.want(Classes::NONE);
        if let Some(past) = &mut self.past {
            past.seeking = true;
        }
        self.parts.out.flush();
        let done = work(self);
        if let Some(past) = &mut self.past {
            past.seeking = false;
        }
        self.parts.tap.rewind();
        self.parts.tap.want(wanted);
        done
    }

    /// The last checkpoint before so many steps were made, by `count`.
    fn before(&self, steps: u64) -> Result<usize, NoWayBack> {
        let past = self.past.as_ref().ok_or(NoWayBack::Forgotten)?;
        let found = past.checkpoints.iter().rposition(|c| c.steps < steps);
        found.ok_or(NoWayBack::Beginning)
    }

    /// On to where it has been, whatever there is on the way.
    fn seek(&mut self, until: Until) -> Result<(), MachineError> {
        loop {
            match self.exact(until)? {
                None | Some(DebugStop::Outcome(_)) => return Ok(()),
                Some(_) => {}
            }
        }
    }

    /// Goes on to where it has been, if it went back.
    pub(crate) fn come_back(&mut self) -> Result<(), MachineError> {
        let left = self.past_left();
        if left == 0 {
            return Ok(());
        }
        let until = Until::Steps(self.steps() + left);
        self.quietly(|machine| machine.seek(until))
    }

    /// Goes back by one step of a hart.
    ///
    /// # Errors
    /// As [`Machine::run`]; inside, why there is no way back.
    pub fn step_back(&mut self, hart: usize) -> Result<Result<(), NoWayBack>, MachineError> {
        let wanted = self.harts[hart].steps();
        let mut from = match self.before(self.steps()) {
            Ok(from) => from,
            Err(why) => return Ok(Err(why)),
        };
        self.quietly(|machine| {
            // The hart itself may not have made a step for long.
            loop {
                machine.restore(from)?;
                if machine.harts[hart].steps() < wanted {
                    break;
                }
                if from == 0 {
                    return Ok(Err(NoWayBack::Beginning));
                }
                from -= 1;
            }
            machine.seek(Until::HartSteps(hart, wanted - 1))?;
            Ok(Ok(()))
        })
    }

    /// Goes back to the last time that something would have stopped it: there is no `None`
    /// but at the beginning, to which it then goes. When it is `enough`, of which it asks
    /// now and then, it is back as far as it had looked: [`DebugStop::Interrupted`].
    ///
    /// # Errors
    /// As [`Machine::run`]; inside, why there is no way back.
    pub fn run_back(
        &mut self,
        enough: &mut dyn FnMut() -> bool,
    ) -> Result<Result<Option<DebugStop>, NoWayBack>, MachineError> {
        let here = self.steps();
        let from = match self.before(here) {
            Ok(from) => from,
            Err(why) => return Ok(Err(why)),
        };
        self.quietly(|machine| {
            let mut end = here;
            for index in (0..=from).rev() {
                let first = machine
                    .past
                    .as_ref()
                    .map_or(0, |p| p.checkpoints[index].steps);
                machine.restore(index)?;
                let mut last = None;
                loop {
                    if enough() {
                        machine.restore(from.min(index + 1))?;
                        machine.seek(Until::Steps(end))?;
                        return Ok(Ok(Some(DebugStop::Interrupted)));
                    }
                    let next = end.min(machine.steps() + GLANCE);
                    let stop = match machine.exact(Until::Steps(next))? {
                        None if next < end => continue,
                        None | Some(DebugStop::Outcome(_)) => break,
                        Some(stop) => stop,
                    };
                    let steps = machine.steps();
                    let at = match &stop {
                        // Where it was about to happen.
                        DebugStop::Watch { .. } | DebugStop::Mmio { .. } => steps - 1,
                        DebugStop::Breakpoint { .. } | DebugStop::Trap { .. } => steps,
                        _ => continue,
                    };
                    if at < here {
                        last = Some((at, stop));
                    }
                }
                if let Some((at, stop)) = last {
                    machine.restore(index)?;
                    machine.seek(Until::Steps(at))?;
                    // Whoever goes on from here knows of it.
                    machine
                        .harts
                        .iter_mut()
                        .for_each(ruse_hart::Hart::pass_breakpoint);
                    return Ok(Ok(Some(stop)));
                }
                end = first;
            }
            machine.restore(0)?;
            Ok(Ok(None))
        })
    }
}

impl From<SnapshotError> for MachineError {
    fn from(error: SnapshotError) -> Self {
        Self::Snapshot(Box::new(error))
    }
}
