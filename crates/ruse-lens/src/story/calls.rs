//! Names of calls to firmware (RISC-V SBI specification 2.0).

/// The name of a call, and how many arguments it has.
pub(super) fn sbi(extension: u64, function: u64) -> (String, usize) {
    let known = match (extension, function) {
        (0x00, _) => ("legacy set_timer", 1),
        (0x01, _) => ("legacy console_putchar", 1),
        (0x02, _) => ("legacy console_getchar", 0),
        (0x03, _) => ("legacy clear_ipi", 0),
        (0x04, _) => ("legacy send_ipi", 1),
        (0x08, _) => ("legacy shutdown", 0),
        (0x10, 0) => ("get_spec_version", 0),
        (0x10, 1) => ("get_impl_id", 0),
        (0x10, 2) => ("get_impl_version", 0),
        (0x10, 3) => ("probe_extension", 1),
        (0x10, 4) => ("get_mvendorid", 0),
        (0x10, 5) => ("get_marchid", 0),
        (0x10, 6) => ("get_mimpid", 0),
        (TIME, 0) => ("set_timer", 1),
        (IPI, 0) => ("send_ipi", 2),
        (RFENCE, 0) => ("remote_fence_i", 2),
        (RFENCE, 1) => ("remote_sfence_vma", 4),
        (RFENCE, 2) => ("remote_sfence_vma_asid", 5),
        (HSM, 0) => ("hart_start", 3),
        (HSM, 1) => ("hart_stop", 0),
        (HSM, 2) => ("hart_get_status", 1),
        (HSM, 3) => ("hart_suspend", 3),
        (SRST, 0) => ("system_reset", 2),
        (DBCN, 0) => ("debug_console_write", 3),
        (DBCN, 1) => ("debug_console_read", 3),
        (DBCN, 2) => ("debug_console_write_byte", 1),
        (SUSP, 0) => ("system_suspend", 3),
        _ => return (format!("extension {extension:#x}, function {function}"), 6),
    };
    (known.0.into(), known.1)
}

const TIME: u64 = 0x5449_4d45;
const IPI: u64 = 0x73_5049;
const RFENCE: u64 = 0x5246_4e43;
const HSM: u64 = 0x48_534d;
const SRST: u64 = 0x5352_5354;
const DBCN: u64 = 0x4442_434e;
const SUSP: u64 = 0x5355_5350;

/// The name of an error ("Standard SBI Errors").
pub(super) fn sbi_error(error: i64) -> &'static str {
    match error {
        -1 => "failed",
        -2 => "not supported",
        -3 => "invalid parameter",
        -4 => "denied",
        -5 => "invalid address",
        -6 => "already available",
        -7 => "already started",
        -8 => "already stopped",
        -9 => "no shared memory",
        _ => "unknown",
    }
}
