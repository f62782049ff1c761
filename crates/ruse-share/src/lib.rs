//! A directory of the host as a guest's file system: a server of the protocol
//! 9P2000.L, as Linux speaks it (the kernel's `net/9p` and `fs/9p`; diod's
//! `protocol.md`; the messages it takes over from `intro(5)` of Plan 9).
//!
//! [`Server::answer`] takes one message and writes one reply. It knows nothing
//! of how they travel.
//!
//! **Nothing outside the directory can be reached.** No host path is ever
//! opened: each operation goes from the handle of the shared directory down to
//! the directory that holds the name in question, following no symbolic link
//! ([`openat2`](https://man7.org/linux/man-pages/man2/openat2.2.html) where
//! there is one, else name by name), and then takes this one name in it, of
//! which it follows no link either. So a name that somebody on the host
//! exchanges for a link in between makes the operation fail. Links are for the
//! guest's kernel to follow, which asks for their text. Names that lead
//! anywhere (`..`, or with a slash in them) are refused.
//!
//! **Whose files.** The guest sees the host's owners and permissions, and may
//! do what the user who runs the server may do; what the guest makes is that
//! user's. (QEMU calls this `security_model=none`.) Two exceptions: no file
//! becomes set-user-id or set-group-id on the host, and there are no device
//! files.
//!
//! **Bounds.** A message is at most [`MAX_MESSAGE`] long. There are at most
//! [`MAX_FIDS`] fids with 32 MiB of paths, and no more open files than leave
//! the host process half of what it may have.
//!
//! Left out: authentication; extended attributes, which get `EOPNOTSUPP`; locks
//! between guests: as in QEMU each is granted, since the guest's kernel asks
//! only after it settled the matter among its own processes. `O_APPEND` is the
//! guest kernel's to translate: it says the offset of each write, and while it
//! caches, not only at the end of the file.
//!
//! The wire format is our own. What there is on crates.io (`p9`, `rs9p`,
//! `jetstream_9p`) decodes into owned structures, a copy more for each read and
//! write, and brings a server that follows links, or an async runtime.

mod decode;
mod encode;
mod errno;
mod fid;
mod files;
mod listing;
mod message;
mod names;
mod os;
mod server;
mod session;
mod spec;
mod stat;
mod tree;

pub use server::{MAX_FIDS, MAX_MESSAGE, Server};
pub use spec::{MAX_TAG, ShareError, ShareSpec};
