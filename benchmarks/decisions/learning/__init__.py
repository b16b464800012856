"""Which agent gets a task? Our selection beside other bandits, on problems whose truth is known.

``problems``   ten agents whose success depends on the task
``scenarios``  what happens to them: degradation, arrivals, late and lost outcomes, costs
``policies``   what a policy is; LinUCB and the rule of success rates
``peers``      libraries behind the same protocol
``references`` what simple policies earn that know the future
``ours``       our selection behind it
``roster``     all that take part, and among which settings each may choose
``tuning``     the settings, chosen on problems that are never reported
``play``       one policy on one problem
``season``     all policies on all problems of a scenario, on several processes
``page``       the page of the documentation
``gate``       by itself: what the gate lets through, takes back, and reads from a log
"""
