"""Benchmarks of what is decided, not of how fast: figures that do not depend on the machine.

``table``  what is measured, beside its target: common to ``detection`` and ``learning``
"""
