//! The HTTP server: the description, static files and WebSockets, and metrics at another address (GATEWAY.md 1, 6).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{self, DefaultBodyLimit, Request};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE, HOST, ORIGIN, VARY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;
use tower_http::services::ServeDir;
use tower_http::set_header::SetResponseHeaderLayer;
use tracing::{debug, warn};

use crate::metrics::Refusal;
use crate::policy::quota::{Permit, Quota};
use crate::service::driver;
use crate::service::farewells;
use crate::service::session_log::PERIOD;
use crate::service::state::{Phase, State};
use crate::service::websocket::{WebSocketCarrier, bounded};

/// The path of the description.
pub const DESCRIPTION_PATH: &str = "/.well-known/torque-gateway";
/// The path of farewells.
pub const FAREWELL_PATH: &str = "/torque/farewell";
/// The path of WebSockets.
pub const WEBSOCKET_PATH: &str = "/torque";

/// The time that a TLS handshake, and the head of a request, may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The lifetime of a connection that does not become a WebSocket. After it, only the current answer is finished.
const CONNECTION: Duration = Duration::from_secs(60);
/// The time for that last answer. Clients that read slowly would otherwise occupy connections for ever.
const LAST_ANSWER: Duration = Duration::from_secs(60);
/// The longest head of a request.
const HEAD_BYTES: usize = 16 * 1_024;
/// Connections beyond those of sessions: of all clients, and the least of one. A client may have as many as it has sessions.
const SPARE_CONNECTIONS: usize = 1_024;
const SPARE_CONNECTIONS_OF_CLIENT: usize = 32;
/// The send buffer of a WebSocket. A page that reads slowly has little use for older data.
const SEND_BUFFER: usize = 64 * 1_024;

/// The routes for pages.
pub fn pages(state: &Arc<State>) -> Router {
    let router = Router::new()
        .route(DESCRIPTION_PATH, get(description))
        .route(WEBSOCKET_PATH, get(websocket))
        .route(FAREWELL_PATH, post(farewell).layer(DefaultBodyLimit::max(farewells::MAX_BYTES)))
        .with_state(Arc::clone(state));
    match &state.files {
        None => router,
        Some(files) => router.fallback_service(
            tower::ServiceBuilder::new()
                .layer(SetResponseHeaderLayer::overriding(
                    CACHE_CONTROL,
                    HeaderValue::from_static("no-cache"),
                ))
                .layer(SetResponseHeaderLayer::overriding(
                    X_CONTENT_TYPE_OPTIONS,
                    HeaderValue::from_static("nosniff"),
                ))
                .service(ServeDir::new(files)),
        ),
    }
}

/// The routes for the operator.
pub fn metrics(state: &Arc<State>) -> Router {
    let text = |extract::State(state): extract::State<Arc<State>>| async move {
        ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], state.rules.metrics.text())
    };
    Router::new().route("/metrics", get(text)).with_state(Arc::clone(state))
}

async fn description(extract::State(state): extract::State<Arc<State>>, headers: HeaderMap) -> Response {
    let own = own_origin(&headers, state.is_tls);
    let text = state.description(origin(&headers).or(own.as_deref())).to_string();
    let head = [
        (CONTENT_TYPE, "application/json"),
        (ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (CACHE_CONTROL, "no-store"),
        (VARY, "Origin"),
    ];
    (head, text).into_response()
}

/// Takes a farewell. Its key identifies the session, so the origin, which not every page sends, does not matter. Nobody reads
/// the answer.
async fn farewell(extract::State(state): extract::State<Arc<State>>, body: Bytes) -> StatusCode {
    if state.farewells.say(body) { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND }
}

fn origin(headers: &HeaderMap) -> Option<&str> {
    headers.get(ORIGIN)?.to_str().ok()
}

/// The origin of a page that was served here. Browsers send no origin to the page's own server. Good enough for explanations,
/// but not to admit a page.
fn own_origin(headers: &HeaderMap, is_tls: bool) -> Option<String> {
    let is_own = headers.get("sec-fetch-site")?.as_bytes() == b"same-origin";
    let scheme = if is_tls { "https" } else { "http" };
    let host = headers.get(HOST)?.to_str().ok()?;
    is_own.then(|| format!("{scheme}://{host}"))
}

/// The address of a client, and the permit of its connection.
#[derive(Clone)]
struct Client(SocketAddr, Arc<Permit>);

async fn websocket(
    extract::State(state): extract::State<Arc<State>>,
    axum::Extension(Client(client, permit)): axum::Extension<Client>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    match state.admit(client, origin(&headers)) {
        Ok((socket, admitted)) => bounded(upgrade).on_upgrade(async move |websocket| {
            driver::run(state, WebSocketCarrier::new(websocket), socket, admitted).await;
            drop(permit);
        }),
        Err(Refusal::Origin) => (StatusCode::FORBIDDEN, "this origin is not allowed here\n").into_response(),
        Err(refusal) => bounded(upgrade).on_upgrade(async move |websocket| {
            driver::refuse(WebSocketCarrier::new(websocket), refusal).await;
            drop(permit);
        }),
    }
}

/// Serves connections until the gateway is over, within a quota.
pub async fn serve(state: Arc<State>, listener: TcpListener, tls: Option<TlsAcceptor>, router: Router) {
    let limits = &state.rules.limits;
    let of_client = limits.sessions_of_client as usize;
    let connections = Quota::new(
        SPARE_CONNECTIONS + limits.sessions as usize,
        of_client.max(SPARE_CONNECTIONS_OF_CLIENT) + of_client,
    );
    let mut phase = state.phase.subscribe();
    let mut next_warning = Instant::now();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = phase.wait_for(|phase| *phase == Phase::Over) => return,
        };
        let (stream, client) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Often there are too many open files: wait until some are closed.
                if next_warning <= Instant::now() {
                    next_warning = Instant::now() + PERIOD;
                    warn!(%error, "no connections can be accepted at present");
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let permit = match connections.take(client.ip()) {
            Ok(permit) => Arc::new(permit),
            Err(why) => {
                // Closing the connection tells the client.
                state.refuse_connection(client, why.into());
                continue;
            }
        };
        let (tls, router, mut phase) = (tls.clone(), router.clone(), phase.clone());
        tokio::spawn(async move {
            tokio::select! {
                ended = connection(stream, Client(client, permit), tls, router) => if let Err(error) = ended {
                    debug!(%error, %client, "a connection ended");
                },
                // Sessions end by themselves.
                _ = phase.wait_for(|phase| *phase == Phase::Over) => {}
            }
        });
    }
}

type AnyError = Box<dyn std::error::Error + Send + Sync>;

async fn connection(
    stream: TcpStream,
    client: Client,
    tls: Option<TlsAcceptor>,
    router: Router,
) -> Result<(), AnyError> {
    stream.set_nodelay(true)?;
    socket2::SockRef::from(&stream).set_send_buffer_size(SEND_BUFFER)?;
    match tls {
        None => requests(stream, client, router).await,
        Some(tls) => requests(timeout(PATIENCE, tls.accept(stream)).await??, client, router).await,
    }
}

async fn requests(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    client: Client,
    router: Router,
) -> Result<(), AnyError> {
    let service = service_fn(move |mut request: Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(client.clone());
        router.clone().oneshot(request.map(axum::body::Body::new))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    if let Ok(ended) = timeout(CONNECTION, &mut connection).await {
        return Ok(ended?);
    }
    connection.as_mut().graceful_shutdown();
    Ok(timeout(LAST_ANSWER, connection).await??)
}

#[cfg(test)]
mod tests;
