//! DTLS 1.2 by OpenSSL, the implementation that most programs with DTLS use. One record a datagram, no acknowledgments, one
//! system call a datagram.
//!
//! Options: OpenSSL's defaults for ciphers (AES-256-GCM) and curves (X25519), the host's certificate ECDSA P-256, cookies
//! against false addresses, MTU fixed as nothing on loopback asks for less.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

use openssl::error::ErrorStack;
use openssl::pkey::PKey;
use openssl::ssl::{
    ErrorCode, Ssl, SslContext, SslMethod, SslMode, SslOptions, SslRef, SslStream, SslVerifyMode, SslVersion,
};
use openssl::x509::X509;
use openssl::x509::store::X509StoreBuilder;

use super::tls::{self, Identity};
use super::{End, Invitation, Load, Protocol, Take, plain};
use crate::failure::Result;

const MTU: u32 = 1_400;
const COOKIE: &[u8] = b"sixteen byte mac";

pub struct Dtls;

fn context(method: SslMethod) -> std::result::Result<openssl::ssl::SslContextBuilder, ErrorStack> {
    let mut context = SslContext::builder(method)?;
    context.set_min_proto_version(Some(SslVersion::DTLS1_2))?;
    context.set_options(SslOptions::NO_QUERY_MTU);
    context.set_mode(SslMode::RELEASE_BUFFERS);
    Ok(context)
}

impl Protocol for Dtls {
    fn host(&self, load: &Load) -> Result<(Box<dyn End>, Invitation)> {
        let Identity { certificate, key } = Identity::generate()?;
        let mut context = context(SslMethod::dtls_server())?;
        context.set_certificate(X509::from_der(&certificate)?.as_ref())?;
        context.set_private_key(PKey::private_key_from_der(key.secret_der())?.as_ref())?;
        context.set_options(SslOptions::COOKIE_EXCHANGE);
        context.set_cookie_generate_cb(|_: &mut SslRef, out: &mut [u8]| {
            out[..COOKIE.len()].copy_from_slice(COOKIE);
            Ok(COOKIE.len())
        });
        context.set_cookie_verify_cb(|_: &mut SslRef, cookie: &[u8]| cookie == COOKIE);
        let end = DtlsEnd::new(context.build(), None, load)?;
        let address = plain::address_of(&end.socket)?;
        Ok((Box::new(end), Invitation { address, key: certificate.to_vec() }))
    }

    fn client(&self, invitation: &Invitation, load: &Load) -> Result<Box<dyn End>> {
        let mut context = context(SslMethod::dtls_client())?;
        let mut store = X509StoreBuilder::new()?;
        store.add_cert(X509::from_der(&invitation.key)?)?;
        context.set_cert_store(store.build());
        context.set_verify(SslVerifyMode::PEER);
        Ok(Box::new(DtlsEnd::new(context.build(), Some(invitation.address.into()), load)?))
    }
}

/// What OpenSSL reads and writes: one datagram at a time.
struct Wire {
    socket: Arc<UdpSocket>,
    remote: SocketAddr,
    /// The datagram that was received, until it is read.
    waiting: Vec<u8>,
}

impl io::Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.waiting.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let len = self.waiting.len().min(buffer.len());
        buffer[..len].copy_from_slice(&self.waiting[..len]);
        self.waiting.clear();
        Ok(len)
    }
}

impl io::Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.send_to(bytes, self.remote)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct DtlsEnd {
    socket: Arc<UdpSocket>,
    context: SslContext,
    /// The host, if this is a client.
    host: Option<SocketAddr>,
    streams: Vec<SslStream<Wire>>,
    /// The stream that has an address.
    indices: HashMap<SocketAddr, usize>,
    /// For each stream, its number among the established.
    numbers: Vec<Option<usize>>,
    established: Vec<usize>,
    buffer: Box<[u8; 2_048]>,
}

impl DtlsEnd {
    fn new(context: SslContext, host: Option<SocketAddr>, load: &Load) -> Result<Self> {
        let count = if host.is_some() { 1 } else { load.connections };
        Ok(Self {
            socket: Arc::new(plain::bind_nonblocking()?),
            context,
            host,
            streams: Vec::with_capacity(count),
            indices: HashMap::with_capacity(count),
            numbers: Vec::with_capacity(count),
            established: Vec::with_capacity(count),
            buffer: Box::new([0; 2_048]),
        })
    }

    fn add(&mut self, remote: SocketAddr) -> Result<usize> {
        let mut ssl = Ssl::new(&self.context)?;
        ssl.set_mtu(MTU)?;
        if self.host.is_some() {
            ssl.param_mut().set_host(tls::NAME)?;
            ssl.set_connect_state();
        } else {
            ssl.set_accept_state();
        }
        let wire = Wire { socket: Arc::clone(&self.socket), remote, waiting: Vec::new() };
        self.streams.push(SslStream::new(ssl, wire)?);
        self.numbers.push(None);
        self.indices.insert(remote, self.streams.len() - 1);
        Ok(self.streams.len() - 1)
    }

    fn handshake(&mut self, index: usize) -> Result {
        match self.streams[index].do_handshake() {
            Ok(()) => {
                self.numbers[index] = Some(self.established.len());
                self.established.push(index);
                Ok(())
            }
            Err(error) => wants_more(error),
        }
    }
}

fn wants_more(error: openssl::ssl::Error) -> Result {
    match error.code() {
        ErrorCode::WANT_READ | ErrorCode::WANT_WRITE => Ok(()),
        _ => Err(error.into()),
    }
}

impl End for DtlsEnd {
    fn start(&mut self) -> Result {
        let Some(host) = self.host else { return Ok(()) };
        let index = self.add(host)?;
        self.handshake(index)
    }

    fn established(&self) -> usize {
        self.established.len()
    }

    fn send(&mut self, connection: usize, payload: &[u8]) -> Result<bool> {
        match self.streams[self.established[connection]].ssl_write(payload) {
            Ok(_) => Ok(true),
            Err(error) => wants_more(error).map(|()| false),
        }
    }

    fn flush(&mut self) -> Result {
        Ok(())
    }

    fn receive(&mut self, most: usize, take: Take<'_>) -> Result {
        let mut payload = [0; 2_048];
        let mut taken = 0;
        while taken < most {
            let (len, from) = match self.socket.recv_from(self.buffer.as_mut_slice()) {
                Ok(received) => received,
                Err(error) => return Ok(plain::unless_idle(error)?),
            };
            let index = match self.indices.get(&from) {
                Some(&index) => index,
                None if self.host.is_none() => self.add(from)?,
                None => continue,
            };
            let stream = &mut self.streams[index];
            stream.get_mut().waiting.extend_from_slice(&self.buffer[..len]);
            let Some(number) = self.numbers[index] else {
                self.handshake(index)?;
                continue;
            };
            match stream.ssl_read(&mut payload) {
                Ok(len) => {
                    take(number, &payload[..len]);
                    taken += 1;
                }
                Err(error) => wants_more(error)?,
            }
        }
        Ok(())
    }

    fn wait(&mut self) -> Result {
        Ok(plain::wait_readable(&*self.socket, plain::WAIT)?)
    }

    fn hears_back(&self) -> bool {
        false
    }
}
