//! Figures and bytes as text.

use std::time::Duration;

/// Milliseconds with as many decimals as tell something.
pub fn millis(duration: Duration) -> String {
    let millis = duration.as_secs_f64() * 1e3;
    match millis {
        _ if millis >= 100.0 => format!("{millis:.0} ms"),
        _ if millis >= 10.0 => format!("{millis:.1} ms"),
        _ => format!("{millis:.2} ms"),
    }
}

/// Milliseconds as a number for JSON, to the microsecond.
pub fn millis_number(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1e3
}

/// `part` of `whole` in percent; 0 of nothing.
pub fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

/// Makes bytes of the other side safe to print on a terminal.
pub fn printable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .chars()
        .flat_map(|character| match character {
            '\u{2028}'
            | '\u{2029}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}' => character.escape_unicode().collect::<Vec<_>>(),
            _ if character.is_control() => character.escape_default().collect(),
            _ => vec![character],
        })
        .collect()
}

/// Formats bytes as text if they are text, and otherwise as hex.
pub fn text_or_hex(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(|character| character.is_control() && character != '\n') => {
            printable(bytes)
        }
        _ => hex(bytes),
    }
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Reads hex in either case, with white space, colons or `0x` in between. `None`: the text is not hex.
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let text = text.trim().replace("0x", "").replace("0X", "");
    let digits: Vec<u8> = text
        .chars()
        .filter(|character| !character.is_whitespace() && !matches!(character, ':' | '-' | ','))
        .map(|character| character.to_digit(16).map(|digit| digit as u8))
        .collect::<Option<_>>()?;
    let (pairs, []) = digits.as_chunks::<2>() else { return None };
    (!pairs.is_empty()).then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_bytes_cannot_move_the_cursor_or_reverse_the_text() {
        assert_eq!(printable(b"a\x1b[2Jb\n"), "a\\u{1b}[2Jb\\n");
        assert_eq!(printable("x\u{202e}y".as_bytes()), "x\\u{202e}y");
        assert_eq!(printable("héllo".as_bytes()), "héllo");
    }

    #[test]
    fn hex_reads_back_in_every_usual_way_of_writing_it() {
        let bytes = [0x01, 0xab, 0xff];
        for text in ["01abff", "01 AB ff", "01:ab:ff", "0x01 0xab 0xff", " 01ab\nff "] {
            assert_eq!(from_hex(text).as_deref(), Some(&bytes[..]), "{text}");
        }
        for text in ["", "1", "01abf", "zz"] {
            assert_eq!(from_hex(text), None, "{text}");
        }
        assert_eq!(from_hex(&hex(&bytes)).as_deref(), Some(&bytes[..]));
    }
}
