//! Address spaces that are used again.
//!
//! A shell script is a few programs executed over and over, each time at the
//! same addresses. When a process is done with an address space, its data go,
//! but the pages of program text stay in it, hidden from the hart, together
//! with the hart that has decoded them. The next process that executes (or is
//! forked from) the same program gets the space, and when it maps the same
//! part of the same unchanged file to the same address, its pages are there
//! already.

use std::ops::{Deref, DerefMut, Range};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ruse_bus::{PAGE_SIZE, Prot, RamError, Space};
use ruse_hart::Hart;

use super::area::{Area, Backing};
use super::object::Memory;
use super::pages::PageSet;
use super::{Mm, pages};
use crate::fs::Description;

/// Spaces that are kept for later.
pub(super) const SPARE: usize = 16;
/// A file that changed more recently than this may change again without a
/// new time of change.
const SETTLED: Duration = Duration::from_secs(2);

/// A hart, until it is taken out at the end.
pub(crate) struct Engine(Option<Box<Hart>>);

impl Deref for Engine {
    type Target = Hart;

    fn deref(&self) -> &Hart {
        match &self.0 {
            Some(hart) => hart,
            None => unreachable!("taken out only when it is dropped"),
        }
    }
}

impl DerefMut for Engine {
    fn deref_mut(&mut self) -> &mut Hart {
        match &mut self.0 {
            Some(hart) => hart,
            None => unreachable!("taken out only when it is dropped"),
        }
    }
}

/// A file in the state in which it was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct FileId {
    dev: u64,
    ino: u64,
    size: u64,
    mtime: (i64, u32),
    ctime: (i64, u32),
}

impl FileId {
    /// `None` if it could change without becoming another one.
    pub(crate) fn of(file: &Description) -> Option<Self> {
        let stat = file.file.stat().ok()?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
        let settled = now.checked_sub(SETTLED)?.as_secs() as i64;
        (stat.mtime.0 < settled && stat.ctime.0 < settled).then_some(Self {
            dev: stat.dev,
            ino: stat.ino,
            size: stat.size,
            mtime: stat.mtime,
            ctime: stat.ctime,
        })
    }
}

/// Where hidden pages come from.
#[derive(Debug)]
struct Region {
    pages: Range<u64>,
    file: FileId,
    /// The offset in the file of its first page.
    offset: u64,
}

/// Hidden pages: not present, but not zero either.
#[derive(Default, Debug)]
pub(super) struct Hidden {
    pages: PageSet,
    regions: Vec<Region>,
}

impl Hidden {
    /// These pages have other contents now, or none.
    pub(super) fn forget(&mut self, pages: Range<u64>) {
        if self.pages.len() != 0 {
            self.pages.remove(pages);
        }
    }

    /// The hidden pages among `pages`.
    pub(super) fn among(&self, pages: Range<u64>) -> Vec<Range<u64>> {
        self.pages.runs(pages)
    }

    /// The hidden pages among `pages` that hold what `file` has at `offset`.
    fn of_file(&self, pages: &Range<u64>, file: FileId, offset: u64) -> Vec<Range<u64>> {
        let base = |first: u64, offset: u64| offset.wrapping_sub(first.wrapping_mul(PAGE_SIZE));
        self.regions
            .iter()
            .filter(|region| {
                region.file == file
                    && base(region.pages.start, region.offset) == base(pages.start, offset)
            })
            .flat_map(|region| {
                let start = region.pages.start.max(pages.start);
                let end = region.pages.end.min(pages.end);
                self.pages.runs(start..end.max(start))
            })
            .collect()
    }
}

/// An address space without a process.
pub(super) struct Spare {
    program: FileId,
    space: Arc<Space>,
    hart: Box<Hart>,
    hidden: Hidden,
}

/// What an [`Mm`] is made of.
pub(super) struct Parts {
    pub space: Arc<Space>,
    pub hart: Engine,
    pub hidden: Hidden,
}

impl Memory {
    /// An address space for a process that executes `program`.
    pub(super) fn parts(&self, program: Option<FileId>) -> Result<Parts, RamError> {
        let mut spares = self.spares.borrow_mut();
        let same = spares
            .iter()
            .rposition(|spare| Some(spare.program) == program);
        if let Some(spare) = same.and_then(|at| spares.remove(at)) {
            return Ok(Parts {
                space: spare.space,
                hart: Engine(Some(spare.hart)),
                hidden: spare.hidden,
            });
        }
        let space = Arc::new(Space::new()?);
        let mut hart = Hart::user(Arc::clone(&space), Arc::clone(&self.clock));
        hart.watch(&self.tap);
        Ok(Parts {
            space,
            hart: Engine(Some(Box::new(hart))),
            hidden: Hidden::default(),
        })
    }
}

impl Mm {
    /// The file of an area of unchanged program text, in the state in which
    /// its pages were read.
    fn text_id(&mut self, area: &Area) -> Option<FileId> {
        let Backing::File(file, _) = &area.backing else {
            return None;
        };
        if area.kind.written || !area.prot.contains(Prot::EXEC) {
            return None;
        }
        let known = self.texts.iter().find(|(known, _)| Rc::ptr_eq(known, file));
        if let Some((_, id)) = known {
            return *id;
        }
        let id = FileId::of(file);
        self.texts.push((Rc::clone(file), id));
        id
    }

    /// Pages of `area` are about to become present. Returns those, in order,
    /// that hold already what they are to hold; all others are zero now.
    pub(super) fn unhide(&mut self, area: &Area, pages: &Range<u64>) -> Vec<Range<u64>> {
        // Even if nothing is hidden: the file's state must be known from
        // before it is read.
        let id = self.text_id(area);
        if self.hidden.pages.len() == 0 {
            return Vec::new();
        }
        let mut good = match (id, area.backing_at(pages.start * PAGE_SIZE)) {
            (Some(id), Backing::File(_, offset)) => self.hidden.of_file(pages, id, offset),
            _ => Vec::new(),
        };
        good.sort_by_key(|run| run.start);
        for run in &good {
            self.hidden.forget(run.clone());
        }
        for run in self.hidden.among(pages.clone()) {
            self.discard(run);
        }
        good
    }

    /// The process is done with it: what the next one may use stays.
    fn retire(&mut self) {
        let (Some(program), Some(mut hart)) = (self.program, self.hart.0.take()) else {
            return;
        };
        let areas: Vec<Area> = self.areas.iter().cloned().collect();
        let mut regions = Vec::new();
        let mut kept = PageSet::default();
        for area in &areas {
            let same = |id: &FileId| match &area.backing {
                Backing::File(file, _) => FileId::of(file) == Some(*id),
                _ => false,
            };
            let (id, backing) = (self.text_id(area), area.backing.clone());
            if let (Some(file), Backing::File(_, offset)) = (id.filter(same), backing) {
                let mut runs = self.present.runs(area.pages());
                runs.extend(self.hidden.of_file(&area.pages(), file, offset));
                for run in runs {
                    let len = (run.end - run.start) * PAGE_SIZE;
                    self.space.hide(run.start * PAGE_SIZE, len);
                    kept.insert(run);
                }
                regions.push(Region {
                    pages: area.pages(),
                    file,
                    offset,
                });
            } else {
                self.drop_contents(area, pages(&(area.start..area.end)));
            }
        }
        for run in self.hidden.among(0..Space::SIZE / PAGE_SIZE) {
            for gap in kept.gaps(run) {
                self.discard(gap);
            }
        }
        // Addresses mean nothing now; code of pages that are gone goes, too.
        hart.sync_code();
        hart.flush_tlb();
        let mut spares = self.memory.spares.borrow_mut();
        if spares.len() >= SPARE {
            spares.pop_front();
        }
        spares.push_back(Spare {
            program,
            space: Arc::clone(&self.space),
            hart,
            hidden: Hidden {
                pages: kept,
                regions,
            },
        });
    }
}

impl Drop for Mm {
    fn drop(&mut self) {
        self.memory.give(self.present.len());
        self.retire();
    }
}
