//! The server of shared directories: sessions of messages that make some sense,
//! and some that make none, in a directory whose surroundings must stay as
//! they are.

use std::fs;
use std::path::Path;

use ruse_devices::FileServer;
use ruse_devices::virtio::P9;
use ruse_share::Server;

use crate::Bytes;
use crate::virtqueue;

/// Types of messages, and their fields: `f`id, `s`tring, or a number of so many
/// bytes; `d`ata with its length in front, `w`alked names, `o`pening flags.
const MESSAGES: &[(u8, &str)] = &[
    (8, "f"),
    (12, "fo"),
    (14, "fso44"),
    (16, "fss4"),
    (18, "fs4444"),
    (20, "ffs"),
    (22, "f"),
    (24, "f8"),
    (26, "f444488888"),
    (30, "ffs"),
    (32, "fs84"),
    (40, "f84"),
    (50, "f4"),
    (52, "f14884s"),
    (54, "f1884s"),
    (70, "ffs"),
    (72, "fs44"),
    (74, "fsfs"),
    (76, "fs4"),
    (100, "4s"),
    (102, "fss4"),
    (104, "ffss4"),
    (108, "2"),
    (110, "ffw"),
    (110, "ffw"),
    (116, "f84"),
    (118, "f8d"),
    (120, "f"),
    (122, "f"),
];

const NAMES: &[&str] = &[
    "a", "b", "f", "up", "abs", "new", "other", "..", ".", "", "a/f", "../f", "/", "up/f",
    "9P2000.L",
];

/// A directory `in` another one. It is gone with this.
struct World(tempfile::TempDir);

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        let inside = folder.path().join("in");
        fs::create_dir_all(inside.join("a/b")).expect("directories");
        fs::write(inside.join("f"), "inside").expect("a file");
        fs::write(folder.path().join("f"), "outside").expect("a file");
        #[cfg(unix)]
        for (text, name) in [("..", "up"), ("/", "abs")] {
            std::os::unix::fs::symlink(text, inside.join(name)).expect("a link");
        }
        Self(folder)
    }

    fn check(&self) {
        let top = self.0.path();
        assert_eq!(fs::read_dir(top).expect("the directory").count(), 2);
        let text = fs::read(top.join("f")).expect("the file outside");
        assert_eq!(text, b"outside");
    }
}

impl Drop for World {
    fn drop(&mut self) {
        unlock(&self.0.path().join("in"));
    }
}

/// Has directories be such that they can be removed.
fn unlock(path: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let _ = fs::set_permissions(path, fs::Permissions::from_mode(0o700));
    }
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            unlock(&entry.path());
        }
    }
}

pub(crate) fn run(data: &[u8]) {
    let world = World::new();
    let mut bytes = Bytes::new(data);
    let how = bytes.u8();
    let inside = world.0.path().join("in");
    let mut server = Server::open(&inside, how & 1 != 0).expect("the directory");
    let mut say = |message: &[u8], room: usize| {
        let mut reply = [0xa5; 9000];
        let len = server.answer(message, &mut reply[..room]);
        assert!(len <= room && (len > 0 || room < 11));
        assert!(reply[room..].iter().all(|&byte| byte == 0xa5));
    };
    if how & 2 == 0 {
        say(
            &finish(
                100,
                [&8192u32.to_le_bytes()[..], b"\x08\x009P2000.L"].concat(),
            ),
            8192,
        );
        say(
            &finish(104, [&[0; 4][..], &[0xff; 4], &[0; 8]].concat()),
            8192,
        );
    }
    while !bytes.is_empty() {
        let message = message(&mut bytes);
        let room = match bytes.u8() {
            room @ 0xf0.. => usize::from(room & 15) * 2,
            _ => 8192,
        };
        say(&message, room);
    }
    drop(server);
    world.check();
}

fn message(bytes: &mut Bytes<'_>) -> Vec<u8> {
    let what = bytes.u8();
    if what >= 0xf8 {
        let len = bytes.u8();
        return bytes.take(len.into()).to_vec();
    }
    let (kind, layout) = MESSAGES[usize::from(what) % MESSAGES.len()];
    let mut body = Vec::new();
    for field in layout.bytes() {
        match field {
            b'f' => body.extend(fid(bytes).to_le_bytes()),
            b's' => string(bytes, &mut body),
            b'o' => {
                let bits = u32::from(bytes.u8());
                // Access, exclusive, truncate, directory.
                let flags = bits & 3 | (bits & 4) << 5 | (bits & 8) << 6 | (bits & 16) << 12;
                body.extend(flags.to_le_bytes());
            }
            b'w' => {
                let count = u16::from(bytes.u8() % 20);
                body.extend(count.to_le_bytes());
                (0..count).for_each(|_| string(bytes, &mut body));
            }
            b'd' => {
                let len = bytes.u8();
                body.extend(u32::from(len).to_le_bytes());
                body.extend(bytes.take(len.into()));
            }
            size => body.extend(&bytes.odd().to_le_bytes()[..usize::from(size - b'0')]),
        }
    }
    finish(kind, body)
}

fn fid(bytes: &mut Bytes<'_>) -> u32 {
    match bytes.u8() {
        0xff => u32::MAX,
        fid => u32::from(fid % 8),
    }
}

fn string(bytes: &mut Bytes<'_>, body: &mut Vec<u8>) {
    let which = bytes.u8();
    let text = match NAMES.get(usize::from(which) % 24) {
        Some(name) => name.as_bytes(),
        None => {
            let len = bytes.u8();
            bytes.take(len.into())
        }
    };
    body.extend((text.len() as u16).to_le_bytes());
    body.extend(text);
}

fn finish(kind: u8, body: Vec<u8>) -> Vec<u8> {
    let len = (7 + body.len() as u32).to_le_bytes();
    [&len[..], &[kind, 1, 0], &body].concat()
}

/// Answers of all lengths, those that do not fit among them.
struct Lengths;

impl FileServer for Lengths {
    fn answer(&mut self, message: &[u8], reply: &mut [u8]) -> usize {
        assert!(reply.len() >= 11);
        let len = message.first().map_or(0, |&len| usize::from(len) * 40);
        let most = len.min(reply.len());
        reply[..most].fill(1);
        len
    }
}

pub(crate) fn p9(data: &[u8]) {
    virtqueue::drive(P9::new("tag", Box::new(Lengths)), data, |_, _| {});
}
