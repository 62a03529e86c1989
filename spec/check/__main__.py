"""python3 -m check decode HEX | vectors FOLDER | selftest | party URL NAME | nat URL"""

import argparse
import sys
import unittest
from pathlib import Path

from . import decode, golden, party
from .errors import Refused
from .golden.vector import Mismatch


def run_selftest() -> int:
    suite = unittest.defaultTestLoader.discover(str(Path(__file__).parent / "tests"),
                                                top_level_dir=str(Path(__file__).parents[1]))
    return 0 if unittest.TextTestRunner(verbosity=1).run(suite).wasSuccessful() else 1


def main() -> int:
    parser = argparse.ArgumentParser(prog="python3 -m check", description="An independent reading of PROTOCOL.md.")
    commands = parser.add_subparsers(dest="command", required=True)
    explain = commands.add_parser("decode", help="explain one datagram, or say why a receiver drops it")
    explain.add_argument("hex")
    decode.add_options(explain)
    check = commands.add_parser("vectors", help="recompute the golden vectors and compare")
    check.add_argument("folder", type=Path)
    commands.add_parser("selftest", help="test this program itself")
    introduced = commands.add_parser("party", help="be introduced to a host by a lobby, and send it a packet")
    introduced.add_argument("url", help="torque://[KEY@]HOST[:PORT], as `torque introduce` prints it")
    introduced.add_argument("name", help="the name of a host that echoes: `torque host --via URL --as NAME`")
    nat = commands.add_parser("nat", help="ask a lobby how the NAT of this machine behaves")
    nat.add_argument("url", help="torque://[KEY@]HOST[:PORT], as `torque introduce` prints it")
    arguments = parser.parse_args()
    if arguments.command == "vectors":
        return 1 if golden.check_folder(arguments.folder) else 0
    if arguments.command == "selftest":
        return run_selftest()
    if arguments.command == "party":
        return party.run(arguments.url, arguments.name)
    if arguments.command == "nat":
        return party.look_at_nat(arguments.url)
    try:
        print("\n".join(decode.explain(arguments)))
    except (Refused, Mismatch) as refused:
        print(f"refused: {refused}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
