"""What tests of a system that uses Selfright need; Selfright's own tests use the same.

``clock``  a clock that stands still until it is told to move
``fleet``  a seeded fleet of simulated agents that degrade and recover on schedule
``detector_checks``  what every detector of a drop has to keep
``learner_checks``  what every learner has to keep, one of the user's own, too
``story``  the language of the golden cases: what happened, and what must come of it
"""
