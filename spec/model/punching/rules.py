"""The rules that can be switched off (`--without NAME`), each with what counts in its place."""

# name: (where it is from, the rule, what counts without it)
RULES = {
    # of the first design
    "hop-limit": ("5.2", "the first punch to a candidate has a hop limit of 5", "it has none"),
    "echo-anywhere": ("5.1", "an echo counts wherever it came from", "only from the address that was asked"),
    "answer-rate": ("5.1", "16 answers a second", "every punch is answered"),
    "both-valid": ("5.1", "the host punches until the other side showed the path valid", "until it is valid here"),
    # of the amendments
    "echo-liveness": ("13.1", "only an echo answers for a path; the active path is punched every 15 s", "anything authentic from its address"),
    "hold-path": ("13.5", "the host waits while a path is valid, and both punch it every 5 s until established", "it ends after 25 s; nothing is punched"),
    "stranger-limits": ("13.7", "an unknown source lives 5 s, the oldest gives way, 4 of the 16 answers", "30 s, the first eight stay, all 16 answers"),
    "move-check": ("13.8", "a new valid source: the active path is punched at once, and is doubtful without an echo", "doubt begins only with what is unanswered"),
    "owned-address": ("13.9", "a source that another connection owns becomes a path after its echo, and the owner is punched there", "the first authentic punch takes it, and the owner is asked"),
    "spare-id": ("13.14", "one spare id is outstanding; a changed network uses it", "a new id is sent after a move"),
    "single-relayed": ("13", "a `relayed` datagram is never doubled", "it is doubled like others"),
    "clean-rtt": ("13", "no round-trip sample across doubt or a change of path", "each counts"),
    "round-at-start": ("13", "a round starts at once when established", "the handshake's path alone, others after 5 s"),
    "close-doubts": ("13", "close starts doubt", "it is repeated on the active path"),
    "half-budget": ("13.13", "no introducer takes more than half of a common budget", "it may take all"),
}
# Found in this simulation; README.md says why
FOUND = {
    "strangers-answered-only": ("5.1", "an unknown source is answered, never punched unasked", "punched by the schedule like a candidate"),
    "answer-twice": ("13.7", "of the strangers, each number is answered twice at most", "as often as it comes"),
    "packet-vouches": ("13.7", "a packet that opens from an unknown source makes its path one that is asked, outside the strangers' share", "it does not"),
    "keep-retries": ("13.1", "a keeping punch without an echo is repeated after 1, 2 and 4 s", "after 15 s"),
    "progress": ("6, 13.1", "doubt: a data packet or ping without its verdict or pong for two probe times", "the same, and nothing authentic came for two probe times"),
    "active-stays": ("13.1", "in doubt the active path keeps its place if its echo comes within 2 srtt + 100 ms", "the first echo decides"),
    "move-doubles": ("13.8", "while the active path is asked because of a new source, datagrams go to both", "on the active path"),
    "receiver-asks": ("9.2", "the receiver of a flow (two data packets within 250 ms) begins doubt when it hears nothing for two probe times, at least 500 ms", "it pings after 5 s"),
    "id-per-path": ("13.14", "each path is punched under the id that last came from it", "under the newest"),
    "since-unanswered": ("13.1", "in doubt an echo decides if its number was sent after what is unanswered", "if it was sent in doubt"),
    "probe-after-doubt": ("6.4, 9.3", "when doubt ends, a ping goes out at once, and probes begin anew", "the pause goes on doubling"),
    "introducer-doubles": ("13", "the introducer sends a `relayed` datagram on both paths in doubt; a party never does", "neither does"),
    "minute-budget": ("11", "80 punches a minute to one IP address, beside 40 in 10 s", "40 in 10 s"),
}
ALL = {**RULES, **FOUND}
DESIGNED = frozenset(RULES)
RECOMMENDED = frozenset(ALL)


def in_force(designed=False, without=()):
    unknown = [name for name in without if name not in ALL]
    if unknown:
        raise SystemExit(f"no such rule: {', '.join(unknown)}. Rules: {', '.join(ALL)}")
    return (DESIGNED if designed else RECOMMENDED) - set(without)
