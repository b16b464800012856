"""The rules of the watch for all streams at once, in columns of numpy.

``entries``       a block of rows as one sequence of values per stream: a metric of a scope
``window``        the windowed mean against its threshold
``beta``          the latest outcomes and what they make probable
``question``      what the Beta rule asks of a rate, and its answers
``out_of_order``  latest outcomes that leave the window out of order
``latch``         state machines over a block: what was switched last
``ring``          the latest outcomes of rates, with their minutes
``lanes``         rows of whole numbers, each as narrow as its numbers allow
``standing``      what is likely at this moment, at any row of a block
``state``         all of it as arrays for a checkpoint

Everything is a whole number: 0 or 1, a score in 2^-32, microseconds, nano-dollars, KiB, tokens.
So sums are exact in whatever order they are taken, and a running sum over a block gives, at every
row, the very number that adding up row by row would have given. Thresholds are turned into the
same units once; a score's differs by a power of two from what users write, which moves no digit.

A block is taken in for the time being: ``feed`` computes and changes nothing that can be seen,
``keep`` writes.
"""
