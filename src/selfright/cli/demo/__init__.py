"""``demo``: a simulated fleet whose best agent tips over, watched by the real system.

``cast``     who plays: 24 agents with known true quality, and what happens to one of them
``play``     the traffic: the model picks, the fleet answers, the monitor records
``tale``     what the system did about it, with numbers
``command``  both ways of showing it: live on the status page, or told at the end

Only the fleet is simulated. Nothing tells the system what will happen or when: it sees
runs and outcomes, as it would of any fleet.
"""
