//! Error numbers (Linux `include/uapi/asm-generic/errno*.h`).

use std::io;

/// What a system call fails with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Errno(pub u16);

macro_rules! errnos {
    ($( $name:ident = $number:literal, )*) => {
        #[allow(dead_code, missing_docs)]
        impl Errno {
            $( pub(crate) const $name: Self = Self($number); )*

            /// The name, as strace prints it.
            pub(crate) fn name(self) -> &'static str {
                match self.0 {
                    $( $number => stringify!($name), )*
                    _ => "E?",
                }
            }
        }
    };
}
errnos! {
    EPERM = 1, ENOENT = 2, ESRCH = 3, EINTR = 4, EIO = 5, ENXIO = 6, E2BIG = 7, ENOEXEC = 8,
    EBADF = 9, ECHILD = 10, EAGAIN = 11, ENOMEM = 12, EACCES = 13, EFAULT = 14, ENOTBLK = 15,
    EBUSY = 16, EEXIST = 17, EXDEV = 18, ENODEV = 19, ENOTDIR = 20, EISDIR = 21, EINVAL = 22,
    ENFILE = 23, EMFILE = 24, ENOTTY = 25, ETXTBSY = 26, EFBIG = 27, ENOSPC = 28, ESPIPE = 29,
    EROFS = 30, EMLINK = 31, EPIPE = 32, EDOM = 33, ERANGE = 34, EDEADLK = 35,
    ENAMETOOLONG = 36, ENOLCK = 37, ENOSYS = 38, ENOTEMPTY = 39, ELOOP = 40, ENODATA = 61,
    ETIME = 62, EPROTO = 71, EOVERFLOW = 75, EILSEQ = 84, ENOTSOCK = 88, EDESTADDRREQ = 89, EMSGSIZE = 90,
    EPROTOTYPE = 91, ENOPROTOOPT = 92, EPROTONOSUPPORT = 93, ESOCKTNOSUPPORT = 94,
    EOPNOTSUPP = 95, EPFNOSUPPORT = 96, EAFNOSUPPORT = 97, EADDRINUSE = 98, EADDRNOTAVAIL = 99,
    ENETDOWN = 100, ENETUNREACH = 101, ENETRESET = 102, ECONNABORTED = 103, ECONNRESET = 104,
    ENOBUFS = 105, EISCONN = 106, ENOTCONN = 107, ESHUTDOWN = 108, ETIMEDOUT = 110,
    ECONNREFUSED = 111, EHOSTDOWN = 112, EHOSTUNREACH = 113, ETOOMANYREFS = 109, EALREADY = 114, EINPROGRESS = 115,
    ESTALE = 116, EDQUOT = 122, ECANCELED = 125, EOWNERDEAD = 130,
}

impl std::fmt::Debug for Errno {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl From<io::Error> for Errno {
    /// By name or kind, not by the host's number: hosts number differently.
    fn from(error: io::Error) -> Self {
        use io::ErrorKind as K;
        #[cfg(unix)]
        if let Some(errno) = rustix::io::Errno::from_io_error(&error).and_then(named) {
            return errno;
        }
        match error.kind() {
            K::NotFound => Self::ENOENT,
            K::PermissionDenied => Self::EACCES,
            K::ConnectionRefused => Self::ECONNREFUSED,
            K::ConnectionReset => Self::ECONNRESET,
            K::HostUnreachable => Self::EHOSTUNREACH,
            K::NetworkUnreachable => Self::ENETUNREACH,
            K::ConnectionAborted => Self::ECONNABORTED,
            K::NotConnected => Self::ENOTCONN,
            K::AddrInUse => Self::EADDRINUSE,
            K::AddrNotAvailable => Self::EADDRNOTAVAIL,
            K::NetworkDown => Self::ENETDOWN,
            K::BrokenPipe => Self::EPIPE,
            K::AlreadyExists => Self::EEXIST,
            K::WouldBlock => Self::EAGAIN,
            K::NotADirectory => Self::ENOTDIR,
            K::IsADirectory => Self::EISDIR,
            K::DirectoryNotEmpty => Self::ENOTEMPTY,
            K::ReadOnlyFilesystem => Self::EROFS,
            K::StaleNetworkFileHandle => Self::ESTALE,
            K::InvalidInput | K::InvalidData => Self::EINVAL,
            K::InvalidFilename => Self::ENAMETOOLONG,
            K::TimedOut => Self::ETIMEDOUT,
            K::StorageFull => Self::ENOSPC,
            K::NotSeekable => Self::ESPIPE,
            K::QuotaExceeded => Self::EDQUOT,
            K::FileTooLarge => Self::EFBIG,
            K::ResourceBusy => Self::EBUSY,
            K::ExecutableFileBusy => Self::ETXTBSY,
            K::Deadlock => Self::EDEADLK,
            K::CrossesDevices => Self::EXDEV,
            K::TooManyLinks => Self::EMLINK,
            K::ArgumentListTooLong => Self::E2BIG,
            K::Interrupted => Self::EINTR,
            K::Unsupported => Self::EOPNOTSUPP,
            K::OutOfMemory => Self::ENOMEM,
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

/// Numbers of a Unix host that std has no kind for, or only one that several
/// share.
#[cfg(unix)]
fn named(errno: rustix::io::Errno) -> Option<Errno> {
    use rustix::io::Errno as H;
    Some(match errno {
        H::PERM => Errno::EPERM,
        H::LOOP => Errno::ELOOP,
        H::NXIO => Errno::ENXIO,
        H::NODEV => Errno::ENODEV,
        H::BADF => Errno::EBADF,
        H::NOTTY => Errno::ENOTTY,
        H::OVERFLOW => Errno::EOVERFLOW,
        H::MFILE => Errno::EMFILE,
        H::NFILE => Errno::ENFILE,
        H::NOBUFS => Errno::ENOBUFS,
        H::MSGSIZE => Errno::EMSGSIZE,
        H::DESTADDRREQ => Errno::EDESTADDRREQ,
        H::ISCONN => Errno::EISCONN,
        H::ALREADY => Errno::EALREADY,
        H::INPROGRESS => Errno::EINPROGRESS,
        H::PROTO => Errno::EPROTO,
        H::PROTONOSUPPORT => Errno::EPROTONOSUPPORT,
        H::AFNOSUPPORT => Errno::EAFNOSUPPORT,
        H::NOPROTOOPT => Errno::ENOPROTOOPT,
        H::HOSTDOWN => Errno::EHOSTDOWN,
        H::SHUTDOWN => Errno::ESHUTDOWN,
        H::ILSEQ => Errno::EILSEQ,
        _ => return None,
    })
}
