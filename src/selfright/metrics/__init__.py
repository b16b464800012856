"""How it goes: what the fleet did and what came of it, as figures over a window.

The way of an event through this room::

    batch -> columns (exact integers per agent and minute) -> minute -> totals -> snapshot

``store``        every question; ``ledger``: the sums behind it; ``policy``: its numbers
``columns``      which integers are added up, and how a batch becomes them
``minute``       one minute of every agent; ``totals``: sums over many minutes
``paged``        counts per agent and slot (latency buckets, labels), dense in small pages
``labels``       sources of feedback, types of errors and of tasks as slots
``histogram``    logarithmic buckets and the quantiles read from them
``window``       running totals of the configured window; forgets on read
``digest``       fleet-wide figures per span of minutes; ``series``: one metric over time
``figures``      what totals hold of many agents; ``rates``: what that amounts to
``interval``     how sure a figure is; ``blanked``: columns as lists, None where unknown
``snapshot``     PerformanceMetrics, AgentPerformance, made of columns
``scores``       agents beside their fleet; ``performance``: with their metrics
``trend``        improving, stable or degrading; ``metric_type``: which metrics there are
``accuracy``     how near a prediction comes to the truth
``state``        a store as arrays and back

Additive state is int64 (microseconds, nano-dollars, counts, scores x 2^32). Integer
addition commutes, so that batching, order, merging and retraction cannot change a sum.
"""
