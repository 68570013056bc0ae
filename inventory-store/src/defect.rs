//! Which planted defect is at work in which thread; see [`inventory_core::defect`]. The threads that a journal starts have the
//! defect of the thread that opened it.

#[cfg(not(feature = "defects"))]
pub(crate) fn inherited<T>(work: impl FnOnce() -> T) -> impl FnOnce() -> T {
    work
}

#[cfg(feature = "defects")]
pub(crate) use planted::inherited;
#[cfg(feature = "defects")]
pub use planted::{Planted, plant};

#[cfg(feature = "defects")]
mod planted {
    use std::cell::Cell;

    use inventory_core::defect::{Defect, ask};

    thread_local! {
        static HERE: Cell<Option<Defect>> = const { Cell::new(None) };
    }

    /// Until this is dropped, a defect is at work in this thread, or none.
    #[derive(Debug)]
    #[must_use = "the defect is gone when this is dropped"]
    pub struct Planted {
        before: Option<Defect>,
    }

    /// Puts this defect, or none, in the place of the one at work in this thread.
    pub fn plant(defect: Option<Defect>) -> Planted {
        ask(|defect| HERE.get() == Some(defect));
        Planted { before: HERE.replace(defect) }
    }

    impl Drop for Planted {
        fn drop(&mut self) {
            HERE.set(self.before);
        }
    }

    /// The work, to be done in another thread with the defect of this one.
    pub(crate) fn inherited<T>(work: impl FnOnce() -> T) -> impl FnOnce() -> T {
        let here = HERE.get();
        move || {
            let _planted = plant(here);
            work()
        }
    }
}
