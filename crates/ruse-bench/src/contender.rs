//! Who is compared.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Serialize;

use crate::{BenchError, initramfs, worker};

/// How the program is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// By the host.
    Native,
    /// By the host, in name spaces of its own, as in a container.
    Namespaces,
    /// As a Linux program of Ruse's.
    RuseUser,
    /// As a Linux program of QEMU's.
    QemuUser,
    /// As the first program of an operating system in Ruse.
    RuseSystem,
    /// As the first program of an operating system in QEMU.
    QemuSystem,
}

/// One of those who are compared.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Contender {
    /// Its name, for `--contenders`.
    pub id: &'static str,
    /// Its heading.
    pub title: &'static str,
    /// How it runs the program.
    pub kind: Kind,
    /// What it is.
    pub what: &'static str,
}

/// All of them, in the order of the report.
pub const ALL: &[Contender] = &[
    Contender {
        id: "native",
        title: "native",
        kind: Kind::Native,
        what: "the host's own processor and kernel",
    },
    Contender {
        id: "namespaces",
        title: "namespaces",
        kind: Kind::Namespaces,
        what: "the same program in user, process, mount and network name spaces of its own (unshare), as in a container",
    },
    Contender {
        id: "ruse",
        title: "ruse PROGRAM",
        kind: Kind::RuseUser,
        what: "Ruse's user mode: instructions interpreted, system calls answered by Ruse itself",
    },
    Contender {
        id: "qemu-user",
        title: "qemu-riscv64",
        kind: Kind::QemuUser,
        what: "QEMU's user mode: instructions translated, system calls passed to the host's kernel",
    },
    Contender {
        id: "ruse-boot",
        title: "ruse boot",
        kind: Kind::RuseSystem,
        what: "a machine of Ruse's: everything interpreted, a Linux kernel inside",
    },
    Contender {
        id: "qemu-system",
        title: "qemu-system",
        kind: Kind::QemuSystem,
        what: "a machine of QEMU's, without KVM: everything translated, the same kernel inside",
    },
];

/// Those that `names` ask for; all, if there are no names. The native one is always there
/// to be compared with.
///
/// # Errors
/// The name that means nobody.
pub fn chosen(names: &[String]) -> Result<Vec<&'static Contender>, String> {
    if let Some(name) = names
        .iter()
        .find(|&name| ALL.iter().all(|it| it.id != name))
    {
        return Err(name.clone());
    }
    let wanted = |it: &&Contender| {
        names.is_empty() || it.kind == Kind::Native || names.iter().any(|name| it.id == name)
    };
    Ok(ALL.iter().filter(wanted).collect())
}

/// The names that [`chosen`] knows.
pub fn names() -> String {
    ALL.iter().map(|it| it.id).collect::<Vec<_>>().join(", ")
}

impl Kind {
    /// Whether there is an operating system inside.
    pub fn is_machine(self) -> bool {
        matches!(self, Self::RuseSystem | Self::QemuSystem)
    }

    /// Whether it executes riscv64 instructions.
    pub fn is_guest(self) -> bool {
        !matches!(self, Self::Native | Self::Namespaces)
    }

    /// Whether the process on the host is the program itself.
    pub fn is_program(self) -> bool {
        matches!(self, Self::Native | Self::Namespaces)
    }
}

/// A kernel for machines.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// The `Image`.
    pub image: PathBuf,
    /// Our initramfs.
    pub initramfs: PathBuf,
}

/// Where everything is.
pub struct Place {
    /// Files of the measurement.
    pub dir: PathBuf,
    /// The runner of Ruse.
    pub ruse: PathBuf,
    /// The host's own program, or why there is none.
    pub native: Result<PathBuf, String>,
    /// The riscv64 program.
    pub guest: PathBuf,
    /// The kernel, or why there is none.
    pub kernel: Result<Kernel, String>,
    /// RAM of machines, in bytes.
    pub memory: u64,
}

/// What the program is to do in a run.
#[derive(Clone, Debug, Default)]
pub struct Order {
    /// Milliseconds for each workload.
    pub ms: u64,
    /// Their names, between commas.
    pub run: String,
    /// The port of the server on the host's loopback, if there is one.
    pub port: Option<u16>,
    /// Bytes of disks that are used; 0, if none.
    pub disk: u64,
}

const NO_KERNEL: &str = "no riscv64 Linux kernel: give --kernel Image \
    (roms/debian/build kernel makes one, with its drivers beside it)";

impl Place {
    /// Writes the programs, and finds a kernel: the given one, or that of `roms/debian`.
    ///
    /// # Errors
    /// [`BenchError::Write`].
    pub fn new(
        dir: &Path,
        ruse: &Path,
        kernel: Option<&Path>,
        modules: Option<&Path>,
        memory: u64,
    ) -> Result<Self, BenchError> {
        let image = kernel
            .map(Path::to_path_buf)
            .or_else(|| debian("Image", ruse));
        let modules = modules.map(Path::to_path_buf).or_else(|| {
            let beside = image.as_ref()?.parent()?.join("work/modules");
            beside.is_dir().then_some(beside)
        });
        let kernel = match image {
            None => Err(NO_KERNEL.to_owned()),
            Some(image) if !image.is_file() => Err(format!("{}: no such file", image.display())),
            Some(image) => match initramfs::build(worker::GUEST, modules.as_deref()) {
                Err(error) => Err(format!("modules of the kernel: {error}")),
                Ok(bytes) => {
                    let initramfs = dir.join("initramfs");
                    std::fs::write(&initramfs, bytes).map_err(|source| BenchError::Write {
                        path: initramfs.clone(),
                        source,
                    })?;
                    Ok(Kernel { image, initramfs })
                }
            },
        };
        Ok(Self {
            dir: dir.into(),
            ruse: ruse.into(),
            native: worker::native(dir),
            guest: worker::guest(dir)?,
            kernel,
            memory,
        })
    }

    /// The raw disk of a contender, which for programs is a file.
    pub fn raw(&self, kind: Kind) -> PathBuf {
        self.dir.join(format!("{kind:?}.raw"))
    }

    /// Its other disk.
    pub fn qcow2(&self, kind: Kind) -> PathBuf {
        self.dir.join(format!("{kind:?}.qcow2"))
    }
}

/// A file that `roms/debian/build` made, seen from here or from where Ruse is.
pub fn debian(name: &str, ruse: &Path) -> Option<PathBuf> {
    let below = |dir: &Path| dir.join("roms/debian/out").join(name);
    let here = std::env::current_dir().ok();
    let dirs = here.as_deref().into_iter().chain(ruse.ancestors());
    dirs.map(below).find(|path| path.is_file())
}

impl Contender {
    /// Makes ready what it needs, and tries whether it is there.
    ///
    /// # Errors
    /// Why it cannot run.
    pub fn prepare(&self, place: &Place, order: &Order) -> Result<(), String> {
        match self.kind {
            Kind::Native => place.native.clone().map(drop)?,
            Kind::Namespaces => {
                place.native.clone()?;
                let empty = Order {
                    run: String::new(),
                    ..order.clone()
                };
                let mut command = self.command(place, &empty)?;
                tried(command.stdout(Stdio::null()))?;
            }
            Kind::RuseUser => {}
            Kind::QemuUser => drop(qemu_user()?),
            Kind::RuseSystem => place.kernel.clone().map(drop)?,
            Kind::QemuSystem => {
                place.kernel.clone()?;
                version(QEMU_SYSTEM)?;
            }
        }
        if order.disk > 0 && self.kind.is_machine() {
            disks(place, self.kind, order.disk).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// What it says about its version, if it is another program than this.
    pub fn version(&self) -> Option<String> {
        match self.kind {
            Kind::QemuUser => version(qemu_user().ok()?).ok(),
            Kind::QemuSystem => version(QEMU_SYSTEM).ok(),
            Kind::RuseUser | Kind::RuseSystem => {
                Some(format!("ruse {}", env!("CARGO_PKG_VERSION")))
            }
            Kind::Native | Kind::Namespaces => None,
        }
    }

    /// The command of a run.
    ///
    /// # Errors
    /// Why there is none.
    pub fn command(&self, place: &Place, order: &Order) -> Result<Command, String> {
        let mut args = vec![format!("ms={}", order.ms), format!("run={}", order.run)];
        if order.disk > 0 {
            args.push(format!("size={}", order.disk));
            let (raw, qcow2) = match self.kind.is_machine() {
                true => ("/dev/vda".to_owned(), "qcow2=/dev/vdb".to_owned()),
                false => (text(&place.raw(self.kind))?, String::new()),
            };
            args.push(format!("raw={raw}"));
            args.push(qcow2);
        }
        if let Some(port) = order.port {
            args.push(match self.kind {
                // There is no way out, so the server is inside.
                Kind::Namespaces => "peer=self".into(),
                Kind::RuseSystem | Kind::QemuSystem => format!("peer=10.0.2.2:{port}"),
                _ => format!("peer=127.0.0.1:{port}"),
            });
        }
        args.retain(|arg| !arg.is_empty());
        let mut command;
        match self.kind {
            Kind::Native => command = Command::new(place.native.clone()?),
            Kind::Namespaces => {
                command = Command::new("unshare");
                command.args([
                    "--user",
                    "--map-root-user",
                    "--pid",
                    "--fork",
                    "--kill-child",
                ]);
                command.args(["--mount", "--mount-proc", "--net"]);
                command.arg(place.native.clone()?);
            }
            Kind::RuseUser => {
                command = Command::new(&place.ruse);
                command.arg("--share").arg(&place.dir).arg("--net");
                command.arg(&place.guest);
                // Ruse counts the instructions that a program executes, as a hart does.
                command.arg("instret=1");
            }
            Kind::QemuUser => {
                command = Command::new(qemu_user()?);
                command.arg(&place.guest);
            }
            Kind::RuseSystem => {
                let kernel = place.kernel.clone()?;
                command = Command::new(&place.ruse);
                command.args(["boot", "--memory", &place.memory.to_string()]);
                command.arg("--kernel").arg(&kernel.image);
                command.arg("--initrd").arg(&kernel.initramfs);
                if order.port.is_some() {
                    command.args(["--net", "user,host-loopback"]);
                } else {
                    command.args(["--net", "none"]);
                }
                if order.disk > 0 {
                    let raw = text(&place.raw(self.kind))?;
                    let qcow2 = text(&place.qcow2(self.kind))?;
                    command.args(["--disk", &format!("{raw},format=raw")]);
                    command.args(["--disk", &qcow2]);
                }
                command.args(["--append", &cmdline(&args)]);
                return Ok(command);
            }
            Kind::QemuSystem => {
                let kernel = place.kernel.clone()?;
                command = Command::new(QEMU_SYSTEM);
                command.args(["-M", "virt", "-nographic", "-no-reboot", "-bios", "default"]);
                command.args(["-m", &format!("{}M", place.memory >> 20)]);
                command.arg("-kernel").arg(&kernel.image);
                command.arg("-initrd").arg(&kernel.initramfs);
                if order.port.is_some() {
                    command.args(["-netdev", "user,id=n"]);
                    command.args(["-device", "virtio-net-device,netdev=n"]);
                } else {
                    command.args(["-nic", "none"]);
                }
                if order.disk > 0 {
                    let disks = [
                        (place.raw(self.kind), "raw"),
                        (place.qcow2(self.kind), "qcow2"),
                    ];
                    for (path, format) in disks {
                        // Commas stand twice (QEMU, system/invocation).
                        let file = text(&path)?.replace(',', ",,");
                        let drive = format!("if=none,id={format},format={format},file={file}");
                        command.args(["-drive", &drive]);
                        let device = format!("virtio-blk-device,drive={format}");
                        command.args(["-device", &device]);
                    }
                }
                command.args(["-append", &cmdline(&args)]);
                return Ok(command);
            }
        }
        command.args(args);
        Ok(command)
    }
}

const QEMU_SYSTEM: &str = "qemu-system-riscv64";

/// The kernel hands what follows the dashes to its first program (Linux,
/// Documentation/admin-guide/kernel-parameters.rst).
fn cmdline(args: &[String]) -> String {
    format!("console=ttyS0 quiet panic=-1 -- boot {}", args.join(" "))
}

fn qemu_user() -> Result<&'static str, String> {
    let found = ["qemu-riscv64", "qemu-riscv64-static"]
        .into_iter()
        .find(|name| version(name).is_ok());
    found.ok_or_else(|| "qemu-riscv64 is not installed".into())
}

/// The first line of `--version`.
fn version(program: &str) -> Result<String, String> {
    let mut command = Command::new(program);
    match command.arg("--version").stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => {
            let text = String::from_utf8_lossy(&output.stdout);
            Ok(text.lines().next().unwrap_or_default().trim().into())
        }
        _ => Err(format!("{program} is not installed")),
    }
}

/// Runs something that should work.
fn tried(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().display().to_string();
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => {
            let said = String::from_utf8_lossy(&output.stderr);
            let last = said.lines().last().unwrap_or("it fails");
            Err(format!("this host does not allow it: {last}"))
        }
    }
}

/// Makes a machine's disks.
fn disks(place: &Place, kind: Kind, size: u64) -> Result<(), ruse_disk::DiskError> {
    ruse_disk::create_sparse(place.raw(kind), size)?;
    ruse_disk::create(
        &place.qcow2(kind),
        &ruse_disk::qcow2::CreateOptions::new(size),
    )
}

fn text(path: &Path) -> Result<String, String> {
    match path.to_str() {
        Some(text) => Ok(text.into()),
        None => Err(format!("{}: not a path in UTF-8", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        Place {
            dir: "/d".into(),
            ruse: "/r/ruse".into(),
            native: Ok("/d/native".into()),
            guest: "/d/guest".into(),
            kernel: Ok(Kernel {
                image: "/k/Image".into(),
                initramfs: "/d/initramfs".into(),
            }),
            memory: 256 << 20,
        }
    }

    fn words(id: &str, order: &Order) -> String {
        let contender = ALL.iter().find(|it| it.id == id).unwrap();
        let command = contender.command(&place(), order).unwrap();
        let args = command.get_args().map(|arg| arg.to_str().unwrap());
        args.collect::<Vec<_>>().join("|")
    }

    #[test]
    fn commands_say_what_is_to_be_measured() {
        let order = Order {
            ms: 30,
            run: "integer,net-send".into(),
            port: Some(80),
            disk: 1 << 20,
        };
        assert_eq!(
            words("native", &order),
            "ms=30|run=integer,net-send|size=1048576|raw=/d/Native.raw|peer=127.0.0.1:80"
        );
        assert!(words("namespaces", &order).ends_with("|peer=self"));
        let machine = words("ruse-boot", &order);
        assert!(machine.contains("|--disk|/d/RuseSystem.raw,format=raw|"));
        assert!(machine.ends_with(
            "-- boot ms=30 run=integer,net-send size=1048576 raw=/dev/vda \
             qcow2=/dev/vdb peer=10.0.2.2:80"
        ));
        // What is not needed is not there.
        let order = Order {
            ms: 1,
            run: "float".into(),
            ..Order::default()
        };
        assert!(words("ruse-boot", &order).contains("|--net|none|--append|"));
        assert!(!words("qemu-system", &order).contains("drive"));
        assert!(words("qemu-system", &order).contains("-m|256M|"));
    }

    #[test]
    fn without_a_kernel_machines_say_so() {
        let mut place = place();
        place.kernel = Err("none".into());
        for it in ALL.iter().filter(|it| it.kind.is_machine()) {
            assert_eq!(it.prepare(&place, &Order::default()), Err("none".into()));
        }
    }

    #[test]
    fn the_native_one_is_always_there() {
        let chosen = chosen(&["ruse".into()]).unwrap();
        assert_eq!(
            chosen.iter().map(|it| it.id).collect::<Vec<_>>(),
            ["native", "ruse"]
        );
        assert_eq!(super::chosen(&["bochs".into()]).unwrap_err(), "bochs");
    }
}
