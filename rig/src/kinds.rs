//! The kinds of access that real Linux can give, and which pairs of them meet.

use patchbay::NatFiltering;
use torque_sim::Access;
use torque_socket::Nat;

/// How a party reaches the network.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    pub name: &'static str,
    pub boxes: Boxes,
    /// The kind of the simulated network that it behaves like; `None` with IPv6 only.
    like: Option<&'static str>,
    /// Seconds of silence before the parties are introduced.
    pub idle: u64,
}

/// What stands between a party and the core.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Boxes {
    Public,
    /// A firewall for what nobody asked for; public addresses behind it.
    Firewall {
        ipv6: bool,
    },
    /// The same outside port for all remote addresses.
    Independent(NatFiltering),
    /// The same, and it forgets flows within seconds.
    Forgetful,
    /// Another random port for each remote address.
    Symmetric,
    /// Linux's `masquerade` alone, and what the router does with a datagram that it did not expect.
    Masquerade(Unexpected),
    /// A home's NAT behind a carrier's.
    Carrier {
        symmetric: bool,
    },
}

/// What a router does with unexpected datagrams.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unexpected {
    /// A rule drops them.
    Drop,
    /// A rule rejects them.
    Reject,
    /// No rule: the kernel finds no socket, and says so. It remembers each as a flow.
    Answer,
}

const fn kind(name: &'static str, boxes: Boxes, like: &'static str) -> Kind {
    Kind { name, boxes, like: Some(like), idle: 0 }
}

/// The kinds that are tried with each other.
pub const KINDS: [Kind; 11] = [
    kind("public", Boxes::Public, "public"),
    kind("fw4", Boxes::Firewall { ipv6: false }, "fw4"),
    kind("EI/EI", Boxes::Independent(NatFiltering::EndpointIndependent), "EI/EI"),
    kind("EI/AD", Boxes::Independent(NatFiltering::AddressDependent), "EI/AD"),
    kind("EI/APD", Boxes::Independent(NatFiltering::AddressAndPortDependent), "EI/APD"),
    kind("APD/APD r", Boxes::Symmetric, "APD/APD r"),
    kind("linux", Boxes::Masquerade(Unexpected::Drop), "linux"),
    kind("linux rej", Boxes::Masquerade(Unexpected::Reject), "linux rej"),
    kind("linux open", Boxes::Masquerade(Unexpected::Answer), "linux rej"),
    kind("cgn easy", Boxes::Carrier { symmetric: false }, "cgn easy"),
    kind("cgn hard", Boxes::Carrier { symmetric: true }, "cgn hard"),
];

impl Kind {
    /// What an introducer with a second port is to see.
    pub fn seen(&self) -> Nat {
        let access = self.like.map(|name| Access::named(name).expect("a kind of the simulation"));
        access.map_or(Nat::Independent, |access| access.seen_nat(false))
    }
}

/// IPv6 only.
pub const FW6: Kind = Kind { name: "fw6", boxes: Boxes::Firewall { ipv6: true }, like: None, idle: 0 };

/// It forgets a flow after 10 s, and the parties are silent for longer.
pub const FORGETFUL: Kind =
    Kind { name: "forgetful", boxes: Boxes::Forgetful, like: Some("EI/APD"), idle: 11 };

/// The boxes that both parties share.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shared {
    /// Both are behind one NAT, which does not send back inside what goes to its outside address.
    Home,
    /// Each is behind a NAT; both NATs are behind one carrier's.
    Carrier { hairpin: bool },
}

/// Where two parties are.
#[derive(Clone, Copy, Debug)]
pub enum Pair {
    Apart(Kind, Kind),
    Together(Shared),
}

impl Pair {
    /// All of the matrix.
    pub fn all() -> Vec<Self> {
        let mut pairs = Vec::new();
        for (place, first) in KINDS.into_iter().enumerate() {
            pairs.extend(KINDS.into_iter().skip(place).map(|second| Self::Apart(first, second)));
        }
        let named = |name| KINDS.into_iter().filter(move |kind| kind.name == name);
        let others = || named("EI/APD").chain(named("linux"));
        pairs.push(Self::Apart(FW6, FW6));
        pairs.extend(others().map(|other| Self::Apart(FW6, other)));
        pairs.push(Self::Apart(FORGETFUL, FORGETFUL));
        pairs.extend(others().map(|other| Self::Apart(FORGETFUL, other)));
        let shared = [Shared::Home, Shared::Carrier { hairpin: true }, Shared::Carrier { hairpin: false }];
        pairs.extend(shared.map(Self::Together));
        pairs
    }

    /// Those that the tests try.
    pub fn quick() -> Vec<Self> {
        const NAMES: [[&str; 2]; 13] = [
            ["public", "APD/APD r"],
            ["EI/EI", "APD/APD r"],
            ["EI/APD", "APD/APD r"],
            ["APD/APD r", "linux rej"],
            ["EI/APD", "EI/APD"],
            ["EI/APD", "linux"],
            ["linux", "linux"],
            ["linux rej", "linux rej"],
            ["linux open", "linux open"],
            ["EI/APD", "cgn easy"],
            ["fw6", "fw6"],
            ["one home", "one home"],
            ["APD/APD r", "APD/APD r"],
        ];
        Self::named(&NAMES)
    }

    /// Those that are compared: the same with IPv4, and some harder ones.
    pub fn beside() -> Vec<Self> {
        const NAMES: [[&str; 2]; 7] = [
            ["public", "public"],
            ["fw4", "fw4"],
            ["EI/AD", "APD/APD r"],
            ["linux open", "cgn easy"],
            ["cgn easy", "cgn easy"],
            ["EI/EI", "cgn hard"],
            ["one cgn", "one cgn"],
        ];
        let mut pairs = Self::quick();
        // iroh's parties do not come online here with IPv6 alone and the relay's address in place of a name.
        pairs.retain(|pair| pair.names() != [FW6.name; 2]);
        pairs.extend(Self::named(&NAMES));
        pairs
    }

    fn named(names: &[[&str; 2]]) -> Vec<Self> {
        let all = Self::all();
        let named =
            |names| all.iter().find(|pair| pair.names() == names).copied().expect("a pair of the matrix");
        names.iter().map(|names| named(*names)).collect()
    }

    pub fn names(&self) -> [&'static str; 2] {
        match self {
            Self::Apart(first, second) => [first.name, second.name],
            Self::Together(shared) => {
                [match shared {
                    Shared::Home => "one home",
                    Shared::Carrier { hairpin: true } => "one cgn hp",
                    Shared::Carrier { hairpin: false } => "one cgn",
                }; 2]
            }
        }
    }

    /// Seconds of silence before the parties are introduced.
    pub fn idle(&self) -> u64 {
        match self {
            Self::Apart(first, second) => first.idle.max(second.idle),
            Self::Together(_) => 0,
        }
    }

    /// The kinds of access of two parties that share nothing.
    pub fn kinds(&self) -> Option<[Kind; 2]> {
        match self {
            Self::Apart(first, second) => Some([*first, *second]),
            Self::Together(_) => None,
        }
    }

    /// Whether a direct path is expected, with many ports if need be.
    pub fn meets(&self) -> bool {
        match self {
            Self::Apart(first, second) => match (first.like, second.like) {
                (None, None) => true,
                (Some(first), Some(second)) => {
                    let access = |name| Access::named(name).expect("a kind of the simulation");
                    access(first).meets(&access(second))
                }
                // An address of one family is of no use to the other.
                _ => false,
            },
            Self::Together(shared) => *shared != Shared::Carrier { hairpin: false },
        }
    }
}
