"""A look at this party's NAT, from the party's side (INTRODUCTIONS.md 9.1): it sends tokens, so that the introducer sees where they come from."""

import ipaddress
import socket
import time

from . import introductions
from .errors import require

REPEATED = (0, 0.1, 0.3, 0.7)
BETWEEN_FRESH_PORTS = 0.02
FRESH_PORT_LIVES = 1.0
MOST_TOKENS, BETWEEN_LOOKS = 6, 5.0          # what a party sends for one introducer (13)


class Looks:
    """The looks of one introducer, one at a time. Sends with the endpoint's socket, and with fresh ones that hear nothing."""

    def __init__(self, endpoint, introducer: tuple):
        self.endpoint, self.introducer = endpoint, introducer
        self.began: float | None = None
        self.second: tuple | None = None         # where the second token goes
        self.plan: list[tuple] = []              # (when, number of the port or None for the bound one, where to, datagram)
        self.ports: dict[int, tuple] = {}        # number: (socket, when it was opened)

    def begin(self, fields: dict) -> int:
        """What *tokens* with a second address asks for. Returns how many tokens are sent."""
        now = time.monotonic()
        require(self.began is None or now - self.began >= BETWEEN_LOOKS, "rate", "a look began less than 5 s ago")
        self.close()
        self.began, self.second, tokens = now, self._second(fields["second_address"]), fields["tokens"][:MOST_TOKENS]
        for place, token in enumerate(tokens):
            datagram = introductions.encode_observe({"token": token})
            to = self.second if place == 1 else self.introducer
            port = place if place >= 2 else None
            if to is not None:
                first = now + BETWEEN_FRESH_PORTS * max(0, place - 2)
                self.plan += [(first + after, port, to, datagram) for after in REPEATED]
        return len(tokens)

    def _second(self, address: dict) -> tuple | None:
        """An unspecified address stands for the introducer's. None: nothing may be sent there (8.1, rule 3), or not by this socket."""
        ip = ipaddress.ip_address(address["ip"])
        family, here = self.endpoint.udp.family, ipaddress.ip_address(self.introducer[0])
        ip = here if ip.is_unspecified else ip
        may = is_destination(ip, address["port"]) and (ip.version == 6) == (family == socket.AF_INET6)
        return (str(ip), address["port"]) if may else None

    def tick(self, now: float) -> None:
        for one in sorted((one for one in self.plan if one[0] <= now), key=lambda one: one[0]):
            self.plan.remove(one)
            _, number, to, datagram = one
            if number is None:
                if to == self.introducer or self.endpoint.budget.takes(to[0], now):
                    self.endpoint.send(datagram, to)
                continue
            if number not in self.ports:
                self.ports[number] = self.endpoint.fresh_port(), now
            self.endpoint.send(datagram, to, udp=self.ports[number][0])
        for number, (port, opened) in list(self.ports.items()):
            if now >= opened + FRESH_PORT_LIVES:
                port.close()
                del self.ports[number]

    def take(self, datagram: bytes, source: tuple) -> bool:
        """Nothing answers an *observe*."""
        return False

    def close(self) -> None:
        for port, _ in self.ports.values():
            port.close()
        self.plan, self.ports = [], {}


def is_destination(ip, port: int) -> bool:
    """Rule 3 of 8.1, whatever an introducer says."""
    broadcast = ip == ipaddress.ip_address("255.255.255.255")
    return port != 0 and not (ip.is_link_local or ip.is_multicast or ip.is_unspecified or broadcast)


def nats_in_words(fields: dict) -> str:
    """What *nats* says, or the end of status 0."""
    names = ("unknown", "independent", "sequential", "unpredictable")
    other = names[fields["nat"]] + (f" (stride {fields['stride']})" if fields["nat"] == introductions.SEQUENTIAL else "")
    seen = fields.get("observed")
    seen = f"{ipaddress.ip_address(seen['ip'])} port {seen['port']}" if seen else "no address"
    return f"my NAT: {names[fields['own_nat']]}; I am seen at {seen}; the other party's NAT: {other}"
