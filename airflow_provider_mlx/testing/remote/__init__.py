"""
A remote backend without a cluster: a small HTTP server that really runs jobs, and the backend that talks to it.

``server`` accepts jobs and runs each as processes of its host; ``backend`` is its client, registered by third parties
and tests as ``fake-remote``; ``control`` starts a server and makes it misbehave on request; ``record`` reads what the
server wrote down, which is what a test asserts: never our own ledger.
"""
