"""The names of codes.csv."""

import csv
from pathlib import Path

with (Path(__file__).parents[1] / "codes.csv").open(newline="") as _file:
    _ROWS = list(csv.DictReader(_file))

# Number to name. Close codes that are not marked `wire` are for a program's own use.
REJECT = {int(row["number"]): row["name"] for row in _ROWS if row["table"] == "reject"}
CLOSE_ON_THE_WIRE = {int(row["number"]): row["name"] for row in _ROWS
                     if (row["table"], row["told"]) == ("close", "wire")}
CLOSE = {int(row["number"]): row["name"] for row in _ROWS if row["table"] == "close"}
CLOSED = next(number for number, name in CLOSE_ON_THE_WIRE.items() if name == "closed")


def close_code_told(number: int) -> int:
    """What a close code of the other side counts as (4.5)."""
    return number if number in CLOSE_ON_THE_WIRE else CLOSED
