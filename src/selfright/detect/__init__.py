"""What is odd: detectors that read outcomes one at a time and speak only on a change.

``detection``        the nouns: what is watched, what a detector says, the protocol it obeys
``policy``           thresholds and the numbers of the rules, as one frozen record
``window``           the mean of all outcomes in the window against its threshold
``beta``             how probable it is that the true rate is beyond the threshold
``incomplete_beta``  the function behind it
``watch``            every detector of every metric of every agent, behind one call

A detector is given values in which *low is bad*; the watch turns error rates, latencies
and amounts round by their sign. Sums are exact: scores are multiples of 2^-32 and
amounts are whole units, so no order of arrival and no batching changes a decision.

============================  ==============================  =========================
evidence                      detector                        says
============================  ==============================  =========================
windowed mean, n >= 20        ``window.WindowRule``           ``beyond`` / ``cleared``
P(beyond threshold) >= .95    ``beta.BetaRule``               ``likely`` / ``unlikely``
============================  ==============================  =========================

A further detector is one more class that obeys ``detection.Detector`` and one more entry
in ``watch.DETECTORS``.
"""
