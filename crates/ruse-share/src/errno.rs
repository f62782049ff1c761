//! Error numbers as Linux guests know them (`asm-generic/errno*.h`).

use std::io;

/// Why a request fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Errno(pub(crate) u32);

macro_rules! errnos {
    ($( $name:ident = $number:literal $host:ident, )*) => {
        #[allow(dead_code, reason = "some only come from the host")]
        impl Errno {
            $( pub(crate) const $name: Self = Self($number); )*
        }

        /// The host's error by its name: hosts number them differently.
        #[cfg(unix)]
        fn named(errno: rustix::io::Errno) -> Option<Errno> {
            // Some hosts have one number for two names.
            $( if errno == rustix::io::Errno::$host { return Some(Errno::$name); } )*
            None
        }
    };
}

errnos! {
    EPERM = 1 PERM, ENOENT = 2 NOENT, EINTR = 4 INTR, EIO = 5 IO, ENXIO = 6 NXIO,
    EBADF = 9 BADF, EAGAIN = 11 AGAIN, ENOMEM = 12 NOMEM, EACCES = 13 ACCESS,
    EBUSY = 16 BUSY, EEXIST = 17 EXIST, EXDEV = 18 XDEV, ENODEV = 19 NODEV,
    ENOTDIR = 20 NOTDIR, EISDIR = 21 ISDIR, EINVAL = 22 INVAL, ENFILE = 23 NFILE,
    EMFILE = 24 MFILE, ETXTBSY = 26 TXTBSY, EFBIG = 27 FBIG, ENOSPC = 28 NOSPC,
    ESPIPE = 29 SPIPE, EROFS = 30 ROFS, EMLINK = 31 MLINK, EDEADLK = 35 DEADLK,
    ENAMETOOLONG = 36 NAMETOOLONG, ENOLCK = 37 NOLCK, ENOSYS = 38 NOSYS,
    ENOTEMPTY = 39 NOTEMPTY, ELOOP = 40 LOOP, EPROTO = 71 PROTO, EOVERFLOW = 75 OVERFLOW,
    EILSEQ = 84 ILSEQ, EMSGSIZE = 90 MSGSIZE, EOPNOTSUPP = 95 OPNOTSUPP,
    ESTALE = 116 STALE, EDQUOT = 122 DQUOT,
}

impl From<io::Error> for Errno {
    fn from(error: io::Error) -> Self {
        use io::ErrorKind as K;
        #[cfg(unix)]
        if let Some(errno) = rustix::io::Errno::from_io_error(&error).and_then(named) {
            return errno;
        }
        match error.kind() {
            K::NotFound => Self::ENOENT,
            K::PermissionDenied => Self::EACCES,
            K::AlreadyExists => Self::EEXIST,
            K::NotADirectory => Self::ENOTDIR,
            K::IsADirectory => Self::EISDIR,
            K::DirectoryNotEmpty => Self::ENOTEMPTY,
            K::ReadOnlyFilesystem => Self::EROFS,
            K::StaleNetworkFileHandle => Self::ESTALE,
            K::InvalidInput | K::InvalidData => Self::EINVAL,
            K::InvalidFilename => Self::ENAMETOOLONG,
            K::StorageFull => Self::ENOSPC,
            K::QuotaExceeded => Self::EDQUOT,
            K::FileTooLarge => Self::EFBIG,
            K::ResourceBusy => Self::EBUSY,
            K::CrossesDevices => Self::EXDEV,
            K::TooManyLinks => Self::EMLINK,
            K::OutOfMemory => Self::ENOMEM,
            K::Interrupted => Self::EINTR,
            K::WouldBlock => Self::EAGAIN,
            K::Unsupported => Self::EOPNOTSUPP,
            _ => Self::EIO,
        }
    }
}

#[cfg(unix)]
impl From<rustix::io::Errno> for Errno {
    fn from(errno: rustix::io::Errno) -> Self {
        io::Error::from(errno).into()
    }
}
