//! `cargo xtask bare-root`: runs the README's commands on a new machine, a root file system that debootstrap makes, with
//! Rust, git and a C linker. A green run on a developer's machine proves nothing about a new one.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::setup::{self, Need};
use crate::shell::{self, program};

const USAGE: &str = "cargo xtask bare-root [--folder DIR] [--without-rustup] [--keep] [-- COMMAND...]

Makes a new machine in DIR (default: target/bare-root), Debian 12 with Rust, git and a C linker, clones what is
committed there, and runs COMMAND; without one, the README's two:

  cargo xtask demo --seconds 10 --json
  cargo xtask test

For the first half minute another program holds the package manager's locks, as updates do on a new machine. CI is set,
so nothing is skipped. Linux, root; about 25 minutes on two quiet cores, 12 GB.

  --folder DIR       where; what an earlier run left there is removed first
  --without-rustup   the active Rust alone, as a distribution installs it: other targets come from Debian's packages
  --keep             leave the machine there afterwards";

const SUITE: &str = "bookworm";
/// Marks a folder as one that may be removed.
const MARK: &str = ".torquesocket-bare-root";
/// Root's home on the new machine, and the folder in it that holds the repository.
const HOME: &str = "/root";
const REPOSITORY: &str = "torquesocket";
const COMMANDS: [&str; 2] = ["cargo xtask demo --seconds 10 --json", "cargo xtask test"];

/// The variables by which this machine reaches its registries; the new one gets the same.
const NETWORK_VARIABLES: [&str; 13] = [
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "CARGO_HTTP_CAINFO",
    "NODE_EXTRA_CA_CERTS",
    "PIP_CERT",
    "PIP_INDEX_URL",
    "RUSTUP_DIST_SERVER",
    "npm_config_registry",
];

/// Runs in its own mount and process namespace, which ends with it: $1 is the root, $2 the command.
const ENTER: &str = r#"set -e
mount --bind "$1" "$1"
mount -t proc proc "$1/proc"
mount --rbind /sys "$1/sys"
mount --rbind /dev "$1/dev"
mount -t tmpfs tmpfs "$1/run"
mount -t tmpfs tmpfs "$1/tmp"
exec chroot "$1" /bin/sh -c "$2"
"#;

/// Holds the locks of dpkg and of apt's lists for half a minute.
const HOLD_LOCKS: &str = r#"use Fcntl; for my $file ("/var/lib/dpkg/lock-frontend", "/var/lib/apt/lists/lock") {
    open(my $lock, ">", $file) or die "$file: $!";
    my $all = pack("s s l! l! i", F_WRLCK, 0, 0, 0, 0);
    fcntl($lock, F_SETLK, $all) or die "$file: $!";
    push @locks, $lock;
}
sleep 30"#;

struct Options {
    folder: PathBuf,
    with_rustup: bool,
    keep: bool,
    commands: Vec<String>,
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self, String> {
        let folder = shell::target_dir().join("bare-root");
        let mut options =
            Self { folder, with_rustup: true, keep: false, commands: COMMANDS.map(str::to_owned).to_vec() };
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            match argument.as_str() {
                "--folder" => {
                    let folder = rest.next().ok_or(USAGE)?;
                    options.folder =
                        std::path::absolute(folder).map_err(|error| format!("{folder}: {error}"))?;
                }
                "--without-rustup" => options.with_rustup = false,
                "--keep" => options.keep = true,
                "--" => {
                    options.commands = vec![rest.by_ref().map(String::as_str).collect::<Vec<_>>().join(" ")];
                }
                _ => return Err(format!("unknown option `{argument}`\n\n{USAGE}")),
            }
        }
        Ok(options)
    }
}

pub fn run(arguments: &[String]) -> Result<(), String> {
    if arguments.iter().take_while(|argument| *argument != "--").any(|argument| argument == "--help") {
        println!("{USAGE}");
        return Ok(());
    }
    let options = Options::parse(arguments)?;
    if !cfg!(target_os = "linux") || !shell::is_root() {
        return Err("bare-root must run as root, on Linux".to_owned());
    }
    setup::require(&[Need::Debootstrap])?;
    if !shell::output(&mut program("git", &["status", "--porcelain"]))?.is_empty() {
        println!("bare-root: uncommitted changes are not tested");
    }
    let begin = Instant::now();
    let machine = Machine { root: options.folder };
    machine.install_debian()?;
    let path = machine.install_rust(options.with_rustup)?;
    machine.clone_repository()?;
    println!("=== bare-root: a new machine, in {} s", begin.elapsed().as_secs());

    let mut failures = Vec::new();
    for command in &options.commands {
        println!("\n=== bare-root: {command}");
        let start = Instant::now();
        let result = machine.run(&format!(
            "perl -e '{HOLD_LOCKS}' & sleep 1; kill -0 $! || exit 1; \
             cd ~/{REPOSITORY} && export CI=true PATH={path} && {command}"
        ));
        println!(
            "=== bare-root: {command}: {} ({} s)",
            if result.is_ok() { "ok" } else { "FAILED" },
            start.elapsed().as_secs()
        );
        if result.is_err() {
            failures.push(format!("on a new machine this fails: {command}"));
        }
    }
    if !options.keep {
        machine.remove()?;
    }
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n")) }
}

struct Machine {
    root: PathBuf,
}

impl Machine {
    fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    fn write(&self, path: &str, text: &str) -> Result<(), String> {
        let path = self.at(path);
        path.parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| fs::write(&path, text))
            .map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Removes what an earlier run left.
    fn remove(&self) -> Result<(), String> {
        if !self.root.exists() {
            return Ok(());
        }
        if !self.at(MARK).exists() {
            return Err(format!(
                "{} exists but was not made by bare-root: remove it yourself",
                self.root.display()
            ));
        }
        // A file system that is still mounted there is not entered.
        shell::run(program("rm", &["-rf", "--one-file-system"]).arg(&self.root))
    }

    fn install_debian(&self) -> Result<(), String> {
        self.remove()?;
        self.write(MARK, "")?;
        let sources = debian_sources();
        let mirror = sources[0].split(' ').nth(1).unwrap_or_default().to_owned();
        println!("=== bare-root: Debian ({SUITE}) in {}: a minute", self.root.display());
        let log = self.root.with_extension("log");
        let file = fs::File::create(&log).map_err(|error| format!("{}: {error}", log.display()))?;
        let packages = "--include=ca-certificates,git,gcc,libc6-dev";
        let mut command = program("debootstrap", &["--variant=minbase", packages, SUITE]);
        command.arg(&self.root).arg(mirror).stdout(file);
        command.env("PATH", with_sbin());
        shell::run(&mut command).map_err(|error| format!("{error}; its output is in {}", log.display()))?;
        self.write("etc/apt/sources.list", &format!("{}\n", sources.join("\n")))?;
        for file in ["/etc/resolv.conf", "/etc/ssl/certs/ca-certificates.crt"] {
            if Path::new(file).exists() {
                fs::copy(file, self.at(file)).map_err(|error| format!("{file}: {error}"))?;
            }
        }
        Ok(())
    }

    /// Gives the machine the active Rust, without libraries for other targets. Returns the search path to it.
    fn install_rust(&self, with_rustup: bool) -> Result<String, String> {
        // Where Debian looks for programs.
        let system = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        let sysroot = PathBuf::from(shell::output(&mut program("rustc", &["--print", "sysroot"]))?.trim());
        if !with_rustup {
            self.copy_toolchain(&sysroot, "usr/local")?;
            // rustup is not there to remove the libraries for other targets.
            self.run(
                "host=$(rustc --print host-tuple); cd /usr/local/lib/rustlib; \
                 for folder in */lib; do [ ${folder%/lib} = $host ] || rm -r ${folder%/lib}; done",
            )?;
            return Ok(system.to_owned());
        }
        let name = sysroot.file_name().unwrap_or_default().to_string_lossy().into_owned();
        self.copy_toolchain(&sysroot, &format!("{HOME}/.rustup/toolchains/{name}"))?;
        let rustup = shell::output(&mut program("sh", &["-c", "command -v rustup"]))
            .map_err(|_| "there is no rustup here: --without-rustup".to_owned())?;
        let bin = self.at(&format!("{HOME}/.cargo/bin"));
        fs::create_dir_all(&bin).map_err(|error| format!("{}: {error}", bin.display()))?;
        shell::run(program("cp", &["--dereference", rustup.trim()]).arg(bin.join("rustup")))?;
        let proxies = "cargo rustc rustdoc cargo-clippy clippy-driver cargo-fmt rustfmt";
        let path = format!("{HOME}/.cargo/bin:{system}");
        self.run(&format!(
            "export PATH={path}; for name in {proxies}; do ln -s rustup ~/.cargo/bin/$name; done; \
             rustup --quiet default {name}; host=$(rustc --print host-tuple); \
             for target in $(rustup target list --installed); do [ $target = $host ] || rustup target remove $target; done"
        ))?;
        Ok(path)
    }

    /// Copies a toolchain without its documentation.
    fn copy_toolchain(&self, sysroot: &Path, to: &str) -> Result<(), String> {
        let to = self.at(to);
        fs::create_dir_all(&to).map_err(|error| format!("{}: {error}", to.display()))?;
        for part in ["bin", "lib", "libexec"] {
            if sysroot.join(part).exists() {
                shell::run(program("cp", &["-a"]).arg(sysroot.join(part)).arg(&to))?;
            }
        }
        Ok(())
    }

    fn clone_repository(&self) -> Result<(), String> {
        let url = format!("file://{}", shell::root().display());
        shell::run(program("git", &["clone", "--quiet", &url]).arg(self.at(&format!("{HOME}/{REPOSITORY}"))))
    }

    /// Runs a shell command on the machine, with nothing of this environment but its network.
    fn run(&self, command: &str) -> Result<(), String> {
        let own = ["--mount", "--pid", "--fork", "--kill-child", "--propagation", "slave"];
        let mut enter = program("unshare", &own);
        enter.args(["sh", "-c", ENTER, "sh"]).arg(&self.root).arg(command).env_clear();
        enter
            .env("PATH", with_sbin())
            .env("HOME", HOME)
            .env("LANG", "C.UTF-8")
            .env("CARGO_TERM_COLOR", "never");
        for name in NETWORK_VARIABLES {
            if let Some(value) = std::env::var_os(name) {
                enter.env(name, value);
            }
        }
        let status = enter.status().map_err(|error| format!("unshare: {error}"))?;
        if status.success() { Ok(()) } else { Err(format!("ended with {status}")) }
    }
}

/// Finds the administrator's tools, which other users do not have on their path.
fn with_sbin() -> String {
    format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default())
}

/// The mirror that this machine gets Debian's packages from, or the public one.
fn debian_sources() -> Vec<String> {
    let format = "$(ORIGIN) $(REPO_URI) $(RELEASE) $(COMPONENT)";
    let words = ["indextargets", "--format", format, "Created-By: Packages"];
    let listed = shell::output_quietly(&mut program("apt-get", &words)).unwrap_or_default();
    let mut sources: Vec<String> = Vec::new();
    for line in listed.lines() {
        if let ["Debian", uri, release, component] = line.split(' ').collect::<Vec<_>>()[..]
            && release.starts_with(SUITE)
        {
            sources.push(format!("deb {uri} {release} {component}"));
        }
    }
    // debootstrap takes the first.
    sources.sort_by_key(|source| !source.contains(&format!(" {SUITE} ")));
    if sources.is_empty() {
        sources.push(format!("deb http://deb.debian.org/debian {SUITE} main"));
        sources.push(format!("deb http://deb.debian.org/debian-security {SUITE}-security main"));
    }
    sources
}
