"""The self-tests: `python3 -m check selftest`."""
