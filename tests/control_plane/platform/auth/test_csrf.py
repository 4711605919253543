"""What another site makes a browser send is refused; our own pages and programs pass."""

import pytest
from flask import Request
from werkzeug.datastructures import Headers
from werkzeug.test import EnvironBuilder

from control_plane.platform.auth.csrf import refuse_cross_origin
from control_plane.platform.problems import Problem


def check(**headers: str) -> None:
    named = Headers([(name.replace("_", "-"), value) for name, value in headers.items()])
    environ = EnvironBuilder("/rollback", base_url="https://rollout.example:8443", method="POST", headers=named)
    refuse_cross_origin(Request(environ.get_environ()))


def refused(**headers: str) -> bool:
    with pytest.raises(Problem) as refusal:
        check(**headers)
    return refusal.value.code == "CROSS_ORIGIN"


@pytest.mark.parametrize("site", ["same-origin", "none"])
def test_our_own_page_and_the_address_bar_pass(site: str) -> None:
    check(Sec_Fetch_Site=site)


@pytest.mark.parametrize("site", ["cross-site", "same-site", "", "SAME-ORIGIN", "unheard-of"])
def test_every_other_site_is_refused_even_a_sibling(site: str) -> None:
    assert refused(Sec_Fetch_Site=site)
    assert refused(Sec_Fetch_Site=site, Origin="https://rollout.example:8443")


def test_an_older_browser_is_judged_by_its_origin() -> None:
    check(Origin="https://rollout.example:8443")
    assert refused(Origin="https://rollout.example")
    assert refused(Origin="https://evil.example")
    assert refused(Origin="https://rollout.example:8443.evil.example")
    assert refused(Origin="null")


def test_a_program_that_states_neither_passes() -> None:
    check()


@pytest.mark.parametrize("origin", ["https://[", "//", "\x7f", "https://user@rollout.example:8443"])
def test_an_origin_that_cannot_be_read_is_refused(origin: str) -> None:
    assert refused(Origin=origin)
