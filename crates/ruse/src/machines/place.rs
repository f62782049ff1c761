//! Where a user's machines leave what others look for.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::error::HostError;

/// The directory of running machines: the user's runtime directory, which is
/// empty after a reboot of the host, or else beside the logs.
///
/// # Errors
/// [`HostError::NoState`] without either.
pub fn runtime() -> Result<PathBuf, HostError> {
    runtime_in(|name| std::env::var_os(name)).ok_or(HostError::NoState)
}

/// The directory of logs.
///
/// # Errors
/// [`HostError::NoState`] if there is none.
pub fn state() -> Result<PathBuf, HostError> {
    state_in(|name| std::env::var_os(name)).ok_or(HostError::NoState)
}

fn absolute(value: Option<OsString>) -> Option<PathBuf> {
    // Others are to be ignored (XDG base directory specification).
    value.map(PathBuf::from).filter(|path| path.is_absolute())
}

fn runtime_in(var: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    absolute(var("XDG_RUNTIME_DIR"))
        .map(|dir| dir.join("ruse"))
        .or_else(|| state_in(var).map(|dir| dir.join("run")))
}

fn state_in(var: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    absolute(var("XDG_STATE_HOME"))
        .or_else(|| absolute(var("HOME")).map(|home| home.join(".local/state")))
        .map(|dir| dir.join("ruse"))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn the_runtime_directory_goes_first() {
        let vars = |set: &'static [(&str, &str)]| {
            move |name: &str| {
                let found = set.iter().find(|(var, _)| *var == name);
                found.map(|(_, value)| OsString::from(value))
            }
        };
        let all = vars(&[
            ("XDG_RUNTIME_DIR", "/run/u"),
            ("XDG_STATE_HOME", "/s"),
            ("HOME", "/h"),
        ]);
        assert_eq!(runtime_in(all), Some("/run/u/ruse".into()));
        assert_eq!(state_in(all), Some("/s/ruse".into()));
        let home = vars(&[
            ("XDG_RUNTIME_DIR", "relative"),
            ("XDG_STATE_HOME", ""),
            ("HOME", "/h"),
        ]);
        assert_eq!(runtime_in(home), Some("/h/.local/state/ruse/run".into()));
        assert_eq!(state_in(home), Some("/h/.local/state/ruse".into()));
        assert_eq!(runtime_in(vars(&[])), None);
    }
}
