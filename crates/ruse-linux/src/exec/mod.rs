//! From an ELF file to a process image (execve(2); "System V ABI, RISC-V
//! processor supplement").
//!
//! The new image is made completely before anything of the old one goes, so
//! that whatever is wrong with a file is an error of execve, not the end of
//! the caller.

mod elf;
mod script;
mod stack;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::rc::Rc;

use ruse_bus::Space;
use ruse_hart::Registers;

use crate::abi::AT_FDCWD;
use crate::errno::Errno;
use crate::error::LinuxError;
use crate::fs::{Base, Description, O_NOFOLLOW, O_PATH, O_RDONLY, Place, S_IFREG, Who};
use crate::kernel::{INIT, Kernel};
use crate::mm::{FileId, Mm, read_fully};
use crate::process::{Credentials, Process, rlimit};
use crate::syscall::{Answer, Cx, Stop};
use crate::thread::{Thread, Tid};
use elf::{Elf, ElfError};
use script::Script;
use stack::Start;

/// Where a program that can be anywhere goes: two thirds up, as on Linux.
const PROGRAM_BASE: u64 = (Space::SIZE / 3 * 2) & !0xfff;
/// Scripts whose interpreter is a script, and so on: no more of them.
const SCRIPTS: usize = 5;
/// Most arguments and environment strings.
const STRINGS: usize = 1 << 20;
/// Flags of execveat(2).
const AT_SYMLINK_NOFOLLOW: u64 = 0x100;
const AT_EMPTY_PATH: u64 = 0x1000;

/// What is to be executed.
struct Request {
    file: Rc<Description>,
    /// The path as it was given: `AT_EXECFN`.
    name: Vec<u8>,
    args: Vec<Vec<u8>>,
    env: Vec<Vec<u8>>,
}

/// A process image that is ready to run.
struct Image {
    mm: Mm,
    registers: Registers,
    exe: Vec<u8>,
    /// `comm`.
    name: Vec<u8>,
    cmdline: Vec<u8>,
    environ: Vec<u8>,
    auxv: Vec<u8>,
}

/// Why a program cannot be executed.
enum Refusal {
    /// The file itself, or the script's interpreter.
    Elf(ElfError),
    /// The interpreter (dynamic linker, or that of a script) of this name.
    Interpreter(Vec<u8>, ElfError),
    /// The host has no address space.
    Host(LinuxError),
}

impl From<ElfError> for Refusal {
    fn from(error: ElfError) -> Self {
        Self::Elf(error)
    }
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Self {
        Self::Elf(ElfError::Map(errno))
    }
}

impl Refusal {
    fn errno(&self) -> Errno {
        match self {
            Self::Elf(error) => error.errno(),
            // `ELIBBAD` of Linux is not among what programs look at.
            Self::Interpreter(_, error) => error.errno(),
            Self::Host(_) => Errno::ENOMEM,
        }
    }
}

/// Opens a file to be executed.
fn open(who: &Who, base: &Base, path: &[u8], flags: u32) -> Result<Rc<Description>, Errno> {
    let file = who.vfs().open(who, base, path, O_RDONLY | flags, 0)?;
    check(who, &file)?;
    Ok(file)
}

/// Whether `who` may execute a file.
fn check(who: &Who, file: &Description) -> Result<(), Errno> {
    let stat = file.file.stat()?;
    if stat.kind() != S_IFREG || !who.may(&stat, 1) {
        return Err(Errno::EACCES);
    }
    Ok(())
}

/// Joins strings, each with a NUL.
fn joined(strings: &[Vec<u8>]) -> Vec<u8> {
    strings
        .iter()
        .flat_map(|text| text.iter().copied().chain([0]))
        .collect()
}

/// Makes the image of a program.
fn build(
    kernel: &mut Kernel,
    caller: Option<Tid>,
    mut request: Request,
    credentials: &Credentials,
    stack_limit: u64,
) -> Result<Image, Refusal> {
    // A script's interpreter, and its interpreter, until there is an ELF file.
    let mut depth = 0;
    let name = request.name.clone();
    let mut through: Option<Vec<u8>> = None;
    let blame = |through: &Option<Vec<u8>>, error: ElfError| match through {
        Some(name) => Refusal::Interpreter(name.clone(), error),
        None => Refusal::Elf(error),
    };
    let elf = loop {
        let mut head = [0; script::HEAD];
        let got = read_fully(&request.file, 0, &mut head)
            .map_err(|errno| blame(&through, ElfError::Read(errno)))?;
        let head = &head[..got];
        let Some(line) = Script::parse(head) else {
            break Elf::read(&request.file, head).map_err(|error| blame(&through, error))?;
        };
        depth += 1;
        if depth > SCRIPTS {
            return Err(blame(&through, ElfError::Map(Errno::ELOOP)));
        }
        let who = who(kernel, caller);
        request.file = open(&who, &Base::Cwd, &line.interpreter, 0).map_err(|errno| {
            Refusal::Interpreter(line.interpreter.clone(), ElfError::Read(errno))
        })?;
        let mut args = vec![line.interpreter.clone()];
        args.extend(line.argument);
        args.push(std::mem::replace(
            &mut request.name,
            line.interpreter.clone(),
        ));
        args.extend(request.args.drain(..).skip(1));
        request.args = args;
        through = Some(line.interpreter);
    };
    if !stack::fits(&request.args, &request.env, stack_limit) {
        return Err(Errno::E2BIG.into());
    }

    let linker = match &elf.interpreter {
        None => None,
        Some(path) => {
            let who = who(kernel, caller);
            let load = || {
                let file = open(&who, &Base::Cwd, path, 0).map_err(ElfError::Read)?;
                let mut head = [0; script::HEAD];
                let got = read_fully(&file, 0, &mut head).map_err(ElfError::Read)?;
                let elf = Elf::read(&file, &head[..got])?;
                Ok((file, elf))
            };
            Some(load().map_err(|error| Refusal::Interpreter(path.clone(), error))?)
        }
    };

    let mut mm = Mm::new(&kernel.memory, FileId::of(&request.file))
        .map_err(|error| Refusal::Host(LinuxError::Memory(error)))?;
    mm.stack_limit = stack_limit;
    let program = elf.load(&mut mm, &request.file, Some(PROGRAM_BASE))?;
    mm.set_brk_start(program.end);
    let mut entry = program.entry;
    let mut base = 0;
    if let Some((file, linker)) = &linker {
        let path = elf.interpreter.clone().unwrap_or_default();
        let loaded = linker
            .load(&mut mm, file, None)
            .map_err(|error| Refusal::Interpreter(path, error))?;
        entry = loaded.entry;
        base = loaded.bias;
    }
    let mut random = [0; 16];
    kernel.host.entropy(&mut random);
    let (sp, auxv) = stack::build(
        &mut mm,
        &Start {
            args: &request.args,
            env: &request.env,
            name: &name,
            program,
            interpreter: base,
            credentials,
            random,
            executable: elf.executable_stack(),
        },
    )?;
    let mut registers = Registers {
        x: [0; 32],
        f: [0; 32],
        pc: entry,
        fcsr: 0,
    };
    registers.x[2] = sp;
    let comm = name.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    Ok(Image {
        mm,
        registers,
        exe: request.file.path.clone(),
        name: comm[..comm.len().min(15)].to_vec(),
        cmdline: joined(&request.args),
        environ: joined(&request.env),
        auxv,
    })
}

/// Who asks for a program's files.
fn who(kernel: &Kernel, caller: Option<Tid>) -> Who<'_> {
    match caller {
        Some(tid) => Who::of(kernel, tid),
        None => Who::first(kernel, Place::new()),
    }
}

/// execve(2).
pub(crate) fn execve(cx: &mut Cx) -> Answer {
    let [path, args, env, ..] = cx.args;
    exec(cx, AT_FDCWD as u64, path, args, env, 0)
}

/// execveat(2).
pub(crate) fn execveat(cx: &mut Cx) -> Answer {
    let [dir, path, args, env, flags, _] = cx.args;
    exec(cx, dir, path, args, env, flags)
}

/// Replaces the calling process's image; arguments are those of execveat(2).
pub(crate) fn exec(cx: &mut Cx, dir: u64, path: u64, args: u64, env: u64, flags: u64) -> Answer {
    if flags & !(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let path = cx.path(path)?;
    let mut budget = 6 << 20;
    let mut args = strings(cx, args, &mut budget)?;
    let env = strings(cx, env, &mut budget)?;
    if args.is_empty() {
        args.push(Vec::new());
    }
    let (file, name) = executable(cx, dir, path, flags)?;
    let request = Request {
        file,
        name,
        args,
        env,
    };
    let credentials = cx.process().credentials.clone();
    let stack_limit = cx.process().rlimit(rlimit::STACK).0.min(1 << 34);
    let tid = cx.tid;
    let image =
        build(cx.kernel, Some(tid), request, &credentials, stack_limit).map_err(|refusal| {
            if let Refusal::Host(error) = &refusal {
                log::warn!("exec: {error}");
            }
            refusal.errno()
        })?;
    install(cx, image);
    Err(Stop::Done)
}

/// The file to execute, and its name.
fn executable(
    cx: &mut Cx,
    dir: u64,
    path: Vec<u8>,
    flags: u64,
) -> Result<(Rc<Description>, Vec<u8>), Errno> {
    let tid = cx.tid;
    if path.is_empty() {
        if flags & AT_EMPTY_PATH == 0 {
            return Err(Errno::ENOENT);
        }
        let description = cx.file(dir)?;
        let who = Who::of(cx.kernel, tid);
        check(&who, &description)?;
        // An O_PATH descriptor, or one that may not read, cannot be read from.
        let file = if description.flags.get() & (O_PATH | 3) != 0 {
            open(&who, &Base::Cwd, &description.path, 0)?
        } else {
            description
        };
        return Ok((file, format!("/dev/fd/{dir}").into_bytes()));
    }
    let absolute = path.first() == Some(&b'/');
    let (base, name) = if absolute || dir as i32 == AT_FDCWD {
        (Base::Cwd, path.clone())
    } else {
        let mut name = format!("/dev/fd/{dir}/").into_bytes();
        name.extend_from_slice(&path);
        (Base::File(cx.file(dir)?), name)
    };
    let flags = if flags & AT_SYMLINK_NOFOLLOW != 0 {
        O_NOFOLLOW
    } else {
        0
    };
    let who = Who::of(cx.kernel, tid);
    Ok((open(&who, &base, &path, flags)?, name))
}

/// A NULL-terminated array of strings; `budget` is what they may have in all.
fn strings(cx: &mut Cx, at: u64, budget: &mut u64) -> Result<Vec<Vec<u8>>, Errno> {
    let mut out = Vec::new();
    if at == 0 {
        return Ok(out);
    }
    loop {
        let text = cx.read_u64(at.wrapping_add(out.len() as u64 * 8))?;
        if text == 0 {
            return Ok(out);
        }
        if out.len() >= STRINGS {
            return Err(Errno::E2BIG);
        }
        let text = cx
            .string(text, stack::STRING_MAX as usize)
            .map_err(|errno| match errno {
                Errno::ENAMETOOLONG => Errno::E2BIG,
                errno => errno,
            })?;
        *budget = budget
            .checked_sub(text.len() as u64 + 9)
            .ok_or(Errno::E2BIG)?;
        out.push(text);
    }
}

/// The caller becomes the new program.
fn install(cx: &mut Cx, image: Image) {
    cx.tid = cx.kernel.begin_image(cx.tid);
    let tid = cx.tid;
    let mut mm = image.mm;
    mm.hart.set_registers(&image.registers);
    mm.loaded = Some(tid);
    let thread = cx.thread();
    thread.regs = image.registers;
    thread.name = image.name;
    let old = std::mem::replace(&mut thread.mm, Rc::new(RefCell::new(mm)));
    let mut old = old.borrow_mut();
    if old.loaded == Some(tid) {
        // Who else uses the old memory loads its own registers.
        old.loaded = None;
    }
    let process = cx.process();
    process.exe = image.exe;
    process.cmdline = image.cmdline;
    process.environ = image.environ;
    process.auxv = image.auxv;
}

/// The first program, and its name.
fn find_first(kernel: &Kernel, place: &Place) -> Result<(Rc<Description>, Vec<u8>), String> {
    let who = Who::first(kernel, place.clone());
    let program = kernel.config.program.as_encoded_bytes();
    if kernel.config.root.is_none() {
        // The host's file, which the box shows at its own place.
        let Some(path) = &kernel.vfs.program else {
            let reason = match std::fs::metadata(&kernel.config.program) {
                Ok(_) => "not a file".into(),
                Err(error) => error.to_string(),
            };
            return Err(reason);
        };
        let file = who.vfs().open(&who, &Base::Cwd, path, O_RDONLY, 0);
        return Ok((
            file.map_err(|errno| explain(errno).to_owned())?,
            path.clone(),
        ));
    }
    if program.contains(&b'/') {
        let file = open(&who, &Base::Cwd, program, 0);
        let hint = |errno| match errno {
            Errno::ENOENT => "no such file below --root".into(),
            errno => explain(errno).to_owned(),
        };
        return Ok((file.map_err(hint)?, program.to_vec()));
    }
    let path = kernel
        .config
        .env
        .iter()
        .find_map(|text| text.as_encoded_bytes().strip_prefix(b"PATH="))
        .unwrap_or(b"/usr/local/bin:/usr/bin:/bin");
    let mut worst = None;
    for dir in path.split(|&byte| byte == b':') {
        let dir = if dir.is_empty() { b"." } else { dir };
        let name = [dir, b"/", program].concat();
        match open(&who, &Base::Cwd, &name, 0) {
            Ok(file) => return Ok((file, name)),
            Err(Errno::ENOENT | Errno::ENOTDIR) => {}
            Err(errno) => worst = Some(errno),
        }
    }
    let path = String::from_utf8_lossy(path);
    Err(worst.map_or_else(
        || format!("not found below --root in PATH ({path})"),
        |errno| explain(errno).to_owned(),
    ))
}

/// Where the first process is in the tree.
fn first_place(kernel: &Kernel) -> Result<Place, Errno> {
    let mut place = Place::new();
    if let Some(cwd) = &kernel.config.cwd {
        let who = Who::first(kernel, place.clone());
        let walked = kernel.vfs.walk(&who, &Base::Cwd, cwd.as_bytes(), true)?;
        let stat = walked.stat.ok_or(Errno::ENOENT)?;
        if !stat.is_dir() {
            return Err(Errno::ENOTDIR);
        }
        place.cwd = kernel.vfs.place(&walked.path);
    }
    Ok(place)
}

/// An error number in words.
fn explain(errno: Errno) -> &'static str {
    match errno {
        Errno::ENOENT => "no such file or directory",
        Errno::EACCES => "not a file that may be executed",
        Errno::ENOTDIR => "not a directory",
        Errno::ELOOP => "too many symbolic links",
        Errno::E2BIG => "too many arguments",
        Errno::ENOMEM => "not enough memory",
        Errno::EIO => "an error of the host's file system",
        errno => errno.name(),
    }
}

/// Makes the first process.
pub(crate) fn first(kernel: &mut Kernel) -> Result<(), LinuxError> {
    let program = kernel.config.program.to_string_lossy().into_owned();
    let refuse = |reason: String| LinuxError::Program {
        program: program.clone(),
        reason,
    };
    let place = first_place(kernel).map_err(|errno| {
        let cwd = kernel.config.cwd.clone().unwrap_or_default();
        LinuxError::Program {
            program: cwd,
            reason: format!("cannot be the working directory: {}", explain(errno)),
        }
    })?;
    let (file, name) = find_first(kernel, &place).map_err(refuse)?;
    let bytes = |text: &std::ffi::OsString| text.as_encoded_bytes().to_vec();
    let mut args: Vec<Vec<u8>> = kernel.config.args.iter().map(bytes).collect();
    if args.is_empty() {
        args.push(bytes(&kernel.config.program));
    }
    let request = Request {
        file,
        name,
        args,
        env: kernel.config.env.iter().map(bytes).collect(),
    };
    let tid = kernel.new_tid();
    let mut process = Process::new(tid, INIT, kernel.host.monotonic());
    let stack_limit = process.rlimit(rlimit::STACK).0;
    let credentials = process.credentials.clone();
    let image =
        build(kernel, None, request, &credentials, stack_limit).map_err(
            |refusal| match refusal {
                Refusal::Elf(error) => refuse(error.to_string()),
                Refusal::Interpreter(name, error) => {
                    let name = String::from_utf8_lossy(&name);
                    let hint = match (&error, &kernel.config.root) {
                        (ElfError::Read(Errno::ENOENT), None) => {
                            "; a dynamic program needs --root DIR, a tree with its libraries"
                        }
                        (ElfError::Read(Errno::ENOENT), Some(_)) => "; it is not below --root",
                        _ => "",
                    };
                    let error = match error {
                        ElfError::Read(errno) => explain(errno).to_owned(),
                        error => error.to_string(),
                    };
                    refuse(format!("needs {name}: {error}{hint}"))
                }
                Refusal::Host(error) => error,
            },
        )?;
    process.exe = image.exe;
    process.cmdline = image.cmdline;
    process.environ = image.environ;
    process.auxv = image.auxv;
    process.execed = true;
    let of_host = matches!(kernel.config.stdio[0], crate::Stdio::Host);
    let files = crate::fs::standard_files(kernel);
    crate::fs::tty::adopt(kernel, tid, of_host);
    let mut mm = image.mm;
    mm.hart.set_registers(&image.registers);
    mm.loaded = Some(tid);
    let mut thread = Thread::new(
        tid,
        tid,
        Rc::new(RefCell::new(mm)),
        Rc::new(RefCell::new(files)),
        Rc::new(RefCell::new(place)),
    );
    thread.regs = image.registers;
    thread.name = image.name;
    kernel.first = tid;
    kernel.adopt(thread, Some(process));
    Ok(())
}
