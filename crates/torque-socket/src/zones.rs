//! Zones of link-local IPv6 addresses: the interfaces of this machine, by name and by number.

use if_addrs::get_if_addrs;
use torque_proto::identity::Zone;

/// The number of the interface that a zone names; `None` if this machine has none of that name.
pub(crate) fn number_of(zone: &Zone) -> Option<u32> {
    if let Ok(number) = zone.as_str().parse() {
        return Some(number);
    }
    get_if_addrs().ok()?.into_iter().find(|interface| interface.name == zone.as_str())?.index
}

/// The zone of the interface with this number: its name, if one can be written in a URL, else the number.
pub(crate) fn zone_of(number: u32) -> Zone {
    let names = get_if_addrs().unwrap_or_default().into_iter();
    names
        .filter(|interface| interface.index == Some(number))
        .find_map(|interface| Zone::new(&interface.name))
        .unwrap_or_else(|| Zone::from(number))
}
