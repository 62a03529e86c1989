"""Checks the golden vectors, whose form is in VECTORS.md: everything in them is computed again and compared."""

import json
from collections.abc import Callable
from pathlib import Path

from ..errors import Refused
from . import (handshake_vectors, identity_vectors, keys_vectors, layouts_vectors, origin_vectors, packets_vectors,
               puzzle_vectors, token_vectors)
from .vector import Mismatch, Vector

CHECKERS: dict[str, dict[str, Callable[[Vector], None]]] = {
    "layouts": layouts_vectors.KINDS,
    "keys": keys_vectors.KINDS,
    "puzzle": puzzle_vectors.KINDS,
    "token": token_vectors.KINDS,
    "identity": identity_vectors.KINDS,
    "origin": origin_vectors.KINDS,
    "handshake": handshake_vectors.KINDS,
    "packets": packets_vectors.KINDS,
}


def check_vector(file: str, fields: dict) -> str | None:
    """What is wrong with one vector, or None."""
    try:
        vector = Vector(fields)
        kind = vector.text("kind")
        if kind not in CHECKERS[file]:
            return f"unknown kind {kind!r}"
        CHECKERS[file][kind](vector)
        vector.done()
    except Mismatch as mismatch:
        return str(mismatch)
    except Refused as refused:
        return f"refused: {refused}"
    except (KeyError, TypeError, ValueError, IndexError, OverflowError, AttributeError) as error:
        return f"not of the form of VECTORS.md: {type(error).__name__}: {error}"
    return None


def check_file(file: str, content: dict) -> list[tuple[str, str | None]]:
    """Name and fault (or None) of each vector of a file."""
    if set(content) - {"note"} != {"format", "file", "vectors"} or content["format"] != 1 or content["file"] != file:
        return [(f"{file}.json", "not a file of format 1 with this name")]
    if not content["vectors"]:
        return [(f"{file}.json", "no vectors")]
    results, names = [], set()
    for fields in content["vectors"]:
        name = fields.get("name", "(no name)")
        fault = "this name is taken" if name in names else check_vector(file, fields)
        names.add(name)
        results.append((name, fault))
    return results


def check_folder(folder: Path, out: Callable[[str], None] = print) -> int:
    """Prints one line a vector and a count; the number of faults."""
    good = bad = 0
    for file in CHECKERS:
        path = folder / f"{file}.json"
        try:
            results = check_file(file, json.loads(path.read_text()))
        except (OSError, ValueError, AttributeError, TypeError) as error:
            results = [(path.name, f"cannot be read: {error}")]
        for name, fault in results:
            out(f"ok    {file}: {name}" if fault is None else f"WRONG {file}: {name}: {fault}")
            good, bad = good + (fault is None), bad + (fault is not None)
    out(f"{good} agree, {bad} do not")
    return bad
