"""Models of the user's own, beside the fold: they learn from the log and never hold it up.

``protocol`` is what such a model has to do, ``events`` what it is given, ``stored`` and
``versions`` how it is kept. A ``follower`` learns the log; a ``slot`` has the one that serves
and those it is compared with, on ``trial`` and on ``watch``. ``refit`` makes a challenger,
``proving`` decides what becomes of it, ``told`` writes that to the log, ``beginning`` finds it
there after a restart. ``models`` are all of them and the thread that feeds them.
"""
