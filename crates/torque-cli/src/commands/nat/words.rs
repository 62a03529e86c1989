//! Kinds of NAT in words, and which of them meet (INTRODUCTIONS.md 9.2).

use torque_socket::Nat;

/// What is between this machine and the lobby.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The lobby sees an address of this machine.
    None,
    Unknown,
    Independent,
    /// With its stride, if that is known.
    Sequential(u8),
    Unpredictable,
}

/// How two machines meet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Meeting {
    Direct,
    /// Directly, but perhaps only after many ports were tried.
    ManyPorts,
    Relayed,
}

/// The kinds that another machine may have, with their names.
pub const OTHERS: [(Kind, &str); 3] = [
    (Kind::Independent, "independent"),
    (Kind::Sequential(0), "sequential"),
    (Kind::Unpredictable, "unpredictable"),
];

impl Kind {
    pub fn of(nat: Nat, is_own: bool) -> Self {
        match nat {
            // Another machine's NAT cannot have this one's address.
            Nat::Independent | Nat::Unknown if is_own => Self::None,
            Nat::Unknown => Self::Unknown,
            Nat::Independent => Self::Independent,
            Nat::Sequential(stride) => Self::Sequential(stride),
            Nat::Unpredictable => Self::Unpredictable,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Unknown => "unknown",
            Self::Independent => "independent",
            Self::Sequential(_) => "sequential",
            Self::Unpredictable => "unpredictable",
        }
    }

    pub fn stride(self) -> Option<u8> {
        match self {
            Self::Sequential(stride) => Some(stride).filter(|stride| *stride > 0),
            _ => None,
        }
    }

    pub fn words(self) -> String {
        match self {
            Self::None => "the address is this machine's own".into(),
            Self::Unknown => "the lobby could not see enough".into(),
            Self::Independent => "one port for all destinations".into(),
            Self::Sequential(_) => match self.stride() {
                Some(stride) => format!("another port for each destination, {stride} above the last one"),
                None => "another port for each destination, a little above the last one".into(),
            },
            Self::Unpredictable => "another port for each destination, which cannot be foreseen".into(),
        }
    }

    /// How this machine meets another one. `Unknown` is taken for `Independent`, as introductions do.
    pub fn meets(self, other: Self) -> Meeting {
        use Kind::{Independent, None, Sequential, Unknown, Unpredictable};
        match (self, other) {
            (None | Independent | Unknown, None | Independent | Unknown) => Meeting::Direct,
            (None | Independent | Unknown, Sequential(_) | Unpredictable)
            | (Sequential(_) | Unpredictable, None | Independent | Unknown)
            | (Sequential(_), Sequential(_)) => Meeting::ManyPorts,
            (Sequential(_), Unpredictable) | (Unpredictable, Sequential(_) | Unpredictable) => {
                Meeting::Relayed
            }
        }
    }
}

impl Meeting {
    pub fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::ManyPorts => "many_ports",
            Self::Relayed => "relayed",
        }
    }

    pub fn words(self) -> &'static str {
        match self {
            Self::Direct => "directly",
            Self::ManyPorts => "directly, if need be with many ports (--hard-nat)",
            Self::Relayed => "only if the lobby relays",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_independent_side_is_enough_and_the_order_does_not_matter() {
        for (one, _) in OTHERS {
            for (other, _) in OTHERS {
                assert_eq!(one.meets(other), other.meets(one));
                let has_independent = [one, other].contains(&Kind::Independent);
                let is_relayed = one.meets(other) == Meeting::Relayed;
                assert!(!(has_independent && is_relayed), "{one:?} {other:?}");
            }
        }
        assert_eq!(Kind::Unpredictable.meets(Kind::Unpredictable), Meeting::Relayed);
        assert_eq!(Kind::Sequential(2).meets(Kind::Sequential(0)), Meeting::ManyPorts);
    }

    #[test]
    fn an_address_of_this_machine_is_no_nat() {
        assert_eq!(Kind::of(Nat::Independent, true), Kind::None);
        assert_eq!(Kind::of(Nat::Unpredictable, true), Kind::Unpredictable);
        assert_eq!(Kind::of(Nat::Sequential(0), false).stride(), None);
    }
}
