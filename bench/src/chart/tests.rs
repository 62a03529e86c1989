use super::*;

fn row(peer: &str, value: Option<f64>) -> Row {
    Row {
        job: "ping-pong".to_owned(),
        peer: peer.to_owned(),
        metric: "round trip, median".to_owned(),
        unit: "µs".to_owned(),
        values: value.map(|value| [value; 3]),
        ratio_to_raw: None,
        floor: Some("raw"),
        note: String::new(),
    }
}

#[test]
fn each_peer_with_a_figure_has_a_bar() {
    let chart =
        svg(&[row("raw", Some(10.0)), row("torque", Some(12.5)), row("absent", None)], "a & b").unwrap();
    assert!(chart.contains(">raw<") && chart.contains(">12.5<") && chart.contains("class=\"ours\""));
    assert!(!chart.contains("absent"));
    assert!(chart.contains("a &amp; b"));
}

#[test]
fn without_figures_there_is_no_chart() {
    assert_eq!(svg(&[row("raw", None)], ""), None);
}
