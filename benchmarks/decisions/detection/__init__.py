"""When is an agent really worse? Our detectors, River's and window rules on simulated agents.

``streams``    agents whose truth is known
``ours``       our detectors alone, for many streams at once
``acting``     watch, certainty and trigger together, for one agent
``peers``      River's detectors and the rules over a window
``limits``     how far chance may have flattered a figure
``alarms``, ``drops``, ``retrainings``, ``creeping``, ``real``, ``latency``, ``cost``  the scenarios
``scenarios``  their list
"""
