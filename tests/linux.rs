//! Linux programs, unmodified, as Debian (`roms/debian/build tree`) and npm
//! ship them for riscv64.

mod talk;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use talk::{PATIENCE, rom, ruse};

/// The Debian tree, if it is there; CI insists.
fn tree() -> Option<String> {
    let tree = rom("debian/out/tree");
    if std::path::Path::new(&tree).join(".complete").exists() {
        return Some(tree);
    }
    assert!(std::env::var_os("CI").is_none(), "CI needs {tree}");
    eprintln!("skipped: no {tree}; `roms/debian/build tree` makes it");
    None
}

/// `ruse --root TREE:ro OPTIONS PROGRAM ARGS...`.
fn guest(tree: &str, options: &[&str], command: &[&str]) -> Command {
    let root = format!("{tree}:ro");
    ruse(&[&["--root", &root], options, command].concat())
}

/// What a command prints; it must exit with `code` and say nothing else.
#[track_caller]
fn prints(mut command: Command, code: i32) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr),
    );
    assert_eq!(
        output.status.code(),
        Some(code),
        "{command:?}\nstdout:\n{out}\nstderr:\n{err}"
    );
    out
}

/// Runs a bash script in the Debian tree and compares what it prints.
#[track_caller]
fn script(options: &[&str], script: &str, expected: &str) {
    let Some(tree) = tree() else { return };
    let out = prints(guest(&tree, options, &["bash", "-c", script]), 0);
    assert_eq!(out, expected, "of: {script}");
}

#[test]
fn a_program_can_be_watched() {
    let Some(tree) = tree() else { return };
    let busybox = format!("{tree}/usr/bin/busybox");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("t.jsonl");
    let trace = [
        "--trace",
        "call,trap",
        "--trace-out",
        file.to_str().unwrap(),
    ];
    let line = [&trace[..], &[&busybox, "echo", "told"]].concat();
    assert_eq!(prints(ruse(&line), 0), "told\n");
    let trace = std::fs::read_to_string(file).unwrap();
    let has = |words: &str| assert!(trace.contains(words), "{words}:\n{trace}");
    has("calls its kernel: write(0x1, ");
    has(" = 5\"");
    has("load page fault at ");
}

#[test]
fn busybox_static_by_itself_and_in_the_tree() {
    let Some(tree) = tree() else { return };
    let busybox = format!("{tree}/usr/bin/busybox");
    // Without --root the program sees itself and nothing else of the host.
    let out = prints(ruse(&[&busybox, "echo", "alone", "-x"]), 0);
    assert_eq!(out, "alone -x\n");
    let seen = prints(
        ruse(&[&busybox, "sh", "-c", "ls /; ls /tmp; cat /etc/passwd 2>&1"]),
        1,
    );
    assert!(!seen.contains("home") && !seen.contains("root:"), "{seen}");
    script(
        &[],
        "busybox sh -c 'for i in 3 1 2; do echo $i; done | busybox sort | busybox md5sum'",
        &format!("{}  -\n", sum("md5sum", "1\n2\n3\n")),
    );
}

/// The checksum of `text` by the host's own tool, in hexadecimal.
fn sum(tool: &str, text: &str) -> String {
    let mut child = Command::new(tool)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let mut sum = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut sum)
        .unwrap();
    child.wait().unwrap();
    sum.split_whitespace().next().unwrap().into()
}

#[test]
fn bash_and_coreutils() {
    script(
        &[],
        r#"
        declare -A n=([one]=1 [two]=2); echo ${n[one]}${n[two]} ${#n[@]}
        seq 1 20000 | sort -rn | head -2 | tr '\n' ' '; echo
        cat <(echo process) <<< ignored; cat <<< here
        mkdir -p /tmp/a/b && cd /tmp/a && touch b/c && ln -s b/c link && ln b/c hard
        stat -c '%F %h' link b/c; readlink -f link
        echo text > b/c; cat link; cp -r b d; rm -r b; ls; cat d/c
        (exit 7); echo $?; kill -TERM $BASHPID 2>/dev/null & wait $!; echo $?
        trap 'echo usr1' USR1; kill -USR1 $$; sleep 0.05
        for i in {1..50}; do (echo $i) & done | sort -n | tail -1; wait
        printf '%s\n' a b c | xargs -n1 -P3 echo | sort | paste -sd,
        timeout 0.2 sleep 10; echo $?
        dd if=/dev/zero bs=1M count=3 2>/dev/null | wc -c
        yes | head -1000000 | md5sum
        "#,
        &format!(
            "12 2\n20000 19999 \nprocess\nhere\nsymbolic link 1\nregular empty file 2\n/tmp/a/b/c\ntext\nd\nhard\nlink\ntext\n7\n143\nusr1\n50\na,b,c\n124\n3145728\n{}  -\n",
            sum("md5sum", &"y\n".repeat(1_000_000))
        ),
    );
}

#[test]
fn python_runs_and_passes_tests_of_its_own() {
    script(
        &[],
        "python3 -c 'import json,hashlib,threading,subprocess,sqlite3,ssl
r=[]
t=[threading.Thread(target=lambda i=i: r.append(i)) for i in range(20)]
[x.start() for x in t];[x.join() for x in t]
print(sum(r), hashlib.sha256(b\"ruse\").hexdigest()[:8], json.dumps({\"a\":[1,2.5]}))
print(subprocess.run([\"echo\",\"sub\"],capture_output=True,text=True).stdout.strip())'",
        &format!(
            "190 {} {{\"a\": [1, 2.5]}}\nsub\n",
            &sum("sha256sum", "ruse")[..8]
        ),
    );
    let Some(tree) = tree() else { return };
    // unittest rather than `-m test`, which takes long to start. How long the host
    // keeps the guest waiting is not for test_epoll to judge.
    let start = "import sys, time, types, unittest; from test import test_epoll; \
                 test_epoll.time = types.SimpleNamespace(monotonic=lambda: 0, sleep=time.sleep); \
                 unittest.main(module=None, argv=['unittest', '-q', *sys.argv[1:]])";
    let modules = PYTHON_TESTS.map(|name| format!("test.{name}"));
    let mut command = vec!["python3", "-c", start];
    command.extend(modules.iter().map(String::as_str));
    prints(guest(&tree, &["--cwd", "/tmp"], &command), 0);
}

/// Of Python's own tests, those of what leans on the operating system most.
const PYTHON_TESTS: [&str; 11] = [
    "test_float",
    "test_thread",
    "test_threadsignals",
    "test_select",
    "test_poll",
    "test_epoll",
    "test_mmap",
    "test_posix",
    "test_pty",
    "test_wait4",
    "test_fork1",
];

#[test]
fn perl_sqlite_openssl_and_zstd() {
    script(
        &[],
        r#"
        perl -e 'my %h; $h{$_ % 7}++ for 1..100000; print join(",", map {"$_=$h{$_}"} sort keys %h), "\n"; my $s = "a1b22"; $s =~ s/(\d+)/<$1>/g; print "$s\n"; open my $p, "-|", "echo piped" or die; print <$p>;'
        cd /tmp; for mode in delete wal; do
        sqlite3 $mode.db "pragma journal_mode=$mode; create table t(a integer primary key, b text);
            with recursive c(n) as (select 1 union all select n+1 from c where n<5000) insert into t select n, hex(n) from c;
            select count(*), sum(a), max(b) from t;"
        sqlite3 $mode.db "pragma integrity_check; update t set b='x' where a%2; select count(distinct b) from t"
        done
        echo -n ruse | openssl dgst -sha256 | cut -c1-24
        openssl speed -seconds 1 -bytes 1024 sha256 2>/dev/null | grep -c '^sha256'
        openssl genpkey -algorithm ed25519 -out k.pem && openssl pkey -in k.pem -check -noout
        seq 1 200000 > n; zstd -q -T2 -9 n -o n.zst && zstd -q -d n.zst -o m && cmp n m && echo same
        "#,
        &format!(
            "0=14285,1=14286,2=14286,3=14286,4=14286,5=14286,6=14285\na<1>b<22>\npiped\ndelete\n5000|12502500|393939\nok\n2501\nwal\n5000|12502500|393939\nok\n2501\nSHA2-256(stdin)= {}\n1\nKey is valid\nsame\n",
            &sum("sha256sum", "ruse")[..7]
        ),
    );
}

#[test]
fn gcc_compiles_and_git_commits() {
    script(
        &[],
        r##"
        cd /tmp; printf '#include <stdio.h>\n#include <math.h>\nint main(void){printf("hello %%.3f\\n", sqrt(2));return 3;}\n' > hello.c
        gcc -O2 -o hello hello.c -lm && ./hello; echo $?
        gcc -static -o still hello.c -lm && ./still; echo $?
        export HOME=/tmp; git config --global user.name Ruse; git config --global user.email r@example.org
        git init -q -b main repo && cd repo && cp ../hello.c . && git add . && git commit -qm first && echo more >> hello.c
        git commit -qam second && git log --format=%s && git fsck --strict 2>&1 | grep -v notice
        cd .. && git clone -q repo copy && git -C copy gc -q && git -C copy log --oneline | wc -l && git -C copy status --short
        "##,
        "hello 1.414\n3\nhello 1.414\n3\nsecond\nfirst\n2\n",
    );
}

#[test]
fn programs_in_rust_and_go_use_threads() {
    script(
        &[],
        r"
        mkdir /tmp/d && cd /tmp/d && for i in $(seq 1 300); do seq $i $((i+200)) > f$i; done
        rg -j4 --no-filename -c '^250$' | wc -l
        seq 1 10000 | fzf --filter 999 | sort -n | head -3 | tr '\n' ' '; echo
        ",
        "201\n999 1999 2999 \n",
    );
}

/// A child that is killed when the test ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A port that nobody listened on a moment ago.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .unwrap()
        .port()
}

#[track_caller]
fn connect(port: u16, server: &mut Running) -> TcpStream {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Ok(stream) = TcpStream::connect(("127.0.0.1", port)) {
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            return stream;
        }
        let status = server.0.try_wait().unwrap();
        assert!(status.is_none(), "the server ended: {status:?}");
        assert!(Instant::now() < end, "nobody listens on {port}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[track_caller]
fn asks(stream: &mut TcpStream, question: &str, answer: &str) {
    stream.write_all(question.as_bytes()).unwrap();
    let mut got = vec![0; answer.len()];
    stream.read_exact(&mut got).unwrap();
    assert_eq!(String::from_utf8_lossy(&got), answer);
}

#[test]
fn redis_answers_the_host_and_the_box() {
    let Some(tree) = tree() else { return };
    let port = free_port().to_string();
    let server = guest(
        &tree,
        &["--net"],
        &[
            "redis-server",
            "--port",
            &port,
            "--save",
            "",
            "--dir",
            "/tmp",
            "--bind",
            "127.0.0.1",
        ],
    )
    .stdin(Stdio::null())
    .stdout(Stdio::null())
    .spawn()
    .unwrap();
    let mut server = Running(server);
    let mut client = connect(port.parse().unwrap(), &mut server);
    asks(&mut client, "PING\r\n", "+PONG\r\n");
    asks(&mut client, "SET a 41\r\nINCR a\r\n", "+OK\r\n:42\r\n");
    let mut other = connect(port.parse().unwrap(), &mut server);
    asks(&mut other, "GET a\r\n", "$2\r\n42\r\n");
    // Without --net the box has a loopback of its own.
    script(
        &[],
        "redis-server --save '' --dir /tmp --daemonize no >/dev/null & \
         until redis-cli ping 2>/dev/null | grep -q PONG; do sleep 0.1; done; \
         redis-cli set k v; redis-cli get k; redis-benchmark -q -n 200 -t set | grep -c 'requests per second'; \
         redis-cli shutdown nosave; wait; echo done",
        "OK\nv\n1\ndone\n",
    );
}

#[test]
fn nginx_serves_the_host() {
    let Some(tree) = tree() else { return };
    let port = free_port();
    let conf = "mkdir -p /tmp/w && echo served > /tmp/w/index.html && cd /tmp && exec nginx -p /tmp -e /tmp/error.log -g \
         'daemon off; pid /tmp/pid; worker_processes 2;' -c /tmp/nginx.conf";
    let setup = format!(
        "printf 'user root; events {{}} http {{ access_log off; client_body_temp_path /tmp/b; proxy_temp_path /tmp/p; \
         fastcgi_temp_path /tmp/f; uwsgi_temp_path /tmp/u; scgi_temp_path /tmp/s; \
         server {{ listen 127.0.0.1:{port}; root /tmp/w; }} }}' > /tmp/nginx.conf; {conf}"
    );
    let child = guest(&tree, &["--net"], &["bash", "-c", &setup])
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let mut server = Running(child);
    for _ in 0..20 {
        let mut client = connect(port, &mut server);
        client.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        let mut page = String::new();
        client.read_to_string(&mut page).unwrap();
        assert!(
            page.starts_with("HTTP/1.1 200 OK") && page.ends_with("\r\n\r\nserved\n"),
            "{page}"
        );
    }
}

/// npm's riscv64 build of esbuild, a Go program, in a directory of its own.
fn esbuild() -> Option<tempfile::TempDir> {
    let folder = tempfile::tempdir().unwrap();
    let packed = Command::new("npm")
        .args(["pack", "--silent", "@esbuild/linux-riscv64@0.25.0"])
        .current_dir(folder.path())
        .output();
    let packed = packed.is_ok_and(|output| output.status.success())
        && Command::new("sh")
            .args(["-c", "tar -xzf *.tgz"])
            .current_dir(folder.path())
            .status()
            .is_ok_and(|status| status.success());
    if packed {
        return Some(folder);
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "CI needs npm and its registry"
    );
    eprintln!("skipped: npm cannot fetch @esbuild/linux-riscv64");
    None
}

#[test]
fn esbuild_bundles() {
    let Some(folder) = esbuild() else { return };
    let bin = folder.path().join("package/bin");
    std::fs::write(
        bin.join("a.ts"),
        "import {b} from './b'; const x: number = b(20); console.log(x)",
    )
    .unwrap();
    std::fs::write(
        bin.join("b.ts"),
        "export const b = (n: number): number => n * 2 + 2; export const unused = 1",
    )
    .unwrap();
    let root = bin.to_str().unwrap();
    let out = prints(
        ruse(&["--root", root, "/esbuild", "--bundle", "--minify", "/a.ts"]),
        0,
    );
    assert_eq!(
        out,
        "(()=>{var o=n=>n*2+2;var e=o(20);console.log(e);})();\n"
    );
    let out = prints(
        ruse(&[
            "--root",
            root,
            "/esbuild",
            "/a.ts",
            "/b.ts",
            "--outdir=/out",
            "--log-level=error",
        ]),
        0,
    );
    assert_eq!(out, "");
    assert!(
        std::fs::read_to_string(bin.join("out/b.js"))
            .unwrap()
            .contains("n * 2 + 2")
    );
}

#[test]
fn limits_and_endings_have_their_codes() {
    let Some(tree) = tree() else { return };
    prints(guest(&tree, &[], &["bash", "-c", "exit 42"]), 42);
    prints(
        guest(&tree, &[], &["bash", "-c", "kill -SEGV $$"]),
        128 + 11,
    );
    for options in [["--max-instructions", "100M"], ["--max-time", "1"]] {
        let output = guest(&tree, &options, &["bash", "-c", "while :; do :; done"])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(124), "{said}");
        assert!(said.contains(&options[0][6..]), "{said}");
    }
    let output = guest(
        &tree,
        &["--max-memory", "64M"],
        &["python3", "-c", "x = bytearray(1 << 30); print(len(x))"],
    )
    .stdin(Stdio::null())
    .output()
    .unwrap();
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("MemoryError"),
        "{output:?}"
    );
}

#[cfg(unix)]
#[test]
fn a_shell_on_a_terminal_edits_lines_and_controls_jobs() {
    use talk::tty::{Terminal, signal};
    let Some(tree) = tree() else { return };
    let root = format!("{tree}:ro");
    let shell = || {
        let args = ["--root", &root, "--env", "PS1=> ", "bash", "--norc", "-i"];
        let (terminal, mut talk) = Terminal::controlling(&args);
        talk.expect("> ");
        (terminal, talk)
    };
    let (terminal, mut talk) = shell();
    // Ctrl-A is the guest's here: to the start of the line.
    talk.send("cho one two\x01e\r");
    talk.expect("\rone two\r\n");
    // A job that says when it runs, and when it does so again. It starts no program: one
    // that is stopped between vfork and exec leaves its parent stuck, on Linux too.
    let job = "sh -c 'n=9; trap \"echo c$n\" CONT; echo r$n; while :; do :; done'";
    talk.send(&format!("{job}\r"));
    talk.expect("r9\r\n");
    talk.send("\x1a");
    talk.expect("Stopped");
    talk.send("jobs; echo st''opped\r");
    talk.expect("\r\nstopped\r\n");
    talk.send("fg\r");
    talk.expect("c9\r\n");
    talk.send("\x03");
    talk.send("echo co''de $?\r");
    talk.expect("code 130\r\n");
    talk.send("exit 7\r");
    talk.ends(7);
    terminal.assert_restored();
    // A signal from outside ends it, and the terminal is as before.
    let (terminal, talk) = shell();
    signal(&talk, rustix::process::Signal::HUP);
    talk.ends(129);
    terminal.assert_restored();
}
