//! A datagram taken apart: what it is, and its fields with their places.

use crate::units::{hex, text_or_hex};

/// One field.
#[derive(Debug)]
pub struct Field {
    /// Offset in the datagram; `None` in what was sealed.
    pub at: Option<usize>,
    /// Its size in bytes.
    pub size: usize,
    pub name: &'static str,
    pub value: String,
}

/// A datagram taken apart.
#[derive(Debug)]
pub struct Explained {
    /// Its name in PROTOCOL.md, section 2.
    pub kind: &'static str,
    /// One line.
    pub summary: String,
    pub fields: Vec<Field>,
    /// The reason why it, or the rest of it, would be dropped.
    pub problem: Option<String>,
    /// Set if what is sealed in it was opened; `None` if nothing is sealed.
    pub opened: Option<bool>,
}

impl Explained {
    pub fn new(kind: &'static str, summary: impl Into<String>) -> Self {
        Self { kind, summary: summary.into(), fields: Vec::new(), problem: None, opened: None }
    }

    /// Adds a field in the clear.
    pub fn field(&mut self, at: usize, size: usize, name: &'static str, value: impl Into<String>) {
        self.fields.push(Field { at: Some(at), size, name, value: value.into() });
    }

    /// Adds a field that was sealed.
    pub fn sealed_field(&mut self, size: usize, name: &'static str, value: impl Into<String>) {
        self.fields.push(Field { at: None, size, name, value: value.into() });
    }
}

/// An application's bytes: text where it is text, and always hex.
pub fn data(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "(empty)".into();
    }
    match text_or_hex(bytes) {
        text if text == hex(bytes) => text,
        text => format!("\"{text}\" {}", hex(bytes)),
    }
}
