//! One page of a list.

/// Some items of a list, and how to ask for those that follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The items, in the order of the list.
    pub items: Vec<T>,
    /// What to ask with for the next page; `None` at the end of the list.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// Returns the page with each item converted.
    pub fn map<U>(self, convert: impl FnMut(T) -> U) -> Page<U> {
        Page {
            items: self.items.into_iter().map(convert).collect(),
            next: self.next,
        }
    }
}
