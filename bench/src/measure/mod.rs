//! What is measured, apart from wall-clock time.

pub mod alloc;
pub mod cpu;
pub mod figures;
