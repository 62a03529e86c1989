"""The one exception with which an input is refused."""


class Refused(Exception):
    """An input that a receiver must refuse. `reason` is a name from VECTORS.md, `detail` is for people."""

    def __init__(self, reason: str, detail: str = ""):
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


def require(condition: bool, reason: str, detail: str = "") -> None:
    if not condition:
        raise Refused(reason, detail)
