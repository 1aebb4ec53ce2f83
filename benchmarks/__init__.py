"""Speed, measured beside peers in one run: `python -m benchmarks` (see `--help`).

Comes in: workloads, each written for every library. Goes out: medians and ratios as a table and
as JSON in `benchmarks/results/`.
"""
