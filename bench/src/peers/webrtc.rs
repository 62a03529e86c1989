//! A WebRTC data channel by str0m: ICE, DTLS and SCTP, sans-IO, driven here over one socket with a call a datagram, as its
//! examples do.
//!
//! Options: its default cryptography (aws-lc-rs); an unordered channel without retransmits, negotiated beforehand, which
//! is what games ask of WebRTC; the host in ICE-lite, as servers are; an MTU of 1,200 as QUIC begins with; room for what a job has under way. What
//! signalling would carry (ICE credentials, fingerprints) is fixed here, so fingerprints are not compared.

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Instant;

use str0m::channel::{ChannelConfig, ChannelId, Reliability};
use str0m::config::DtlsCert;
use str0m::crypto::CryptoProvider;
use str0m::ice::IceCreds;
use str0m::net::{Protocol as Transport, Receive};
use str0m::{Candidate, Event, Input, Output, Rtc, RtcConfig};

use super::{End, Invitation, Load, Protocol, Take, plain};
use crate::failure::Result;

/// Instead of 1,150, so that a payload of 1,100 bytes is not cut in two.
const MTU: usize = 1_200;

/// What signalling would have told each side of the other.
fn credentials(host: bool) -> IceCreds {
    let name = if host { "host" } else { "clnt" };
    IceCreds { ufrag: name.to_owned(), pass: format!("{name}-password-of-24-bytes") }
}

pub struct DataChannel;

impl Protocol for DataChannel {
    fn host(&self, load: &Load) -> Result<(Box<dyn End>, Invitation)> {
        let end = RtcEnd::new(None, load)?;
        let address = plain::address_of(&end.socket)?;
        Ok((Box::new(end), Invitation { address, key: Vec::new() }))
    }

    fn client(&self, invitation: &Invitation, load: &Load) -> Result<Box<dyn End>> {
        Ok(Box::new(RtcEnd::new(Some(invitation.address.into()), load)?))
    }
}

struct Link {
    rtc: Rtc,
    channel: ChannelId,
    /// Its number among the established.
    number: Option<usize>,
    deadline: Instant,
    dirty: bool,
}

struct RtcEnd {
    socket: UdpSocket,
    local: SocketAddr,
    provider: Arc<CryptoProvider>,
    certificate: DtlsCert,
    /// The host, if this is a client.
    host: Option<SocketAddr>,
    buffered: usize,
    links: Vec<Link>,
    indices: HashMap<SocketAddr, usize>,
    established: Vec<usize>,
    /// Links with something to send.
    dirty: Vec<usize>,
    received: Vec<(usize, Vec<u8>)>,
    buffer: Box<[u8; 2_048]>,
}

impl RtcEnd {
    fn new(host: Option<SocketAddr>, load: &Load) -> Result<Self> {
        let socket = plain::bind_nonblocking()?;
        let provider = Arc::new(str0m::crypto::from_feature_flags());
        let certificate = provider.dtls_provider.generate_certificate().ok_or("no certificate was made")?;
        let count = if host.is_some() { 1 } else { load.connections };
        Ok(Self {
            local: plain::address_of(&socket)?.into(),
            socket,
            provider,
            certificate,
            host,
            buffered: (load.payload * load.in_flight * 2).max(128 << 10),
            links: Vec::with_capacity(count),
            indices: HashMap::with_capacity(count),
            established: Vec::with_capacity(count),
            dirty: Vec::new(),
            received: Vec::new(),
            buffer: Box::new([0; 2_048]),
        })
    }

    fn add(&mut self, remote: SocketAddr) -> Result<usize> {
        let now = Instant::now();
        let is_host = self.host.is_none();
        let mut rtc = RtcConfig::new()
            .set_crypto_provider(Arc::clone(&self.provider))
            .set_dtls_cert(self.certificate.clone())
            .set_local_ice_credentials(credentials(is_host))
            .set_fingerprint_verification(false)
            .set_ice_lite(is_host)
            .set_sctp_max_buffered_amount(self.buffered)
            .set_mtu(MTU..=MTU)
            .build(now);
        rtc.add_local_candidate(Candidate::host(self.local, "udp")?);
        rtc.add_remote_candidate(Candidate::host(remote, "udp")?);
        let fingerprint = rtc.direct_api().local_dtls_fingerprint().clone();
        let mut direct = rtc.direct_api();
        direct.set_remote_ice_credentials(credentials(!is_host));
        direct.set_remote_fingerprint(fingerprint);
        direct.set_ice_controlling(!is_host);
        direct.start_dtls(!is_host)?;
        direct.start_sctp(!is_host);
        let channel = direct.create_data_channel(ChannelConfig {
            label: "packets".to_owned(),
            ordered: false,
            reliability: Reliability::MaxRetransmits { retransmits: 0 },
            negotiated: Some(0),
            ..ChannelConfig::default()
        });
        self.links.push(Link { rtc, channel, number: None, deadline: now, dirty: false });
        self.indices.insert(remote, self.links.len() - 1);
        Ok(self.links.len() - 1)
    }

    /// Sends and tells what a link has, until it wants time or datagrams.
    fn drive(&mut self, index: usize) -> Result {
        let link = &mut self.links[index];
        loop {
            match link.rtc.poll_output()? {
                Output::Timeout(deadline) => {
                    link.deadline = deadline;
                    return Ok(());
                }
                Output::Transmit(transmit) => {
                    if let Err(error) = self.socket.send_to(&transmit.contents, transmit.destination) {
                        plain::unless_idle(error)?;
                    }
                }
                Output::Event(Event::ChannelOpen(channel, _)) => {
                    link.channel = channel;
                    link.number = Some(self.established.len());
                    self.established.push(index);
                }
                Output::Event(Event::ChannelData(data)) => {
                    if let Some(number) = link.number {
                        self.received.push((number, data.data));
                    }
                }
                Output::Event(Event::Closed) => return Err("closed".into()),
                Output::Event(_) => {}
            }
        }
    }

    fn run_timers(&mut self) -> Result {
        let now = Instant::now();
        for index in 0..self.links.len() {
            if self.links[index].deadline <= now {
                self.links[index].rtc.handle_input(Input::Timeout(now))?;
                self.drive(index)?;
            }
        }
        Ok(())
    }
}

impl End for RtcEnd {
    fn start(&mut self) -> Result {
        let Some(host) = self.host else { return Ok(()) };
        let index = self.add(host)?;
        self.links[index].rtc.handle_input(Input::Timeout(Instant::now()))?;
        self.drive(index)
    }

    fn established(&self) -> usize {
        self.established.len()
    }

    fn send(&mut self, connection: usize, payload: &[u8]) -> Result<bool> {
        let index = self.established[connection];
        let link = &mut self.links[index];
        let mut channel = link.rtc.channel(link.channel).ok_or("the channel is gone")?;
        let taken = channel.write(true, payload)?;
        if !link.dirty {
            link.dirty = true;
            self.dirty.push(index);
        }
        Ok(taken)
    }

    fn flush(&mut self) -> Result {
        for index in std::mem::take(&mut self.dirty) {
            self.links[index].dirty = false;
            self.drive(index)?;
        }
        Ok(())
    }

    fn receive(&mut self, _: usize, take: Take<'_>) -> Result {
        loop {
            let (len, from) = match self.socket.recv_from(self.buffer.as_mut_slice()) {
                Ok(received) => received,
                Err(error) => {
                    plain::unless_idle(error)?;
                    break;
                }
            };
            let index = match self.indices.get(&from) {
                Some(&index) => index,
                None if self.host.is_none() => self.add(from)?,
                None => continue,
            };
            if let Ok(receive) = Receive::new(Transport::Udp, from, self.local, &self.buffer[..len]) {
                self.links[index].rtc.handle_input(Input::Receive(Instant::now(), receive))?;
                self.drive(index)?;
            }
        }
        self.run_timers()?;
        for (number, payload) in self.received.drain(..) {
            take(number, &payload);
        }
        Ok(())
    }

    fn wait(&mut self) -> Result {
        let now = Instant::now();
        let own = self.links.iter().map(|link| link.deadline.saturating_duration_since(now)).min();
        Ok(plain::wait_readable(&self.socket, own.unwrap_or(plain::WAIT).min(plain::WAIT))?)
    }
}
