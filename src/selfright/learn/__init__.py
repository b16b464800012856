"""What we believe: five models that learn from every outcome, and how they are judged.

``model_type``         the five names
``strategy``           the four rules of forgetting
``samples``            what is learnt from: columns of arm, group, target, weight, time
``settings``           every constant with its reason
``model``              what a model promises; makes one, or reads one back
``features``           what a context says in numbers
``choice``             agent selection, routing, parameter optimisation
``value``              quality and latency with intervals
``regimes``            whether an arm has changed; ``changing`` does something about it
``hierarchy``          the common core: shrunk means of fleet, arm and group
``backtest``           a model against a full matrix of rewards, from bandit feedback
``feed``, ``recent``   from runs and outcomes to samples; the newest of every agent
``performance_model``  the selection model by itself

Everything is arrays in, arrays out; chance comes as a numpy ``Generator``, time not at all.
"""
