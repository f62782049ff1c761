//! What can be seen of a guest and its host at work: the vocabulary of events,
//! and the [`Tap`] through which they come.
//!
//! Harts, devices, disks and networks each hold a [`Tap`]. Somebody who wants to
//! watch makes one with a [`Watch`] behind it and says which [`Class`]es of events
//! are wanted. What nobody wants is not even put together, and every place that
//! could tell of something is off the paths that guest code takes when nothing
//! unusual happens: a tap without a watcher costs nothing there.
//!
//! Events are plain facts in numbers. What the guest makes of them, and what the
//! host did, is for `ruse-lens` to say.
//!
//! ```
//! use std::sync::{Arc, Mutex};
//! use ruse_event::{Class, Classes, Event, Origin, Tap, Watch, What};
//!
//! struct Log(Mutex<Vec<Event>>);
//! impl Watch for Log {
//!     fn event(&self, event: Event) {
//!         self.0.lock().unwrap().push(event);
//!     }
//! }
//!
//! let log = Arc::new(Log(Mutex::default()));
//! let tap = Tap::new(log.clone(), "sleep,disk".parse::<Classes>()?, || 0);
//! let hart = tap.from(Origin::Hart(0));
//! hart.tell(Class::Sleep, || What::Sleep);
//! hart.tell(Class::Tlb, || unreachable!("nobody wants it"));
//! assert_eq!(log.0.lock().unwrap().len(), 1);
//! # Ok::<(), ruse_event::UnknownClass>(())
//! ```

mod class;
mod tap;
mod what;

pub use class::{Class, Classes, UnknownClass};
pub use tap::{Tap, Watch};
pub use what::{Access, Event, Flow, Operation, Origin, Part, Step, What};
