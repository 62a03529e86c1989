"""Control messages (PROTOCOL.md 8)."""

from .reader import Reader

PADDING, PING, PONG, CLOSE, CLOSE_ACK = range(5)
FINAL = 1
MAX_REASON = 511


def decode_one(kind: int, body: bytes) -> dict | None:
    """One message, or None if a known kind has a body that is not of its size."""
    r = Reader(body)
    if kind == PADDING:
        return {"message": "padding", "body": body}
    if kind in (PING, PONG):
        if len(body) != 12:
            return None
        return {"message": "ping" if kind == PING else "pong", "id": r.number(4), "settled": r.number(8)}
    if kind == CLOSE:
        if not 11 <= len(body) <= 11 + MAX_REASON:
            return None
        return {"message": "close", "flags": r.number(1), "settled": r.number(8), "close_code": r.number(2),
                "reason": r.rest()}
    if kind == CLOSE_ACK:
        return {"message": "close_ack", "flags": r.number(1), "settled": r.number(8)} if len(body) == 9 else None
    return {"message": "unknown", "number": kind, "body": body}


def decode(payload: bytes) -> tuple[list[dict], bool]:
    """The messages, and whether there was a violation: the rest after it is ignored."""
    messages, offset = [], 0
    while offset < len(payload):
        if offset + 3 > len(payload):
            return messages, True
        kind, length = payload[offset], int.from_bytes(payload[offset + 1 : offset + 3], "big")
        body = payload[offset + 3 : offset + 3 + length]
        message = decode_one(kind, body) if len(body) == length else None
        if message is None:
            return messages, True
        messages.append(message)
        offset += 3 + length
    return messages, False


def that_count(messages: list[dict]) -> list[dict]:
    """Without closes and close_acks after the first of their kind, which are ignored."""
    seen, out = set(), []
    for message in messages:
        name = message["message"]
        if name in ("close", "close_ack") and name in seen:
            continue
        seen.add(name)
        out.append(message)
    return out


def encode_one(m: dict) -> bytes:
    name = m["message"]
    if name == "padding":
        kind, body = PADDING, m["body"]
    elif name in ("ping", "pong"):
        kind, body = PING if name == "ping" else PONG, m["id"].to_bytes(4, "big") + m["settled"].to_bytes(8, "big")
    elif name == "close":
        kind = CLOSE
        body = bytes([m["flags"]]) + m["settled"].to_bytes(8, "big") + m["close_code"].to_bytes(2, "big") + m["reason"]
    elif name == "close_ack":
        kind, body = CLOSE_ACK, bytes([m["flags"]]) + m["settled"].to_bytes(8, "big")
    else:
        kind, body = m["number"], m["body"]
    return bytes([kind]) + len(body).to_bytes(2, "big") + body


def encode(messages: list[dict]) -> bytes:
    return b"".join(map(encode_one, messages))
