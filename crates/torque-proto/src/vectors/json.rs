//! A small writer of JSON. What fits on a line is written on one line, and so is each item of a list.

use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

/// Objects and lists up to this many characters stay on their line.
const LINE: usize = 180;

/// A JSON value; objects keep the order in which they were made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Json {
    Bool(bool),
    Number(u64),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(&'static str, Json)>),
}

/// An object of keys and values.
macro_rules! object {
    ($($key:literal: $value:expr),* $(,)?) => {
        $crate::vectors::json::Json::Object(std::vec![$(($key, $crate::vectors::json::Json::from($value))),*])
    };
}
pub(super) use object;

impl Json {
    /// The object with one more key at its end.
    pub(super) fn with(mut self, key: &'static str, value: impl Into<Self>) -> Self {
        let Self::Object(fields) = &mut self else { panic!("`{key}` is given to what is no object") };
        fields.push((key, value.into()));
        self
    }

    /// The text of this key, for names.
    pub(super) fn text(&self, wanted: &str) -> Option<&str> {
        let Self::Object(fields) = self else { return None };
        fields.iter().find_map(|(key, value)| match value {
            Self::Text(text) if *key == wanted => Some(text.as_str()),
            _ => None,
        })
    }

    /// On one line.
    fn compact(&self) -> String {
        match self {
            Self::Bool(value) => value.to_string(),
            Self::Number(value) => value.to_string(),
            Self::Text(text) => quoted(text),
            Self::List(items) => {
                let items: Vec<String> = items.iter().map(Self::compact).collect();
                format!("[{}]", items.join(", "))
            }
            Self::Object(fields) => {
                let fields: Vec<String> =
                    fields.iter().map(|(key, value)| format!("\"{key}\":{}", value.compact())).collect();
                format!("{{{}}}", fields.join(", "))
            }
        }
    }

    /// Appends the value, over several lines if it is long. `indent` is that of the line it begins on.
    pub(super) fn write(&self, indent: usize, out: &mut String) {
        let compact = self.compact();
        let parts: Vec<(String, &Self)> = match self {
            Self::List(items) => items.iter().map(|item| (String::new(), item)).collect(),
            Self::Object(fields) => {
                fields.iter().map(|(key, value)| (format!("\"{key}\": "), value)).collect()
            }
            _ => Vec::new(),
        };
        if parts.is_empty() || compact.len() + indent <= LINE {
            return out.push_str(&compact);
        }
        let (open, close) = if matches!(self, Self::List(_)) { ('[', ']') } else { ('{', '}') };
        out.push(open);
        for (index, (key, value)) in parts.iter().enumerate() {
            out.push_str(if index == 0 { "\n" } else { ",\n" });
            out.push_str(&" ".repeat(indent + 1));
            out.push_str(key);
            match self {
                Self::List(_) => out.push_str(&value.compact()),
                _ => value.write(indent + 1, out),
            }
        }
        out.push('\n');
        out.push_str(&" ".repeat(indent));
        out.push(close);
    }
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            '\0'..='\x1f' => out.push_str(&format!("\\u{:04x}", u32::from(character))),
            _ => out.push(character),
        }
    }
    out.push('"');
    out
}

/// Bytes are lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> Json {
    Json::Text(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

impl From<bool> for Json {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        Self::Text(text.to_string())
    }
}

impl From<String> for Json {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Vec<Self>> for Json {
    fn from(items: Vec<Self>) -> Self {
        Self::List(items)
    }
}

impl From<&[u8]> for Json {
    fn from(bytes: &[u8]) -> Self {
        hex(bytes)
    }
}

impl From<&Vec<u8>> for Json {
    fn from(bytes: &Vec<u8>) -> Self {
        hex(bytes)
    }
}

impl From<Vec<u8>> for Json {
    fn from(bytes: Vec<u8>) -> Self {
        hex(&bytes)
    }
}

impl<const N: usize> From<[u8; N]> for Json {
    fn from(bytes: [u8; N]) -> Self {
        hex(&bytes)
    }
}

impl<const N: usize> From<&[u8; N]> for Json {
    fn from(bytes: &[u8; N]) -> Self {
        hex(bytes)
    }
}

macro_rules! from_number {
    ($($type:ty),*) => {$(
        impl From<$type> for Json {
            fn from(value: $type) -> Self {
                Self::Number(u64::from(value))
            }
        }
    )*};
}
from_number!(u8, u16, u32, u64);

impl From<usize> for Json {
    fn from(value: usize) -> Self {
        Self::Number(value as u64)
    }
}

#[test]
fn texts_are_escaped_and_long_objects_are_broken_into_lines() {
    assert_eq!(Json::from("a\"b\\c\n").compact(), "\"a\\\"b\\\\c\\u000a\"");
    let short = object! { "a": 1_u8, "b": [0x0f_u8, 0xf0], "c": std::vec![Json::from(true)] };
    let mut text = String::new();
    short.write(0, &mut text);
    assert_eq!(text, "{\"a\":1, \"b\":\"0ff0\", \"c\":[true]}");
    text.clear();
    object! { "long": "x".repeat(LINE), "list": Vec::<Json>::new() }.write(0, &mut text);
    assert_eq!(text, format!("{{\n \"long\": \"{}\",\n \"list\": []\n}}", "x".repeat(LINE)));
}
