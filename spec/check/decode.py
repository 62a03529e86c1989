"""Explaining one datagram, or one opened text, in words."""

import argparse

from . import ciphers, codes, control, identity, introductions, layouts
from .errors import Refused, require
from .golden.vector import parse_hex
from .keys import generation_keys, traffic_secret
from .packets import (decode_header, full_ack, full_book_sequence, full_counter, full_sequence, open_packet, reported,
                      SEQUENCED, split_ack_bytes)
from .primitives import x25519

TEXTS = ("request_payload", "accept_payload", "refuse_payload", "settings", "control_messages", "path_id",
         *introductions.MESSAGES)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--as", dest="layout", choices=TEXTS, help="HEX is this opened text, not a datagram")
    parser.add_argument("--introduced", action="store_true", help="a challenge_response to an introduction's request")
    packet = parser.add_argument_group("packets (first byte 0x80 and above)")
    packet.add_argument("--window", type=int, default=128, help="the packet window, which gives the header's size")
    packet.add_argument("--r", type=int, help="the receiver's R: gives the full sequence")
    packet.add_argument("--a-last", type=int, help="the receiver's A_last: gives the full ack")
    packet.add_argument("--c", type=int, default=0, help="the highest control counter opened")
    packet.add_argument("--prk", help="with --r and --a-last: opens the packet")
    packet.add_argument("--cipher", type=int, choices=ciphers.NAMES, default=3)
    packet.add_argument("--tag", type=int, default=8, help="tag_bytes, for cipher 3")
    packet.add_argument("--direction", choices=("initiator", "host"), default="initiator", help="who sent it")


def explain(arguments: argparse.Namespace) -> list[str]:
    data = parse_hex(arguments.hex.lower(), "HEX")
    if arguments.layout == "control_messages":
        return explain_control(data)
    if arguments.layout:
        fields = layouts.LAYOUTS[arguments.layout][0](data)
        name = codes.CLOSE.get if arguments.layout == "outcome" else close_code
        return lines(fields) + ([f"code: {name(fields['close_code'])}"] if "close_code" in fields else [])
    kind = layouts.classify(data)
    out = [f"{kind}, {len(data)} bytes"]
    if kind == "info":
        return out + ["the whole datagram is the application's; neither encrypted nor authenticated"]
    if kind == "packet":
        return out + explain_packet(data, arguments)
    if kind == "challenge_response":
        fields = layouts.decode_challenge_response(data, arguments.introduced)
    else:
        fields = layouts.LAYOUTS[kind][0](data)
    out += lines(fields)
    if kind == "relayed":
        require(introductions.is_relayable(fields["inner"]), "range", "what is inside does not pass through a circuit")
        inner = argparse.Namespace(**vars(arguments) | {"hex": fields["inner"].hex()})
        return out + ["inside:"] + [f"  {line}" for line in explain(inner)]
    if kind == "challenge_request":
        out.append(f"ciphers: {offered(fields['ciphers_offered'])}")
    if kind == "challenge_response":
        try:
            identity.check_public_key(fields["host_public_key"])
            out.append(f"host: {identity.to_text(fields['host_public_key'], identity.PUBLIC)}")
        except Refused as refused:
            out.append(f"the initiator ignores it: host public key {refused}")
    if kind == "connect_accept" and x25519.diffie_hellman(bytes(32), fields["e2"]) is None:
        out.append("the initiator drops it: every secret gives an all-zero result with this E2")
    if kind == "punch":
        out.append("  number 0: asks nothing" if fields["number"] == layouts.NOTHING else "  asks for an echo of number")
    if kind == "observe":
        out.append("what it shows, the address that it came from, is told inside the connection; nothing answers it")
    if kind == "who_are_you":
        out.append("a packet came from the receiver's address, and the sender has no connection there")
    if kind == "reject":
        out.append(f"code: {codes.REJECT[fields['reject_code']]}")
    return out


def close_code(number: int) -> str:
    name = codes.CLOSE_ON_THE_WIRE[codes.close_code_told(number)]
    return name if number in codes.CLOSE_ON_THE_WIRE else f"{number} is not for the wire: counts as {name}"


def lines(fields: dict, indent: str = "  ") -> list[str]:
    out = []
    for name, value in fields.items():
        if isinstance(value, dict):
            out += [f"{indent}{name}:"] + lines(value, indent + "  ")
        elif isinstance(value, list):
            out.append(f"{indent}{name}: {len(value)}")
            for item in value:
                out += lines(item, indent + "  ") if isinstance(item, dict) else [f"{indent}  {item.hex()}"]
        else:
            out.append(f"{indent}{name}: {value.hex() or '(none)' if isinstance(value, bytes) else value}")
    return out


def offered(field: bytes) -> str:
    return ", ".join(ciphers.NAMES.get(n, f"{n} (unknown)") for n in layouts.check_ciphers_offered(field))


def explain_control(data: bytes) -> list[str]:
    messages, violation = control.decode(data)
    out = lines({"messages": messages})
    out += [f"  code: {close_code(message['close_code'])}" for message in messages if message["message"] == "close"]
    return out + ["  violation: the rest is ignored and counted"] if violation else out


def explain_packet(data: bytes, a: argparse.Namespace) -> list[str]:
    require(8 <= a.window <= 32768, "range", "packet window is 8 to 32,768")
    header, sealed = decode_header(data, a.window)
    out = lines({name: value for name, value in vars(header).items() if value is not None})
    tag = ciphers.tag_length(a.cipher, header.type, a.tag)
    out.append(f"  sealed: {len(sealed)} bytes, of them {tag} of tag")
    require(len(sealed) >= tag, "size", "shorter than its tag")
    if a.r is None:
        return out
    counter = None
    if header.type in SEQUENCED:
        sequence = full_sequence(header.sequence_low, a.r, a.window)
    else:
        counter = full_counter(header.counter_low, a.c)
        sequence = full_book_sequence(header.sequence_low, a.r, a.window)
        out.append(f"  counter: {counter}")
    out.append(f"  sequence: {sequence}, generation {sequence >> 16}")
    if a.a_last is None:
        return out
    ack = full_ack(header.ack_low, a.a_last, a.window)
    out.append(f"  ack: {ack}")
    if a.prk is None:
        return out
    traffic = traffic_secret(parse_hex(a.prk, "prk"), a.direction, sequence >> 16)
    keys = generation_keys(traffic, a.cipher)
    text = open_packet(a.cipher, a.tag, keys, data, header, sealed, sequence, ack, counter)
    _, bits, payload = split_ack_bytes(header.ack_form, text)
    if header.ack_form == 0:
        out.append(f"  report: everything after the last one reported, up to {ack}, was delivered")
    else:
        first = max(0, ack - 8 * len(bits) + 1)
        marks = "".join("x" if reported(bits, ack, n) else "." for n in range(first, ack + 1))
        out.append(f"  report: {first} to {ack}: {marks} (x: delivered)")
    if header.type == "control":
        return out + explain_control(payload)
    return out + [f"  payload: {payload.hex() or '(none)'}"]
