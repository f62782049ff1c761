//! `ruse bench`: what comes out, not how long it takes.
#![cfg(target_os = "linux")]

mod talk;

use std::process::Output;

use serde_json::Value;
use talk::ruse;

fn bench(args: &[&str]) -> Output {
    let mut line = vec!["bench", "--quick", "--rounds", "1"];
    line.extend(args);
    ruse(&line).output().unwrap()
}

/// The report as JSON, of a run that went well.
fn report(args: &[&str]) -> Value {
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("report.json");
    let mut line = vec!["--json", json.to_str().unwrap()];
    line.extend(args);
    let output = bench(&line);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{errors}");
    serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap()
}

fn cell<'a>(report: &'a Value, row: &str, contender: &str) -> &'a Value {
    let find = |list: &'a Value, key: &str, name: &str| {
        let list = list.as_array().unwrap();
        list.iter().find(|it| it[key] == name).unwrap()
    };
    find(
        &find(&report["rows"], "id", row)["cells"],
        "contender",
        contender,
    )
}

#[test]
fn a_guest_computes_what_the_host_does() {
    let all = "integer,float,branch,memory-seq,memory-random";
    let report = report(&["--only", all, "--contenders", "ruse"]);
    assert_eq!(report["wrong"], Value::Array(vec![]));
    assert_eq!(report["problems"], Value::Array(vec![]));
    assert_eq!(report["rounds"], 1);
    for row in all.split(',') {
        for contender in ["native", "ruse"] {
            let cell = cell(&report, row, contender);
            assert!(cell["samples"][0].as_f64().unwrap() > 0.0, "{cell}");
        }
        let guest = cell(&report, row, "ruse");
        assert!(guest["instructions"].as_f64().unwrap() > 1.0, "{guest}");
        assert!(guest["mips"].as_f64().unwrap() > 0.0, "{guest}");
        assert_eq!(cell(&report, row, "native")["ratio"]["median"], 1.0);
    }
}

#[test]
fn kernel_disk_and_network_work_in_a_program() {
    let report = report(&[
        "--only",
        "kernel,disk,network,memory,boot,clock",
        "--contenders",
        "ruse",
    ]);
    assert_eq!(report["wrong"], Value::Array(vec![]));
    assert_eq!(report["problems"], Value::Array(vec![]));
    for row in report["rows"].as_array().unwrap() {
        let id = row["id"].as_str().unwrap();
        let machines_only =
            id.starts_with("qcow2") || matches!(id, "memory-kernel" | "memory-reserved");
        let cell = cell(&report, id, "ruse");
        assert_eq!(
            cell["samples"][0].is_number(),
            !machines_only,
            "{id}: {cell}"
        );
    }
}

#[test]
fn a_machine_is_measured_inside_and_outside() {
    if !talk::debian::made(&[talk::debian::KERNEL]) {
        return;
    }
    let kernel = talk::rom(talk::debian::KERNEL);
    let report = report(&["--kernel", &kernel, "--contenders", "ruse-boot"]);
    assert_eq!(report["wrong"], Value::Array(vec![]));
    assert_eq!(report["problems"], Value::Array(vec![]));
    for row in report["rows"].as_array().unwrap() {
        let id = row["id"].as_str().unwrap();
        let cell = cell(&report, id, "ruse-boot");
        assert!(cell["samples"][0].is_number(), "{id}: {cell}");
    }
    // It has a kernel inside, and less than all of its RAM.
    let sample = |row| {
        cell(&report, row, "ruse-boot")["samples"][0]
            .as_f64()
            .unwrap()
    };
    let (kernel, reserved) = (sample("memory-kernel"), sample("memory-reserved"));
    assert!(0.0 < reserved && reserved < kernel && kernel < 256.0 * 1048576.0);
    assert_eq!(report["images"].as_array().unwrap().len(), 4);
    assert_eq!(report["claims"].as_array().unwrap().len(), 3);
}

#[test]
fn what_cannot_be_measured_is_said() {
    let output = bench(&["--only", "gpu"]);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(125));
    assert!(errors.starts_with("ruse: gpu: nothing of this name is measured; there are cpu, "));
    let output = bench(&["--contenders", "bochs"]);
    assert_eq!(output.status.code(), Some(125));
    let output = bench(&[
        "--only",
        "boot",
        "--contenders",
        "ruse-boot",
        "--kernel",
        "/nonexistent",
    ]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("/nonexistent: no such file"), "{text}");
    let output = bench(&["--only", "boot", "--json", "/nonexistent/report"]);
    assert_eq!(output.status.code(), Some(125));
}
