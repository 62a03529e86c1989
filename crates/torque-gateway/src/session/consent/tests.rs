use super::*;

const NONCE: [u8; 16] = [7; 16];

fn at(start: Instant, millis: u64) -> Instant {
    start + Duration::from_millis(millis)
}

/// The number of `count` datagrams of this form that may go at one moment.
fn passing(consent: &mut Consent, form: Form, count: usize, now: Instant) -> usize {
    let mut session = Budget::full(now);
    (0..count).filter(|_| consent.allows(form, 100, Some(&mut session), now)).count()
}

#[test]
fn without_consent_only_greetings_pass_and_four_a_second() {
    let start = Instant::now();
    let mut consent = Consent::new(start);
    assert_eq!(passing(&mut consent, Form::Other, 100, start), 0);
    assert_eq!(passing(&mut consent, Form::Greeting, 100, start), 4);
    assert_eq!(passing(&mut consent, Form::Greeting, 100, at(start, 1_000)), 4);
}

#[test]
fn a_session_greets_at_most_sixteen_times_a_second() {
    let start = Instant::now();
    let mut session = Budget::full(start);
    let greeted = (0..100)
        .filter(|_| Consent::new(start).allows(Form::Greeting, 768, Some(&mut session), start))
        .count();
    assert_eq!(greeted, 16);
}

#[test]
fn a_greeting_beyond_the_sessions_budget_costs_the_remote_nothing() {
    let start = Instant::now();
    let mut consent = Consent::new(start);
    let mut empty = Budget::full(start);
    assert!(empty.take(GREETINGS_OF_SESSION, 16, start));
    assert!(!consent.allows(Form::Greeting, 768, Some(&mut empty), start));
    assert_eq!(passing(&mut consent, Form::Greeting, 100, start), 4);
}

#[test]
fn answers_are_not_more_and_not_longer_than_what_came() {
    let start = Instant::now();
    let mut session = Budget::full(start);
    let mut consent = Consent::new(start);
    consent.heard(768, start);
    assert!(!consent.allows(Form::Other, 769, Some(&mut session), start), "longer");
    assert!(consent.allows(Form::Other, 686, Some(&mut session), start));
    assert!(!consent.allows(Form::Other, 10, Some(&mut session), start), "a second one");
    consent.heard(10, start);
    consent.heard(10, start);
    assert!(consent.allows(Form::Other, 102, Some(&mut session), start), "82 were left");
    assert!(!consent.allows(Form::Other, 1, Some(&mut session), start), "no byte is left");
    for _ in 0..1_000 {
        consent.heard(100, start);
    }
    assert_eq!(passing(&mut consent, Form::Other, 1_000, start), 64, "what is owed is bounded");
}

#[test]
fn who_was_not_asked_for_is_greeted_in_answer_only() {
    let start = Instant::now();
    let mut consent = Consent::new(start);
    assert!(!consent.allows(Form::Greeting, 768, None, start));
    consent.heard(768, start);
    assert!(consent.allows(Form::Greeting, 768, None, start));
    assert!(!consent.allows(Form::Greeting, 768, None, start), "one came, one went");
}

#[test]
fn only_the_nonce_that_was_sent_is_consent() {
    let start = Instant::now();
    let mut consent = Consent::new(start);
    assert!(!consent.echoed(&NONCE, start), "nothing was asked");
    assert_eq!(consent.probe(|| Some(NONCE), start), Some(NONCE));
    assert!(!consent.echoed(&[8; 16], at(start, 10)));
    assert!(!consent.is_given(at(start, 10)));
    assert!(consent.echoed(&NONCE, at(start, 20)));
    assert_eq!(passing(&mut consent, Form::Other, 1_000, at(start, 20)), 1_000);
    assert!(!consent.echoed(&NONCE, at(start, 30)), "once");
}

#[test]
fn probes_have_their_pace_and_a_nonce_its_time() {
    let start = Instant::now();
    let mut consent = Consent::new(start);
    let mut nonces = 0;
    let mut sent = Vec::new();
    for millis in (0..30_000).step_by(10) {
        let fresh = || {
            nonces += 1;
            Some([nonces; 16])
        };
        sent.extend(consent.probe(fresh, at(start, millis)));
    }
    assert_eq!(sent.len(), 120, "one each 250 ms");
    assert_eq!(nonces, 3, "a nonce serves ten seconds");
    let late = at(start, 29_000 + 20_000);
    assert!(!consent.echoed(&sent[119], late), "far too late");
}

#[test]
fn consent_ends_by_itself_and_is_asked_for_again_in_time() {
    let start = Instant::now();
    let mut consent = Consent::new(start);
    assert!(consent.probe(|| Some(NONCE), start).is_some());
    assert!(consent.echoed(&NONCE, start));
    assert_eq!(consent.probe(|| Some([1; 16]), at(start, 14_000)), None, "it is fresh");
    assert_eq!(consent.probe(|| Some([1; 16]), at(start, 15_000)), Some([1; 16]));
    assert!(consent.is_given(at(start, 29_999)));
    consent.heard(1_000, at(start, 29_999));
    assert!(!consent.is_given(at(start, 30_000)), "datagrams alone, which may be forged, do not prolong it");
    assert!(consent.echoed(&[1; 16], at(start, 30_001)));
    assert!(consent.is_given(at(start, 60_000)));
}

#[test]
fn without_randomness_there_is_no_probe() {
    let start = Instant::now();
    let mut consent = Consent::new(start);
    assert_eq!(consent.probe(|| None, start), None);
    assert_eq!(consent.probe(|| Some(NONCE), start), Some(NONCE), "and the next is not late");
}

#[test]
fn a_stranger_gets_no_more_probes_than_it_sends_until_it_consents() {
    let start = Instant::now();
    let mut consent = Consent::new(start);
    let asked = |consent: &mut Consent, seconds: std::ops::Range<u64>| {
        (4 * seconds.start..4 * seconds.end)
            .filter(|quarter| consent.probe_stranger(|| Some(NONCE), at(start, 250 * quarter)).is_some())
            .count()
    };
    assert_eq!(asked(&mut consent, 0..1), 0);
    consent.heard(7, at(start, 1_000));
    assert_eq!(asked(&mut consent, 1..20), 1);
    (0..100).for_each(|_| consent.heard(7, at(start, 20_000)));
    assert_eq!(asked(&mut consent, 20..29), 4);
    consent.heard(7, at(start, 29_000));
    assert_eq!(asked(&mut consent, 29..30), 1);
    assert!(consent.echoed(&NONCE, at(start, 30_000)));
    assert_eq!(asked(&mut consent, 61..62), 4, "it has consented, and is asked again");
}
