//! `torque completions`

use clap_complete::Shell;

use crate::failure::Failure;

/// Print a script that completes `torque` in a shell
///
/// For bash: torque completions bash > ~/.local/share/bash-completion/completions/torque
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The shell
    shell: Shell,
}

pub fn run(args: &Args, mut program: clap::Command) -> Result<(), Failure> {
    // Written at once at the end, so that a closed pipe is an error and not a panic.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut program, "torque", &mut script);
    Ok(std::io::Write::write_all(&mut std::io::stdout(), &script)?)
}
