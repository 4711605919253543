"""The gateway side of WSGI (PEP 3333), between Granian and the application.

Granian's own gateway reads the body of a request while the request holds one of its threads, for as long as the client
likes, and spells `X-Forwarded-For` and `X_Forwarded_For` alike. This one is built on Granian's RSGI worker, which gives
the names as they were sent and the body as it comes. No event loop runs: a request without a body goes straight to the
application in the thread in which Granian brings it; a body that is still on its way holds no thread at all.
"""
