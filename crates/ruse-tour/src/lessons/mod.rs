//! The lessons, a file each.

mod disk;
mod memory;
mod network;
mod system;
mod timer;
mod trap;
mod uart;

use ruse_event::Class;

/// A lesson.
pub struct Lesson {
    /// Its name, as one asks for it.
    pub name: &'static str,
    /// Its title.
    pub title: &'static str,
    /// What is to be known before.
    pub text: &'static str,
    /// The guest's code, with `{KNOB}` where the value goes that can be changed.
    pub code: &'static str,
    /// What that value is.
    pub knob: &'static str,
    /// What it is at first.
    pub first: &'static str,
    /// Another one to try, and what will then be seen.
    pub then: (&'static str, &'static str),
    /// What is to be said of what was seen.
    pub after: &'static str,
    /// Which events are shown.
    pub classes: &'static [Class],
    /// Words of which one must be in an event that is shown; none: all are shown.
    pub words: &'static [&'static str],
    /// What else the machine has.
    pub scene: Scene,
}

/// What a lesson's machine has besides harts, memory and the usual chips.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scene {
    /// Nothing.
    Bare,
    /// A disk of 50 GB in a sparse file.
    Disk,
    /// A card on a user-mode network.
    Network,
    /// The program is an operating system on built-in firmware.
    System,
}

/// All of them, in order.
pub const LESSONS: [&Lesson; 7] = [
    &trap::LESSON,
    &memory::LESSON,
    &timer::LESSON,
    &uart::LESSON,
    &disk::LESSON,
    &network::LESSON,
    &system::LESSON,
];
