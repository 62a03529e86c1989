"""Settings (PROTOCOL.md 4.8)."""

from .ciphers import AES_128_GCM_SST
from .errors import Refused, require

# name: (offset, size, least, greatest)
FIELDS = {
    "packet_window": (0, 2, 8, 32768),
    "tag_bytes": (2, 1, 4, 16),
    "ack_delay": (4, 2, 0, 1000),
    "max_packet_size": (6, 2, 1150, 65535),
}
DEFAULTS = {"packet_window": 128, "tag_bytes": 8, "ack_delay": 50, "max_packet_size": 1150}
TEXT_NAMES = {"window": "packet_window", "tag": "tag_bytes", "ack_delay": "ack_delay", "max_packet": "max_packet_size"}


def decode(data: bytes) -> dict[str, int]:
    require(len(data) == 8, "size")
    found = {}
    for name, (offset, size, least, greatest) in FIELDS.items():
        value = int.from_bytes(data[offset : offset + size], "big")
        require(least <= value <= greatest, "range", f"{name} {value} is not {least} to {greatest}")
        found[name] = value
    return found


def encode(settings: dict[str, int]) -> bytes:
    out = bytearray(8)
    for name, (offset, size, _, _) in FIELDS.items():
        out[offset : offset + size] = settings[name].to_bytes(size, "big")
    return bytes(out)


def from_text(text: str) -> dict[str, int]:
    found = dict(DEFAULTS)
    for part in filter(None, text.split(";")):
        key, _, value = part.partition("=")
        require(key in TEXT_NAMES, "text_setting", f"unknown key {key!r}")
        require(value.isascii() and value.isdigit(), "text_setting", f"{key} is no number")
        name = TEXT_NAMES[key]
        require(FIELDS[name][2] <= int(value) <= FIELDS[name][3], "text_setting", f"{key} is out of range")
        found[name] = int(value)
    return found


def outcome(initiator: dict[str, int], host: dict[str, int], cipher: int) -> dict[str, int]:
    """What the host answers: its own figures, and the outcome for window and tag."""
    window = min(initiator["packet_window"], host["packet_window"])
    tag = max(initiator["tag_bytes"], host["tag_bytes"]) if cipher == AES_128_GCM_SST else 16
    return {**host, "packet_window": window, "tag_bytes": tag}


def check_answer(asked: dict[str, int], answer: dict[str, int], cipher: int) -> None:
    """The initiator's check of what the host answered."""
    require(answer["packet_window"] <= asked["packet_window"], "range", "a larger window than asked for")
    if cipher == AES_128_GCM_SST:
        require(answer["tag_bytes"] >= asked["tag_bytes"], "range", "a shorter tag than asked for")
    elif answer["tag_bytes"] != 16:
        raise Refused("range", "ciphers 1 and 2 have tags of 16 bytes")


def header_size(packet_window: int) -> int:
    """Bytes of a packet's header (6.1)."""
    return 3 if packet_window <= 128 else 4 if packet_window <= 2048 else 5
