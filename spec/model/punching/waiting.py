"""A person decides while a NAT forgets: does the handshake end well?"""

from matrix import introduce

# who decides for how long, and how long a NAT keeps a mapping that nobody uses
CASES = [("initiator decides for 30 s", {"I": 30_000, "H": 0}, 20_000), ("host decides for 30 s", {"I": 0, "H": 30_000}, 20_000),
         ("both decide for 60 s", {"I": 60_000, "H": 60_000}, 20_000), ("both decide for 60 s", {"I": 60_000, "H": 60_000}, 30_000)]
KINDS = [("EI/APD", "EI/APD"), ("EI/APD", "APD/APD r"), ("linux", "linux rej"), ("fw6", "fw6"), ("APD/APD s", "APD/APD s"), ("public", "EI/APD")]


def waits(case, kinds, runs, rules, loss):
    _, decides, timeout = CASES[case]
    results = [introduce(kinds if seed % 2 else kinds[::-1], seed * 7919 + 13, rules, loss, decides=decides, timeout=timeout) for seed in range(runs)]
    return sum(r["direct"] for r in results)


