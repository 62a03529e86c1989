//! The names that are registered at a lobby.

use std::collections::HashMap;
use std::net::IpAddr;

use torque_socket::{Address, ConnectionId, PublicKey};

use crate::lobby::Name;

/// A network that counts as one source: an IPv4 address, an IPv6 /64, or 0 for anything else.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Network(u8, u64);

impl From<Address> for Network {
    fn from(address: Address) -> Self {
        match address.socket_addr().map(|address| address.ip().to_canonical()) {
            Some(IpAddr::V4(v4)) => Self(4, u64::from(v4.to_bits())),
            Some(IpAddr::V6(v6)) => Self(6, (v6.to_bits() >> 64) as u64),
            None => Self(0, 0),
        }
    }
}

/// A connection that has registered a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Holder {
    pub connection: ConnectionId,
    pub key: PublicKey,
    pub network: Network,
}

/// The names, each with the connection that holds it.
pub struct Names {
    holders: HashMap<Name, Holder>,
    of_networks: HashMap<Network, u32>,
    most_of_network: u32,
}

impl Names {
    pub fn new(most_of_network: u32) -> Self {
        Self { holders: HashMap::new(), of_networks: HashMap::new(), most_of_network }
    }

    pub fn count(&self) -> usize {
        self.holders.len()
    }

    pub fn get(&self, name: &Name) -> Option<&Holder> {
        self.holders.get(name)
    }

    /// Returns whether a holder could take a name, and if not, the reason that it is told.
    pub fn check(&self, name: &Name, key: PublicKey, network: Network) -> Result<(), String> {
        let before = self.get(name);
        if before.is_some_and(|before| !before.key.same_identity(&key)) {
            return Err(format!("the name {name} is taken"));
        }
        let count = self.of_networks.get(&network).copied().unwrap_or_default();
        let counts_already = before.is_some_and(|before| before.network == network);
        if count >= self.most_of_network && !counts_already {
            return Err("too many names are registered from this network".into());
        }
        Ok(())
    }

    /// Gives a name to a connection. Returns the connection with the same key that held it before.
    pub fn take(&mut self, name: &Name, holder: Holder) -> Result<Option<ConnectionId>, String> {
        self.check(name, holder.key, holder.network)?;
        let before = self.holders.insert(name.clone(), holder);
        if let Some(before) = before {
            self.uncount(before.network);
        }
        *self.of_networks.entry(holder.network).or_default() += 1;
        Ok(before.map(|before| before.connection))
    }

    /// Frees a name, if this connection holds it.
    pub fn free(&mut self, name: &Name, connection: ConnectionId) {
        if self.get(name).is_some_and(|holder| holder.connection == connection)
            && let Some(holder) = self.holders.remove(name)
        {
            self.uncount(holder.network);
        }
    }

    fn uncount(&mut self, network: Network) {
        if let Some(count) = self.of_networks.get_mut(&network) {
            *count -= 1;
            if *count == 0 {
                self.of_networks.remove(&network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use torque_socket::KeyPair;

    fn holder(connection: u32, key: u8, address: &str) -> Holder {
        Holder {
            connection: ConnectionId::from_u32(connection).unwrap(),
            key: KeyPair::from_seed([key; 32]).public(),
            network: Address::from(address.parse::<std::net::SocketAddr>().unwrap()).into(),
        }
    }

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn a_name_is_taken_over_by_the_same_key_only() {
        let mut names = Names::new(8);
        let (first, second) = (holder(1, 1, "192.0.2.1:1"), holder(2, 1, "192.0.2.2:1"));
        assert_eq!(names.take(&name("pond"), first), Ok(None));
        assert!(names.take(&name("POND"), holder(3, 2, "192.0.2.1:1")).unwrap_err().contains("taken"));
        assert_eq!(names.take(&name("pond"), second), Ok(Some(first.connection)));
        // The older connection ends later. The name is not its own any more.
        names.free(&name("pond"), first.connection);
        assert_eq!(names.get(&name("pond")), Some(&second));
        names.free(&name("pond"), second.connection);
        assert_eq!(names.count(), 0);
        assert_eq!(names.take(&name("pond"), holder(3, 2, "192.0.2.1:1")), Ok(None));
    }

    #[test]
    fn a_network_has_a_share_of_the_names_and_gets_it_back() {
        let mut names = Names::new(2);
        for (number, text) in [(1, "a"), (2, "b")] {
            assert_eq!(names.take(&name(text), holder(number, number as u8, "[2001:db8::1]:7")), Ok(None));
        }
        let third = holder(3, 3, "[2001:db8::2]:9");
        assert!(names.take(&name("c"), third).unwrap_err().contains("too many"));
        assert_eq!(names.take(&name("c"), holder(4, 4, "[2001:db8:0:1::1]:7")), Ok(None));
        // The same key at the same network takes nothing more.
        assert!(names.take(&name("a"), holder(5, 1, "[2001:db8::3]:1")).is_ok());
        names.free(&name("b"), ConnectionId::from_u32(2).unwrap());
        assert_eq!(names.take(&name("d"), third), Ok(None));
    }
}
