//! Path walking against a model that follows POSIX's words one name at a time
//! on a tree of nodes that know their parents.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::walk::{Found, Rules, Target, Tree, Walked, join, split, walk};
use super::super::{S_IFDIR, S_IFLNK, S_IFREG, Stat};
use crate::errno::Errno;

#[derive(Debug)]
enum Kind {
    Dir(BTreeMap<Vec<u8>, usize>),
    File,
    Link(Vec<u8>),
}

#[derive(Debug)]
struct Node {
    kind: Kind,
    parent: usize,
    name: Vec<u8>,
}

/// Node 0 is the root.
#[derive(Debug)]
struct Model {
    nodes: Vec<Node>,
    /// Whether the walk is to ask at every directory.
    careful: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    There(Vec<u8>, u32),
    Missing(Vec<u8>),
}

impl Model {
    fn path(&self, mut id: usize) -> Vec<u8> {
        let mut names = Vec::new();
        while id != 0 {
            names.push(self.nodes[id].name.clone());
            id = self.nodes[id].parent;
        }
        names
            .iter()
            .rev()
            .fold(b"/".to_vec(), |path, name| join(&path, name))
    }

    fn mode(&self, id: usize) -> u32 {
        match self.nodes[id].kind {
            Kind::Dir(_) => S_IFDIR,
            Kind::File => S_IFREG,
            Kind::Link(_) => S_IFLNK,
        }
    }

    /// Adds a node if its parent is a directory and the name is free.
    fn add(&mut self, parent: usize, name: &[u8], kind: Kind) {
        let id = self.nodes.len();
        let parent = parent % id;
        if let Kind::Dir(entries) = &mut self.nodes[parent].kind
            && !entries.contains_key(name)
        {
            entries.insert(name.to_vec(), id);
            self.nodes.push(Node {
                kind,
                parent,
                name: name.to_vec(),
            });
        }
    }

    /// The reference.
    fn resolve(
        &self,
        root: usize,
        start: usize,
        path: &[u8],
        follow: bool,
    ) -> Result<Outcome, Errno> {
        if path.is_empty() {
            return Err(Errno::ENOENT);
        }
        let mut at = if path[0] == b'/' { root } else { start };
        // A slash at the end asks for a directory, as if a dot followed it.
        let names = |path: &[u8]| -> Vec<Vec<u8>> {
            let mut parts: Vec<Vec<u8>> = path
                .split(|&b| b == b'/')
                .filter(|name| !name.is_empty())
                .map(<[u8]>::to_vec)
                .collect();
            if path.ends_with(b"/") {
                parts.push(b".".to_vec());
            }
            parts.reverse();
            parts
        };
        let mut rest = names(path);
        let mut links = 0;
        while let Some(name) = rest.pop() {
            let Kind::Dir(entries) = &self.nodes[at].kind else {
                return Err(Errno::ENOTDIR);
            };
            if name == b"." {
                continue;
            }
            if name == b".." {
                if at != root {
                    at = self.nodes[at].parent;
                }
                continue;
            }
            let Some(&next) = entries.get(&name) else {
                return if rest.iter().all(|name| name == b".") {
                    Ok(Outcome::Missing(join(&self.path(at), &name)))
                } else {
                    Err(Errno::ENOENT)
                };
            };
            match &self.nodes[next].kind {
                Kind::Link(target) if follow || !rest.is_empty() => {
                    links += 1;
                    if links > 40 {
                        return Err(Errno::ELOOP);
                    }
                    if target[0] == b'/' {
                        at = root;
                    }
                    rest.extend(names(target));
                }
                _ => at = next,
            }
        }
        Ok(Outcome::There(self.path(at), self.mode(at)))
    }
}

impl Tree for Model {
    fn look(&self, path: &[u8]) -> Result<Found, Errno> {
        assert!(path.starts_with(b"/"), "{path:?}");
        let (mut at, mut end) = (0, 0);
        while end < path.len() && path != b"/" {
            let start = end + 1;
            let len = path[start..].iter().position(|&b| b == b'/');
            end = len.map_or(path.len(), |len| start + len);
            let name = &path[start..end];
            assert!(
                !matches!(name, b"" | b"." | b".."),
                "{path:?} is not canonical"
            );
            let Kind::Dir(entries) = &self.nodes[at].kind else {
                return Err(Errno::ENOTDIR);
            };
            let Some(&next) = entries.get(name) else {
                return Ok(Found::Missing);
            };
            at = next;
            if let Kind::Link(target) = &self.nodes[at].kind {
                return Ok(Found::Link {
                    end,
                    target: Target::Text(target.clone()),
                    stat: self.stat(at),
                });
            }
        }
        Ok(Found::Node(self.stat(at)))
    }

    fn careful(&self) -> bool {
        self.careful
    }
}

impl Model {
    fn stat(&self, id: usize) -> Stat {
        Stat {
            mode: self.mode(id),
            ..Stat::default()
        }
    }
}

fn outcome(walked: Walked) -> Outcome {
    match walked.stat {
        Some(stat) => Outcome::There(walked.path, stat.mode),
        None => Outcome::Missing(walked.path),
    }
}

/// Paths of a few names, so that they meet.
fn paths() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        6 => prop::sample::select(vec!["a", "b", "c"]),
        2 => Just(".."),
        1 => Just("."),
        1 => Just(""),
    ];
    let ends = (prop::bool::weighted(0.3), prop::bool::weighted(0.2));
    (prop::collection::vec(part, 1..6), ends).prop_map(|(parts, (front, back))| {
        let middle = parts.join("/");
        format!(
            "{}{middle}{}",
            if front { "/" } else { "" },
            if back { "/" } else { "" }
        )
        .into_bytes()
    })
}

fn models() -> impl Strategy<Value = Model> {
    let name = prop::sample::select(vec![&b"a"[..], b"b", b"c"]);
    let kind = prop_oneof![
        4 => Just(None),
        1 => Just(Some(None)),
        4 => paths().prop_filter("links have text", |p| !p.is_empty()).prop_map(|p| Some(Some(p))),
    ];
    (
        prop::collection::vec((0..20_usize, name, kind), 1..25),
        prop::bool::ANY,
    )
        .prop_map(|(entries, careful)| {
            let mut model = Model {
                nodes: vec![Node {
                    kind: Kind::Dir(BTreeMap::new()),
                    parent: 0,
                    name: Vec::new(),
                }],
                careful,
            };
            for (parent, name, kind) in entries {
                let kind = match kind {
                    None => Kind::Dir(BTreeMap::new()),
                    Some(None) => Kind::File,
                    Some(Some(target)) => Kind::Link(target),
                };
                model.add(parent, name, kind);
            }
            model
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn as_posix_says(
        model in models(),
        path in paths(),
        root in 0..20_usize,
        start in 0..20_usize,
        follow in prop::bool::ANY,
    ) {
        let dirs: Vec<usize> = (0..model.nodes.len())
            .filter(|&id| matches!(model.nodes[id].kind, Kind::Dir(_)))
            .collect();
        // The start is beneath the root, as it is but for odd uses of chroot.
        let start = dirs[start % dirs.len()];
        let mut above = vec![start];
        while let Some(&last) = above.last() && last != 0 {
            above.push(model.nodes[last].parent);
        }
        let root = above[root % above.len()];
        let expected = model.resolve(root, start, &path, follow);
        let walked = walk(&model, &model.path(root), &model.path(start), &path, follow, Rules::default());
        let walked = walked.map(outcome);
        // A walk does not say which name is missing; who makes it finds out.
        if let (Ok(Outcome::Missing(path)), Err(Errno::ENOENT)) = (&walked, &expected) {
            let above = model.look(split(path).0);
            prop_assert!(matches!(above, Ok(Found::Missing)), "{:?}", path);
            return Ok(());
        }
        prop_assert_eq!(walked, expected);
    }

    #[test]
    fn whatever_bytes(path in prop::collection::vec(any::<u8>(), 0..50), model in models()) {
        // Neither panics nor asks the tree for what is not canonical.
        let _ = walk(&model, b"/", b"/", &path, true, Rules::default());
    }
}
