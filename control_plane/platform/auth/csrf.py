"""Refusing what another site makes a signed-in browser send: no token in the form, the browser itself tells.

Browsers state where a request comes from in `Sec-Fetch-Site`, older ones and plain HTTP in `Origin`. A caller that
states neither is no browser, and so carries nobody's cookie by accident.
"""

from flask import Request

from control_plane.platform.problems import Problem

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
OWN_SITES = ("same-origin", "none")


def refuse_cross_origin(request: Request) -> None:
    """Raise a Problem for a request that another origin caused; safe methods need no such check."""
    if _is_ours(request):
        return
    source = request.headers.get("Origin") or request.headers.get("Sec-Fetch-Site") or "another site"
    detail = f"The request was made by {source[:100]}, not by our own page; open the page and repeat it there."
    raise Problem(403, "CROSS_ORIGIN", detail)


def _is_ours(request: Request) -> bool:
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in OWN_SITES
    origin = request.headers.get("Origin")
    # The scheme stays out of it: behind a proxy that ends TLS, the browser's is https and ours is http.
    return origin is None or origin.partition("://")[2] == request.host
