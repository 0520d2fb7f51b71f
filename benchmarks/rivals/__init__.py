"""clanpy beside what other deployers do, on hosts of a lab, by turns: see `python -m benchmarks.rivals --help`."""
