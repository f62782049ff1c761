//! libFuzzer on the target that `RUSE_FUZZ_TARGET` names.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use ruse_fuzz::Target;

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("RUSE_FUZZ_TARGET").expect("RUSE_FUZZ_TARGET names a target");
    ruse_fuzz::target(&name).expect("a target of that name")
});

fuzz_target!(|data: &[u8]| (TARGET.run)(data));
