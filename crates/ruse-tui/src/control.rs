//! The thread that has the machine, and what it is told to do.

use std::sync::mpsc::{Receiver, Sender, TryRecvError};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use ruse_event::Tap;
use ruse_hart::Privilege;
use ruse_lens::story::Scene;
use ruse_machine::{Brake, Handle, Machine, MachineError, Outcome};

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

/// What the thread is told.
pub(crate) enum Order {
    /// Run until further notice.
    Run,
    /// Stand still.
    Pause,
    /// Go on for a bit, with this hart.
    Step(usize, Step),
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

/// The return address.
const RA: u8 = 1;
/// The stack pointer.
const SP: u8 = 2;
/// Instructions between two looks whether there are other orders.
const PATIENCE: u32 = 4096;

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
}

impl Work {
    fn run(mut self) -> Machine {
        let mut runs = false;
        let mut over = false;
        loop {
            let order = match runs {
                false => match self.orders.recv() {
                    Ok(order) => Some(order),
                    Err(_) => return self.machine,
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
                    self.machine.flush_console();
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
        let mut count = 0u32;
        loop {
            let (pc, mode) = self.position(index);
            if let Some(outcome) = self.machine.step(index)? {
                return Ok(Err(outcome));
            }
            let (now, now_mode) = self.position(index);
            if let Some(why) = self.feed.take_caught()
                && step != Step::Instruction
            {
                return Ok(Ok(why));
            }
            let moved = now.wrapping_sub(pc);
            let done = match step {
                Step::Instruction => true,
                Step::Block => now != pc && moved != 2 && moved != 4,
                Step::Trap => mode != now_mode,
                Step::Out => now == ra && self.machine.harts()[index].x(SP) >= sp,
                Step::To(at) => now == at,
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
            count = count.wrapping_add(1);
            if (count.is_multiple_of(PATIENCE) || !self.machine.is_awake(index))
                && let Ok(order) = self.orders.try_recv()
            {
                match order {
                    Order::Look(wish) => self.look(wish),
                    Order::Quit => return Ok(Err(Outcome::Stopped)),
                    Order::Run | Order::Pause | Order::Step(..) => {
                        return Ok(Ok("interrupted".into()));
                    }
                }
            }
        }
    }

    fn position(&self, index: usize) -> (u64, Privilege) {
        let hart = &self.machine.harts()[index];
        (hart.pc(), hart.privilege())
    }
}
