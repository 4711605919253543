"""Asking over HTTP without following redirects: a token goes to the address it was given for, and no other."""

from http.client import HTTPMessage
from typing import IO
from urllib.request import HTTPRedirectHandler, Request, build_opener

NOT_FOLLOWED = "sends us elsewhere, and a redirect is not followed; write the address where it really is"


class _NoRedirect(HTTPRedirectHandler):
    def redirect_request(
        self, _req: Request, _fp: IO[bytes], _code: int, _msg: str, _headers: HTTPMessage, _newurl: str
    ) -> None:
        """Go nowhere: the redirect itself is the answer, an HTTPError."""


open_url = build_opener(_NoRedirect).open
"""As `urllib.request.urlopen`; a redirect is an HTTPError like any other refusal."""


def is_redirect(status: int) -> bool:
    """Return whether a response redirects. 304 only says that nothing is new."""
    return status in (300, 301, 302, 303, 305, 306, 307, 308)
