//! Reading a data directory from outside: without the lock, without changing it, also while a server uses it.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use inventory_core::Version;
use inventory_core::journal::{Group, Snapshot};

use super::copy::{self, Copied, CopyError};
use super::damage::{Damage, OpenError};
use super::recovery::failed;
use super::report::{Report, visit_on};
use super::snapshots;
use crate::disk::{Disk, OsDisk};

/// A data directory that is only looked at. It need not be that of a stopped server: reading ends at the last whole
/// record that is there at that moment, whether it was acknowledged already or not.
///
/// A server may compress segments meanwhile; if it discards the one that is read, the answer is [`OpenError::Discarded`].
///
/// ```
/// use std::ops::ControlFlow;
/// use inventory_core::{Version, journal::Journal, testing::Chain};
/// use inventory_store::{FileJournal, FileJournalOptions, View};
/// # let parent = tempfile::tempdir()?;
/// # let dir = &parent.path().join("data");
/// let journal = FileJournal::open(dir, FileJournalOptions::default())?;
/// let mut chain = Chain::new(1);
/// pollster::block_on(journal.append(chain.next(1_000)));
///
/// let mut groups = 0;
/// let report = View::new(dir).read(Version::ZERO, |_| {
///     groups += 1;
///     ControlFlow::Continue(())
/// })?;
/// assert_eq!((groups, report.tip, report.damage), (1, chain.tip(), None));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct View {
    disk: Arc<dyn Disk>,
}

/// The snapshots in a data directory.
#[derive(Clone, Debug, Default)]
pub struct ViewedSnapshots {
    /// Those that are whole, oldest first.
    pub whole: Vec<Snapshot>,
    /// Those that are not what was written.
    pub damaged: Vec<Damage>,
}

impl View {
    /// A view of this directory. Nothing is read yet.
    pub fn new(dir: &Path) -> Self {
        Self::on(Arc::new(OsDisk::new(dir)))
    }

    /// A view of this disk.
    pub const fn on(disk: Arc<dyn Disk>) -> Self {
        Self { disk }
    }

    /// All snapshots. Read them before the groups: the journal then goes at least as far as they do.
    pub fn snapshots(&self) -> Result<ViewedSnapshots, OpenError> {
        let read = snapshots::all(&*self.disk).map_err(|why| failed(&*self.disk, snapshots::DIR, why))?;
        let (whole, damaged) = read;
        Ok(ViewedSnapshots { whole, damaged })
    }

    /// Shows each group that ends after this version, in order, until there is none or `visit` breaks. If the journal begins
    /// later, that is where the groups begin: [`Report::start`] says so. They were checked as [`inspect`](super::inspect)
    /// does, and the report is the same, as far as was read; damage ends the reading and is in the report.
    pub fn read(
        &self,
        after: Version,
        mut visit: impl FnMut(&Group) -> ControlFlow<()>,
    ) -> Result<Report, OpenError> {
        visit_on(&*self.disk, after, &mut |group| {
            if group.last() <= after { ControlFlow::Continue(()) } else { visit(group) }
        })
    }

    /// Copies the journal and its snapshots to a disk that holds neither, and makes them durable there. Needs no help of
    /// whoever uses the directory, and takes no lock.
    ///
    /// The copy is a data directory. It ends at a whole record, and holds at least all that was acknowledged before the
    /// call. Of the records only those of the last segment were looked at: damage in others is copied as it is, so
    /// [`read`](Self::read) the copy before relying on it. On an error, what there is of the copy is of no use.
    ///
    /// ```
    /// use inventory_core::{journal::Journal, testing::Chain};
    /// use inventory_store::{FileJournal, FileJournalOptions, View, disk::OsDisk, inspect};
    /// # let parent = tempfile::tempdir()?;
    /// # let (dir, backup) = (&parent.path().join("data"), &parent.path().join("backup"));
    /// let journal = FileJournal::open(dir, FileJournalOptions::default())?;
    /// let mut chain = Chain::new(1);
    /// pollster::block_on(journal.append(chain.next(1_000)));
    ///
    /// let copied = View::new(dir).copy_to(&OsDisk::create(backup)?)?;
    /// assert_eq!((copied.tip, inspect(backup)?.damage), (chain.tip(), None));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn copy_to(&self, to: &dyn Disk) -> Result<Copied, CopyError> {
        copy::copy(&*self.disk, to)
    }
}
