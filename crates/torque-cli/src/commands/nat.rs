//! `torque nat`

mod words;

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use serde_json::json;
use torque_socket::{ConnectionId, Event, IoStats, Nat, Socket};

use crate::connecting::{self, Connected, Wish};
use crate::failure::{Code, Failure};
use crate::key_log;
use crate::lobby::Request;
use crate::output::{DIM, GOOD, NAME, Output, WARN};
use crate::socket_options::SocketOptions;
use crate::stop::{self, LOOK_EVERY};
use crate::trust::TrustOptions;
use words::{Kind, Meeting, OTHERS};

const EXAMPLES: &str = "\
Examples:
  torque nat torque://tk1...@lobby           a `torque introduce` looks at this machine's NAT
  torque nat torque://tk1...@lobby --json    the same for programs
  torque nat torque://tk1...@host:27015 --application pond --data look
                                             an introducer of another application, with its connect data

What the lobby sees of this machine:

  none                  the address is this machine's own
  independent           one port for all destinations: the other side's first packets find it
  sequential            another port for each destination, a little above the last one: it can be guessed
  unpredictable         another port for each destination, which cannot be guessed
  unknown               the lobby has no second port, or a firewall in front of it or of this machine is in the way

Two machines connect directly if one of the NATs is independent, if both are sequential, or if a router gives one of them a port. \"Many ports\" means that it takes up to 4,096 datagrams: \
see --hard-nat in `torque connect --help`. For all others the lobby has to relay (torque introduce --relay).

To be sure of \"unknown\", ask the lobby's operator: its second UDP port must be open (torque introduce --observe). A NAT that looks at the IP address \
alone is seen only by a lobby whose second port has another IP address.
";

/// Ask a lobby what this machine's NAT is like
///
/// Connects to it, sends it a few datagrams from this socket's port and from four others, and prints what it saw, and which other
/// machines can be reached directly.
#[derive(clap::Args, Debug)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// The lobby: torque://[KEY@]HOST[:PORT], or the same without torque://
    #[arg(value_name = "URL")]
    url: String,

    /// Connect data for an introducer of another application
    #[arg(long, value_name = "TEXT")]
    data: Option<String>,

    #[command(flatten)]
    trust: TrustOptions,

    #[command(flatten)]
    socket: SocketOptions,
}

/// The time after which there is no more to be expected of a look.
const LOOK_AT_MOST: Duration = Duration::from_secs(10);
/// The time that a router may take to give a port.
#[cfg(feature = "port-mapping")]
const ROUTER_AT_MOST: Duration = Duration::from_secs(7);

/// What a lobby told.
struct Look {
    nat: Nat,
    observed: Option<SocketAddr>,
}

pub fn run(args: &Args, output: &Output) -> Result<(), Failure> {
    stop::watch()?;
    let builder = args.socket.builder()?;
    #[cfg(feature = "port-mapping")]
    let builder = builder.map_port(true);
    let mut socket = builder.client()?;
    key_log::install(&mut socket, output)?;
    let data = args.data.clone().unwrap_or_else(|| Request::Look.to_string());
    let wish = Wish {
        target: &args.url,
        trust: &args.trust,
        settings: args.socket.settings,
        data: data.as_bytes(),
        credential: None,
        harmless: true,
    };
    let lobby = connecting::establish(&mut socket, &wish, output)?;
    let looked = look(&mut socket, lobby.id);
    let shown = looked.and_then(|look| show(&mut socket, &args.url, &lobby, &look, output));
    connecting::end(socket, lobby.id, shown, |_| Ok(()))
}

fn look(socket: &mut Socket, lobby: ConnectionId) -> Result<Look, Failure> {
    socket.look_at_nat(lobby)?;
    let begun = Instant::now();
    while begun.elapsed() < LOOK_AT_MOST {
        if stop::requested() {
            return Err(Failure::failed("stopped before the lobby had told"));
        }
        match socket.wait_event(LOOK_EVERY) {
            Some(Event::NatFound { nat, observed, .. }) => return Ok(Look { nat, observed }),
            Some(Event::Close { code, reason, .. }) => return Err(Failure::closed(code, &reason)),
            _ => {}
        }
    }
    Ok(Look { nat: Nat::Unknown, observed: None })
}

fn show(
    socket: &mut Socket,
    url: &str,
    lobby: &Connected,
    look: &Look,
    output: &Output,
) -> Result<(), Failure> {
    let Some(observed) = look.observed else {
        return Err(Failure::new(Code::Failed, format!("{url} did not look: it is no introducer")).next(
            "give the URL of a `torque introduce`, or of another socket with introduction.introduces",
        ));
    };
    let own: Vec<IpAddr> =
        if_addrs::get_if_addrs().unwrap_or_default().iter().map(if_addrs::Interface::ip).collect();
    let kind = Kind::of(look.nat, own.contains(&observed.ip().to_canonical()));
    let opens_ports = opens_ports(socket.io_stats());
    let mapped = mapped(socket);
    let is_mapped = mapped.lets_everybody_in_at(observed);
    let meets = |other| if is_mapped { Meeting::Direct } else { kind.meets(other) };

    output.line(format_args!("seen as   {NAME}{observed}{NAME:#} {DIM}by {}{DIM:#}", lobby.remote))?;
    let style = if kind == Kind::Unknown { WARN } else { GOOD };
    output.line(format_args!("NAT       {style}{}{style:#}: {}", kind.name(), kind.words()))?;
    let ports = match opens_ports {
        Some(true) => "this machine opens further ports",
        None => "not tried",
        Some(false) => {
            "this machine cannot open further ports: the limit of descriptors is too low (ulimit -n)"
        }
    };
    output.line(format_args!("ports     {ports}"))?;
    let router = match &mapped {
        Router::Gives(address) => format!("gives {address} to this machine (PCP, NAT-PMP or UPnP)"),
        Router::GivesNothing => "gives this machine no port (PCP, NAT-PMP, UPnP)".to_owned(),
        Router::NotAsked => "was not asked: this torque is built without the feature port-mapping".to_owned(),
    };
    output.line(format_args!("router    {router}"))?;
    output.line(format_args!("connects to a machine whose NAT is"))?;
    for (other, name) in OTHERS {
        let meeting = meets(other);
        let style = if meeting == Meeting::Relayed { WARN } else { GOOD };
        output.line(format_args!("  {name:<15} {style}{}{style:#}", meeting.words()))?;
    }
    if kind == Kind::Unknown {
        output.note(format_args!(
            "{DIM}the lobby's second port may be closed: its operator opens it (torque introduce --observe){DIM:#}"
        ));
    }
    output.record(|| {
        let meets: serde_json::Map<_, _> =
            OTHERS.into_iter().map(|(other, name)| (name.to_owned(), json!(meets(other).name()))).collect();
        json!({
            "event": "nat",
            "lobby": lobby.remote.to_string(),
            "observed": observed.to_string(),
            "nat": kind.name(),
            "stride": kind.stride(),
            "opens_ports": opens_ports,
            "mapped": match &mapped {
                Router::Gives(address) => json!(address.to_string()),
                _ => json!(null),
            },
            "router_asked": !matches!(mapped, Router::NotAsked),
            "meets": meets,
        })
    })
}

/// Returns whether this machine opened all further ports that it tried to open; `None` if it tried none.
fn opens_ports(io: &IoStats) -> Option<bool> {
    let tried = io.ports_opened + io.ports_not_opened;
    (tried > 0).then_some(io.ports_not_opened == 0)
}

/// What this machine's router says.
#[allow(dead_code, reason = "the feature port-mapping decides which of them there are")]
enum Router {
    Gives(SocketAddr),
    GivesNothing,
    NotAsked,
}

impl Router {
    /// Returns whether it gives a port of the address that the lobby sees: there it lets everybody in, whatever its NAT does
    /// elsewhere. Behind a second NAT it gives a port of an address that others cannot reach.
    fn lets_everybody_in_at(&self, observed: SocketAddr) -> bool {
        matches!(self, Self::Gives(address) if address.ip().to_canonical() == observed.ip().to_canonical())
    }
}

#[cfg(feature = "port-mapping")]
fn mapped(socket: &mut Socket) -> Router {
    let begun = Instant::now();
    loop {
        if let Some(address) = socket.mapped_addr() {
            return Router::Gives(address);
        }
        if begun.elapsed() >= ROUTER_AT_MOST || stop::requested() {
            return Router::GivesNothing;
        }
        socket.wait(LOOK_EVERY);
        socket.poll();
    }
}

#[cfg(not(feature = "port-mapping"))]
fn mapped(_: &mut Socket) -> Router {
    Router::NotAsked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_descriptor_ports_were_tried_all_the_same() {
        let mut io = IoStats::default();
        assert_eq!(opens_ports(&io), None);
        io.ports_not_opened = 4;
        assert_eq!(opens_ports(&io), Some(false));
        io.ports_opened = 4;
        assert_eq!(opens_ports(&io), Some(false));
        io.ports_not_opened = 0;
        assert_eq!(opens_ports(&io), Some(true));
    }

    #[test]
    fn a_port_of_a_router_counts_if_others_reach_its_address() {
        let observed = SocketAddr::from(([203, 0, 113, 5], 40_000));
        let outside = Router::Gives(SocketAddr::new(observed.ip(), 27_015));
        assert!(outside.lets_everybody_in_at(observed));
        let between = Router::Gives(SocketAddr::from(([100, 64, 0, 7], 27_015)));
        assert!(!between.lets_everybody_in_at(observed));
        assert!(!Router::GivesNothing.lets_everybody_in_at(observed));
    }
}
