//! Filters and orders as a whole.
