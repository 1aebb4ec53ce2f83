"""Calls that are not replayed: Python runs, stretches of its operations run as programs."""
