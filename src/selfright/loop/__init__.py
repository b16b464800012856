"""The circle: a fold over the log, and the threads that turn it.

``effects``  what a fold asks the world to do
``evidence`` the rows of a commit, one after the other, through the detectors
``slot``     one model: what serves, its challenger, and the gate between them
``fold``     the state of everything as a function of the log: ``apply(commit)``
``ports``    what the circle needs from outside, as protocols
``control``  threads, the executor of effects, checkpoints, recovery
``simulate`` the same circle without threads, over a file
"""
