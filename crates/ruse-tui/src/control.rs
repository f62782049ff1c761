//! The thread that has the machine, and what it is told to do.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use ruse_event::Tap;
use ruse_hart::Privilege;
use ruse_lens::story::Scene;
use ruse_machine::{
    Brake, DebugStop, Handle, Machine, MachineError, Move, NoWayBack, Outcome, ResumePlan,
};

use crate::feed::Feed;
use crate::view::{self, View, Wish};

/// How to go on from where the machine stands still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// One instruction.
    Instruction,
    /// Until control goes elsewhere than to the next instruction.
    Block,
    /// Until the hart enters a trap handler, or leaves one.
    Trap,
    /// Until the function returns to its caller.
    Out,
    /// Until the hart is about to execute what is here.
    To(u64),
}

/// How far to go back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Back {
    /// One step.
    Step,
    /// To when a hart was last about to execute what is here.
    To(u64),
    /// To when it last took an exception.
    Trap,
}

/// What the thread is told.
pub(crate) enum Order {
    /// Run until further notice.
    Run,
    /// Stand still.
    Pause,
    /// Go on for a bit, with this hart.
    Step(usize, Step),
    /// Go back, with this hart.
    Back(usize, Back),
    /// Say what the machine looks like.
    Look(Wish),
    /// End.
    Quit,
}

/// What the thread says.
pub(crate) enum Reply {
    /// What the machine looks like.
    Seen(Box<View>),
    /// It runs.
    Runs,
    /// It stands still, and why.
    Stands(String),
    /// The guest is done.
    Over(Result<Outcome, MachineError>),
}

/// The other end.
pub(crate) struct Control {
    orders: Sender<Order>,
    pub replies: Receiver<Reply>,
    pub handle: Handle,
    pub brake: Brake,
    pub tap: Tap,
    thread: Option<JoinHandle<Machine>>,
}

/// How often a machine that stands still looks whether it is to be saved.
const ERRANDS: Duration = Duration::from_millis(100);
/// The return address.
const RA: u8 = 1;
/// The stack pointer.
const SP: u8 = 2;

impl Control {
    /// Gives the machine to a thread, where it stands still.
    pub(crate) fn new(machine: Machine, scene: Arc<Scene>, feed: Feed) -> std::io::Result<Self> {
        let (orders, received) = mpsc::channel();
        let (said, replies) = mpsc::channel();
        let (handle, tap) = (machine.handle(), machine.tap().clone());
        let brake = machine.brake();
        let work = Work {
            machine,
            scene,
            feed,
            orders: received,
            replies: said,
            next: None,
        };
        let thread = std::thread::Builder::new()
            .name("machine".into())
            .spawn(move || work.run())?;
        Ok(Self {
            orders,
            replies,
            handle,
            brake,
            tap,
            thread: Some(thread),
        })
    }

    /// Tells the thread. It hears it at once, whatever the machine does.
    pub(crate) fn tell(&self, order: Order) {
        // If it is gone, the machine is over, and that has been said.
        let _ = self.orders.send(order);
        self.handle.stop();
    }

    /// Takes the machine back.
    pub(crate) fn end(mut self) -> Option<Machine> {
        self.tell(Order::Quit);
        self.thread.take().and_then(|thread| thread.join().ok())
    }
}

struct Work {
    machine: Machine,
    scene: Arc<Scene>,
    feed: Feed,
    orders: Receiver<Order>,
    replies: Sender<Reply>,
    /// An order that came in the middle of something.
    next: Option<Order>,
}

impl Work {
    fn run(mut self) -> Machine {
        let mut runs = false;
        let mut over = false;
        loop {
            let order = match runs {
                _ if self.next.is_some() => self.next.take(),
                false => match self.orders.recv_timeout(ERRANDS) {
                    Ok(order) => Some(order),
                    Err(RecvTimeoutError::Timeout) => {
                        self.machine.do_errands();
                        continue;
                    }
                    Err(RecvTimeoutError::Disconnected) => return self.machine,
                },
                true => match self.orders.try_recv() {
                    Ok(order) => Some(order),
                    Err(TryRecvError::Empty) => None,
                    Err(TryRecvError::Disconnected) => return self.machine,
                },
            };
            match order {
                Some(Order::Quit) => return self.machine,
                Some(Order::Look(wish)) => self.look(wish),
                Some(Order::Back(hart, back)) => {
                    runs = false;
                    self.say(Reply::Runs);
                    match self.back(hart, back) {
                        Ok(why) => {
                            over = false;
                            self.say(Reply::Stands(why));
                        }
                        Err(error) => {
                            over = true;
                            self.say(Reply::Over(Err(error)));
                        }
                    }
                }
                Some(_) if over => {}
                Some(Order::Run) => {
                    runs = true;
                    self.feed.take_caught();
                    self.say(Reply::Runs);
                }
                Some(Order::Pause) => {
                    runs = false;
                    self.say(Reply::Stands("paused".into()));
                }
                Some(Order::Step(hart, step)) => {
                    runs = false;
                    self.say(Reply::Runs);
                    match self.step(hart, step) {
                        Ok(Ok(why)) => self.say(Reply::Stands(why)),
                        Ok(Err(outcome)) => {
                            over = true;
                            self.say(Reply::Over(Ok(outcome)));
                        }
                        Err(error) => {
                            over = true;
                            self.say(Reply::Over(Err(error)));
                        }
                    }
                }
                None => match self.machine.run() {
                    Ok(Outcome::Stopped) => {
                        if let Some(why) = self.feed.take_caught() {
                            runs = false;
                            self.say(Reply::Stands(why));
                        }
                    }
                    outcome => {
                        (runs, over) = (false, true);
                        self.say(Reply::Over(outcome));
                    }
                },
            }
        }
    }

    fn say(&self, reply: Reply) {
        let _ = self.replies.send(reply);
    }

    fn look(&mut self, wish: Wish) {
        let scene = self.scene.clone();
        let start = |pc| scene.symbols.find(pc).map(|(_, offset)| pc - offset);
        let view = view::look(&mut self.machine, wish, start);
        self.say(Reply::Seen(Box::new(view)));
    }

    /// Goes on for a bit. Why it stopped, or how the guest ended.
    fn step(&mut self, hart: usize, step: Step) -> Result<Result<String, Outcome>, MachineError> {
        let index = hart.min(self.machine.harts().len() - 1);
        let (ra, sp) = {
            let hart = &self.machine.harts()[index];
            (hart.x(RA), hart.x(SP))
        };
        let target = match step {
            Step::Out => Some(ra),
            Step::To(at) => Some(at),
            Step::Instruction | Step::Block | Step::Trap => None,
        };
        let Some(target) = target else {
            return self.go(index, step, ra, sp);
        };
        self.with_breakpoint(target, |work| work.go(index, step, target, sp))
    }

    /// Does something with a breakpoint that is not there before and after.
    fn with_breakpoint<T>(&mut self, target: u64, work: impl FnOnce(&mut Self) -> T) -> T {
        let harts = self.machine.harts_mut();
        let known = harts
            .iter()
            .any(|hart| hart.breakpoints().any(|at| at == target));
        harts
            .iter_mut()
            .for_each(|hart| hart.add_breakpoint(target));
        let done = work(self);
        if !known {
            for hart in self.machine.harts_mut() {
                hart.remove_breakpoint(target);
            }
        }
        done
    }

    fn go(
        &mut self,
        index: usize,
        step: Step,
        target: u64,
        sp: u64,
    ) -> Result<Result<String, Outcome>, MachineError> {
        let plan = match step {
            Step::Out | Step::To(_) => ResumePlan::run(),
            Step::Instruction | Step::Block | Step::Trap => ResumePlan {
                interrupts: step == Step::Trap,
                ..ResumePlan::step(index, Move::Stay)
            },
        };
        loop {
            let (pc, mode) = self.position(index);
            let stop = self.machine.debug_run(&plan)?;
            let (now, now_mode) = self.position(index);
            let moved = now.wrapping_sub(pc);
            let done = match (&stop, step) {
                (DebugStop::Outcome(Outcome::Stopped) | DebugStop::Interrupted, _) => {
                    match self.interrupted() {
                        Some(why) => return Ok(why),
                        None => false,
                    }
                }
                (DebugStop::Outcome(outcome), _) => return Ok(Err(*outcome)),
                (DebugStop::Reset, _) => return Ok(Ok("the guest started again".into())),
                (_, Step::Instruction) => true,
                (_, Step::Block) => now != pc && moved != 2 && moved != 4,
                (_, Step::Trap) => mode != now_mode,
                (DebugStop::Breakpoint { hart }, Step::Out) => {
                    *hart == index && now == target && self.machine.harts()[index].x(SP) >= sp
                }
                (DebugStop::Breakpoint { .. }, Step::To(_)) => true,
                (_, Step::Out | Step::To(_)) => false,
            };
            if done {
                return Ok(Ok(match step {
                    Step::Instruction => "one instruction".into(),
                    Step::Block => "at the next block".into(),
                    Step::Trap => format!("{mode:?} mode to {now_mode:?} mode"),
                    Step::Out => "back in the caller".into(),
                    Step::To(at) => format!("at {at:#x}"),
                }));
            }
        }
    }

    /// Goes back; what came of it.
    fn back(&mut self, hart: usize, back: Back) -> Result<String, MachineError> {
        let index = hart.min(self.machine.harts().len() - 1);
        let done = match back {
            Back::Step => self
                .machine
                .step_back(index)?
                .map(|()| "one step back".into()),
            Back::To(at) => {
                let done = self.with_breakpoint(at, Self::run_back);
                done?.map(|stop| match stop {
                    Some(DebugStop::Interrupted) => "interrupted".into(),
                    Some(_) => format!("back at {at:#x}"),
                    None => format!("it never came to {at:#x}; this is the beginning"),
                })
            }
            Back::Trap => {
                let all = |machine: &mut Machine, causes| {
                    let harts = machine.harts_mut().iter_mut();
                    harts.for_each(|hart| hart.stop_at_traps(causes));
                };
                all(&mut self.machine, u64::MAX);
                let done = self.run_back();
                all(&mut self.machine, 0);
                done?.map(|stop| match stop {
                    Some(DebugStop::Trap { trap, .. }) => format!("back at {:?}", trap.cause),
                    Some(_) => "interrupted".into(),
                    None => "there was no exception; this is the beginning".into(),
                })
            }
        };
        Ok(match done {
            Ok(why) => match self.machine.past_left() {
                0 => why,
                left => format!("{why}, {left} before the present"),
            },
            Err(NoWayBack::Beginning) => "this is the beginning".into(),
            Err(NoWayBack::Forgotten) => {
                "no way back: it takes --clock virtual, and disks that are ,snapshot or ,ro".into()
            }
        })
    }

    /// Goes back to where something stops it, or until somebody wants something else.
    fn run_back(&mut self) -> Result<Result<Option<DebugStop>, NoWayBack>, MachineError> {
        let mut look = None;
        let (orders, next) = (&self.orders, &mut self.next);
        let done = self.machine.run_back(&mut || {
            while next.is_none() {
                match orders.try_recv() {
                    // There is nothing to be seen on the way.
                    Ok(Order::Look(wish)) => look = Some(wish),
                    Ok(Order::Pause) => break,
                    Ok(order) => *next = Some(order),
                    Err(TryRecvError::Empty) => return false,
                    Err(TryRecvError::Disconnected) => break,
                }
            }
            true
        });
        if let Some(wish) = look {
            self.look(wish);
        }
        done
    }

    /// Somebody wants something. Why the machine stands still then, or how it ends; `None`
    /// if it goes on.
    fn interrupted(&mut self) -> Option<Result<String, Outcome>> {
        if let Some(why) = self.feed.take_caught() {
            return Some(Ok(why));
        }
        loop {
            match self.orders.try_recv() {
                Ok(Order::Look(wish)) => self.look(wish),
                Ok(Order::Quit) | Err(TryRecvError::Disconnected) => {
                    return Some(Err(Outcome::Stopped));
                }
                Ok(Order::Run | Order::Pause | Order::Step(..) | Order::Back(..)) => {
                    return Some(Ok("interrupted".into()));
                }
                Err(TryRecvError::Empty) => return None,
            }
        }
    }

    fn position(&self, index: usize) -> (u64, Privilege) {
        let hart = &self.machine.harts()[index];
        (hart.pc(), hart.privilege())
    }
}
