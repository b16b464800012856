"""Certainty: whether an agent really became worse, with a bound on how often that is said in vain.

``bets``          what one outcome is worth as evidence of a drop
``lane``          the mixture Shiryaev-Roberts e-detector, one outcome at a time
``columns``       the state of many streams side by side
``passes``        the detector over some outcomes of each of many streams, exactly as ``lane``
``bank``          the same for blocks of outcomes, and who is told of alarms
``reference``     what an agent was: baseline and anchor of a rate
``rank``          what a quantity was: latency, cost, tokens and memory as ranks
``sides``         which streams are the sides of which baseline
``spike``         a single value far from all that was usual
``bound``         a lower bound of a mean, quickly
``change_point``  between which outcomes a drop began
``episode``       what follows an alarm, until it is over
``rates``         all that for success, freedom from errors and accuracy
``quantities``    all that for latency, cost, tokens and memory
``season``        the hour of the week, as far as the fleet shows that it matters
``budget``        how much evidence makes an alarm
``owners``        whose stream is which
``found``         what is found, before it is put into words
``said``          the same in a user's units
``fleet``         every stream of every agent, behind one call

What is guaranteed: among N updates of a detector whose outcomes keep their reference there are
N / A false alarms at most, on average, whatever the dependence between different agents.
That bounds a count, not a probability, and it says nothing while the mean given the past dips
below the reference, as after a failure in a burst; bursts are tempered instead (``bets``).
"""
