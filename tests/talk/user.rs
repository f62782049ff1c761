//! Users who have machines with names.

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

/// A user of the test's own, whose machines do not outlive it.
pub struct User {
    dir: tempfile::TempDir,
}

impl User {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("run")).unwrap();
        Self { dir }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn file(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().into()
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = super::ruse(args);
        command
            .env("XDG_RUNTIME_DIR", self.path("run"))
            .env("XDG_STATE_HOME", self.path("state"));
        command
    }

    /// Runs a command to its end, which must have this code.
    #[track_caller]
    pub fn run(&self, args: &[&str], code: i32) -> (String, String) {
        let Output {
            status,
            stdout,
            stderr,
        } = self.command(args).output().unwrap();
        let [stdout, stderr] = [stdout, stderr].map(|text| String::from_utf8(text).unwrap());
        assert_eq!(
            status.code(),
            Some(code),
            "{args:?}: {stdout:?} {stderr:?} {:?}",
            std::fs::read_to_string(self.path("state/ruse/web.log"))
        );
        (stdout, stderr)
    }

    /// What runs.
    pub fn machines(&self) -> Vec<Value> {
        let (text, _) = self.run(&["ps", "--json"], 0);
        serde_json::from_str(&text).unwrap()
    }

    pub fn socket(&self, name: &str) -> PathBuf {
        self.path(&format!("run/ruse/{name}.sock"))
    }

    pub fn console_log(&self, name: &str) -> String {
        let path = self.path(&format!("state/ruse/{name}.console.log"));
        let bytes = std::fs::read(path).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for User {
    fn drop(&mut self) {
        if let Ok(output) = self.command(&["ps", "--json"]).output()
            && let Ok(machines) = serde_json::from_slice::<Vec<Value>>(&output.stdout)
        {
            for machine in machines {
                let name = machine["name"].as_str().unwrap_or_default();
                let _ = self.command(&["stop", "--kill", name]).output();
            }
        }
    }
}
