"""Access: who may do what. A key for every request, or nobody but this machine.

``key``       one key: what its text is made of, what is kept of it, what it allows
``book``      where keys are kept: the port, and one in memory
``key_file``  the keys of a data directory
``ring``      which keys count now
``session``   what a browser holds instead of a key
``failures``  how many wrong keys an address may present
``desk``      who asks, by key or by session
``door``      every request shows a key that may do what it asks, or is refused
``refusals``  what it is told then; ``login_page``: how a person is asked for a key
``routes``    log in and out, who am I, and the keys themselves
"""
