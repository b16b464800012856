"""Models of the user's own, beside the fold: they learn from the log and never hold it up.

``protocol`` is what such a model has to do, ``events`` what it is given, ``stored`` how it
is kept as a version, ``slot`` its life (learn, retrain, trial, rollback), ``models`` all of
them and the thread that feeds them.
"""
