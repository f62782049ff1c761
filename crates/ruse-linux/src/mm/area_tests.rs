use proptest::prelude::*;

use super::*;

const PAGE: u64 = PAGE_SIZE;
/// Pages of the model's address space.
const SIZE: u64 = 64;

fn area(pages: Range<u64>, prot: Prot, name: &'static str) -> Area {
    Area {
        start: pages.start * PAGE,
        end: pages.end * PAGE,
        prot,
        kind: Kind {
            name,
            ..Kind::default()
        },
        backing: Backing::Anonymous,
    }
}

#[derive(Clone, Debug)]
enum Step {
    Map(u64, u64, u8),
    Unmap(u64, u64),
    Protect(u64, u64, u8),
    Place(u64, u8),
}

fn step() -> impl Strategy<Value = Step> {
    let (at, len, prot) = (0..SIZE, 1u64..12, 0u8..3);
    prop_oneof![
        (at.clone(), len.clone(), prot.clone()).prop_map(|(a, l, p)| Step::Map(a, l, p)),
        (at.clone(), len.clone()).prop_map(|(a, l)| Step::Unmap(a, l)),
        (at, len.clone(), prot.clone()).prop_map(|(a, l, p)| Step::Protect(a, l, p)),
        (len, prot).prop_map(|(l, p)| Step::Place(l, p)),
    ]
}

fn prot(n: u8) -> Prot {
    [Prot::NONE, Prot::READ, Prot::READ | Prot::WRITE][n as usize]
}

proptest! {
    #[test]
    fn like_an_array_of_pages(steps in prop::collection::vec(step(), 1..80)) {
        let mut areas = Areas::default();
        let mut model: Vec<Option<Prot>> = vec![None; SIZE as usize + 12];
        for step in steps {
            match step {
                Step::Map(at, len, p) => {
                    areas.remove(at * PAGE..(at + len) * PAGE);
                    areas.insert(area(at..at + len, prot(p), ""));
                    model[at as usize..(at + len) as usize].fill(Some(prot(p)));
                }
                Step::Unmap(at, len) => {
                    let gone = areas.remove(at * PAGE..(at + len) * PAGE);
                    let pages: u64 = gone.iter().map(|a| a.len() / PAGE).sum();
                    let there = &mut model[at as usize..(at + len) as usize];
                    prop_assert_eq!(pages, there.iter().flatten().count() as u64);
                    there.fill(None);
                }
                Step::Protect(at, len, p) => {
                    areas.update(at * PAGE..(at + len) * PAGE, |a| a.prot = prot(p));
                    for page in model[at as usize..(at + len) as usize].iter_mut().flatten() {
                        *page = prot(p);
                    }
                }
                Step::Place(len, p) => {
                    let fits = |at: &u64| {
                        model[*at as usize..(*at + len) as usize].iter().all(Option::is_none)
                    };
                    let expected = (0..=SIZE - len).rev().find(fits);
                    let found = areas.gap(len * PAGE, 0..SIZE * PAGE);
                    // The highest gap that is large enough is filled from its
                    // top; a cached search may find a lower one only if no
                    // higher one exists.
                    prop_assert_eq!(found, expected.map(|at| at * PAGE));
                    if let Some(at) = expected {
                        areas.insert(area(at..at + len, prot(p), ""));
                        model[at as usize..(at + len) as usize].fill(Some(prot(p)));
                    }
                }
            }
            let mut total = 0;
            for (n, expected) in model.iter().enumerate() {
                let va = n as u64 * PAGE;
                let found = areas.find(va + 17).map(|a| a.prot);
                prop_assert_eq!(found, *expected, "page {}", n);
                total += u64::from(expected.is_some()) * PAGE;
            }
            prop_assert_eq!(areas.total(), total);
            let all: Vec<&Area> = areas.iter().collect();
            for pair in all.windows(2) {
                prop_assert!(pair[0].end <= pair[1].start);
                prop_assert!(!pair[0].continued_by(pair[1]), "neighbours are joined");
            }
        }
    }
}

#[test]
fn different_kinds_are_not_joined() {
    let mut areas = Areas::default();
    areas.insert(area(1..2, Prot::READ, "[heap]"));
    areas.insert(area(3..4, Prot::READ, "[heap]"));
    areas.insert(area(2..3, Prot::READ, "[stack]"));
    assert_eq!(areas.count(), 3);
    areas.update(2 * PAGE..3 * PAGE, |a| a.kind.name = "[heap]");
    assert_eq!(areas.count(), 1);
    assert!(areas.covers(PAGE..4 * PAGE));
    assert!(!areas.covers(PAGE..5 * PAGE));
    assert!(!areas.covers(0..2 * PAGE));
    assert!(areas.is_free(4 * PAGE..9 * PAGE));
}
