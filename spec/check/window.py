"""One side's packet window (PROTOCOL.md 6.3, 6.4, 7 and the arithmetic of 10). No cryptography, no time."""

from dataclasses import dataclass, field

from .control import FINAL
from .packets import SEQUENCED, make_ack_bytes, reported


@dataclass
class Side:
    packet_window: int
    initial_sequence: int
    other_initial_sequence: int

    # As a sender.
    sent: int = field(init=False)  # the last sequence taken
    a_last: int = field(init=False)  # the highest sequence that has its verdict
    counter_sent: int = 0
    unsettled: dict[int, tuple[str, int]] = field(default_factory=dict)  # sequence: (type, ack that it wrote)
    untaken: list[int] = field(default_factory=list)  # settled data packets whose verdict the application has not taken

    # As a receiver.
    r: int = field(init=False)
    c: int = 0
    delivered: set[int] = field(default_factory=set)
    ack_due: bool = False  # an acknowledgment is due (7.4); when it is sent is not decided here
    acknowledged_ack: int = field(init=False)  # greatest ack written in an own packet that was then delivered
    other_settled: int = field(init=False)  # the greatest *settled* that the other side told

    def __post_init__(self) -> None:
        self.sent = self.a_last = self.initial_sequence
        self.r = self.acknowledged_ack = self.other_settled = self.other_initial_sequence

    # Sending.

    @property
    def open(self) -> int:
        return len(self.unsettled) + len(self.untaken)

    @property
    def window_full(self) -> bool:
        return self.open >= self.packet_window

    def take_sequence(self, packet_type: str) -> tuple[int, int | None]:
        """The sequence and the control counter of the next packet to send."""
        if packet_type in SEQUENCED:
            self.sent += 1
            return self.sent, None
        self.counter_sent += 1
        return self.sent, self.counter_sent

    def write_report(self, packet_type: str) -> tuple[int, int, bytes]:
        """ack, form and ack bytes of a packet that was just given its sequence."""
        ack, form, ack_bytes = make_ack_bytes(packet_type, self.base, self.r, self.delivered)
        if ack == self.r:
            self.ack_due = False
        if packet_type in SEQUENCED:
            self.unsettled[self.sent] = (packet_type, ack)
        return ack, form, ack_bytes

    def take_verdicts(self, count: int) -> None:
        del self.untaken[:count]

    # Receiving.

    @property
    def base(self) -> int:
        """B: everything up to it is known to be settled at the other side."""
        return max(self.acknowledged_ack, self.r - self.packet_window, self.other_initial_sequence, self.other_settled)

    def receive(self, packet_type: str, sequence: int, ack: int, counter: int | None, form: int, bits: bytes,
                taken: bool) -> tuple[str, list[tuple[int, bool]]]:
        """Applies an opened packet: what became of its report, and the verdicts."""
        r_before = self.r
        self.use_up(packet_type, sequence, counter)
        self.r = max(self.r, sequence)
        read = ack <= self.sent
        # The bit of a report says that it was read, that of data that the application has it (7.2).
        if packet_type in SEQUENCED and (taken if packet_type == "data" else read):
            self.delivered.add(sequence)
        if not read:
            return "beyond", []
        if packet_type not in SEQUENCED and sequence < r_before:
            return "old", []
        verdicts = []
        for settled in range(self.a_last + 1, ack + 1):
            verdicts.append(self._settle(settled, form == 0 or reported(bits, ack, settled)))
        return "read", verdicts

    def use_up(self, packet_type: str, sequence: int, counter: int | None) -> None:
        """What every packet that opens does, one without its ack bytes too: of that nothing else counts (7.2, 7.4)."""
        if packet_type in SEQUENCED:
            self.r = sequence
        else:
            self.c = counter
        if packet_type == "data":
            self.ack_due = True

    def _settle(self, sequence: int, was_delivered: bool) -> tuple[int, bool]:
        packet_type, written = self.unsettled.pop(sequence)
        self.a_last = sequence
        if was_delivered:
            self.acknowledged_ack = max(self.acknowledged_ack, written)
        if packet_type == "data":
            self.untaken.append(sequence)
        return sequence, was_delivered

    def read_settled(self, settled: int) -> None:
        """How far the other side has verdicts, from a ping, pong, close or close_ack (7.2, 8)."""
        if settled <= self.r:
            self.other_settled = max(self.other_settled, settled)

    def read_close(self, message: dict, report: str) -> list[tuple[int, bool]]:
        """A close or close_ack of the other side: the verdicts that it settles (10)."""
        if message["flags"] & FINAL and report == "read":
            return [self._settle(sequence, False) for sequence in range(self.a_last + 1, self.sent + 1)]
        return []
