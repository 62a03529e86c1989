"""The rules that can be switched off (`--without NAME`), each with what counts in its place."""

# name: (what it belongs to, the rule, what counts without it). README.md says what each is good for.
RULES = {
    "hop-limit": ("punching", "the first punch to a candidate has a hop limit of 5", "it has none"),
    "echo-anywhere": ("punching", "an echo counts wherever it came from", "only from the address that was asked"),
    "answer-rate": ("punching", "16 answers a second for each connection", "every punch is answered"),
    "both-valid": ("punching", "the host punches until the other side has shown the path valid", "until it is valid here"),
    "hold-path": ("punching", "the host waits while a path is valid, and both punch it every 5 s until established",
                  "it ends after 25 s, and nothing is punched"),
    "stranger-limits": ("unknown sources", "one lives 5 s, the oldest gives way, together 4 of the 16 answers", "30 s, the first eight stay, all 16 answers"),
    "echo-liveness": ("liveness", "only an echo answers for a path; the active path is punched every 15 s too", "anything authentic from its address does"),
    "move-check": ("moves", "when a new source is valid the active path is punched, and is in doubt if it stays silent",
                   "doubt begins only with what is unanswered"),
    "owned-address": ("addresses in use", "a source that another connection owns becomes a path after its echo, and the owner is punched there",
                      "the first authentic punch takes it, and the owner is punched"),
    "spare-id": ("ids", "one spare id is outstanding; a changed network uses it", "a new id is sent after a move"),
    "single-relayed": ("relaying", "a `relayed` datagram is not doubled", "it is doubled like others"),
    "clean-rtt": ("doubt", "no round-trip sample across doubt or a change of path", "each counts"),
    "round-at-start": ("rounds", "a round starts at once when established", "the handshake's path alone at first"),
    "close-doubts": ("doubt", "close starts doubt", "it is repeated on the active path"),
    "half-budget": ("budgets", "no introducer takes more than half of a common budget", "it may take all"),
}
# Rules that this simulation asked for
FOUND = {
    "strangers-answered-only": ("unknown sources", "an unknown source is answered, never punched unasked", "it is punched by the schedule like a candidate"),
    "third-time": ("unknown sources", "a number that comes from them for the third time is ignored (the last 256 numbers)", "it is not"),
    "packet-vouches": ("unknown sources", "a source from which a packet opens is punched three times a second at most, outside the strangers' share",
                       "it is a stranger like any other"),
    "expected-stays": ("unknown sources", "one that was sent who_are_you in the last 2 s gives way after the others; these have 4 answers a second of their own",
                       "they are like the others"),
    "progress": ("doubt", "begins when a data packet or ping has been without verdict or pong for two probe times",
                 "when, besides, nothing authentic came in that time"),
    "since-unanswered": ("doubt", "an echo decides if its number was sent after what is unanswered", "if it was sent in doubt"),
    "active-stays": ("doubt", "the active path keeps its place if it echoes within 2 srtt + 100 ms", "the first echo decides"),
    "probe-after-doubt": ("doubt", "when doubt ends, a ping goes out at once, and probes begin anew", "the pause goes on doubling"),
    "keep-retries": ("liveness", "a punch that keeps a path and has no echo is repeated after 1 s, then every 2 s", "after 15 s"),
    "move-doubles": ("moves", "while the active path is asked because of a new source, datagrams go to both", "to the active path"),
    "receiver-asks": ("moves", "the receiver of a flow begins doubt when it hears nothing for two probe times, at least 500 ms", "it pings after 5 s"),
    "id-per-path": ("ids", "a path is punched under the id that last came from it, an address not heard yet under the spare id", "under the newest"),
    "introducer-doubles": ("relaying", "the introducer sends a `relayed` datagram on both paths in doubt, a party never", "neither does"),
    "minute-budget": ("budgets", "80 punches a minute to one IP address, beside 40 in 10 s", "40 in 10 s"),
}
ALL = {**RULES, **FOUND}
DESIGNED = frozenset(RULES)
RECOMMENDED = frozenset(ALL)


def in_force(designed=False, without=()):
    unknown = [name for name in without if name not in ALL]
    if unknown:
        raise SystemExit(f"no such rule: {', '.join(unknown)}. Rules: {', '.join(ALL)}")
    return (DESIGNED if designed else RECOMMENDED) - set(without)
