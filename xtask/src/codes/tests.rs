use super::*;

#[test]
fn the_committed_tables_match_the_list() {
    run(&["--check".to_owned()]).expect("up to date");
}

#[test]
fn a_number_or_name_given_twice_is_refused() {
    let head = "table,number,name,told,meaning\n";
    assert!(parse(&format!("{head}close,0,a,wire,A\nclose,0,b,wire,B\n")).is_err());
    assert!(parse(&format!("{head}close,0,a,wire,A\nclose,1,a,wire,B\n")).is_err());
    assert!(parse(&format!("{head}close,0,a,wire,A\nreject,0,a,wire,B, with a comma\n")).is_ok());
}

#[test]
fn a_gap_in_a_table_that_is_read_by_position_is_refused() {
    let head = "table,number,name,told,meaning\n";
    assert!(parse(&format!("{head}delivery,0,a,local,A\ndelivery,1,b,local,B\n")).is_ok());
    assert!(parse(&format!("{head}delivery,0,a,local,A\ndelivery,2,b,local,B\n")).is_err());
    assert!(parse(&format!("{head}call,1,a,local,A\ncall,3,b,local,B\n")).is_ok());
}

#[test]
fn a_line_that_makes_no_sense_is_refused_with_its_place() {
    let head = "table,number,name,told,meaning\n";
    for line in ["close,x,a,wire,A", "close,1,a,wire", "close,1,a,nowhere,A"] {
        let error = parse(&format!("{head}{line}\n")).err().expect("refused");
        assert!(error.contains("line 2"), "{error}");
    }
}
