"""What a party sends for a look at its NAT, seen by sockets in the introducer's place."""

import socket
import time
import unittest

from ..errors import Refused
from ..live import Endpoint
from ..looks import Looks

LOOPBACK = bytes([127, 0, 0, 1])


class Look(unittest.TestCase):
    def setUp(self):
        self.endpoint = Endpoint(socket.AF_INET)
        self.addCleanup(self.endpoint.udp.close)
        self.first, self.second = self.listener(), self.listener()
        self.looks = Looks(self.endpoint, self.first.getsockname())
        self.endpoint.users.append(self.looks)
        self.addCleanup(self.looks.close)

    def listener(self) -> socket.socket:
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("127.0.0.1", 0))
        udp.setblocking(False)
        self.addCleanup(udp.close)
        return udp

    def tokens(self, count: int, ip: bytes = LOOPBACK, port: int | None = None) -> dict:
        port = self.second.getsockname()[1] if port is None else port
        return {"second_address": {"ip": ip, "port": port}, "tokens": [bytes([n]) * 16 for n in range(count)]}

    def seen(self, fields: dict) -> tuple[list, list]:
        """What came at each of the two, as (token's number, source port), once the whole look was sent."""
        self.looks.begin(fields)
        self.assertIsNotNone(self.endpoint.wait(lambda: not self.looks.plan and not self.looks.ports, 10))
        return self.read(self.first), self.read(self.second)

    @staticmethod
    def read(udp: socket.socket) -> list:
        out = []
        while True:
            try:
                datagram, source = udp.recvfrom(100)
            except BlockingIOError:
                return out
            assert datagram == b"\x0d" + bytes([datagram[1]]) * 16
            out.append((datagram[1], source[1]))

    def test_two_tokens_from_the_bound_port_and_the_others_each_from_a_fresh_one(self):
        bound = self.endpoint.udp.getsockname()[1]
        at_first, at_second = self.seen(self.tokens(6))
        self.assertEqual(at_second, [(1, bound)] * 4)
        self.assertEqual(at_first.count((0, bound)), 4)
        fresh = {number: {port for token, port in at_first if token == number} for number in range(2, 6)}
        self.assertEqual(len(at_first), 20)
        self.assertEqual({len(ports) for ports in fresh.values()}, {1}, "the same port each time")
        self.assertEqual(len({bound}.union(*fresh.values())), 5, "a port for each")

    def test_a_party_with_one_port_sends_two_tokens(self):
        at_first, at_second = self.seen(self.tokens(2))
        self.assertEqual(({token for token, _ in at_first}, {token for token, _ in at_second}), ({0}, {1}))

    def test_more_than_six_tokens_are_not_sent(self):
        at_first, _ = self.seen(self.tokens(8))
        self.assertEqual({token for token, _ in at_first}, {0, 2, 3, 4, 5})

    def test_an_unspecified_address_is_that_of_the_introducer(self):
        _, at_second = self.seen(self.tokens(2, bytes(4)))
        self.assertEqual(len(at_second), 4)

    def test_nothing_goes_where_no_punch_would_go(self):
        for ip, port in ((bytes([224, 0, 0, 1]), 9), (bytes([169, 254, 1, 1]), 9), (b"\xff" * 4, 9), (LOOPBACK, 0),
                         (bytes(15) + b"\1", 9)):
            self.looks.began = None
            self.looks.begin(self.tokens(2, ip, port))
            self.assertEqual({to for _, _, to, _ in self.looks.plan}, {self.first.getsockname()}, ip)

    def test_a_second_look_within_five_seconds_is_not_taken(self):
        self.looks.begin(self.tokens(6))
        with self.assertRaises(Refused):
            self.looks.begin(self.tokens(6))
        self.looks.began -= 5
        self.looks.begin(self.tokens(2))
        self.assertEqual(len(self.looks.plan), 8, "the later one takes its place")

    def test_the_second_address_has_the_budget_of_a_network(self):
        now = time.monotonic()
        while self.endpoint.budget.takes("127.0.0.1", now):
            pass
        _, at_second = self.seen(self.tokens(2))
        self.assertEqual(at_second, [])
