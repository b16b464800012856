"""Kept, in order: the log that every state is a fold over.

``protocol``   what a log promises: append, read, checkpoints, retention
``memory``     a bounded log without files

How it decides what a delivery comes to, the same for every kind of log, without I/O:

``identity``   which of two contents of one thing wins
``link``       what is remembered about a task, a run's name, an outcome's id
``book``       what the decisions ask of a log, and tell it
``join``       one append, settled: ``arrival`` for its runs, ``group`` for outcomes
``expiry``     what is forgotten when retention takes rows away
``assembly``   settled rows to a commit; ``stored`` to bytes; ``page`` to pages

``fork``       what becomes of logs in a forked child
"""
