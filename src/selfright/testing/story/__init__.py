"""The language of the golden cases: what happened, and what must come of it.

A case is plain text that an operator can read and write::

    # Accuracy falls below 70 %: alert, incremental retraining, promotion.
    settings trigger.cooldown_s=60
    load 1s agent=planner
      run     status=success latency_ms=100 x100
      outcome correct x60 wrong x40
    eval at 100s
      expect metric planner accuracy 0.60
      expect alert planner accuracy raised threshold=0.70
      expect no decision retrain full

``settings KEY=VALUE ...``
    Changes settings for the whole case; stands before everything else.
``load STEP [from=TIME] [xN] [FIELD=VALUE ...]``
    Starts a block of events, STEP apart. It begins where the block before ended, or at
    ``from``; blocks may overlap in time. ``xN`` repeats the block. Fields hold for all of
    its runs and outcomes.
``run [mixed] [STATUS [xN]] ... [FIELD=VALUE ...] [xN]``
    Runs, in the order of the words, or ``mixed`` evenly. Fields are those of
    ``record_agent_run``; short for some: ``agent task version latency_ms tokens id``.
    ``late=TIME`` makes a run arrive that much later than it happened. An ``id`` or a
    ``task`` that covers several runs is numbered: ``r-1``, ``r-2`` ...
``outcome [mixed] [correct|wrong|SCORE [xN]] ... [FIELD=VALUE ...] [xN]``
    Real outcomes of the runs of the line before, one each in order, ``delay=TIME`` after
    them; joined by run id, with ``by=task`` by task id. With ``run=``, ``task=`` or
    ``alone=yes`` they belong to no line before and come STEP apart like runs. Fields are
    those of ``record_accuracy``; ``predicted=`` and ``actual=`` leave the score to it.
``act VERB [WORD ...] [FIELD=VALUE ...]``
    What an operator does, at the time the block has reached, or at ``at=TIME``.
``eval at TIME``
    Takes in everything that arrived before TIME, and then looks.
``expect [no] KIND [WORD ...] [FIELD OP VALUE ...]``
    What must hold. OP is one of ``= != < <= > >=``; times are written ``90s``.

Times are seconds since the start of the case: ``500ms``, ``10s``, ``5m``, ``2h``, ``1d``,
``1h30m``. Everything behind ``#`` is a remark; those at the top are the case's promise.
What the expectations mean is the business of whoever runs the case.

The language in modules: ``record`` what a case says, ``token`` its words, ``parser``.
"""
