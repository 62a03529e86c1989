//! How to use a socket, in chapters. This module has no code.

/// # Your own loop
///
/// A game has a loop already, and wants to decide when the network's turn is. One turn is four steps:
///
/// 1. [`poll`](crate::Socket::poll) receives everything that has come, runs the timers that are due, and sends what is queued.
///    It never blocks.
/// 2. [`next_event`](crate::Socket::next_event) gives what happened, one event after another.
/// 3. The game's turn; it calls [`send`](crate::Socket::send).
/// 4. [`flush`](crate::Socket::flush) hands all packets to the operating system, in as few calls as it allows. The next `poll` would
///    do it too, a frame later.
///
/// ```
#[doc = include_str!("guide/frame_loop.rs")]
/// ```
///
/// At its end it calls [`shutdown`](crate::Socket::shutdown): what is dropped instead loses the events that were not taken.
///
/// A program without frames waits: [`wait`](crate::Socket::wait) sleeps until there are datagrams, until a timer is due,
/// or until the time that it is given has passed. [`wait_event`](crate::Socket::wait_event) does the whole turn.
///
/// A program that waits for many descriptors puts the socket among them (`AsFd`, on Windows `AsSocket`), for
/// readability, and while [`is_blocked`](crate::Socket::is_blocked) for writability too, with [`deadline`](crate::Socket::deadline) as the limit. Names that have
/// been resolved and puzzles that have been solved in the background make the socket readable as well, except as
/// [`bind_device`](crate::Builder::bind_device) says. It does not wait for further ports, which parties of introductions open against difficult
/// NATs, nor for the port where an introducer observes: such a program also polls the socket now and then, or sets
/// [`further_ports`](crate::IntroductionConfig::further_ports) to 0, or [`observe_at`](crate::Builder::observe_at) to `None`. Every other way to wait has them.
///
/// The same for a program that has nothing else to do, here one that sends everything back:
///
/// ```
#[doc = include_str!("guide/echo_loop.rs")]
/// ```
///
/// One server can work with each way to drive a socket: write it against [`EventSocket`](crate::EventSocket).
///
/// **What one client does must not end the host.** A call about one connection fails when that connection has no room or has
/// ended: look at the error, as above, instead of handing it on with `?`.
///
/// The cost of a frame to the others: pings are answered in `poll`, so a frame of 50 ms adds up to 50 ms to the round-trip
/// time that the other side sees. If that is too much, or if frames sometimes take seconds, take [a thread](crate::guide::a_thread).
pub mod your_own_loop {}

/// # A thread
///
/// [`Socket::spawn`](crate::Socket::spawn) gives the socket to a thread, which receives, answers and runs timers while the application is
/// busy. Round-trip times stay true and nothing times out, whatever a frame takes.
///
/// ```
#[doc = include_str!("guide/thread_loop.rs")]
/// ```
///
/// All calls take `&self` and come from any thread. `send` seals on the calling thread, into the buffer from which
/// the packets leave; nothing is copied between threads, and its errors are told at once. Packets leave with
/// `flush`, when `next_event` has nothing left to give, or after a millisecond.
///
/// Events stay in the socket until they are taken, so the rule about events holds here too.
/// [`with`](crate::ThreadedSocket::with) reaches the [`Socket`](crate::Socket) for the calls that [`ThreadedSocket`](crate::ThreadedSocket) does not repeat, and
/// [`stop`](crate::ThreadedSocket::stop) gives it back, connections and all.
///
/// `stop` and `shutdown` take the socket, so no other thread may still hold it. A thread that waits for events waits with a
/// timeout, and looks in between whether the program is about to end: nothing else ends its wait.
pub mod a_thread {}

/// # The tokio runtime
///
/// With the feature `tokio`, `AsyncSocket::new(socket)` moves a socket into the runtime of the calling task.
/// `wait_event(None).await` receives, sends and runs timers until there is an event. It loses nothing when it is
/// cancelled, so it may stand in a `select!`:
///
#[cfg_attr(feature = "tokio", doc = "```")]
#[cfg_attr(not(feature = "tokio"), doc = "```ignore")]
#[doc = include_str!("guide/tokio_loop.rs")]
/// ```
///
/// It waits for datagrams and for the deadline, so an idle socket wakes only for its pings. A task that does
/// something long without awaiting `wait_event` stops the socket for that time. Give the socket its own task then, or
/// [a thread](crate::guide::a_thread).
///
/// Other tasks send through a handle: `socket.connection(id)` gives one, and its `send(payload)?.await` gives the verdict
/// on that packet. **Await a verdict in another task than the one that awaits `wait_event`**: nothing drives the socket
/// while its own task waits for the verdict, which then never comes.
pub mod tokio_runtime {}

/// # Many cores
///
/// When one core is not enough for a host, it becomes several shards: sockets at the same address, each with its own
/// endpoint and thread. To those who connect it is one host, with one key.
///
/// ```
#[doc = include_str!("guide/shards_loop.rs")]
/// ```
///
/// Or with a thread of the application for each shard:
///
/// ```
#[doc = include_str!("guide/shard_loop.rs")]
/// ```
///
/// With the least overhead, [`bind_each`](crate::ShardedBuilder::bind_each) gives one [`Socket`](crate::Socket) for each shard, which a thread of the
/// application [drives itself](crate::guide::your_own_loop) (with [`wait`](crate::Socket::wait), not by its descriptor alone): then no lock is taken for a packet.
/// The example `sharded_echo` compares the three.
///
/// Which shard a remote belongs to follows from its address and port, by a rule that spreads them evenly;
/// [`ConnectionId::shard`](crate::ConnectionId::shard) tells it. So work that concerns several players at once has to cross threads if they are on several
/// shards; players who meet often cannot be put together. [`Limits`](crate::Limits) and the load that the client puzzle answers to are those of
/// each shard.
///
/// A sharded host may connect to others, too. To a name, one shard connects from a further UDP port that it opens then: if a
/// firewall names the ports that this machine may send from, name addresses instead, which are asked from the shared port.
///
/// [`steering`](crate::ShardedSocket::steering) tells how datagrams get to their shards on this system. With
/// [`Steering::Kernel`](crate::Steering::Kernel) they come directly; else they are handed on from shard to shard, which costs a copy and
/// now and then a wake-up: [`IoStats::handed_on`](crate::IoStats::handed_on) counts them. If
/// [`IoStats::inbox_full`](crate::IoStats::inbox_full) rises, a shard does not keep up, and what it lost is reported dropped to its sender.
pub mod many_cores {}

/// # Connecting: both sides' consent, keys and trust
///
/// A connection begins with two questions, one to each application. Each may say no, with a reason.
///
/// 1. The initiator calls [`connect`](crate::Socket::connect) with a URL (`torque://tk1…@name:port`, the key and the
///    port may be left out), an address, or a host and a port. Names are resolved in the background, and all addresses of
///    both families are tried.
/// 2. The host shows its key, and the data that it shows everybody
///    ([`set_challenge_response_data`](crate::Socket::set_challenge_response_data)). The initiator has said whose key it
///    takes:
///
///    | | |
///    | --- | --- |
///    | a key in the URL, or [`Trust::Pinned`](crate::Trust::Pinned) | this one, and no other |
///    | [`Trust::Ask`](crate::Trust::Ask) | the application decides: [`Event::ChallengeResponse`](crate::Event::ChallengeResponse) shows it key and data, and it answers with [`accept_challenge`](crate::Socket::accept_challenge) or [`close`](crate::Socket::close) |
///    | [`Trust::Anyone`](crate::Trust::Anyone) | any: somebody on the path can be the host |
///
///    There is no default. With neither a key in the URL nor trust, `connect` fails at once.
/// 3. The socket solves the host's puzzle, on a thread if it is hard, and proves its key.
/// 4. [`Event::ConnectRequest`](crate::Event::ConnectRequest) shows the host's application the initiator's key and its
///    `connect_data`, which only this host can read. It answers with
///    [`accept_connection`](crate::Socket::accept_connection), with [`refuse`](crate::Socket::refuse), which tells the
///    initiator a reason, or with [`ignore`](crate::Socket::ignore), which tells it nothing.
/// 5. [`Event::Established`](crate::Event::Established) on both sides. Whatever becomes of a connection, its last event is one
///    [`Event::Close`](crate::Event::Close), with a code that says why.
///
/// [`peer`](crate::Socket::peer) tells later who is at the other end of a connection.
///
/// Every socket has a key pair. Without [`Builder::key_pair`](crate::Builder::key_pair) it makes a fresh one; a host that is to be
/// recognised keeps its pair in a file with [`key_file`](crate::key_file). How an initiator knows that a key is the right one is its business;
/// [`trust`](crate::trust) has known hosts and keys signed by an authority for those that ask. Hosts on the local network are found
/// with [`discovery`](crate::discovery).
///
/// Two programs that share no [`application_id`](crate::Config::application_id) do not connect: put the game's name and the version of its
/// messages there.
pub mod connecting {}

/// # Verdicts, and what to build on them
///
/// `send` returns the packet's number, and [`Event::Verdict`](crate::Event::Verdict) tells later what became of it. *Delivered* means that
/// it was put into the other application's event queue; *dropped* means that it never will be; *unknown*, only possible after
/// the connection has ended without a word, is to be treated as dropped. Verdicts come in the order of sending, each
/// once.
///
/// Remember with each number what the packet carried, and decide when it is dropped:
///
/// - **a state that changes** (positions): send its present value, if no newer packet carried it meanwhile. The example
///   `game_loop` does this.
/// - **something that must arrive** (a purchase): send it again. If order matters, number it, and let the receiver hold what
///   is early: the example `reliable`.
/// - **something large** (a map): cut it into pieces, and send again those that were dropped: the example `large_messages`.
/// - **something that is of no use later** (a voice frame): nothing.
/// - **a lot of data** (many voices, a map during play): send as fast as the verdicts show that the path can take: the
///   example `pacing`.
///
/// Nothing vouches for what the other side sends. A receiver that puts things together sets its own bounds, and closes the
/// connection of anyone who exceeds them: `reliable` and `large_messages` do so. A host of several players gives each a share of
/// what it does in a turn: the example `players`; `bans` keeps somebody out with a [`BanSet`](crate::BanSet), and `credentials` lets only players with an account in.
///
/// At most [`packet_window`](crate::Settings::packet_window) packets may wait for their verdicts; then `send` fails with
/// [`SendError::WindowFull`](crate::SendError::WindowFull), and the application, which knows what matters, decides what to leave out. Nothing is ever
/// queued behind its back.
pub mod verdicts {}

/// # When addresses change, machines sleep, and hosts are restarted
///
/// A connection goes on when its other side has another address: a phone that leaves the Wi-Fi, a NAT that gives another port, a
/// laptop that wakes up elsewhere. Packets under way may be dropped, and say so; keys, window and numbers stay.
/// [`Event::PathChanged`](crate::Event::PathChanged) tells both sides, and nothing is to be done about it, unless the program has
/// rules about addresses.
///
/// A connection that is sending notices within a few round trips, an idle one at its next ping. A socket also notices when this
/// machine's network changes or the machine was asleep ([`Builder::watch_network`](crate::Builder::watch_network)). A program on
/// a system that tells of changes, as phones do, calls [`network_changed`](crate::Socket::network_changed).
///
/// How long a connection may be without any network is a matter of [`ping_limit`](crate::Config::ping_limit): after that
/// many unanswered pings it ends with [`CloseCode::TimedOut`](crate::CloseCode::TimedOut), after 30 s by default, with data under
/// way after 9 s.
///
/// When a host is restarted, its connections are lost. A host with a stored key says so, if it may:
/// [`Config::sole_identity`](crate::Config::sole_identity) states that no other socket has its key. Its clients' connections
/// then end with [`CloseCode::HostRestarted`](crate::CloseCode::HostRestarted) two round trips after their next packet, and they can connect again at once.
///
/// ```
/// use torque_socket::{Config, Socket};
///
/// let mut config = Config::default();
/// config.sole_identity = true;
/// # let path = std::env::temp_dir().join(format!("torque-guide-{}.key", std::process::id()));
/// let key_pair = torque_socket::key_file::load_or_create(&path)?;
/// let host = Socket::builder().config(config).key_pair(key_pair).bind("127.0.0.1:0")?;
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A host of several shards can do neither: its clients connect again when their address changes, and time out when it is
/// restarted ([many cores](crate::guide::many_cores)).
pub mod moving {}

/// # Introductions: connections through NATs
///
/// Two players behind routers that let in nobody cannot simply connect. Both reach a third socket, for example a lobby, which
/// introduces them: it tells each the other's key, addresses and a fresh secret. Both send to each other at the same time, so that
/// their routers let the answers in. No other server is needed.
///
/// ```
#[doc = include_str!("guide/introduction.rs")]
/// ```
///
/// The calls may come in any order, within 30 seconds. What follows are the events of any connection:
/// [`Event::ConnectRequest`](crate::Event::ConnectRequest) at the host, which compares the key with the one that it was told, then
/// [`Event::Established`](crate::Event::Established), or [`Event::Close`](crate::Event::Close) with a reason, such as
/// [`CloseCode::NoPath`](crate::CloseCode::NoPath) or [`CloseCode::HardNat`](crate::CloseCode::HardNat). They carry the id that
/// [`connect_introduced`](crate::Socket::connect_introduced) has returned, and say who introduced the two. The lobby hears of the
/// outcome by [`Event::Introduced`](crate::Event::Introduced). After that the parties do not need it.
///
/// The lobby is a socket with [`introduction.introduces`](crate::IntroductionConfig::introduces), at an address that both reach:
///
/// ```
/// use torque_socket::{Config, Socket};
///
/// let mut config = Config::default();
/// config.introduction.introduces = true;
/// let lobby = Socket::builder().config(config).bind("127.0.0.1:0")?;
/// # Ok::<(), torque_socket::BindError>(())
/// ```
///
/// Its clients may also begin: if one asks for another and the lobby has not called [`introduce`](crate::Socket::introduce), it gets
/// [`Event::IntroductionRequested`](crate::Event::IntroductionRequested), and answers with `introduce` or
/// [`refuse_introduction`](crate::Socket::refuse_introduction).
///
/// - **Circuits.** With a [`Relay`](crate::Relay) the lobby passes sealed packets on while no direct path works.
///   [`Event::PathChanged`](crate::Event::PathChanged) tells when a relayed connection has become direct. A party says with
///   [`Relaying`](crate::Relaying) whether it takes a circuit, and when.
/// - **Trust.** The lobby names the keys. One that lies can put itself between the two, unless they know the keys from elsewhere.
/// - **Privacy.** Each party learns the other's addresses as soon as both have asked. One that hides its own
///   ([`without_direct_paths`](crate::IntroducedOptions::without_direct_paths)) needs a circuit.
/// - **Local networks.** Parties with the same public address also try the addresses of their interfaces
///   ([`local_addresses`](crate::IntroductionConfig::local_addresses)). With the feature `port-mapping`, `Builder::map_port` asks the
///   router for a port.
///
/// - **Difficult NATs.** Some routers give another port for each destination. If only one of the two is behind such a router, they meet after
///   many tries: up to 4,096 small datagrams in 30 seconds, and up to 256 further UDP ports, each a descriptor of this process
///   ([`further_ports`](crate::IntroductionConfig::further_ports)). By default this begins when they are connected by a circuit, and only if the other side's
///   key was pinned or accepted ([`hard_nat`](crate::IntroductionConfig::hard_nat)). The lobby names the address all the same: one that lies, and
///   relays for two, can aim these datagrams at anybody. The lobby sees how NATs behave at a second UDP port, which is the next one if it is free
///   ([`observe_at`](crate::Builder::observe_at)); let it through firewalls. [`look_at_nat`](crate::Socket::look_at_nat) asks for what it sees.
///
/// It does not work without a circuit if neither router keeps one port and the ports of one cannot be foreseen. The example `introduce` has the three roles in one program.
pub mod introductions {}

/// # Errors, limits, counters, and bad networks on purpose
///
/// Errors are grouped by who is at fault. What the caller does wrong is an error of the call
/// ([`SendError`](crate::SendError), [`CallError`](crate::CallError), [`ConnectError`](crate::ConnectError), [`BindError`](crate::BindError)). What the other side does wrong ends its connection with a
/// [`CloseCode`](crate::CloseCode), or is counted in [`Stats`](crate::Stats) and dropped. What the operating system does is survived: a datagram that it
/// does not take is a dropped packet, reported as such, and a reason in [`IoStats`](crate::IoStats). Only a socket that cannot be made at all is an
/// error.
///
/// Every bound on memory is a figure in [`Limits`](crate::Limits). [`Socket::metrics`](crate::Socket::metrics) writes all counters as text that Prometheus reads;
/// [`Socket::connection_stats`](crate::Socket::connection_stats) has round-trip time, jitter, [`loss`](crate::ConnectionStats::loss) and, between two looks,
/// [bytes per second](crate::ConnectionCounters::bytes_per_second) of one connection.
///
/// To feel a bad network, have one: [`Builder::simulated_link`](crate::Builder::simulated_link) delays and loses datagrams in any build, and
/// [`set_simulated_link`](crate::Socket::set_simulated_link) changes that while the program runs.
///
/// ```
/// use torque_socket::{LinkConfig, Socket};
///
/// let link: LinkConfig = "mobile".parse().unwrap();
/// let socket = Socket::builder().simulated_link(link).bind("127.0.0.1:0")?;
/// # Ok::<(), torque_socket::BindError>(())
/// ```
pub mod errors_and_limits {}
