use crate::failure::Failure;
use crate::output::Output;
/// x
#[derive(clap::Args, Debug)]
pub struct Args {}
pub fn run(_args: &Args, _output: &Output) -> Result<(), Failure> { Ok(()) }
