use super::*;

#[test]
fn numbers_are_short_and_grouped() {
    for (value, text) in [
        (0.0, "0.00"),
        (1.234, "1.23"),
        (12.34, "12.3"),
        (123.4, "123"),
        (1_234.0, "1,234"),
        (1_234_567.0, "1,234,567"),
        (-1_234.0, "-1,234"),
    ] {
        assert_eq!(number(value), text);
    }
}
