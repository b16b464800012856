"""Speed of one component at a time, beside its peer: ``python -m benchmarks.speed``."""
