//! The shop as a black box.
