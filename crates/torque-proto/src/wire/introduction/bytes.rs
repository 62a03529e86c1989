//! The values to bytes and back.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use zeroize::Zeroizing;

use super::{
    Candidate, CandidateKind, CircuitNotice, CircuitState, Introduced, Introduction, MAX_CANDIDATES, Nat,
    Outcome, OutcomeResult, PartyFlags, Request,
};
use crate::codes::CloseCode;
use crate::wire::{KEY_TYPE_ED25519, ParseError, Reader};

/// Bytes of a *withdraw*.
const WITHDRAW_BYTES: usize = 2;

impl Request {
    /// Reads the body of a *request*. Flags that this version does not know are ignored.
    ///
    /// # Errors
    /// [`ParseError::Length`], or what is wrong with the candidates ([`parse_candidates`]).
    pub fn parse(body: &[u8]) -> Result<Self, ParseError> {
        let mut reader = Reader::new(body);
        let request = Self {
            remote: reader.u32()?,
            flags: PartyFlags::from_byte(reader.u8()?),
            nonce: reader.array()?,
            candidates: read_candidates(&mut reader)?,
        };
        reader.end()?;
        Ok(request)
    }

    /// Appends the body.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.remote.to_be_bytes());
        out.push(self.flags.to_byte());
        out.extend_from_slice(&self.nonce);
        write_candidates(&self.candidates, out);
    }
}

impl Introduction {
    const COMPLETE: u8 = 0;
    const WAITING_FOR_PARTY: u8 = 1;
    const WAITING_FOR_APPLICATION: u8 = 2;

    /// Reads the body of an *introduction*. Ignored are flags that this version does not know, and the stride of a NAT that has none.
    ///
    /// # Errors
    /// [`ParseError::Length`]; [`ParseError::Unknown`] for a status, key type, NAT or family of addresses that this version does not
    /// know; [`ParseError::Zero`] for an id of 0; or what is wrong with the candidates ([`parse_candidates`]).
    pub fn parse(body: &[u8]) -> Result<Self, ParseError> {
        let mut reader = Reader::new(body);
        let introduction = match reader.u8()? {
            Self::COMPLETE => Self::Complete(Box::new(Introduced::read(&mut reader)?)),
            Self::WAITING_FOR_PARTY => Self::WaitingForParty,
            Self::WAITING_FOR_APPLICATION => Self::WaitingForApplication,
            _ => return Err(ParseError::Unknown),
        };
        reader.end()?;
        Ok(introduction)
    }

    /// Appends the body. If it is complete, `out` holds the introduced secret afterwards: it is to be erased like the secret.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Complete(introduced) => {
                out.push(Self::COMPLETE);
                introduced.write(out);
            }
            Self::WaitingForParty => out.push(Self::WAITING_FOR_PARTY),
            Self::WaitingForApplication => out.push(Self::WAITING_FOR_APPLICATION),
        }
    }
}

impl Introduced {
    fn read(reader: &mut Reader<'_>) -> Result<Self, ParseError> {
        let id = reader.u64()?;
        if id == 0 {
            return Err(ParseError::Zero);
        }
        let flags = PartyFlags::from_byte(reader.u8()?);
        if reader.u8()? != KEY_TYPE_ED25519 {
            return Err(ParseError::Unknown);
        }
        Ok(Self {
            id,
            flags,
            public_key: reader.array()?,
            nonce: reader.array()?,
            secret: Zeroizing::new(reader.array()?),
            circuit: reader.u32()?,
            circuit_rate: reader.u32()?,
            nat: Nat::read_with_stride(reader)?,
            own_nat: Nat::from_number(reader.u8()?, 0)?,
            observed: read_optional_address(reader)?,
            candidates: read_candidates(reader)?,
        })
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.id.to_be_bytes());
        out.extend_from_slice(&[self.flags.to_byte(), KEY_TYPE_ED25519]);
        out.extend_from_slice(&self.public_key);
        out.extend_from_slice(&self.nonce);
        out.extend_from_slice(&*self.secret);
        out.extend_from_slice(&self.circuit.to_be_bytes());
        out.extend_from_slice(&self.circuit_rate.to_be_bytes());
        out.extend_from_slice(&[self.nat.number(), self.nat.stride(), self.own_nat.number()]);
        write_optional_address(self.observed, out);
        write_candidates(&self.candidates, out);
    }
}

impl Outcome {
    const DIRECT: u8 = 0;
    const RELAYED: u8 = 1;
    const BECAME_DIRECT: u8 = 2;
    const FAILED: u8 = 255;

    /// Reads the body of an *outcome*. A close code that this version does not know becomes [`CloseCode::Closed`]; those that a
    /// socket only reports of itself are legal here, since the party tells how its own attempt ended.
    ///
    /// # Errors
    /// [`ParseError::Length`]; [`ParseError::Zero`] for an id of 0; [`ParseError::Unknown`] for another result;
    /// [`ParseError::Padding`] for a close code, though nothing failed.
    pub fn parse(body: &[u8]) -> Result<Self, ParseError> {
        let mut reader = Reader::new(body);
        let (introduction, result, code) = (reader.u64()?, reader.u8()?, reader.u16()?);
        let millis = reader.u32()?;
        reader.end()?;
        if introduction == 0 {
            return Err(ParseError::Zero);
        }
        let result = match result {
            Self::FAILED => OutcomeResult::Failed(CloseCode::from_number(code).unwrap_or(CloseCode::Closed)),
            Self::DIRECT | Self::RELAYED | Self::BECAME_DIRECT if code != 0 => {
                return Err(ParseError::Padding);
            }
            Self::DIRECT => OutcomeResult::Direct,
            Self::RELAYED => OutcomeResult::Relayed,
            Self::BECAME_DIRECT => OutcomeResult::BecameDirect,
            _ => return Err(ParseError::Unknown),
        };
        Ok(Self { introduction, result, millis })
    }

    /// Appends the body.
    pub fn write(&self, out: &mut Vec<u8>) {
        let (result, code) = match self.result {
            OutcomeResult::Direct => (Self::DIRECT, 0),
            OutcomeResult::Relayed => (Self::RELAYED, 0),
            OutcomeResult::BecameDirect => (Self::BECAME_DIRECT, 0),
            OutcomeResult::Failed(code) => (Self::FAILED, code.number()),
        };
        out.extend_from_slice(&self.introduction.to_be_bytes());
        out.push(result);
        out.extend_from_slice(&code.to_be_bytes());
        out.extend_from_slice(&self.millis.to_be_bytes());
    }
}

/// Reads the body of *candidates*.
///
/// # Errors
/// [`ParseError::Length`]; [`ParseError::TooMany`] for more than [`MAX_CANDIDATES`]; [`ParseError::Unknown`] for a kind of candidate
/// or family of addresses that this version does not know.
pub fn parse_candidates(body: &[u8]) -> Result<Vec<Candidate>, ParseError> {
    let mut reader = Reader::new(body);
    let candidates = read_candidates(&mut reader)?;
    reader.end()?;
    Ok(candidates)
}

/// Appends the body of *candidates*. Those beyond [`MAX_CANDIDATES`] are left out.
pub fn write_candidates(candidates: &[Candidate], out: &mut Vec<u8>) {
    let candidates = &candidates[..candidates.len().min(MAX_CANDIDATES)];
    out.push(candidates.len() as u8);
    for candidate in candidates {
        out.push(candidate.kind.number());
        write_address(candidate.address, out);
    }
}

/// The body of a *withdraw* with this code.
pub fn withdraw(code: CloseCode) -> [u8; WITHDRAW_BYTES] {
    code.number().to_be_bytes()
}

/// Reads the body of a *withdraw*. As in a close, a code that this version does not know, or that a socket only reports of itself,
/// becomes [`CloseCode::Closed`].
///
/// # Errors
/// [`ParseError::Length`].
pub fn parse_withdraw(body: &[u8]) -> Result<CloseCode, ParseError> {
    let mut reader = Reader::new(body);
    let code = reader.u16()?;
    reader.end()?;
    Ok(CloseCode::from_wire(code))
}

impl CircuitNotice {
    /// Reads the body of a *circuit*.
    ///
    /// # Errors
    /// [`ParseError::Length`]; [`ParseError::Zero`] for circuit 0; [`ParseError::Unknown`] for another state.
    pub fn parse(body: &[u8]) -> Result<Self, ParseError> {
        let mut reader = Reader::new(body);
        let (circuit, state) = (reader.u32()?, reader.u8()?);
        reader.end()?;
        if circuit == 0 {
            return Err(ParseError::Zero);
        }
        let state = match state {
            1 => CircuitState::Throttled,
            2 => CircuitState::UsedUp,
            3 => CircuitState::Ended,
            _ => return Err(ParseError::Unknown),
        };
        Ok(Self { circuit, state })
    }

    /// Appends the body.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.circuit.to_be_bytes());
        out.push(match self.state {
            CircuitState::Throttled => 1,
            CircuitState::UsedUp => 2,
            CircuitState::Ended => 3,
        });
    }
}

impl PartyFlags {
    fn from_byte(byte: u8) -> Self {
        let has = |bit: u8| byte & 1 << bit != 0;
        Self {
            is_host: has(0),
            takes_circuit: has(1),
            wants_circuit_at_once: has(2),
            takes_direct: has(3),
            opens_ports: has(4),
            speaks_webrtc: has(5),
        }
    }

    fn to_byte(self) -> u8 {
        u8::from(self.is_host)
            | u8::from(self.takes_circuit) << 1
            | u8::from(self.wants_circuit_at_once) << 2
            | u8::from(self.takes_direct) << 3
            | u8::from(self.opens_ports) << 4
            | u8::from(self.speaks_webrtc) << 5
    }
}

impl Nat {
    pub(super) fn read_with_stride(reader: &mut Reader<'_>) -> Result<Self, ParseError> {
        let (number, stride) = (reader.u8()?, reader.u8()?);
        Self::from_number(number, stride)
    }

    pub(super) fn from_number(number: u8, stride: u8) -> Result<Self, ParseError> {
        match number {
            0 => Ok(Self::Unknown),
            1 => Ok(Self::Independent),
            2 => Ok(Self::Sequential(stride)),
            3 => Ok(Self::Unpredictable),
            _ => Err(ParseError::Unknown),
        }
    }

    pub(super) const fn stride(self) -> u8 {
        if let Self::Sequential(stride) = self { stride } else { 0 }
    }

    /// The number on the wire (INTRODUCTIONS.md 9.1).
    pub const fn number(self) -> u8 {
        match self {
            Self::Unknown => 0,
            Self::Independent => 1,
            Self::Sequential(_) => 2,
            Self::Unpredictable => 3,
        }
    }
}

impl CandidateKind {
    const fn from_number(number: u8) -> Result<Self, ParseError> {
        match number {
            0 => Ok(Self::Observed),
            1 => Ok(Self::Interface),
            2 => Ok(Self::Mapped),
            _ => Err(ParseError::Unknown),
        }
    }

    const fn number(self) -> u8 {
        match self {
            Self::Observed => 0,
            Self::Interface => 1,
            Self::Mapped => 2,
        }
    }
}

fn read_candidates(reader: &mut Reader<'_>) -> Result<Vec<Candidate>, ParseError> {
    let count = usize::from(reader.u8()?);
    if count > MAX_CANDIDATES {
        return Err(ParseError::TooMany);
    }
    let mut candidates = Vec::with_capacity(count);
    for _ in 0..count {
        let kind = CandidateKind::from_number(reader.u8()?)?;
        let family = reader.u8()?;
        candidates.push(Candidate { kind, address: read_address(family, reader)? });
    }
    Ok(candidates)
}

/// The family that stands for no address.
const NO_ADDRESS: u8 = 0;
const IPV4: u8 = 4;
const IPV6: u8 = 6;

pub(super) fn read_optional_address(reader: &mut Reader<'_>) -> Result<Option<SocketAddr>, ParseError> {
    match reader.u8()? {
        NO_ADDRESS => Ok(None),
        family => read_address(family, reader).map(Some),
    }
}

pub(super) fn write_optional_address(address: Option<SocketAddr>, out: &mut Vec<u8>) {
    match address {
        Some(address) => write_address(address, out),
        None => out.push(NO_ADDRESS),
    }
}

/// An IPv4-mapped address counts as the IPv4 address, so that it cannot pass for another one.
pub(super) fn read_address(family: u8, reader: &mut Reader<'_>) -> Result<SocketAddr, ParseError> {
    let ip: IpAddr = match family {
        IPV4 => Ipv4Addr::from(reader.array::<4>()?).into(),
        IPV6 => Ipv6Addr::from(reader.array::<16>()?).into(),
        _ => return Err(ParseError::Unknown),
    };
    Ok(SocketAddr::new(ip.to_canonical(), reader.u16()?))
}

pub(super) fn write_address(address: SocketAddr, out: &mut Vec<u8>) {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => {
            out.push(IPV4);
            out.extend_from_slice(&ip.octets());
        }
        IpAddr::V6(ip) => {
            out.push(IPV6);
            out.extend_from_slice(&ip.octets());
        }
    }
    out.extend_from_slice(&address.port().to_be_bytes());
}
