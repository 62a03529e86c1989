use super::*;

fn done() -> Result<Outcome, String> {
    Ok(Outcome::Done)
}

fn fails() -> Result<Outcome, String> {
    Err("broken".to_owned())
}

fn skips() -> Result<Outcome, String> {
    Ok(Outcome::Skipped("not here".to_owned()))
}

fn never() -> Result<Outcome, String> {
    panic!("a step ran without what it needs");
}

fn step(name: &'static str, run: fn() -> Result<Outcome, String>) -> Step {
    Step { name, about: "", seconds: 1, needs: &[], wants: &[], run }
}

fn choice(words: &[&str]) -> Choice {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    Choice::parse(&words).expect("a choice")
}

/// Runs steps on a machine that lacks valgrind, in CI or not.
fn run_steps(steps: &[Step], strict: bool) -> Result<(), String> {
    let missing = BTreeMap::from([(Need::Valgrind, "valgrind is missing: get valgrind".to_owned())]);
    report("test", &run_all(&steps.iter().collect::<Vec<_>>(), &Lacking { missing, strict }))
}

#[test]
fn every_failing_step_is_listed_with_how_to_repeat_it() {
    let steps = [step("a", done), step("b", fails), step("c", done), step("d", fails)];
    let error = run_steps(&steps, false).expect_err("fails");
    for text in ["broken", "cargo xtask test --only b", "cargo xtask test --only d"] {
        assert!(error.contains(text), "{text} in {error}");
    }
    assert!(!error.contains("--only c"), "{error}");
}

#[test]
fn a_step_whose_needs_could_not_be_met_is_skipped_and_fails_in_ci() {
    let steps = [Step { needs: &[Need::Valgrind], ..step("a", never) }, step("b", done)];
    assert_eq!(run_steps(&steps, false), Ok(()));
    let error = run_steps(&steps, true).expect_err("fails");
    assert!(error.contains("get valgrind"), "{error}");
}

#[test]
fn a_step_without_what_it_wants_runs_and_fails_in_ci() {
    let without = |run| [Step { wants: &[Need::Valgrind], ..step("a", run) }];
    assert_eq!(run_steps(&without(done), false), Ok(()));
    assert!(run_steps(&without(fails), false).expect_err("it ran").contains("broken"));
    let missing = BTreeMap::from([(Need::Valgrind, "valgrind is missing".to_owned())]);
    let told = |run| {
        let steps = without(run);
        let rows = run_all(&[&steps[0]], &Lacking { missing: missing.clone(), strict: false });
        rows[0].result.as_ref().expect("no failure").text()
    };
    assert_eq!(told(done), "ok, in part: valgrind is missing");
    assert_eq!(told(skips), "skipped: not here");
    assert!(run_steps(&without(never), true).expect_err("fails").contains("get valgrind"));
}

#[test]
fn in_ci_a_step_that_skips_itself_fails() {
    assert_eq!(run_steps(&[step("a", skips)], false), Ok(()));
    assert!(run_steps(&[step("a", skips)], true).is_err());
}

#[test]
fn only_and_from_choose_steps_in_their_order_and_names_are_checked() {
    let steps = [step("a", done), step("b", done), step("c", done)];
    let names = |words: &[&str]| -> Vec<_> {
        choice(words).of(&steps).expect("steps").iter().map(|step| step.name).collect()
    };
    assert_eq!(names(&[]), ["a", "b", "c"]);
    assert_eq!(names(&["--from", "b"]), ["b", "c"]);
    assert_eq!(names(&["--only", "c", "--only", "a"]), ["a", "c"]);
    assert!(choice(&["--only", "d"]).of(&steps).is_err());
    assert!(choice(&["--from", "c", "--only", "a"]).of(&steps).is_err());
    assert!(Choice::parse(&["--only".to_owned()]).is_err());
    assert!(Choice::parse(&["--unheard-of".to_owned()]).is_err());
}
