"""Kept, in order: the log that every state is a fold over.

``protocol``   what a log promises: append, read, checkpoints, retention
``memory``     a bounded log without files
``sqlite``     a durable log in one file; its format is ``docs/format/log.md``
``writer``     the one thread that writes a log: many submitters, few syncs

How it decides what a delivery comes to, the same for every kind of log, without I/O:

``identity``   which of two contents of one thing wins
``link``       what is remembered about a task, a run's name, an outcome's id
``book``       what the decisions ask of a log, and tell it; ``memory_book``, ``table_book``
``join``       one append, settled: ``arrival`` for its runs, ``group`` for outcomes
``expiry``     what is forgotten when retention takes rows away
``assembly``   settled rows to a commit and a receipt; ``page`` to pages

What it is kept in:

``stored``     rows as bytes; ``commit_rows`` a commit as rows of tables
``schema``     the tables, their version, and what SQLite's errors mean
``link_rows``  links as rows of a table; ``wide_link`` those too long to be read whole
``readers``    connections for reading
``tail``       the newest commits, decoded
``checkpoint`` snapshots of the folded state
``lock``       one owner per log; ``fork`` what becomes of a log in a forked child
"""
