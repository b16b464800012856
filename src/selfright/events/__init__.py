"""What happened: the records, and the one door that lets them in.

``record``   the nouns: AgentRun, Outcome, Decision, retrainings, acts
``status``   the words a run may end with, and their aliases, as data
``door``     validation: the only place where a value from outside is checked
``batch``    the same records as columns, the form in which they travel on
``absent``   agents that an operator retired or deleted
``shown``    the way back: columns in the words and units of those who recorded them
``intern``   names to dense ints, once
``timestamp`` time at the edges: RFC 3339 and epoch seconds to microseconds
"""
