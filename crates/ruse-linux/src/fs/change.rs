//! Changes of a file's attributes, and who may make them.

use super::{Stat, Who};
use crate::errno::Errno;

/// A change of attributes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change {
    /// The lower 12 bits of the mode.
    Mode(u32),
    /// User and group; `None` leaves it.
    Owner(Option<u32>, Option<u32>),
    Times(Times),
}

/// Access and modification times to set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub access: Time,
    pub modification: Time,
}

/// A time to set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Time {
    /// `UTIME_OMIT`.
    Keep,
    /// `UTIME_NOW`.
    Now,
    /// Seconds and nanoseconds since 1970.
    At(i64, u32),
}

/// Whether `who` may make this change, and what it comes to.
pub(crate) fn allowed(who: &Who, stat: &Stat, change: &Change) -> Result<Change, Errno> {
    let owner = who.uid == 0 || who.uid == stat.uid;
    match *change {
        Change::Mode(_) if !owner => Err(Errno::EPERM),
        Change::Owner(uid, gid) if who.uid != 0 => {
            let mine = |gid| gid == who.gid || who.groups.contains(&gid);
            let fine = uid.is_none_or(|uid| uid == stat.uid) && gid.is_none_or(mine);
            if owner && fine {
                Ok(*change)
            } else {
                Err(Errno::EPERM)
            }
        }
        Change::Times(times) if !owner => {
            let now = times.access == Time::Now && times.modification == Time::Now;
            if now && who.may(stat, 2) {
                Ok(*change)
            } else if now {
                Err(Errno::EACCES)
            } else {
                Err(Errno::EPERM)
            }
        }
        change => Ok(change),
    }
}
