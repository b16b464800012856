"""What is odd: detectors that follow every metric of every agent and speak only on a change.

``detection``        the nouns: what is watched, what a detector says
``policy``           thresholds and the numbers of the rules, as one frozen record
``watch``            the two rules below over all metrics of all agents, behind one call
``columns``          how it does that: a block of rows at once, in columns of numpy
``incomplete_beta``  the function behind the second rule
``certainty``        e-detectors: drops from what an agent was, with certainty
``labels``           whether the outcomes themselves can be trusted

Rules are given values in which *low is bad*; error rates, latencies and amounts are turned
round by their sign. Sums are exact: scores are multiples of 2^-32 and amounts are whole units,
so no order of arrival and no batching changes a decision.

============================  ==============================  =========================
evidence                      rule                            says
============================  ==============================  =========================
windowed mean, n >= 20        ``columns.window``              ``beyond`` / ``cleared``
P(beyond threshold) >= .95    ``columns.beta``                ``likely`` / ``unlikely``
============================  ==============================  =========================

What a rule is, outcome by outcome, stands in ``tests/laws/test_detect_rules.py`` in a few lines
each; the columns obey it on every stream.
"""
