"""Where events come from besides Python calls and the wire.

``tabular``   files of runs and outcomes, as replay, backtest and import read them
``matrix``    such a file as a full agent x task matrix
``database``  runs in somebody else's table

Behind ``tabular``: ``parquet`` and ``textual`` open a file, ``mapping`` names its columns
in our words, ``arrange`` selects and orders its rows, ``cells`` and ``filling`` turn them
into what the door checks.
"""
