//! Between a network card and its network, when what comes in is recorded: the network's
//! thread may work at any time, but frames go in and out of the guest's memory only
//! between rounds of the run loop.

use std::any::Any;
use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use ruse_bus::Wake;
use ruse_devices::backend::{Frame, Given, NetCard, Network, Takes};
use ruse_devices::virtio::{Net, VirtioMmio};

use crate::bell::Bell;
use crate::lock;

/// Bytes that wait in either direction. What the guest sends beyond is lost, as on a wire.
const ROOM: usize = 4 << 20;

#[derive(Default)]
struct State {
    /// From the guest.
    out: VecDeque<Frame>,
    out_bytes: usize,
    /// For the guest.
    into: VecDeque<Frame>,
    into_bytes: usize,
    takes: Takes,
    live: bool,
}

/// The doorbell of a card.
#[derive(Default)]
pub(crate) struct Doorbell(AtomicBool);

impl Wake for Doorbell {
    fn wake(&self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A gate.
pub(crate) struct Gate {
    card: OnceLock<Arc<Mutex<VirtioMmio<Net>>>>,
    doorbell: Arc<Doorbell>,
    /// The network's.
    bell: Arc<dyn Wake>,
    machine: Arc<Bell>,
    state: Mutex<State>,
    /// There was no room for a frame, and the doorbell has not rung since.
    full: AtomicBool,
}

impl Gate {
    pub(crate) fn new(bell: Arc<dyn Wake>, machine: Arc<Bell>) -> Self {
        Self {
            card: OnceLock::new(),
            doorbell: Arc::default(),
            bell,
            machine,
            state: Mutex::default(),
            full: AtomicBool::new(false),
        }
    }

    /// What the card rings.
    pub(crate) fn doorbell(&self) -> Arc<Doorbell> {
        self.doorbell.clone()
    }

    /// Names the card.
    pub(crate) fn attach(&self, card: Arc<Mutex<VirtioMmio<Net>>>) {
        let _ = self.card.set(card);
    }

    /// Takes what the guest sends, if the doorbell has rung.
    pub(crate) fn send(&self, mut each: impl FnMut(Frame)) {
        if let Some(card) = self.card.get()
            && self.doorbell.0.swap(false, Ordering::SeqCst)
        {
            self.full.store(false, Ordering::SeqCst);
            while lock(card).take_frames(ROOM, &mut each) {}
        }
    }

    /// Offers the guest a frame; whether there was room.
    pub(crate) fn offer(&self, frame: Frame) -> bool {
        let Some(card) = self.card.get() else {
            return false;
        };
        let mut one = VecDeque::from([frame]);
        lock(card).give_frames(&mut one);
        one.is_empty()
    }

    /// Moves frames in both directions. `told` hears of each that was offered, and whether
    /// there was room.
    pub(crate) fn exchange(&self, mut told: impl FnMut(&Frame, bool)) {
        let mut sent = Vec::new();
        self.send(|frame| sent.push(frame));
        let Some(card) = self.card.get() else {
            return;
        };
        let takes = card.takes();
        let live = lock(card).is_live();
        let mut state = lock(&self.state);
        (state.takes, state.live) = (takes, live);
        let mut wakes = !sent.is_empty();
        for frame in sent {
            if state.out_bytes < ROOM {
                state.out_bytes += frame.bytes.len();
                state.out.push_back(frame);
            }
        }
        while !self.full.load(Ordering::SeqCst)
            && let Some(frame) = state.into.pop_front()
        {
            let given = self.offer(frame.clone());
            told(&frame, given);
            if given {
                state.into_bytes -= frame.bytes.len();
                wakes = true;
            } else {
                state.into.push_front(frame);
                self.full.store(true, Ordering::SeqCst);
            }
        }
        drop(state);
        if wakes {
            self.bell.wake();
        }
    }
}

/// The network's side.
impl NetCard for Gate {
    fn take(&self, limit: usize, each: &mut dyn FnMut(Frame)) -> bool {
        let mut left = limit;
        loop {
            let frame = {
                let mut state = lock(&self.state);
                match state.out.pop_front() {
                    Some(frame) => {
                        state.out_bytes -= frame.bytes.len();
                        frame
                    }
                    None => return false,
                }
            };
            if frame.bytes.len() >= left {
                each(frame);
                return true;
            }
            left -= frame.bytes.len();
            each(frame);
        }
    }

    fn give(&self, frames: &mut VecDeque<Frame>) -> Given {
        let mut state = lock(&self.state);
        if !state.live {
            return Given::Down;
        }
        while state.into_bytes < ROOM
            && let Some(frame) = frames.pop_front()
        {
            state.into_bytes += frame.bytes.len();
            state.into.push_back(frame);
        }
        drop(state);
        self.machine.wake();
        match frames.is_empty() {
            true => Given::All,
            false => Given::Full,
        }
    }

    fn takes(&self) -> Takes {
        lock(&self.state).takes
    }

    fn set_link(&self, _: bool) {}
}

/// What a card is connected to when its frames come from a recording: nothing.
pub struct Unplugged;

impl Network for Unplugged {
    fn offloads(&self) -> bool {
        true
    }

    fn bell(&self) -> Arc<dyn Wake> {
        Arc::<Doorbell>::default()
    }

    fn start(self: Box<Self>, _: Arc<dyn NetCard>) -> io::Result<Box<dyn Any + Send + Sync>> {
        Ok(Box::new(()))
    }
}
