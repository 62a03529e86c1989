use super::*;

/// The lines that apt-get 2.6 prints while another holds the lock of the lists, and dpkg's.
const OF_LISTS: &str = "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 812 (apt-get)\n\
                        E: Unable to lock directory /var/lib/apt/lists/\n";
const OF_DPKG: &str = "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 812 (unattended-upgr)\n\
     E: Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend), is another process using it?\n";
const OTHER: &str = "E: Unable to locate package chromiun\n";
/// On a file system that cannot be written.
const UNWRITABLE: &str = "E: Could not open lock file /var/lib/dpkg/lock-frontend - open (30: Read-only file system)\n\
     E: Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend), are you root?\n";

/// Attempts that end with these errors, one after another, then well; how many there were, and how the last ended.
fn attempts(errors: &[&str]) -> (usize, Result<(), String>) {
    let mut made = 0;
    let result = when_unlocked(
        || {
            made += 1;
            errors.get(made - 1).map_or(Ok(()), |error| Err((*error).to_owned()))
        },
        || {},
    );
    (made, result)
}

#[test]
fn a_lock_of_another_package_manager_is_waited_for() {
    assert_eq!(attempts(&[OF_LISTS, OF_DPKG, OF_DPKG]), (4, Ok(())));
}

#[test]
fn other_errors_end_the_attempts() {
    assert_eq!(attempts(&[OF_DPKG, OTHER]), (2, Err(OTHER.to_owned())));
    assert_eq!(attempts(&[UNWRITABLE]), (1, Err(UNWRITABLE.to_owned())));
}

#[test]
fn waiting_ends() {
    let for_ever = vec![OF_LISTS; 1_000];
    assert_eq!(attempts(&for_ever), (TRIES as usize, Err(OF_LISTS.to_owned())));
}
