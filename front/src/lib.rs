//! Placeholder during layout.
