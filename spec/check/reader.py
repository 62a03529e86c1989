"""Reading fields off a byte string, strictly."""

from .errors import Refused


class Reader:
    def __init__(self, data: bytes):
        self.data = data
        self.offset = 0

    def take(self, size: int, what: str = "field") -> bytes:
        if self.offset + size > len(self.data):
            raise Refused("length", f"{what}: {size} bytes wanted, {len(self.data) - self.offset} left")
        self.offset += size
        return self.data[self.offset - size : self.offset]

    def number(self, size: int, what: str = "field") -> int:
        return int.from_bytes(self.take(size, what), "big")

    def rest(self) -> bytes:
        return self.take(len(self.data) - self.offset)

    def end(self, reason: str = "trailing") -> None:
        if self.offset != len(self.data):
            raise Refused(reason, f"{len(self.data) - self.offset} bytes too many")
