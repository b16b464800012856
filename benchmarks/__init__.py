"""Benchmarks: ratios to a named peer in the same run. Absolute figures are orientation."""
