"""layouts.json"""

from .. import control, layouts, settings
from ..packets import TYPES, decode_header, reported, split_ack_bytes
from .vector import Mismatch, Vector


def _check(vector: Vector, decode, encode=None) -> None:
    """`decode` of the vector's bytes must give its fields, and `encode` of them the bytes again."""
    data = vector.bytes("hex")
    if vector.has("refused"):
        vector.expect_refused(lambda: decode(data))
        return
    fields = decode(data)
    vector.expect("fields", fields)
    decode_only = vector.has("decode_only") and vector.bool("decode_only")
    if encode and not decode_only and encode(fields) != data:
        raise Mismatch(f"encoding the fields gives {encode(fields).hex()}")


def _layout(name: str):
    decode, encode = layouts.LAYOUTS[name]
    return lambda vector: _check(vector, decode, encode)


def check_challenge_response(vector: Vector) -> None:
    introduced = vector.has("introduced") and vector.bool("introduced")
    _check(vector, lambda data: layouts.decode_challenge_response(data, introduced), layouts.encode_challenge_response)


def check_datagram(vector: Vector) -> None:
    _ignore_decode_only(vector)
    _check(vector, lambda data: {"kind": layouts.classify(data)})


def check_settings_text(vector: Vector) -> None:
    _ignore_decode_only(vector)
    text = vector.text("text")
    if vector.has("refused"):
        vector.expect_refused(lambda: settings.from_text(text))
    else:
        vector.expect("fields", settings.from_text(text))


def check_packet_header(vector: Vector) -> None:
    window = vector.int("packet_window")

    def decode(data):
        header, rest = decode_header(data, window)
        if rest:
            raise Mismatch("bytes after the header")
        fields = {"type": header.type, "sequence_low": header.sequence_low, "ack_low": header.ack_low,
                  "ack_form": header.ack_form}
        return fields if header.counter_low is None else fields | {"counter_low": header.counter_low}

    _check(vector, decode, lambda _: decode_header(vector.bytes("hex"), window)[0].encode(window))


def check_ack_bytes(vector: Vector) -> None:
    _ignore_decode_only(vector)
    form, ack = vector.int("ack_form"), vector.int("ack")
    if vector.text("packet_type") not in TYPES:
        raise Mismatch("packet_type is unknown")

    def decode(data):
        _, bits, rest = split_ack_bytes(form, data)
        first = ack - 8 * len(bits) + 1
        return {"delivered": [n for n in range(first, ack + 1) if reported(bits, ack, n)], "rest": rest}

    _check(vector, decode)


def check_control_messages(vector: Vector) -> None:
    def decode(data):
        messages, violation = control.decode(data)
        return {"messages": messages, "violation": violation}

    violated = vector.has("fields") and vector.raw("fields").get("violation") is True
    _check(vector, decode, None if violated else lambda fields: control.encode(fields["messages"]))


def _ignore_decode_only(vector: Vector) -> None:
    if vector.has("decode_only"):
        vector.bool("decode_only")


KINDS = {name: _layout(name) for name in layouts.LAYOUTS} | {
    "challenge_response": check_challenge_response,
    "datagram": check_datagram,
    "settings_text": check_settings_text,
    "packet_header": check_packet_header,
    "ack_bytes": check_ack_bytes,
    "control_messages": check_control_messages,
}
