//! Landlock (Linux's `Documentation/userspace-api/landlock.rst`).

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd,
    Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};

use crate::{ConfineError, Level, Needs};

/// The newest version whose restrictions are asked for.
const VERSION: ABI = ABI::V6;

pub(crate) fn confine(needs: &Needs) -> Result<Level, ConfineError> {
    let status = restrict(needs).map_err(|error| ConfineError::Files(error.to_string()))?;
    Ok(match status {
        RulesetStatus::FullyEnforced => Level::Full,
        RulesetStatus::PartiallyEnforced => Level::Partial,
        RulesetStatus::NotEnforced => Level::None,
    })
}

fn restrict(needs: &Needs) -> Result<RulesetStatus, RulesetError> {
    let all = AccessFs::from_all(VERSION);
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    // No device files, and no programs to run.
    let write =
        all & !(AccessFs::Execute | AccessFs::MakeBlock | AccessFs::MakeChar | AccessFs::IoctlDev);
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(all)?
        .scope(Scope::from_all(VERSION))?;
    if !needs.network {
        ruleset = ruleset.handle_access(AccessNet::from_all(VERSION))?;
    }
    let mut ruleset = ruleset.create()?.set_compatibility(CompatLevel::BestEffort);
    let empty = BitFlags::from(AccessFs::RemoveDir);
    for (paths, access) in [
        (&needs.reads, read),
        (&needs.writes, write),
        (&needs.empties, empty),
    ] {
        for path in paths {
            // What is not there is not needed.
            let Ok(fd) = PathFd::new(path) else { continue };
            let access: BitFlags<AccessFs> = match path.is_dir() {
                true => access,
                false => access & AccessFs::from_file(VERSION),
            };
            ruleset = ruleset.add_rule(PathBeneath::new(fd, access))?;
        }
    }
    Ok(ruleset.restrict_self()?.ruleset)
}
