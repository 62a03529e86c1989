"""The 22 kinds of access of the matrix, and where a party stands with each."""

from introduction import Party
from nats import Firewall, Linux, Nat
from network import Network

HOME = ("EI", "APD", "preserve")
KINDS = {
    "public": None, "page": None, "fw6": None,
    "EI/EI": ("EI", "EI", "rand"), "EI/AD": ("EI", "AD", "rand"), "EI/APD": ("EI", "APD", "rand"),
    "AD/EI s": ("AD", "EI", "seq"), "AD/AD s": ("AD", "AD", "seq"), "AD/APD s": ("AD", "APD", "seq"),
    "AD/EI r": ("AD", "EI", "rand"), "AD/AD r": ("AD", "AD", "rand"), "AD/APD r": ("AD", "APD", "rand"),
    "APD/EI s": ("APD", "EI", "seq"), "APD/AD s": ("APD", "AD", "seq"), "APD/APD s": ("APD", "APD", "seq"),
    "APD/EI r": ("APD", "EI", "rand"), "APD/AD r": ("APD", "AD", "rand"), "APD/APD r": ("APD", "APD", "rand"),
    "linux": "accepts", "linux rej": "rejects",
    "cgn easy": ("EI", "EI", "rand"), "cgn hard": ("APD", "APD", "rand"),
}
INDEPENDENT = ("public", "page", "fw6", "EI/EI", "EI/AD", "EI/APD", "linux", "linux rej", "cgn easy")


def place(world, kind, side, noise=2.0, carrier_noise=20.0, timeout=60_000):
    """A party behind this kind of access."""
    delay = world.rng.uniform(5, 60)
    if kind in ("public", "page"):
        return Party(world, world.core, "P" + side, delay, side, passive=kind == "page")
    inside = Network("inside " + side)
    if kind == "fw6":
        firewall = Firewall(world, inside, world.core, "F" + side, timeout)
        party = Party(world, inside, "V" + side, delay, side, firewall)
        world.core.at["V" + side] = party
        return party
    if kind.startswith("linux"):
        Linux(world, inside, world.core, "G" + side, KINDS[kind] == "rejects", timeout)
    elif kind.startswith("cgn"):
        middle = Network("middle " + side)
        Nat(world, KINDS[kind], middle, world.core, "C" + side, noise=carrier_noise, timeout=timeout)
        Nat(world, HOME, inside, middle, "100.64." + side, noise=noise, timeout=timeout)
    else:
        Nat(world, KINDS[kind], inside, world.core, "G" + side, noise=noise, timeout=timeout)
    return Party(world, inside, "192.168.1." + side, delay, side)


def place_together(world, kind, carrier, hairpin):
    """Both behind one NAT; with `carrier` each at a home of its own."""
    shared = Network("shared")
    Nat(world, KINDS[kind], shared, world.core, "G", hairpin)
    delay, parties = world.rng.uniform(5, 60), []
    for side in "IH":
        if carrier:
            home = Network("home " + side)
            Nat(world, HOME, home, shared, "100.64." + side)
            parties.append(Party(world, home, "192.168.1.2", delay, side))
        else:
            parties.append(Party(world, shared, "192.168.1." + side, delay, side))
    return parties
