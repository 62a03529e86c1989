//! A party of introductions: asks, and looks for the first path (INTRODUCTIONS.md 5 and 8).
