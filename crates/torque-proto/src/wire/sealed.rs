//! The sealed parts of the handshake's messages (PROTOCOL.md 4.3 to 4.5).

use alloc::vec::Vec;

use super::handshake::{check_length, write_counted};
use super::{MAX_CONNECT_DATA, MAX_INITIAL_SEQUENCE, MAX_SHORT_DATA, ParseError, Reader};
use crate::codes::CloseCode;
use crate::event::Extension;
use crate::settings::Settings;

/// The sealed part of a connect_request (4.3).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RequestPayload {
    /// The initiator's first sequence, at most [`MAX_INITIAL_SEQUENCE`].
    pub initial_sequence: u16,
    /// The settings that the initiator wishes for.
    pub settings: Settings,
    /// The sign bit of the initiator's Ed25519 key.
    pub sign_bit: bool,
    /// The application's.
    pub connect_data: Vec<u8>,
    /// Typed extensions, in their order. With [`connect_data`](Self::connect_data) and three bytes for
    /// each they take at most [`MAX_CONNECT_DATA`] bytes.
    pub extensions: Vec<Extension>,
}

impl RequestPayload {
    /// Bytes before the connect_data.
    pub const HEAD_BYTES: usize = 13;

    /// Bytes that connect_data and extensions take; at most [`MAX_CONNECT_DATA`].
    pub fn data_bytes(connect_data: &[u8], extensions: &[Extension]) -> usize {
        extensions.iter().fold(connect_data.len(), |sum, extension| sum + 3 + extension.data.len())
    }

    /// Reads the opened text.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        check_length(bytes, Self::HEAD_BYTES, Self::HEAD_BYTES + MAX_CONNECT_DATA)?;
        let mut reader = Reader::new(bytes);
        let initial_sequence = read_initial_sequence(&mut reader)?;
        let settings = read_settings(&mut reader)?;
        let flags = reader.u8()?;
        let connect_data = reader.counted()?.to_vec();
        let mut extensions = Vec::new();
        while !reader.is_empty() {
            let kind = reader.u8()?;
            extensions.push(Extension { kind, data: reader.counted()?.to_vec() });
        }
        Ok(Self { initial_sequence, settings, sign_bit: flags & 1 == 1, connect_data, extensions })
    }

    /// Appends the text. Whatever goes beyond [`MAX_CONNECT_DATA`] is left out: callers check
    /// [`data_bytes`](Self::data_bytes).
    pub fn write(&self, out: &mut Vec<u8>) {
        let end = out.len() + Self::HEAD_BYTES + MAX_CONNECT_DATA;
        out.extend_from_slice(&self.initial_sequence.to_be_bytes());
        out.extend_from_slice(&self.settings.to_wire());
        out.push(u8::from(self.sign_bit));
        write_counted(out, &self.connect_data, MAX_CONNECT_DATA);
        for extension in &self.extensions {
            if out.len() + 3 + extension.data.len() > end {
                break;
            }
            out.push(extension.kind);
            write_counted(out, &extension.data, MAX_CONNECT_DATA);
        }
    }
}

/// The sealed part of a connect_accept (4.4).
#[derive(Clone, PartialEq, Eq)]
pub struct AcceptPayload {
    /// The host's first sequence, at most [`MAX_INITIAL_SEQUENCE`].
    pub initial_sequence: u16,
    /// The settings of the connection.
    pub settings: Settings,
    /// Random.
    pub connection_id: u64,
    /// 5.8
    pub reset_token: [u8; 16],
    /// The application's, at most [`MAX_SHORT_DATA`] bytes.
    pub accept_data: Vec<u8>,
}

impl AcceptPayload {
    /// Bytes before the accept_data.
    pub const HEAD_BYTES: usize = 36;

    /// Reads the opened text.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        let mut reader = Reader::new(bytes);
        let initial_sequence = read_initial_sequence(&mut reader)?;
        let settings = read_settings(&mut reader)?;
        let connection_id = reader.u64()?;
        let reset_token = reader.array()?;
        let accept_data = reader.counted()?;
        check_length(accept_data, 0, MAX_SHORT_DATA)?;
        reader.end()?;
        Ok(Self { initial_sequence, settings, connection_id, reset_token, accept_data: accept_data.to_vec() })
    }

    /// Appends the text. Data beyond [`MAX_SHORT_DATA`] is cut off: callers check.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.initial_sequence.to_be_bytes());
        out.extend_from_slice(&self.settings.to_wire());
        out.extend_from_slice(&self.connection_id.to_be_bytes());
        out.extend_from_slice(&self.reset_token);
        write_counted(out, &self.accept_data, MAX_SHORT_DATA);
    }
}

impl core::fmt::Debug for AcceptPayload {
    /// Without the reset token, which is a secret of the two sides.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("AcceptPayload")
            .field("initial_sequence", &self.initial_sequence)
            .field("settings", &self.settings)
            .field("connection_id", &self.connection_id)
            .field("accept_data", &self.accept_data)
            .finish_non_exhaustive()
    }
}

/// The sealed part of a connect_refuse (4.5).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RefusePayload {
    /// Why. A code that this version does not know reads as [`CloseCode::Closed`].
    pub code: CloseCode,
    /// The application's, at most [`MAX_SHORT_DATA`] bytes.
    pub reason: Vec<u8>,
}

impl RefusePayload {
    /// Bytes before the reason.
    pub const HEAD_BYTES: usize = 4;

    /// Reads the opened text.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        let mut reader = Reader::new(bytes);
        let code = CloseCode::from_wire(reader.u16()?);
        let reason = reader.counted()?;
        check_length(reason, 0, MAX_SHORT_DATA)?;
        reader.end()?;
        Ok(Self { code, reason: reason.to_vec() })
    }

    /// Appends the text. A reason beyond [`MAX_SHORT_DATA`] is cut off: callers check.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.code.number().to_be_bytes());
        write_counted(out, &self.reason, MAX_SHORT_DATA);
    }
}

fn read_initial_sequence(reader: &mut Reader<'_>) -> Result<u16, ParseError> {
    let sequence = reader.u16()?;
    if sequence <= MAX_INITIAL_SEQUENCE { Ok(sequence) } else { Err(ParseError::InitialSequence) }
}

fn read_settings(reader: &mut Reader<'_>) -> Result<Settings, ParseError> {
    Settings::from_wire(reader.array()?).ok_or(ParseError::Settings)
}
