use super::*;

fn error(text: &str) -> String {
    text.parse::<LinkConfig>().unwrap_err().0
}

#[test]
fn a_text_says_what_a_link_does() {
    let config: LinkConfig =
        "delay=40, jitter=0.5ms,loss=5%,burst=1%/20%,reorder=0.1,duplicate=2%,mtu=1400,rate=5M,queue=64k"
            .parse()
            .unwrap();
    assert_eq!(config.delay, Duration::from_millis(40));
    assert_eq!(config.jitter, Duration::from_micros(500));
    assert_eq!(config.loss, 0.05);
    assert_eq!(config.burst, Some(Burst { enter: 0.01, leave: 0.2, loss: 1.0 }));
    assert_eq!((config.reorder, config.duplicate), (0.1, 0.02));
    assert_eq!((config.mtu, config.rate, config.queue), (1_400, 5_000_000, 64_000));
    assert_eq!("".parse(), Ok(LinkConfig::perfect()));
}

#[test]
fn a_preset_may_be_changed() {
    let config: LinkConfig = "mobile,loss=10%,burst=none".parse().unwrap();
    assert_eq!(config, LinkConfig { loss: 0.1, burst: None, ..LinkConfig::mobile() });
    for (name, preset) in LinkConfig::PRESETS {
        assert_eq!(name.parse(), Ok(preset));
    }
}

#[test]
fn what_is_displayed_reads_back_the_same() {
    for (_, preset) in LinkConfig::PRESETS {
        let text = format!("{preset}");
        assert_eq!(text.parse(), Ok(preset), "{text}");
    }
    let odd = LinkConfig { delay: Duration::from_micros(1_234), ..LinkConfig::perfect() };
    assert_eq!(format!("{odd}"), "delay=1234us");
    assert_eq!(format!("{odd}").parse(), Ok(odd));
}

#[test]
fn errors_say_what_to_write() {
    assert!(error("lossy").contains("perfect, home, mobile or terrible"));
    assert!(error("loss=5%,home").contains("a preset comes first"));
    assert!(error("los=5%").contains("there are delay, jitter, loss"));
    assert!(error("loss=105%").contains("5% or 0.05"));
    assert!(error("loss=NaN").contains("5% or 0.05"));
    assert!(error("delay=-1").contains("milliseconds"));
    assert!(error("delay=2h").contains("milliseconds"));
    assert!(error("burst=1%").contains("1%/20%/90%"));
    assert!(error("burst=1%/2%/3%/4%").contains("1%/20%/90%"));
    assert!(error("rate=fast").contains("64k"));
    assert!(error("rate=99999999999999999999").contains("64k"));
}
