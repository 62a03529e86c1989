"""Self-made vectors agree, and no value in them can be changed without being noticed."""

import copy
import json
import random
import tempfile
import unittest
from pathlib import Path

from .. import golden
from .selfmade import make_all

SEED = 1
FILES = make_all(SEED)


def leaves(value, path=()):
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, path + (key,))
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from leaves(item, path + (i,))
    else:
        yield path


def must_matter(vector, path):
    """Whether a change of the value at this path has to be noticed: not in inputs that are wrong on purpose."""
    if path[-1] in ("name", "note", "difficulty", "ip") or path[:2] == ("host", "settings"):
        return False
    if "ciphers_allowed" in path or vector.get("valid") is False:
        return False  # a lower difficulty may be met by the same solution; a scope is left out of an address;
        # a cipher that was not offered may be allowed or not; the host's wish decides only if it is the stricter one
    if "refused" in vector:
        return path[-1] == "refused"
    if path[0] == "nonces" and path[-1] == "cipher" or vector["kind"] == "datagram":
        return False  # salts are the same for all ciphers; only the first byte of a datagram is looked at
    event = vector["events"][path[1]] if path[0] == "events" else {}
    return not (path[-1] in ("hex", "datagram") and event.get("event") in ("receive", "lost"))


def changed(value):
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if value == "":
        return "00"
    last = value[-1]
    return value[:-1] + ("1" if last != "1" else "2")


class Golden(unittest.TestCase):
    def test_self_made_vectors_agree(self):
        with tempfile.TemporaryDirectory() as folder:
            for file, content in FILES.items():
                (Path(folder) / f"{file}.json").write_text(json.dumps(content))
            lines = []
            self.assertEqual(golden.check_folder(Path(folder), lines.append), 0, "\n".join(lines))
            (Path(folder) / "token.json").unlink()
            self.assertEqual(golden.check_folder(Path(folder), lines.append), 1)

    def test_every_changed_value_is_noticed(self):
        rng = random.Random(SEED)
        for file, content in FILES.items():
            for vector in content["vectors"]:
                paths = [path for path in leaves(vector) if must_matter(vector, path)]
                few = 12 if file in ("handshake", "packets") else 40
                for path in rng.sample(paths, min(few, len(paths))):
                    bad = copy.deepcopy(vector)
                    parent = bad
                    for key in path[:-1]:
                        parent = parent[key]
                    parent[path[-1]] = changed(parent[path[-1]])
                    with self.subTest(seed=SEED, file=file, vector=vector["name"], path=path):
                        self.assertIsNotNone(golden.check_vector(file, bad))

    def test_unknown_and_missing_keys_are_noticed(self):
        for file, content in FILES.items():
            vector = content["vectors"][0]
            self.assertIsNotNone(golden.check_vector(file, vector | {"more": 1}))
            for key in set(vector) - {"name"}:
                less = {name: value for name, value in vector.items() if name != key}
                with self.subTest(file=file, key=key):
                    self.assertIsNotNone(golden.check_vector(file, less))

    def test_the_runs_contain_what_they_should(self):
        """The self-made runs reach every form, reason and outcome that the checker knows."""
        events = [event for vector in FILES["packets"]["vectors"] for event in vector["events"]]
        self.assertLessEqual(set(range(8)), {event.get("ack_form") for event in events})
        self.assertLessEqual({"late", "late_counter", "forged", "no_keys"}, {event.get("reason") for event in events})
        self.assertLessEqual({"taken", "not_taken", "dropped"}, {event.get("result") for event in events})
        self.assertLessEqual({"read", "old"}, {event.get("report") for event in events})
        self.assertLessEqual({"window_full", "take_verdicts", "lost"}, {event["event"] for event in events})
