use super::*;

fn done() -> Result<Outcome, String> {
    Ok(Outcome::Done)
}

fn fails() -> Result<Outcome, String> {
    Err("broken".to_owned())
}

fn never() -> Result<Outcome, String> {
    panic!("a step after a failed one was run");
}

fn step(name: &'static str, run: fn() -> Result<Outcome, String>) -> Step {
    Step { name, about: "", run }
}

fn choice(words: &[&str]) -> Choice {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    Choice::parse(&words).expect("a choice")
}

#[test]
fn a_failed_step_ends_the_run_and_says_how_to_repeat_it() {
    let steps = [step("a", done), step("b", fails), step("c", never)];
    let error = run("test", &steps, &Choice::default()).expect_err("fails");
    assert!(error.contains("broken") && error.contains("cargo xtask test --only b"), "{error}");
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
    assert!(Choice::parse(&["--only".to_owned()]).is_err());
    assert!(Choice::parse(&["--unheard-of".to_owned()]).is_err());
}
