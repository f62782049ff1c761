//! Memory that several processes, or one process at several addresses, map at
//! once: anonymous shared memory, and files mapped with `MAP_SHARED`.
//!
//! All shared mappings of one file go to one object, which holds those of its
//! pages that somebody touched. What was written through a mapping goes to
//! the file at msync, munmap, and when the last mapping ends.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use ruse_bus::{Clock, PAGE_SIZE, Shared};
use ruse_event::Tap;

use super::pages::PageSet;
use super::recycle::Spare;
use crate::errno::Errno;
use crate::fs::Description;

/// A file, as `stat` tells it from others.
pub(crate) type FileKey = (u64, u64);

/// Pages that are read or written at once.
pub(crate) const BATCH: u64 = 16;

/// Shared memory.
pub(crate) struct Object {
    /// Tells objects apart: futexes in them have it for a key.
    pub id: u64,
    pub shared: Shared,
    pub file: Option<FileSide>,
    /// As /proc/PID/maps shows it.
    pub name: Vec<u8>,
}

/// The file that an object shows.
pub(crate) struct FileSide {
    pub reader: Rc<Description>,
    /// Somebody's description that may write.
    writer: RefCell<Option<Rc<Description>>>,
    /// Pages that were read from the file.
    loaded: RefCell<PageSet>,
    /// Pages that may differ from the file.
    dirty: RefCell<PageSet>,
}

impl FileSide {
    fn size(&self) -> u64 {
        self.reader.file.stat().map_or(0, |stat| stat.size)
    }
}

impl Object {
    /// Makes it at least `len` bytes long.
    pub(crate) fn grow(&self, len: u64) -> Result<(), Errno> {
        self.shared.grow(len).map_err(|_| Errno::ENOMEM)
    }

    /// Another mapping, by a description that may write.
    pub(crate) fn add_writer(&self, description: &Rc<Description>) {
        if let Some(side) = &self.file {
            side.writer
                .borrow_mut()
                .get_or_insert_with(|| Rc::clone(description));
        }
    }

    /// Reads the pages of `range` from the file that were not read before.
    /// Returns where the readable pages end.
    pub(crate) fn load(&self, range: Range<u64>) -> Result<u64, Errno> {
        let Some(side) = &self.file else {
            return Ok(range.end);
        };
        let end = side.size().div_ceil(PAGE_SIZE).min(range.end);
        if end <= range.start {
            return Ok(range.start);
        }
        let gaps = side.loaded.borrow().gaps(range.start..end);
        for gap in gaps {
            let mut at = gap.start;
            while at < gap.end {
                let next = gap.end.min(at + BATCH);
                let mut bytes = vec![0; ((next - at) * PAGE_SIZE) as usize];
                read_fully(&side.reader, at * PAGE_SIZE, &mut bytes)?;
                self.shared.write(at * PAGE_SIZE, &bytes)?;
                side.loaded.borrow_mut().insert(at..next);
                at = next;
            }
        }
        Ok(end)
    }

    /// A page is about to be written to.
    pub(crate) fn mark_dirty(&self, page: u64) {
        if let Some(side) = &self.file {
            side.dirty.borrow_mut().insert(page..page + 1);
        }
    }

    /// Writes what may differ in `range` to the file, but not beyond its end.
    /// With `clean` the pages are marked as equal to the file: whoever maps
    /// them must notice the next store.
    pub(crate) fn flush(&self, range: Range<u64>, clean: bool) -> Result<(), Errno> {
        let Some(side) = &self.file else {
            return Ok(());
        };
        let runs = side.dirty.borrow().runs(range);
        if runs.is_empty() {
            return Ok(());
        }
        let Some(writer) = side.writer.borrow().clone() else {
            return Ok(());
        };
        let size = side.size();
        for run in runs {
            let mut at = run.start * PAGE_SIZE;
            let end = (run.end * PAGE_SIZE).min(size);
            while at < end {
                let len = (end - at).min(BATCH * PAGE_SIZE) as usize;
                let mut bytes = vec![0; len];
                self.shared.read(at, &mut bytes)?;
                let written = writer.file.write(at, &bytes)?;
                if written == 0 {
                    return Err(Errno::EIO);
                }
                at += written as u64;
            }
            if clean {
                side.dirty.borrow_mut().remove(run);
            }
        }
        Ok(())
    }

    /// The file got these bytes by another way than a mapping.
    fn refresh(&self, offset: u64, bytes: &[u8]) -> Result<(), Errno> {
        let Some(side) = &self.file else {
            return Ok(());
        };
        let end = offset.saturating_add(bytes.len() as u64);
        let pages = offset / PAGE_SIZE..end.div_ceil(PAGE_SIZE);
        let runs = side.loaded.borrow().runs(pages);
        for run in runs {
            let from = offset.max(run.start * PAGE_SIZE);
            let to = end.min(run.end * PAGE_SIZE);
            if let Some(part) = bytes.get((from - offset) as usize..(to - offset) as usize) {
                self.shared.write(from, part)?;
            }
        }
        Ok(())
    }

    /// Reads again what was read from the file.
    fn reload(&self) -> Result<(), Errno> {
        let Some(side) = &self.file else {
            return Ok(());
        };
        let runs = side.loaded.borrow().runs(0..u64::MAX);
        side.loaded.borrow_mut().remove(0..u64::MAX);
        for run in runs {
            let end = self.load(run.clone())?;
            for page in end..run.end {
                self.shared
                    .write(page * PAGE_SIZE, &[0; PAGE_SIZE as usize])?;
            }
        }
        Ok(())
    }

    /// The file ends here now: what was beyond is zero should it grow again.
    fn cut(&self, size: u64) -> Result<(), Errno> {
        let Some(side) = &self.file else {
            return Ok(());
        };
        let first = size.div_ceil(PAGE_SIZE);
        let tail = size % PAGE_SIZE;
        if tail != 0 && side.loaded.borrow().contains(size / PAGE_SIZE) {
            self.shared
                .write(size, &vec![0; (PAGE_SIZE - tail) as usize])?;
        }
        side.dirty.borrow_mut().remove(first..u64::MAX);
        let runs = side.loaded.borrow().runs(first..u64::MAX);
        for page in runs.into_iter().flatten() {
            self.shared
                .write(page * PAGE_SIZE, &[0; PAGE_SIZE as usize])?;
        }
        side.loaded.borrow_mut().remove(first..u64::MAX);
        Ok(())
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        if let Err(errno) = self.flush(0..u64::MAX, true) {
            let name = String::from_utf8_lossy(&self.name).into_owned();
            log::warn!("{name}: what was written through a mapping is lost: {errno:?}");
        }
    }
}

/// Reads until `out` is full or the file ends; what is left is untouched.
pub(crate) fn read_fully(
    description: &Description,
    offset: u64,
    out: &mut [u8],
) -> Result<usize, Errno> {
    let mut done = 0;
    while done < out.len() {
        let at = offset.checked_add(done as u64).ok_or(Errno::EOVERFLOW)?;
        match description.file.read(at, &mut out[done..])? {
            0 => break,
            n => done = (done + n).min(out.len()),
        }
    }
    Ok(done)
}

/// What the memories of all processes have in common.
pub(crate) struct Memory {
    pub clock: Arc<dyn Clock>,
    /// Whom harts tell what happens.
    pub(super) tap: Tap,
    /// Most pages that may be in use; all of them together.
    limit: Option<u64>,
    used: Cell<u64>,
    peak: Cell<u64>,
    /// The limit was hit, and somebody had to die for it.
    pub exhausted: Cell<bool>,
    next_id: Cell<u64>,
    /// Address spaces to be used again, the latest last.
    pub(super) spares: RefCell<VecDeque<Spare>>,
    files: RefCell<HashMap<FileKey, Weak<Object>>>,
}

impl Memory {
    /// `limit` is in bytes.
    pub(crate) fn new(clock: Arc<dyn Clock>, limit: Option<u64>, tap: Tap) -> Rc<Self> {
        Rc::new(Self {
            clock,
            tap,
            limit: limit.map(|bytes| bytes / PAGE_SIZE),
            used: Cell::new(0),
            peak: Cell::new(0),
            exhausted: Cell::new(false),
            next_id: Cell::new(1),
            spares: RefCell::default(),
            files: RefCell::default(),
        })
    }

    /// Bytes in use by all processes.
    pub(crate) fn used(&self) -> u64 {
        self.used.get() * PAGE_SIZE
    }

    /// The most that was ever in use at once, in bytes.
    pub(crate) fn peak(&self) -> u64 {
        self.peak.get() * PAGE_SIZE
    }

    /// Bytes that there are in all, if that is bounded.
    pub(crate) fn limit(&self) -> Option<u64> {
        self.limit.map(|pages| pages * PAGE_SIZE)
    }

    /// Whether `pages` more could be used.
    pub(crate) fn has(&self, pages: u64) -> bool {
        self.limit
            .is_none_or(|limit| limit.saturating_sub(self.used.get()) >= pages)
    }

    /// Takes `pages`, if there are so many.
    pub(crate) fn take(&self, pages: u64) -> bool {
        let ok = self.has(pages);
        if ok {
            let used = self.used.get() + pages;
            self.used.set(used);
            self.peak.set(self.peak.get().max(used));
        }
        ok
    }

    /// Gives `pages` back.
    pub(crate) fn give(&self, pages: u64) {
        self.used.set(self.used.get().saturating_sub(pages));
    }

    fn id(&self) -> u64 {
        let id = self.next_id.get();
        self.next_id.set(id + 1);
        id
    }

    /// A new object of zeroes.
    pub(crate) fn anonymous(&self, len: u64, name: &[u8]) -> Result<Rc<Object>, Errno> {
        Ok(Rc::new(Object {
            id: self.id(),
            shared: Shared::new(len).map_err(|_| Errno::ENOMEM)?,
            file: None,
            name: name.to_vec(),
        }))
    }

    /// The object of a file.
    pub(crate) fn of_file(&self, description: &Rc<Description>) -> Result<Rc<Object>, Errno> {
        let stat = description.file.stat()?;
        let key = (stat.dev, stat.ino);
        let mut files = self.files.borrow_mut();
        if let Some(object) = files.get(&key).and_then(Weak::upgrade) {
            return Ok(object);
        }
        files.retain(|_, object| object.strong_count() != 0);
        let object = Rc::new(Object {
            id: self.id(),
            shared: Shared::new(0).map_err(|_| Errno::ENOMEM)?,
            file: Some(FileSide {
                reader: Rc::clone(description),
                writer: RefCell::default(),
                loaded: RefCell::default(),
                dirty: RefCell::default(),
            }),
            name: description.path.clone(),
        });
        files.insert(key, Rc::downgrade(&object));
        Ok(object)
    }

    /// The object of the file with this key, if it is mapped shared now.
    fn mapped(&self, key: impl FnOnce() -> Option<FileKey>) -> Option<Rc<Object>> {
        if self.files.borrow().is_empty() {
            return None;
        }
        self.files.borrow().get(&key()?).and_then(Weak::upgrade)
    }

    /// A file is about to be read (or synchronised): it gets what was written
    /// to it through mappings.
    pub(crate) fn before_read(&self, description: &Description) -> Result<(), Errno> {
        match self.mapped(|| key_of(description)) {
            Some(object) => object.flush(0..u64::MAX, false),
            None => Ok(()),
        }
    }

    /// A file got `bytes` at `offset`: its mappings show them.
    pub(crate) fn after_write(
        &self,
        description: &Description,
        offset: u64,
        bytes: &[u8],
    ) -> Result<(), Errno> {
        match self.mapped(|| key_of(description)) {
            Some(object) => object.refresh(offset, bytes),
            None => Ok(()),
        }
    }

    /// The contents of a file changed in some other way: mappings show them
    /// from the next time on that a page is looked for.
    pub(crate) fn forget(&self, description: &Description) {
        let key = || key_of(description);
        if let Some(object) = self.mapped(key)
            && let Err(errno) = object.reload()
        {
            log::warn!("a mapping shows old contents: {errno:?}");
        }
    }

    /// A file was cut or extended to `size` bytes.
    pub(crate) fn after_resize(&self, description: &Description, size: u64) -> Result<(), Errno> {
        self.after_resize_of(size, || key_of(description))
    }

    /// The same of a file by its key, which is asked for only if any file is
    /// mapped shared.
    pub(crate) fn after_resize_of(
        &self,
        size: u64,
        key: impl FnOnce() -> Option<FileKey>,
    ) -> Result<(), Errno> {
        match self.mapped(key) {
            Some(object) => object.cut(size),
            None => Ok(()),
        }
    }
}

fn key_of(description: &Description) -> Option<FileKey> {
    let stat = description.file.stat().ok()?;
    Some((stat.dev, stat.ino))
}
