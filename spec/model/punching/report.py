"""Runs scenarios over many seeds, and writes tables."""

from multiprocessing import Pool

from matrix import quantile

ROUND_TRIPS = (20.0, 60.0, 150.0, 300.0)
INFINITE = float("inf")


def one(job):
    function, seed, rules, rtt, loss, options = job
    return rtt, function(seed, rules, rtt, loss, **options)


def many(scenarios, seeds, rules, loss, processes=2, round_trips=ROUND_TRIPS):
    """Every scenario for every round-trip time and seed: name -> [(round-trip time, counts)]. `scenarios`: name -> (function, options)."""
    jobs, names = [], []
    for name, (function, options) in scenarios.items():
        count = max(1, seeds // 10) if getattr(function, "long", False) else seeds
        for seed in range(count):
            for rtt in round_trips:
                jobs.append((function, seed, rules, rtt, loss, options))
                names.append(name)
    with Pool(processes) as pool:
        results = pool.map(one, jobs, chunksize=4)
    rows = {name: [] for name in scenarios}
    for name, result in zip(names, results):
        rows[name].append(result)
    return rows


def over(rows):
    """By how much each interruption is longer than two round trips."""
    return [gap - 2 * rtt for rtt, counts in rows for gap in counts["gaps"]]


def number(value):
    if value is None:
        return "–"
    if value == INFINITE:
        return "never"
    if isinstance(value, float) and value != int(value):
        return f"{value:,.2f}" if abs(value) < 10 else f"{value:,.0f}"
    return f"{int(value):,}"


def milliseconds(value):
    return "–" if value is None else "never" if value == INFINITE else f"{value:+,.0f}"


def mean(rows, key):
    values = [counts[key] for _, counts in rows if key in counts]
    return sum(values) / len(values) if values else None


def table(head, lines):
    print("| " + " | ".join(head) + " |")
    print("|" + " --- |" * len(head))
    for line in lines:
        print("| " + " | ".join(line) + " |", flush=True)
    print(flush=True)


def interruptions(rows_by_name, columns):
    """One line for each scenario: interruption beyond two round trips, and means of the columns that it counts."""
    lines = []
    for name, rows in rows_by_name.items():
        beyond = over(rows)
        times = [milliseconds(quantile(beyond, p)) for p in (0.5, 0.95, 1)] if beyond else ["–"] * 3
        lines.append([name.replace("_", " "), str(len(rows)), *times, *(number(mean(rows, c)) for c in columns)])
    table(["scenario", "runs", "median", "95 %", "most", *columns], lines)
