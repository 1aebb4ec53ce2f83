"""Running compiled functions: recording, guards, the trace tree, replay, and co-execution.

Comes in: a Python function and a call of it. Goes out: what the eager call would give, sooner.
"""
