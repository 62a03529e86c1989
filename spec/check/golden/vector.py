"""Access to one JSON vector that notices wrong types, missing keys and keys that nobody looked at."""

from collections.abc import Callable
from typing import Any

from ..errors import Refused


class Mismatch(Exception):
    """A vector that does not agree with what was computed."""


def to_json(value: Any) -> Any:
    """Byte strings as hex, through dicts and lists."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {key: to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    return value


def same(a: Any, b: Any) -> bool:
    """Equality in which true is not 1."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


def parse_hex(text: Any, what: str) -> bytes:
    if not isinstance(text, str) or text != text.lower() or " " in text:
        raise Mismatch(f"{what} is not lower-case hex")
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise Mismatch(f"{what} is not lower-case hex") from None


class Vector:
    def __init__(self, fields: dict, path: str = ""):
        if not isinstance(fields, dict):
            raise Mismatch(f"{path or 'vector'} is not an object")
        self.fields, self.path = fields, path
        self.seen = {"name", "note"}

    def has(self, name: str) -> bool:
        return name in self.fields

    def raw(self, name: str) -> Any:
        self.seen.add(name)
        if name not in self.fields:
            raise Mismatch(f"{self.path}{name} is missing")
        return self.fields[name]

    def _typed(self, name: str, kind: type) -> Any:
        value = self.raw(name)
        if type(value) is not kind:
            raise Mismatch(f"{self.path}{name} is not of type {kind.__name__}")
        return value

    def bytes(self, name: str) -> bytes:
        return parse_hex(self.raw(name), self.path + name)

    def int(self, name: str) -> int:
        return self._typed(name, int)

    def bool(self, name: str) -> bool:
        return self._typed(name, bool)

    def text(self, name: str) -> str:
        return self._typed(name, str)

    def list(self, name: str) -> list:
        return self._typed(name, list)

    def object(self, name: str) -> "Vector":
        return Vector(self.raw(name), f"{self.path}{name}.")

    def objects(self, name: str) -> "list[Vector]":
        return [Vector(item, f"{self.path}{name}[{i}].") for i, item in enumerate(self.list(name))]

    def expect(self, name: str, computed: Any) -> None:
        """The value of this key must be the computed one."""
        given, wanted = self.raw(name), to_json(computed)
        if not same(given, wanted):
            raise Mismatch(f"{self.path}{name} is {shorten(given)}, computed {shorten(wanted)}")

    def expect_refused(self, attempt: Callable[[], Any]) -> None:
        """`refused` must be the reason with which the attempt is refused."""
        try:
            attempt()
        except Refused as refused:
            self.expect("refused", refused.reason)
        else:
            raise Mismatch(f"{self.path}must be refused ({self.raw('refused')}), and is not")

    def done(self) -> None:
        unknown = sorted(set(self.fields) - self.seen)
        if unknown:
            raise Mismatch(f"{self.path}unknown keys: {', '.join(unknown)}")


def shorten(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 160 else f"{text[:120]}… ({len(text)} characters)"
