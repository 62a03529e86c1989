//! Networks of a test, each with a thread that works in it, and cables between them.
#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Sender, channel};

type Job = Box<dyn FnOnce() + Send>;

/// A network. It ends with this.
pub struct Network {
    jobs: Sender<Job>,
    thread: i32,
}

impl Network {
    /// # Errors
    /// It takes root.
    pub fn new() -> Result<Self, String> {
        let (jobs, todo) = channel::<Job>();
        let (made, made_there) = channel();
        std::thread::spawn(move || {
            // SAFETY: concerns nothing but the network that this thread's later sockets and processes are in.
            let result = unsafe { libc::unshare(libc::CLONE_NEWNET) };
            let error = (result != 0).then(std::io::Error::last_os_error);
            // SAFETY: asks for a number.
            made.send(error.map_or_else(|| Ok(unsafe { libc::gettid() }), Err)).unwrap();
            todo.into_iter().for_each(|job| job());
        });
        let thread = made_there.recv().unwrap().map_err(|error| format!("a network needs root: {error}"))?;
        let network = Self { jobs, thread };
        network.run("ip link set lo up");
        Ok(network)
    }

    /// Does something there.
    pub fn within<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let (give, take) = channel();
        self.jobs.send(Box::new(move || drop(give.send(job())))).unwrap();
        take.recv().expect("the job has failed")
    }

    /// Runs a command there.
    pub fn run(&self, line: &str) {
        self.run_with(line, "");
    }

    /// Runs a command there, with an input.
    fn run_with(&self, line: &str, input: &str) {
        let (line, input) = (line.to_owned(), input.to_owned());
        self.within(move || {
            let mut words = line.split(' ');
            let mut child = Command::new(words.next().unwrap())
                .args(words)
                .stdin(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        });
    }

    /// Lays a cable, with an address at each end, as in `10.0.0.1/24`.
    pub fn connect(&self, name: &str, ip: &str, other: &Self, other_name: &str, other_ip: &str) {
        self.run(&format!("ip link add {name} type veth peer name {other_name} netns {}", other.thread));
        for (network, name, ip) in [(self, name, ip), (other, other_name, other_ip)] {
            network.run(&format!("ip addr add {ip} dev {name}"));
            network.run(&format!("ip link set {name} up"));
        }
    }

    /// Forwards what is for others.
    pub fn forward(&self) {
        self.run("sysctl -qw net.ipv4.ip_forward=1");
    }

    /// Adds rules of nftables.
    pub fn rules(&self, rules: &str) {
        self.run_with("nft -f -", rules);
    }

    /// Makes a router of it, as they are in homes: the cables `lan…` lead to its machines, and `wan` to the internet. It gives a
    /// machine the same port for each destination, lets in only who was sent something, and does not send datagrams that come
    /// from inside, for its outer address, back inside.
    pub fn translate(&self) {
        self.forward();
        self.rules(
            "table ip nat { chain post { type nat hook postrouting priority 100; oifname wan masquerade; }; }
             table ip filter { chain forward { type filter hook forward priority 0; policy drop;
                 ct state established,related accept; iifname \"lan*\" accept; }; }",
        );
    }

    /// Drops what comes from outside for the router itself, before it remembers it.
    pub fn drop_strangers(&self) {
        self.rules(
            "table ip strangers { chain input { type filter hook input priority 0;
                 iifname wan ct state new drop; }; }",
        );
    }
}
