"""Access: who may do what. A key for every request, or nobody but this machine.

``key``       one key: what its text is made of, what is kept of it, what it allows
``book``      where keys are kept: the port, and one in memory
``key_file``  the keys of a data directory
"""
