"""Sensor series with labelled anomalies: our detectors under the scoring of NAB, beside its board.

``corpus``      the 58 series and their windows
``scoring``     what a detection is worth; one threshold for all series
``references``  nothing, perfection, chance, and a window under a normal distribution
``ours``        the detectors of quantities, as they ship
``once``        what a few lines more make of one of them
``page``        the page of the documentation

A. Lavin, S. Ahmad, "Evaluating real-time anomaly detection algorithms - the Numenta anomaly
benchmark" (2015).
"""
