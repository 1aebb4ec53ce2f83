"""Calls, operators and arrays of NumPy in a recorded call."""
