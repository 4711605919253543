"""No page of a new installation leads anybody to one that they may not open, or that is not there."""

import re
from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

pytestmark = pytest.mark.database("sqlite")

LINK = re.compile(r'href="(/(?!static/|live/)[^"#]*)')
VALUE = re.compile(r"\d+|(?<==)[^&]+|\b[A-Z][A-Z0-9_]{2,}|(?<=/alerts/)\w+")
"""Pages that differ by a number, a name or a filter are one page here."""

SignIn = Callable[[str], FlaskClient]


@pytest.mark.usefixtures("planned")
@pytest.mark.parametrize("name", ["victor", "olga"])
def test_every_link_opens(sign_in: SignIn, name: str) -> None:
    browser, waiting, seen = sign_in(name), [("/", "")], set[str]()
    while waiting:
        path, origin = waiting.pop()
        answer = browser.get(path)
        assert answer.status_code < 400, f"{path}, to which {origin} leads {name}"
        found = {VALUE.sub("…", each): each.replace("&amp;", "&") for each in LINK.findall(answer.text)}
        waiting += [(address, path) for shape, address in found.items() if shape not in seen]
        seen |= found.keys()
    assert len(seen) > 15
