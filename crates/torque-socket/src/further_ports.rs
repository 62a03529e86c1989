//! The UDP ports that a socket has beside the one that it is bound to. Paths name them ([`Path::port`](torque_proto::Path::port)).
//!
//! There are three kinds: those that a party of introductions opens and closes (INTRODUCTIONS.md 9), the one where an introducer observes
//! (9.1), and the one from which a shard connects by name.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;

use torque_proto::OBSERVING_PORT;

use crate::error::BindError;
use crate::io::wait::{self, Watch};
use crate::io::{Udp, UdpOptions};

/// With more ports than this the system is asked which of them have datagrams: one call instead of one for each.
const FEW: usize = 4;
/// The number of a shard's private port, the only further port that it has.
const PRIVATE: u16 = 1;

/// Where an introducer observes.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) enum Observes {
    /// At the port after the bound one, if it is free.
    #[default]
    AtNextPort,
    /// At this address. An unspecified IP address is the one that the socket is bound to.
    At(SocketAddr),
    Nowhere,
}

/// The further ports that are open, and what is needed to open one.
pub(crate) struct FurtherPorts {
    options: UdpOptions,
    /// The address that the socket is bound to.
    bound: SocketAddr,
    dual_stack: bool,
    /// By their numbers.
    open: Vec<Udp>,
    /// How many were opened and closed: a thread that waits for them sees that others are there now.
    changes: u64,
    /// The runtime that waits for them.
    #[cfg(feature = "tokio")]
    runtime: Option<tokio::runtime::Handle>,
}

impl FurtherPorts {
    pub(crate) fn new(options: UdpOptions, bound: SocketAddr, dual_stack: bool) -> Self {
        Self {
            options,
            bound,
            dual_stack,
            open: Vec::new(),
            changes: 0,
            #[cfg(feature = "tokio")]
            runtime: None,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }

    /// Opens a port of the system's choice, at the address and with the options of the bound one.
    ///
    /// # Errors
    /// What the operating system says.
    pub(crate) fn open(&mut self, number: u16) -> io::Result<()> {
        let socket = self.open_at(SocketAddr::new(self.bound.ip(), 0))?;
        self.add(socket, self.dual_stack, number)
    }

    /// Opens a shard's private port at its first use. Returns its number.
    ///
    /// # Errors
    /// What the operating system says.
    pub(crate) fn private(&mut self) -> io::Result<u16> {
        if self.get(PRIVATE).is_none() {
            self.open(PRIVATE)?;
        }
        Ok(PRIVATE)
    }

    /// Opens the port where an introducer observes. Returns the address that parties are told, if there is one: with an unspecified
    /// IP address if it is that of the bound port, so that a machine need not know how others see it.
    ///
    /// # Errors
    /// An address that the application named cannot be bound.
    pub(crate) fn observe(&mut self, observes: Observes) -> Result<Option<SocketAddr>, BindError> {
        let at = match observes {
            Observes::Nowhere => return Ok(None),
            Observes::At(address) if !address.ip().is_unspecified() => address,
            Observes::At(address) => SocketAddr::new(self.bound.ip(), address.port()),
            Observes::AtNextPort => match self.bound.port().checked_add(1) {
                Some(port) => SocketAddr::new(self.bound.ip(), port),
                None => return Ok(None),
            },
        };
        let is_same_ip = at.ip() == self.bound.ip();
        let opened = if is_same_ip { self.open_at(at) } else { self.options.open(at, false, false) };
        let added = opened.and_then(|socket| {
            let port = socket.local_addr()?.port();
            self.add(socket, is_same_ip && self.dual_stack, OBSERVING_PORT)?;
            Ok(port)
        });
        let unspecified: IpAddr =
            if at.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        match added {
            Ok(port) => Ok(Some(SocketAddr::new(if is_same_ip { unspecified } else { at.ip() }, port))),
            Err(error) if matches!(observes, Observes::At(_)) => Err(BindError::from_bind(at, error)),
            Err(_) => Ok(None),
        }
    }

    /// A socket at the bound address with another port.
    fn open_at(&self, address: SocketAddr) -> io::Result<UdpSocket> {
        let mut bound = self.bound;
        bound.set_port(address.port());
        self.options.open(bound, self.dual_stack, false)
    }

    fn add(&mut self, socket: UdpSocket, dual_stack: bool, number: u16) -> io::Result<()> {
        #[cfg_attr(not(feature = "tokio"), expect(unused_mut, reason = "nobody else owns it"))]
        let mut udp = self.options.set_up(socket, dual_stack, number)?;
        #[cfg(feature = "tokio")]
        if let Some(runtime) = &self.runtime {
            let _inside = runtime.enter();
            udp.move_to_tokio()?;
        }
        match self.place(number) {
            Ok(index) => self.open[index] = udp,
            Err(index) => self.open.insert(index, udp),
        }
        self.changes += 1;
        Ok(())
    }

    /// Closes a port, which is returned with its counters. What waits there is lost.
    pub(crate) fn close(&mut self, number: u16) -> Option<Udp> {
        let index = self.place(number).ok()?;
        self.changes += 1;
        Some(self.open.remove(index))
    }

    pub(crate) fn get(&self, number: u16) -> Option<&Udp> {
        self.open.get(self.place(number).ok()?)
    }

    pub(crate) fn get_mut(&mut self, number: u16) -> Option<&mut Udp> {
        let index = self.place(number).ok()?;
        self.open.get_mut(index)
    }

    fn place(&self, number: u16) -> Result<usize, usize> {
        self.open.binary_search_by_key(&number, Udp::port)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Udp> {
        self.open.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Udp> {
        self.open.iter_mut()
    }

    /// The ports at which there may be datagrams, by their places.
    pub(crate) fn readable(&self) -> Vec<usize> {
        let all = (0..self.open.len()).collect();
        let watches = if self.open.len() <= FEW { Vec::new() } else { self.watches() };
        if watches.is_empty() {
            // A runtime knows by itself which of them have any, and must see a call fail before it waits again.
            return all;
        }
        wait::ready(&watches).unwrap_or(all)
    }

    pub(crate) fn at(&mut self, place: usize) -> Option<&mut Udp> {
        self.open.get_mut(place)
    }

    /// What to wait for. Nothing if a runtime does.
    pub(crate) fn watches(&self) -> Vec<Watch<'_>> {
        let watch =
            |udp| Some(Watch { socket: Udp::plain(udp)?, readable: true, writable: udp.is_blocked() });
        self.open.iter().filter_map(watch).collect()
    }

    /// The sockets, and whether to wait for room to send too: for a thread that waits while others use the socket.
    pub(crate) fn watched(&self) -> Vec<(Arc<UdpSocket>, bool)> {
        let watched = |udp| Some((Arc::clone(Udp::plain(udp)?), udp.is_blocked()));
        self.open.iter().filter_map(watched).collect()
    }

    /// Gives the ports to the tokio runtime of the calling task, those that are opened later too.
    #[cfg(feature = "tokio")]
    pub(crate) fn move_to_tokio(&mut self) -> io::Result<()> {
        self.runtime = Some(tokio::runtime::Handle::current());
        self.open.iter_mut().try_for_each(Udp::move_to_tokio)
    }
}
