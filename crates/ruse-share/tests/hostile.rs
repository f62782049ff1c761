//! Any bytes at all: no panic, no reply that is too long, nothing outside.
#![cfg(unix)]

mod client;

use std::fs;

use client::*;
use proptest::prelude::*;
use ruse_share::Server;

/// A directory in another one, which must stay as it is.
struct World {
    folder: tempfile::TempDir,
    server: Server,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("in");
        fs::create_dir_all(inside.join("a/b")).unwrap();
        fs::write(inside.join("a/f"), "text").unwrap();
        fs::write(folder.path().join("f"), "outside").unwrap();
        std::os::unix::fs::symlink("..", inside.join("up")).unwrap();
        let server = Server::open(&inside, false).unwrap();
        Self { folder, server }
    }

    fn say(&mut self, message: &[u8], room: usize) {
        let mut reply = vec![0xa5; room + 64];
        let len = self.server.answer(message, &mut reply[..room]);
        assert!(len <= room);
        assert!(reply[room..].iter().all(|&byte| byte == 0xa5));
        if len > 0 {
            assert_eq!(reply[..4], (len as u32).to_le_bytes());
            assert!(reply[4] % 2 == 1);
        } else {
            assert!(room < 11);
        }
    }

    fn check(self) {
        let mut names: Vec<_> = fs::read_dir(self.folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["f", "in"]);
        let text = fs::read(self.folder.path().join("f")).unwrap();
        assert_eq!(text, b"outside");
    }
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => prop::sample::select(vec!["a", "b", "f", "up", "new", "..", ".", ""])
            .prop_map(|name| name.as_bytes().to_vec()),
        1 => prop::sample::select(vec!["../f", "/etc/passwd", "a/f", "f\0", "up/f"])
            .prop_map(|name| name.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..300),
    ]
}

/// A message that makes some sense.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let fid = || prop_oneof![8 => 0u32..6, 1 => Just(NONE)];
    let num = || {
        prop_oneof![
            4 => 0u64..10_000,
            1 => any::<u64>(),
            1 => Just(u64::MAX),
        ]
    };
    let kinds = vec![
        8, 12, 14, 16, 18, 20, 22, 24, 26, 30, 32, 40, 50, 52, 54, 70, 72, 74, 76, 104, 108, 110,
        110, 110, 116, 118, 120, 122_u8,
    ];
    (
        prop::sample::select(kinds),
        (fid(), fid(), fid()),
        (name(), name()),
        (num(), num(), num()),
        prop::sample::select(vec![0u32, 1, 2, 0o1000, 0o1002, 0o200, 0x200]),
    )
        .prop_map(
            |(kind, (one, two, three), (name, other), (x, y, z), flags)| {
                let (small, f) = (x as u32, fields());
                let f = match kind {
                    8 | 22 | 120 | 122 => f.u32(one),
                    12 => f.u32(one).u32(flags),
                    14 => f.u32(one).string(name).u32(flags).u32(small).u32(0),
                    16 => f.u32(one).string(name).string(other).u32(0),
                    18 => f
                        .u32(one)
                        .string(name)
                        .u32(small << 12)
                        .u32(1)
                        .u32(3)
                        .u32(0),
                    20 => f.u32(one).u32(two).string(name),
                    24 => f.u32(one).u64(x),
                    // Not what would fill the host's disk.
                    26 => f
                        .u32(one)
                        .u32(y as u32)
                        .u32(small)
                        .u32(NONE)
                        .u32(NONE)
                        .u64(z % 10_000)
                        .u64(x)
                        .u64(y)
                        .u64(z)
                        .u64(x),
                    30 => f.u32(one).u32(two).string(name),
                    32 => f.u32(one).string(name).u64(x).u32(flags),
                    40 | 116 => f.u32(one).u64(x).u32(y as u32),
                    50 => f.u32(one).u32(flags),
                    52 => f
                        .u32(one)
                        .u8(x as u8)
                        .u32(flags)
                        .u64(x)
                        .u64(y)
                        .u32(1)
                        .string(name),
                    54 => f.u32(one).u8(x as u8).u64(x).u64(y).u32(1).string(name),
                    70 => f.u32(one).u32(two).string(name),
                    72 => f.u32(one).string(name).u32(small).u32(0),
                    74 => f.u32(one).string(name).u32(two).string(other),
                    76 => f.u32(one).string(name).u32(flags),
                    104 => f.u32(one).u32(NONE).string("").string(name).u32(0),
                    108 => f.u16(x as u16),
                    110 => f.u32(one).u32(three).u16(2).string(name).string(other),
                    118 => f.u32(one).u64(x % 10_000).u32(5).bytes(b"bytes"),
                    _ => unreachable!(),
                };
                f.message(kind, 1)
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(messages in prop::collection::vec(
        prop::collection::vec(any::<u8>(), 0..200), 1..30), room in 0usize..300) {
        let mut world = World::new();
        for message in messages {
            world.say(&message, room);
        }
        world.check();
    }

    #[test]
    fn sessions_that_go_wrong(
        messages in prop::collection::vec(message(), 1..60),
        damage in prop::collection::vec((any::<prop::sample::Index>(), 7usize..40, any::<u8>()), 0..6),
        room in prop_oneof![4 => Just(8192usize), 1 => 0usize..200],
    ) {
        let mut world = World::new();
        let version = fields().u32(8192).string("9P2000.L");
        world.say(&version.message(100, 0xffff), 8192);
        world.say(&attach(0, "").message(104, 0), 8192);
        let mut messages = messages;
        for (which, at, byte) in damage {
            let message = which.get(&messages).clone();
            let index = which.index(messages.len());
            if at < message.len() {
                messages[index][at] = byte;
            }
        }
        for message in messages {
            world.say(&message, room);
        }
        world.check();
    }
}
