//! A list that holds one element without allocating: most orders have one line.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ops::{Deref, DerefMut};

/// One element, or any other number of them. Reads as a slice.
///
/// ```
/// # use inventory_core::OneOrMany;
/// let many: OneOrMany<u8> = (1..=3).collect();
/// assert_eq!(many.len(), 3);
/// assert_eq!(OneOrMany::One(7).first(), Some(&7));
/// ```
#[derive(Clone, Debug)]
pub enum OneOrMany<T> {
    /// Exactly one, stored in place.
    One(T),
    /// None, or two and more.
    Many(Box<[T]>),
}

impl<T> Deref for OneOrMany<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match self {
            Self::One(one) => core::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

impl<T> DerefMut for OneOrMany<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        match self {
            Self::One(one) => core::slice::from_mut(one),
            Self::Many(many) => many,
        }
    }
}

impl<T: PartialEq> PartialEq for OneOrMany<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: Eq> Eq for OneOrMany<T> {}

impl<T> From<Vec<T>> for OneOrMany<T> {
    fn from(list: Vec<T>) -> Self {
        list.into_iter().collect()
    }
}

impl<T> From<T> for OneOrMany<T> {
    fn from(one: T) -> Self {
        Self::One(one)
    }
}

impl<T> FromIterator<T> for OneOrMany<T> {
    fn from_iter<I: IntoIterator<Item = T>>(elements: I) -> Self {
        let mut elements = elements.into_iter();
        match (elements.next(), elements.next()) {
            (None, _) => Self::Many(Box::default()),
            (Some(one), None) => Self::One(one),
            (Some(first), Some(second)) => {
                let mut list = Vec::with_capacity(elements.size_hint().0.saturating_add(2));
                list.extend([first, second]);
                list.extend(elements);
                Self::Many(list.into_boxed_slice())
            }
        }
    }
}
