use super::*;

#[test]
fn the_median_is_the_middle_value() {
    assert_eq!(median(&[]), None);
    assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
    assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
}

#[test]
fn what_a_worker_prints_is_read_as_the_same() {
    let mut figures = Figures::default();
    figures.push("cpu per packet", "µs", 1.25);
    figures.note("two packets were lost");
    assert_eq!(Figures::from_json(&figures.to_json()).unwrap(), figures);
}
