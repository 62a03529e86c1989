//! `xtask-bindgen MODULE OUT`: takes a module that was built with wasm-bindgen apart into `core.js`, `core.d.ts` and
//! `core_bg.wasm`. What the `wasm-bindgen` command does, without a tool of an exact version to be installed.

use std::process::ExitCode;

use wasm_bindgen_cli_support::Bindgen;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [module, out] = arguments.as_slice() else {
        eprintln!("xtask-bindgen MODULE OUT");
        return ExitCode::FAILURE;
    };
    let mut bindgen = Bindgen::new();
    bindgen.input_path(module).out_name("core").typescript(true).remove_producers_section(true).remove_name_section(true);
    let written = bindgen.web(true).and_then(|bindgen| bindgen.generate(out));
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{module}: {error:#}");
            ExitCode::FAILURE
        }
    }
}
