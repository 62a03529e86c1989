//! The origins whose pages may use the gateway (GATEWAY.md 1).

use std::fmt;
use std::str::FromStr;

/// The longest origin, in bytes: tokens have one byte for its length.
pub const MAX_ORIGIN_BYTES: usize = 255;

/// The origins that may use the gateway. The empty default allows none.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Origins(Vec<Pattern>);

#[derive(Clone, PartialEq, Eq, Debug)]
enum Pattern {
    Any,
    Exactly(String),
    /// Scheme and host, at any port.
    AnyPort(String),
}

impl Origins {
    /// The pages of this machine: `http` and `https`, at any port of `localhost`, `127.0.0.1` and `[::1]`.
    pub fn localhost() -> Self {
        let of = |scheme| {
            ["localhost", "127.0.0.1", "[::1]"].map(|host| Pattern::AnyPort(format!("{scheme}://{host}")))
        };
        Self([of("http"), of("https")].concat())
    }

    /// Returns whether no origin is allowed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds the origins of another list.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Returns whether a page with this `Origin` header may use the gateway. `null` never may.
    pub fn allow(&self, origin: &str) -> bool {
        // Browsers write origins in lower case and leave out the default port.
        is_origin(origin)
            && self.0.iter().any(|pattern| match pattern {
                Pattern::Any => true,
                Pattern::Exactly(exactly) => exactly == origin,
                Pattern::AnyPort(start) => origin.strip_prefix(start.as_str()).is_some_and(is_port_part),
            })
    }
}

/// Returns whether a text has the form of an origin: scheme, host, an optional port, and nothing else.
fn is_origin(text: &str) -> bool {
    let Some((scheme, host)) = text.split_once("://") else { return false };
    text.len() <= MAX_ORIGIN_BYTES
        && !scheme.is_empty()
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
        && !host.is_empty()
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:[]~%".contains(&byte))
}

fn is_port_part(rest: &str) -> bool {
    rest.is_empty() || rest.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok())
}

/// The part of a refused origin that is logged. The origin may be any text of any length.
pub fn shown(origin: &str) -> &str {
    let end = (0..=MAX_ORIGIN_BYTES.min(origin.len())).rev().find(|end| origin.is_char_boundary(*end));
    &origin[..end.unwrap_or_default()]
}

impl FromStr for Origins {
    type Err = OriginError;

    /// Reads `https://game.example`, `http://localhost:*` (any port) or `*` (any origin).
    fn from_str(text: &str) -> Result<Self, OriginError> {
        let text = text.trim();
        let lower = text.to_ascii_lowercase();
        let pattern = match lower.strip_suffix(":*") {
            _ if text == "*" => Pattern::Any,
            Some(start) if is_origin(start) => Pattern::AnyPort(start.to_owned()),
            None if is_origin(&lower) => Pattern::Exactly(without_default_port(lower)),
            _ => return Err(OriginError(text.to_owned())),
        };
        Ok(Self(vec![pattern]))
    }
}

/// Browsers leave out the default port of the scheme.
fn without_default_port(origin: String) -> String {
    for (scheme, port) in [("http://", ":80"), ("https://", ":443")] {
        if let Some(short) = origin.strip_suffix(port)
            && short.starts_with(scheme)
        {
            return short.to_owned();
        }
    }
    origin
}

impl fmt::Display for Origins {
    /// Separates the origins by commas.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, pattern) in self.0.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { ", " })?;
            match pattern {
                Pattern::Any => f.write_str("*")?,
                Pattern::Exactly(origin) => f.write_str(origin)?,
                Pattern::AnyPort(start) => write!(f, "{start}:*")?,
            }
        }
        Ok(())
    }
}

/// The text is not an origin.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OriginError(String);

impl fmt::Display for OriginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is not an origin: write https://game.example, with :PORT if it is not the default or :* for any port, \
             and nothing after it; or * for every origin",
            self.0
        )
    }
}

impl std::error::Error for OriginError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_allowed_exactly_as_it_is_listed() {
        let origins: Origins = "https://game.example".parse().unwrap();
        assert!(origins.allow("https://game.example"));
        for other in [
            "http://game.example",
            "https://game.example:8443",
            "https://game.example.evil.example",
            "https://evil.example/https://game.example",
            "https://sub.game.example",
            "null",
            "",
        ] {
            assert!(!origins.allow(other), "{other}");
        }
        let usual: Origins = "HTTPS://Game.Example:443".parse().unwrap();
        assert!(usual.allow("https://game.example"));
    }

    #[test]
    fn any_port_allows_every_port_and_nothing_else() {
        let origins: Origins = "http://localhost:*".parse().unwrap();
        assert!(origins.allow("http://localhost") && origins.allow("http://localhost:5173"));
        for other in
            ["http://localhost.evil.example", "http://localhost:80.evil.example", "http://localhost:99999"]
        {
            assert!(!origins.allow(other), "{other}");
        }
        let local = Origins::localhost();
        assert!(local.allow("http://[::1]:8080") && local.allow("https://127.0.0.1"));
        assert!(!local.allow("http://192.168.0.2:8080"));
    }

    #[test]
    fn any_origin_does_not_include_null() {
        let any: Origins = "*".parse().unwrap();
        assert!(any.allow("https://a.example") && any.allow("chrome-extension://abcdef"));
        let long = format!("https://{}.example", "a".repeat(MAX_ORIGIN_BYTES));
        for text in ["null", "", "https://", "://a", "https://a b", "https://a/b", "a.example", &long] {
            assert!(!any.allow(text), "{text}");
        }
        assert!(!Origins::default().allow("https://a.example"));
    }

    #[test]
    fn a_text_that_is_no_origin_is_refused_with_the_right_form() {
        for text in ["game.example", "https://game.example/", "https://", "null", "https://*.example", ""] {
            let error = text.parse::<Origins>().unwrap_err().to_string();
            assert!(error.contains("https://game.example"), "{error}");
        }
    }

    #[test]
    fn only_the_beginning_of_a_long_origin_is_logged() {
        assert_eq!(shown(""), "");
        assert_eq!(shown("https://a.example"), "https://a.example");
        assert_eq!(shown(&"a".repeat(400_000)), "a".repeat(255));
        assert_eq!(shown(&"€".repeat(1_000)), "€".repeat(85));
        assert_eq!(shown(&format!("a{}", "€".repeat(1_000))).len(), 253);
    }
}
