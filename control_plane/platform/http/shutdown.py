"""The last moments of a worker: no proxy is given a connection that will be closed while it sends on it.

A server that ends closes connections on which it hears nothing. A proxy may be sending on one at that very instant, and
then can't know whether its request was answered to: it tells its caller 502. So a worker that is to stop first answers
for a while with `Connection: close`, which takes connections out of the proxy's hands one by one.
"""

import threading

from control_plane.platform.extensions import AppState

LAST_ANSWERS_SECONDS = 0.5
"""As long as it takes until a proxy under load has used each of its connections once more."""
LAST_REQUESTS_SECONDS = 0.2
"""Afterwards: no connection is accepted any more, and those that were accepted are heard out."""
STOPPING = AppState[threading.Event]("stopping", threading.Event)
"""Set once a worker is about to stop."""
CLOSE = ("Connection", "close")
