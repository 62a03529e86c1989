//! A page, as far as a gateway sees one: over either carrier, it sends frames and control messages and gets them.

use std::net::SocketAddr;

use base64::Engine as _;
use futures_util::{Sink, Stream};
use tokio::net::TcpStream;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use torque_gateway::wire::control::{FromPage, ToPage};
use torque_gateway::wire::frame::{Prefix, split};
use torque_gateway::{CarrierKind, Gateway};
use tungstenite::Message;
use tungstenite::client::IntoClientRequest;
use wtransport::endpoint::ConnectOptions;
use wtransport::tls::Sha256Digest;
use wtransport::{ClientConfig, Connection, Endpoint, RecvStream, SendStream};

use super::{ORIGIN, soon};

pub use CarrierKind::{WebSocket, WebTransport};

/// Input for a page.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Got {
    Control(ToPage),
    Datagram(u32, Vec<u8>),
    End,
}

/// A page with a session.
pub struct Page {
    carrier: Carrier,
    /// The session's address, as it was welcomed.
    pub address: SocketAddr,
    pub gateway_key: [u8; 32],
    next_context: u32,
}

enum Carrier {
    Web(Box<Web>),
    Socket(Box<WebSocketStream<MaybeTlsStream<TcpStream>>>),
}

struct Web {
    connection: Connection,
    writer: SendStream,
    reader: RecvStream,
    incoming: Vec<u8>,
    _endpoint: Endpoint<wtransport::endpoint::endpoint_side::Client>,
}

impl Page {
    /// A page of [`ORIGIN`] with a session; it has been welcomed.
    pub async fn open(gateway: &Gateway, kind: CarrierKind) -> Self {
        Self::try_open(gateway.local_addr(), &hashes(gateway), kind, Some(ORIGIN)).await.unwrap()
    }

    /// The same for any origin; why there is none, if so.
    pub async fn try_open(
        address: SocketAddr,
        hashes: &[[u8; 32]],
        kind: CarrierKind,
        origin: Option<&str>,
    ) -> Result<Self, String> {
        let carrier = match kind {
            WebTransport => Carrier::Web(Box::new(web_transport(address, hashes, origin).await?)),
            WebSocket => Carrier::Socket(Box::new(web_socket(address, origin).await?)),
        };
        let mut page = Self { carrier, address, gateway_key: [0; 32], next_context: 2 };
        match page.next().await {
            Got::Control(ToPage::Welcome { public_key, address }) => {
                (page.gateway_key, page.address) = (public_key, address);
                Ok(page)
            }
            other => Err(format!("{other:?} instead of a welcome")),
        }
    }

    pub async fn control(&mut self, message: FromPage<'_>) {
        self.raw_control(&message.to_bytes()).await;
    }

    /// Any bytes as a control message.
    pub async fn raw_control(&mut self, message: &[u8]) {
        match &mut self.carrier {
            Carrier::Web(web) => {
                let length = u16::try_from(message.len()).unwrap().to_be_bytes();
                // The gateway may have ended the session meanwhile.
                let _ = web.writer.write_all(&[&length, message].concat()).await;
            }
            Carrier::Socket(_) => self.raw_message([&[0], message].concat()).await,
        }
    }

    /// A message of the WebSocket.
    pub async fn raw_message(&mut self, bytes: Vec<u8>) {
        if let Carrier::Socket(socket) = &mut self.carrier {
            let _ = send(socket, Message::Binary(bytes.into())).await;
        }
    }

    /// A text on the WebSocket, which means nothing.
    pub async fn text(&mut self, text: &str) {
        if let Carrier::Socket(socket) = &mut self.carrier {
            let _ = send(socket, Message::Text(text.into())).await;
        }
    }

    pub async fn datagram(&mut self, context: u32, datagram: &[u8]) {
        self.raw_frame([Prefix::new(context).as_bytes(), datagram].concat()).await;
    }

    /// Any bytes as a frame.
    pub async fn raw_frame(&mut self, frame: Vec<u8>) {
        match &mut self.carrier {
            Carrier::Web(web) => drop(web.connection.send_datagram(frame)),
            Carrier::Socket(_) => self.raw_message(frame).await,
        }
    }

    /// The next that comes, *alive* left out.
    pub async fn next(&mut self) -> Got {
        loop {
            let got = soon(self.any_next()).await;
            if got != Got::Control(ToPage::Alive) {
                return got;
            }
        }
    }

    /// The next that comes.
    pub async fn any_next(&mut self) -> Got {
        match &mut self.carrier {
            Carrier::Web(web) => web.next().await,
            Carrier::Socket(socket) => loop {
                match std::future::poll_fn(|cx| std::pin::Pin::new(&mut *socket).poll_next(cx)).await {
                    Some(Ok(Message::Binary(bytes))) if bytes.first() == Some(&0) => {
                        return Got::Control(ToPage::parse(&bytes[1..]).unwrap().unwrap());
                    }
                    Some(Ok(Message::Binary(bytes))) => return datagram(&bytes),
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    _ => return Got::End,
                }
            },
        }
    }

    /// The input within a time, without *alive*.
    pub async fn next_within(&mut self, time: std::time::Duration) -> Option<Got> {
        tokio::time::timeout(time, self.next()).await.ok()
    }

    /// Asks for a context, and returns its number and the answer.
    pub async fn open_host(&mut self, host: &str, port: u16) -> (u32, ToPage) {
        let context = self.next_context;
        self.next_context += 2;
        self.control(FromPage::Open { context, host, port }).await;
        loop {
            match self.next().await {
                Got::Control(answer @ (ToPage::Opened { .. } | ToPage::Refused { .. })) => {
                    return (context, answer);
                }
                Got::End => panic!("the session ended instead of an answer"),
                _ => {}
            }
        }
    }

    /// A context for an address that is allowed.
    pub async fn context_of(&mut self, address: SocketAddr) -> u32 {
        let (context, answer) = self.open_host(&address.ip().to_string(), address.port()).await;
        assert_eq!(answer, ToPage::Opened { context, address });
        context
    }

    /// Ends the session as a page does that is closed.
    pub async fn leave(self) {
        match self.carrier {
            Carrier::Web(web) => web.connection.close(wtransport::VarInt::from_u32(0), b""),
            Carrier::Socket(mut socket) => drop(send(&mut socket, Message::Close(None)).await),
        }
    }

    /// Stops writing control messages, as a page that closes its stream.
    pub async fn close_control_stream(&mut self) {
        match &mut self.carrier {
            Carrier::Web(web) => drop(web.writer.finish().await),
            Carrier::Socket(socket) => drop(send(socket, Message::Close(None)).await),
        }
    }
}

impl Web {
    async fn next(&mut self) -> Got {
        let mut chunk = [0; 1_024];
        loop {
            if let Some(length) =
                self.incoming.first_chunk().map(|length| usize::from(u16::from_be_bytes(*length)))
                && self.incoming.len() >= 2 + length
            {
                let message: Vec<u8> = self.incoming.drain(..2 + length).skip(2).collect();
                return Got::Control(ToPage::parse(&message).unwrap().unwrap());
            }
            tokio::select! {
                got = self.connection.receive_datagram() => return got.map_or(Got::End, |bytes| datagram(&bytes)),
                read = self.reader.read(&mut chunk) => match read {
                    Ok(Some(count)) => self.incoming.extend_from_slice(&chunk[..count]),
                    _ => return Got::End,
                }
            }
        }
    }
}

fn datagram(frame: &[u8]) -> Got {
    let (context, datagram) = split(frame).unwrap();
    Got::Datagram(context, datagram.to_vec())
}

/// The hashes that a page finds in the description.
pub fn hashes(gateway: &Gateway) -> Vec<[u8; 32]> {
    hashes_of(&gateway.description(None))
}

/// The hashes in a description.
pub fn hashes_of(description: &str) -> Vec<[u8; 32]> {
    let description: serde_json::Value = serde_json::from_str(description).unwrap();
    let hashes = description["certificate_hashes"].as_array().cloned().unwrap_or_default();
    let decode = |hash: &serde_json::Value| {
        base64::engine::general_purpose::STANDARD.decode(hash.as_str().unwrap()).unwrap().try_into().unwrap()
    };
    hashes.iter().map(decode).collect()
}

async fn web_transport(
    address: SocketAddr,
    hashes: &[[u8; 32]],
    origin: Option<&str>,
) -> Result<Web, String> {
    let config = ClientConfig::builder()
        .with_bind_default()
        .with_server_certificate_hashes(hashes.iter().map(|hash| Sha256Digest::new(*hash)))
        .build();
    let endpoint = Endpoint::client(config).unwrap();
    let mut options = ConnectOptions::builder(format!("https://{address}/any/path"));
    if let Some(origin) = origin {
        options = options.add_header("origin", origin);
    }
    let connection = soon(endpoint.connect(options.build())).await.map_err(|error| error.to_string())?;
    let (writer, reader) = connection.open_bi().await.unwrap().await.unwrap();
    Ok(Web { connection, writer, reader, incoming: Vec::new(), _endpoint: endpoint })
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn web_socket(address: SocketAddr, origin: Option<&str>) -> Result<Socket, String> {
    let mut request = format!("ws://{address}/torque").into_client_request().unwrap();
    if let Some(origin) = origin {
        request.headers_mut().insert("origin", origin.parse().unwrap());
    }
    match soon(connect_async(request)).await {
        Ok((socket, _)) => Ok(socket),
        Err(tungstenite::Error::Http(response)) => Err(response.status().to_string()),
        Err(error) => Err(error.to_string()),
    }
}

async fn send(socket: &mut Socket, message: Message) -> Result<(), tungstenite::Error> {
    std::future::poll_fn(|cx| std::pin::Pin::new(&mut *socket).poll_ready(cx)).await?;
    std::pin::Pin::new(&mut *socket).start_send(message)?;
    std::future::poll_fn(|cx| std::pin::Pin::new(&mut *socket).poll_flush(cx)).await
}
