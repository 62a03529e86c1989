//! The introducer: brings the requests of two parties together (INTRODUCTIONS.md 4 and 10).
