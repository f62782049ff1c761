//! The small programs of `roms/`, 32 and 64 bits, and the kernel that asks
//! the SBI.

mod talk;

use talk::{Ended, Talk, rom};

#[test]
fn programs_end_as_they_say() {
    for bits in ["32", "64"] {
        let program = |name: &str| rom(&format!("{name}/{name}-rv{bits}.elf"));
        for (name, code, says) in [
            ("hello", 0, format!("hello from RV{bits}\r\n")),
            ("exit", 42, String::new()),
        ] {
            let ended = Talk::new(&[&program(name)]).ends(code);
            assert_eq!(ended.output, says);
            assert_eq!(ended.errors, "");
        }
        // One line that names the place.
        let ended = Talk::new(&[&program("nothing")]).ends(124);
        assert_eq!(ended.output, "");
        assert_eq!(
            ended.errors,
            "ruse: hart 0 cannot go on: its trap handler at 0x1000000 itself raises \
             an instruction access fault (value 0x1000000)\n"
        );
    }
}

/// The SBI kernel's report.
fn sbi(more: &[&str]) -> Ended {
    let kernel = rom("sbi/sbi.bin");
    let mut args = vec!["boot", "--kernel", &kernel];
    args.extend(more);
    Talk::new(&args).ends(0)
}

#[test]
fn the_built_in_sbi_answers_every_question() {
    for harts in 1..=4 {
        let output = sbi(&["--harts", &harts.to_string()]).output;
        assert!(output.contains(" checks, 0 failed\r\n"), "{output}");
        assert!(!output.contains("FAIL"), "{output}");
        // None is left out, but for the other harts where there are none.
        let skipped = if harts == 1 { 1 } else { 0 };
        assert_eq!(output.matches("SKIP").count(), skipped, "{output}");
        for other in 1..=4 {
            let asked = output.contains(&format!("with hart {other}:"));
            assert_eq!(asked, other < harts, "{output}");
        }
    }
}

#[test]
fn under_the_virtual_clock_a_run_is_the_same_to_the_tick() {
    for harts in ["1", "3"] {
        // The log has every SBI call with its arguments, among them the times
        // for which timers are set: counts of instructions.
        let run = || sbi(&["--harts", harts, "--clock", "virtual", "-vvv"]);
        let (first, second) = (run(), run());
        let timers = first.errors.matches("SBI 0x54494d45:0").count();
        assert!(timers > 3, "{timers} calls of set_timer in the log");
        assert_eq!(first.output, second.output);
        assert!(first.errors == second.errors, "the calls differ");
    }
}
