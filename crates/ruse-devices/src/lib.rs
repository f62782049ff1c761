//! The chips on the board, one file each
