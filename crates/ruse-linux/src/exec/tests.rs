//! Programs good and bad.

use std::path::PathBuf;
use std::sync::OnceLock;

use proptest::prelude::*;

use crate::testing::{Guest, compile};
use crate::{LinuxError, Outcome};

/// A static program that exits with 42 at once.
fn small() -> Option<&'static [u8]> {
    static PROGRAM: OnceLock<Option<Vec<u8>>> = OnceLock::new();
    PROGRAM
        .get_or_init(|| {
            let source = "int data[2] = {42, 1}; int bss[4000];
                void _start(void) {
                    register long a0 asm(\"a0\") = data[0] + bss[100];
                    register long a7 asm(\"a7\") = 94;
                    asm volatile(\"ecall\" :: \"r\"(a0), \"r\"(a7)); }";
            let path = compile(source, &["-nostdlib", "-Wl,--build-id=none", "-s"])?;
            Some(std::fs::read(path).unwrap())
        })
        .as_deref()
}

/// Runs these bytes as a program.
fn run(bytes: &[u8]) -> Result<Outcome, LinuxError> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    let mut guest = Guest::program(file.path());
    guest.config.limits.instructions = Some(100_000);
    guest.config.limits.memory = Some(16 << 20);
    guest.try_run().map(|ran| {
        assert!(ran.peak_memory <= 16 << 20);
        ran.outcome
    })
}

fn with(bytes: &[u8], at: usize, new: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at..at + new.len()].copy_from_slice(new);
    bytes
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let Some(good) = small() else { return };
    assert_eq!(run(good).unwrap(), Outcome::Exited(42));
    // The program header of the first PT_LOAD.
    let load = (64..)
        .step_by(56)
        .find(|&at| good[at..at + 4] == 1u32.to_le_bytes())
        .unwrap();
    let place = format!("offset {load:#x}");
    for (bytes, expected) in [
        (b"".to_vec(), "not an ELF file"),
        (b"MZ".to_vec(), "not an ELF file"),
        (good[..20].to_vec(), "offset 0x14: the header is cut short"),
        (
            good[..80].to_vec(),
            "offset 0x40: the program headers are cut short",
        ),
        (with(good, 4, &[1]), "not a 64-bit program"),
        (with(good, 5, &[2]), "not a little-endian program"),
        (with(good, 16, &[1]), "not a program"),
        (with(good, 16, &[4]), "not a program"),
        (with(good, 18, &[62, 0]), "another machine (X86_64)"),
        (with(good, 0x30, &[8]), "RV64E"),
        (
            with(good, 0x36, &[55]),
            "offset 0x36: program headers of 55 bytes",
        ),
        (with(good, 0x38, &[0, 0]), "offset 0x38: 0 program headers"),
        (
            with(good, 0x38, &[0, 255]),
            "offset 0x38: 65280 program headers",
        ),
        (with(good, 32, &[255; 8]), "offset 0xffffffffffffffff"),
        (with(good, load + 8, &[1]), &place),
        (with(good, load + 16, &[255; 8]), &place),
        (with(good, load + 23, &[255]), &place),
        (with(good, load + 32, &[255; 8]), &place),
        (with(good, load + 40, &[0; 7]), &place),
        (with(good, load, &[3]), "interpreter"),
    ] {
        let said = match run(&bytes) {
            Err(error) => error.to_string(),
            Ok(outcome) => panic!("{expected}: it ran: {outcome:?}"),
        };
        assert!(said.contains(expected), "{expected}: {said}");
    }
}

#[test]
fn a_file_that_ends_early_faults_where_it_is_touched() {
    let Some(good) = small() else { return };
    for len in (64..good.len()).step_by(97) {
        match run(&good[..len]) {
            Ok(Outcome::Exited(42) | Outcome::Killed(7 | 11 | 4)) | Err(_) => {}
            other => panic!("{len} of {}: {other:?}", good.len()),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever the headers say, the host lives on, and with it the limits.
    #[test]
    fn mutated_programs_do_no_harm(
        changes in prop::collection::vec((0usize..0x240, prop_oneof![
            Just(0u64), Just(u64::MAX), Just(1 << 38), Just((1 << 38) - 4096), Just(1 << 63),
            Just(4096), Just(0x3f_f7ff_f000), any::<u64>(), 0u64..0x20000,
        ], 1usize..9), 1..6),
    ) {
        if let Some(good) = small() {
            let mut bytes = good.to_vec();
            for (at, value, len) in changes {
                // Mostly whole fields of the header and program headers.
                let at = if len == 8 { at & !7 } else { at };
                let end = (at + len.min(8)).min(bytes.len());
                bytes[at..end].copy_from_slice(&value.to_le_bytes()[..end - at]);
            }
            let _ = run(&bytes);
        }
    }

    #[test]
    fn noise_with_an_elf_header_does_no_harm(noise in prop::collection::vec(any::<u8>(), 0..4000)) {
        if let Some(good) = small() {
            let mut bytes = good[..64].to_vec();
            bytes.extend(noise);
            let _ = run(&bytes);
        }
    }
}

/// Address spaces are used again: nothing of the process before may show.
#[test]
fn a_new_process_finds_nothing_of_the_one_before() {
    let Some(guest) = Guest::c(
        r#"
#include <elf.h>
static int dirty[100000], zero[100000];
static char *const at = (char *)0x1230000000;
static void child(int step, const char *self) {
    for (int i = 0; i < 100000; i++) CHECK(!dirty[i] && !zero[i]);
    memset(dirty, 7, sizeof dirty);
    char *heap = malloc(1 << 20), *stack = alloca(50000);
    for (int i = 0; i < 1 << 20; i++) CHECK(!heap[i]);
    memset(heap, 7, 1 << 20);
    memset(stack, 7, 50000);
    // At one address: text, nothing, zeroes, other text, text to be changed.
    int fd = open(self, O_RDONLY), text = PROT_READ | PROT_EXEC;
    char *p;
    unsigned char there;
    switch (step % 5) {
    case 0:
        p = mmap(at, 8192, text, MAP_PRIVATE | MAP_FIXED, fd, 0);
        CHECK(p == at && !memcmp(p, ELFMAG, 4) && p[5000] == p[5000]);
        break;
    case 1:
        FAILS(mincore(at, 4096, &there), ENOMEM);
        FAILS(write(1, at, 4), EFAULT);
        break;
    case 2:
        p = mmap(at, 8192, PROT_READ | PROT_WRITE | PROT_EXEC,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        for (int i = 0; i < 8192; i++) CHECK(!p[i]);
        memset(p, 3, 8192);
        break;
    case 3: {
        char other[8192];
        CHECK(pread(fd, other, 8192, 4096) == 8192);
        p = mmap(at, 8192, text, MAP_PRIVATE | MAP_FIXED, fd, 4096);
        CHECK(!memcmp(p, other, 8192));
        break; }
    case 4:
        p = mmap(at, 8192, text, MAP_PRIVATE | MAP_FIXED, fd, 0);
        CHECK(!memcmp(p, ELFMAG, 4));
        CHECK(!mprotect(p, 8192, text | PROT_WRITE));
        p[0] = 9;
        CHECK(!mprotect(p, 8192, text));
        break;
    }
    if (step % 3 == 0) {
        if (!fork()) { CHECK(dirty[5] && heap[5] && !zero[5]); zero[5] = 1; _exit(0); }
        int status;
        CHECK(wait(&status) > 0 && !status && !zero[5]);
    }
    exit(0);
}
int main(int n, char **v) {
    char self[4096];
    ssize_t len = readlink("/proc/self/exe", self, 4095);
    CHECK(len > 0);
    self[len] = 0;
    if (n > 1) child(atoi(v[1]), self);
    for (int i = 0; i < 40; i++) {
        char text[9];
        sprintf(text, "%d", i);
        char *args[] = {"again", text, 0};
        if (!vfork()) { execv(self, args); _exit(98); }
        int status;
        CHECK(wait(&status) > 0 && status == 0);
    }
    return 0;
}"#,
    ) else {
        return;
    };
    guest.run().prints("");
}

/// A directory with the C library, for dynamic programs.
fn library() -> Option<PathBuf> {
    let root = PathBuf::from("/usr/riscv64-linux-gnu");
    root.join("lib/ld-linux-riscv64-lp64d.so.1")
        .exists()
        .then_some(root)
}

#[test]
fn dynamic_programs_find_their_libraries() {
    let source = r#"
#include <sys/auxv.h>
#include <link.h>
static int each(struct dl_phdr_info *i, size_t n, void *d) { ++*(int *)d; return 0; }
int main(int n, char **v) {
    int objects = 0;
    dl_iterate_phdr(each, &objects);
    CHECK(objects >= 3);
    CHECK(getauxval(AT_HWCAP) == 0x112d && getauxval(AT_PAGESZ) == 4096);
    CHECK(getauxval(AT_BASE) && getauxval(AT_RANDOM) && getauxval(AT_SECURE) == 0);
    CHECK(!strcmp((char *)getauxval(AT_EXECFN), "/x/dynamic"));
    printf("%d %s\n", n, v[n - 1]);
    return 0;
}"#;
    let (Some(root), Some(program)) = (library(), compile(source, &["-pie"])) else {
        return;
    };
    let mut guest = Guest::program("/x/dynamic".as_ref()).arg("last");
    guest.config.root = Some(root);
    guest.config.root_read_only = true;
    guest.config.shares = vec![crate::Share {
        host: program.clone(),
        at: "/x/dynamic".into(),
        read_only: true,
    }];
    guest.run().prints("2 last\n");
    // Without the libraries, what is missing is named.
    let error = Guest::program(&program).try_run().unwrap_err().to_string();
    assert!(
        error.contains("needs /lib/ld-linux-riscv64-lp64d.so.1") && error.contains("--root"),
        "{error}"
    );
}

#[test]
fn exec_replaces_and_scripts_are_followed() {
    let Some(guest) = Guest::c(
        r##"
static void script(const char *name, const char *text, int mode) {
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0700);
    CHECK(fd >= 0 && write(fd, text, strlen(text)) == strlen(text) && !fchmod(fd, mode));
    close(fd);
}
int main(int n, char **v) {
    if (n > 1 && !strncmp(v[1], "again", 5)) {
        // What the program before us left: a descriptor, an ignored signal.
        CHECK(fcntl(50, F_GETFD) == 0);
        FAILS(fcntl(51, F_GETFD), EBADF);
        struct sigaction a;
        CHECK(!sigaction(SIGUSR1, 0, &a) && a.sa_handler == SIG_IGN);
        CHECK(!sigaction(SIGUSR2, 0, &a) && a.sa_handler == SIG_DFL);
        for (int i = 0; i < n; i++) printf("[%s]", i ? v[i] : "0");
        printf("%s\n", getenv("V"));
        return 0;
    }
    char self[4096];
    ssize_t len = readlink("/proc/self/exe", self, 4095);
    CHECK(len > 0);
    self[len] = 0;
    CHECK(dup2(2, 50) == 50 && dup3(2, 51, O_CLOEXEC) == 51);
    signal(SIGUSR1, SIG_IGN);
    signal(SIGUSR2, exit);
    char *env[] = {"V=1", 0};
    FAILS(execve("/nowhere", v, env), ENOENT);
    FAILS(execve("/tmp", v, env), EACCES);
    script("/tmp/noexec", "#!/x\n", 0600);
    FAILS(execve("/tmp/noexec", v, env), EACCES);
    script("/tmp/text", "plain text", 0700);
    FAILS(execve("/tmp/text", v, env), ENOEXEC);
    script("/tmp/lost", "#!/nowhere\n", 0700);
    FAILS(execve("/tmp/lost", v, env), ENOENT);
    script("/tmp/loop", "#!/tmp/loop\n", 0700);
    FAILS(execve("/tmp/loop", v, env), ELOOP);
    FAILS(execve((char *)8, v, env), EFAULT);
    FAILS(execve(self, (char **)8, env), EFAULT);
    static char *many[300000];
    for (int i = 0; i < 299999; i++) many[i] = "0123456789";
    FAILS(execve(self, many, env), E2BIG);
    char *huge = malloc(200000);
    memset(huge, 'x', 199999); huge[199999] = 0;
    char *one[] = {"t", huge, 0};
    FAILS(execve(self, one, env), E2BIG);
    char text[5000];
    sprintf(text, "#! %s  again and more \nrest", self);
    script("/tmp/script", text, 0755);
    sprintf(text, "#!/tmp/script\n");
    script("/tmp/outer", text, 0755);
    char *args[] = {"name", "x", 0};
    if (!fork()) execve("/tmp/script", args, env);
    int status; CHECK(wait(&status) > 0 && status == 0);
    // Through a descriptor, and from a thread that is not the first.
    char *direct[] = {"name", "again", 0};
    if (!vfork()) {
        int fd = open(self, O_RDONLY);
        syscall(281, fd, "", direct, env, AT_EMPTY_PATH);
        _exit(1);
    }
    CHECK(wait(&status) > 0 && status == 0);
    return 0;
}"##,
    ) else {
        return;
    };
    guest
        .run()
        .prints("[0][again and more][/tmp/script][x]1\n[0][again]1\n");
}

#[test]
fn the_program_is_looked_for_as_a_shell_does() {
    let Some(program) = compile("int main(int n, char **v) { puts(v[0]); return 0; }", &[]) else {
        return;
    };
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(root.path().join("usr/bin")).unwrap();
    std::fs::copy(&program, root.path().join("usr/bin/prog")).unwrap();
    std::fs::write(root.path().join("usr/bin/text"), "text").unwrap();
    let guest = |name: &str| {
        let mut guest = Guest::program(name.as_ref()).env("PATH=/bin:/usr/bin");
        guest.config.args = vec![name.into()];
        guest.config.root = Some(root.path().into());
        guest
    };
    guest("prog").run().prints("prog\n");
    guest("/usr/bin/prog").run().prints("/usr/bin/prog\n");
    let mut inside = guest("./prog");
    inside.config.cwd = Some("/usr/bin".into());
    inside.run().prints("./prog\n");
    for (name, why) in [
        ("other", "not found below --root in PATH (/bin:/usr/bin)"),
        ("/usr/bin/other", "no such file below --root"),
        ("/usr/bin", "not a file that may be executed"),
        ("text", "not a file that may be executed"),
    ] {
        let error = guest(name).try_run().unwrap_err().to_string();
        assert!(error.starts_with(name) && error.contains(why), "{error}");
    }
    let mut lost = guest("prog");
    lost.config.cwd = Some("/nowhere".into());
    let error = lost.try_run().unwrap_err().to_string();
    assert!(
        error.contains("/nowhere: cannot be the working directory"),
        "{error}"
    );
}
