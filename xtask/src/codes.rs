//! Writes the code tables of the crates from `spec/codes.csv`, the one place where codes are listed.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// One line of the table.
struct Code {
    table: String,
    number: u16,
    name: String,
    /// Set if it may come from the other side; otherwise only this socket itself reports it.
    on_wire: bool,
    meaning: String,
}

/// `cargo xtask codes [--check]`.
pub fn run(arguments: &[String]) -> Result<(), String> {
    let check = match arguments {
        [] => false,
        [only] if only == "--check" => true,
        _ => return Err("codes takes nothing or --check".to_owned()),
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let source = root.join("spec/codes.csv");
    let text = std::fs::read_to_string(&source).map_err(|error| format!("{}: {error}", source.display()))?;
    let codes = parse(&text)?;
    let outputs: [(PathBuf, String); 4] = [
        (root.join("crates/torque-proto/src/codes.rs"), rust(&codes)),
        (root.join("crates/torque-proto/src/codes/close.rs"), rust_close(&codes)),
        (root.join("js/src/codes.ts"), typescript(&codes)),
        (root.join("js/src/engine/numbers.ts"), engine_numbers(&codes)),
    ];
    for (path, wanted) in &outputs {
        let present = std::fs::read_to_string(path).unwrap_or_default();
        if present == *wanted {
            continue;
        }
        if check {
            return Err(format!("{} does not match spec/codes.csv: run `cargo xtask codes`", path.display()));
        }
        std::fs::write(path, wanted).map_err(|error| format!("{}: {error}", path.display()))?;
        println!("wrote {}", path.display());
    }
    Ok(())
}

fn parse(text: &str) -> Result<Vec<Code>, String> {
    let mut codes: Vec<Code> = Vec::new();
    for (index, line) in text.lines().enumerate().skip(1).filter(|(_, line)| !line.trim().is_empty()) {
        let place = format!("spec/codes.csv, line {}", index + 1);
        let fields: Vec<&str> = line.splitn(5, ',').collect();
        let [table, number, name, told, meaning] = fields[..] else {
            return Err(format!("{place}: five fields are wanted"));
        };
        let number = number.parse().map_err(|_| format!("{place}: `{number}` is no number"))?;
        let on_wire = match told {
            "wire" => true,
            "local" => false,
            _ => return Err(format!("{place}: told is `wire` or `local`")),
        };
        if codes.iter().any(|code| code.table == table && (code.number == number || code.name == name)) {
            return Err(format!("{place}: number or name is there already"));
        }
        // Tables that are read by position.
        let count = codes.iter().filter(|code| code.table == table).count();
        if ["delivery", "closed_by"].contains(&table) && usize::from(number) != count {
            return Err(format!("{place}: the numbers of {table} count from 0"));
        }
        codes.push(Code {
            table: table.to_owned(),
            number,
            name: name.to_owned(),
            on_wire,
            meaning: meaning.trim().to_owned(),
        });
    }
    Ok(codes)
}

/// `no_answer` as `NoAnswer`.
fn variant(name: &str) -> String {
    name.split('_')
        .map(|word| {
            let (first, rest) = word.split_at(1);
            first.to_uppercase() + rest
        })
        .collect()
}

fn typescript(codes: &[Code]) -> String {
    let mut out = String::from(
        "/** Codes. Written by `cargo xtask codes` from `spec/codes.csv`: change them there. */\n\n\
         /** What each close code means (PROTOCOL.md 10). */\n\
         export const CLOSE_MEANINGS = {\n",
    );
    for code in table(codes, "close") {
        let _ = writeln!(out, "  {}: {:?},", code.name, code.meaning);
    }
    out.push_str(
        "} as const;\n\n/** Why a connection, pending or established, ended (PROTOCOL.md 10). */\n\
         export type CloseCode = keyof typeof CLOSE_MEANINGS;\n\n\
         /** What is wrong with a call of the core. */\nexport type CoreCallCode =\n",
    );
    let names: Vec<String> = table(codes, "call").iter().map(|code| format!("  | {:?}", code.name)).collect();
    let _ = writeln!(out, "{};", names.join("\n"));
    out
}

/// The numbers of the core's interface, for the engine.
fn engine_numbers(codes: &[Code]) -> String {
    let mut out = String::from(
        "/** Numbers of the core's interface. Written by `cargo xtask codes` from `spec/codes.csv`: change them there. */\n\n\
         /** The kinds of events; 0 is none. */\nexport const EVENT = {\n",
    );
    for code in table(codes, "event") {
        let _ = writeln!(out, "  /** {}. */\n  {}: {},", code.meaning, code.name, code.number);
    }
    out.push_str("} as const;\n");
    for (name, constant, doc) in [
        ("delivery", "DELIVERIES", "Verdicts by number."),
        ("closed_by", "CLOSED_BY", "Who ends a connection, by number."),
    ] {
        let names: Vec<String> = table(codes, name).iter().map(|code| format!("{:?}", code.name)).collect();
        let _ = writeln!(out, "\n/** {doc} */\nexport const {constant} = [{}] as const;", names.join(", "));
    }
    out
}

fn table<'a>(codes: &'a [Code], name: &str) -> Vec<&'a Code> {
    codes.iter().filter(|code| code.table == name).collect()
}

fn rust_close(codes: &[Code]) -> String {
    let mut out = String::from(
        "//! Codes of closes.\n//!\n//! Written by `cargo xtask codes` from `spec/codes.csv`: change them there.\n\nuse core::fmt;\n\n",
    );
    let close = table(codes, "close");
    write_enum(
        &mut out,
        &close,
        "CloseCode",
        "u16",
        "Why a connection, pending or established, ended (PROTOCOL.md 10).",
        true,
    );
    out.push_str(
        "\nimpl CloseCode {\n    \
         /// The code with this number; `None` if this version knows none.\n    \
         pub const fn from_number(number: u16) -> Option<Self> {\n        Some(match number {\n",
    );
    for code in &close {
        let _ = writeln!(out, "            {} => Self::{},", code.number, variant(&code.name));
    }
    out.push_str(
        "            _ => return None,\n        })\n    }\n\n    \
         /// The code that the other side sent. Numbers that are unknown, or that a socket only reports of itself,\n    \
         /// become [`Closed`](Self::Closed).\n    \
         pub const fn from_wire(number: u16) -> Self {\n        match Self::from_number(number) {\n            \
         Some(code) if code.is_on_wire() => code,\n            _ => Self::Closed,\n        }\n    }\n\n    \
         /// Returns whether the other side may send it. A socket finds the others out by itself.\n    \
         pub const fn is_on_wire(self) -> bool {\n        matches!(\n            self,\n            ",
    );
    let wire: Vec<String> = close
        .iter()
        .filter(|code| code.on_wire)
        .map(|code| format!("Self::{}", variant(&code.name)))
        .collect();
    out.push_str(&wire.join("\n                | "));
    out.push_str("\n        )\n    }\n}\n");
    out
}

fn rust(codes: &[Code]) -> String {
    let mut out = String::from(
        "//! Codes of closes, rejects and errors, and the numbers of events.\n//!\n\
         //! Written by `cargo xtask codes` from `spec/codes.csv`: change them there.\n\n\
         mod close;\n\nuse core::fmt;\n\npub use close::CloseCode;\n\n",
    );
    let reject = table(codes, "reject");
    write_enum(&mut out, &reject, "RejectCode", "u8", "What a reject says (PROTOCOL.md 4.7).", false);
    out.push_str(
        "\nimpl RejectCode {\n    \
         /// The code with this number; `None` if this version knows none.\n    \
         pub const fn from_number(number: u8) -> Option<Self> {\n        Some(match number {\n",
    );
    for code in &reject {
        let _ = writeln!(out, "            {} => Self::{},", code.number, variant(&code.name));
    }
    out.push_str("            _ => return None,\n        })\n    }\n}\n");
    for (name, of, number, doc, grows) in [
        ("call", "CallCode", "u16", "What is wrong with a call.", true),
        ("event", "EventKind", "u8", "What an [`Event`](crate::Event) is about.", true),
        ("delivery", "Delivery", "u8", DELIVERY, false),
        ("closed_by", "ClosedBy", "u8", "The side that ended a connection.", false),
    ] {
        out.push('\n');
        write_enum(&mut out, &table(codes, name), of, number, doc, grows);
    }
    out
}

/// Documentation of `Delivery`.
const DELIVERY: &str =
    "The verdict on one sent packet. It is told exactly once for each packet, in the order of sending.";

/// The enum, its number and name, and its text.
fn write_enum(out: &mut String, codes: &[&Code], name: &str, number: &str, doc: &str, grows: bool) {
    let _ = writeln!(out, "/// {doc}");
    out.push_str("#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]\n");
    if grows {
        out.push_str("#[non_exhaustive]\n");
    }
    let _ = writeln!(out, "pub enum {name} {{");
    for code in codes {
        let _ = writeln!(out, "    /// {}.\n    {},", code.meaning, variant(&code.name));
    }
    let _ = writeln!(out, "}}\n\nimpl {name} {{\n    /// All codes, by number.");
    let names: Vec<String> = codes.iter().map(|code| format!("Self::{}", variant(&code.name))).collect();
    let (names, lines) = (names.join(", "), names.join(",\n        "));
    // As rustfmt has it.
    let all = if names.len() <= 60 { names } else { format!("\n        {lines},\n    ") };
    let _ = writeln!(out, "    pub const ALL: &'static [Self] = &[{all}];\n");
    out.push_str("    /// The number that stands for it on the wire and in other languages.\n");
    let _ = writeln!(out, "    pub const fn number(self) -> {number} {{\n        match self {{");
    for code in codes {
        let _ = writeln!(out, "            Self::{} => {},", variant(&code.name), code.number);
    }
    out.push_str("        }\n    }\n\n    /// Its name, as `spec/codes.csv` has it.\n");
    out.push_str("    pub const fn name(self) -> &'static str {\n        match self {\n");
    for code in codes {
        let _ = writeln!(out, "            Self::{} => \"{}\",", variant(&code.name), code.name);
    }
    out.push_str("        }\n    }\n}\n\n");
    let _ = writeln!(out, "impl fmt::Display for {name} {{");
    out.push_str(
        "    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {\n        f.write_str(match self {\n",
    );
    for code in codes {
        let _ = writeln!(out, "            Self::{} => \"{}\",", variant(&code.name), code.meaning);
    }
    out.push_str("        })\n    }\n}\n");
}

#[cfg(test)]
mod tests;
