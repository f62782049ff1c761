//! System calls as text, in the manner of strace(1).
