"""What a relay says of an upstream that it can't ask, or whose answer it can't read."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from control_plane.platform.identity_types import Token
from control_plane.platform.problems import Problem
from flags.relay.tokens import RelayTokens
from flags.relay.upstream import Upstream, UpstreamError
from tests.raw_server import UNREADABLE, answering, with_body

TOKEN = "*:production.x"
ASK: dict[str, Callable[[Upstream], object]] = {
    "poll": lambda upstream: upstream.poll(TOKEN, ""),
    "validate": lambda upstream: upstream.validate([TOKEN]),
}


@pytest.mark.parametrize("words", UNREADABLE.values(), ids=UNREADABLE.keys())
@pytest.mark.parametrize("ask", ASK.values(), ids=ASK.keys())
def test_an_answer_that_can_not_be_read_is_no_answer(ask: Callable[[Upstream], object], words: bytes) -> None:
    with answering(words) as url, pytest.raises(UpstreamError):
        ask(Upstream(url))


@pytest.mark.parametrize("name", ["no HTTP", "nothing", "a chunk broken off"])
def test_a_stream_that_is_none_or_breaks_off_is_said_to_be_broken(name: str) -> None:
    with answering(UNREADABLE[name]) as url, pytest.raises(UpstreamError):
        list(Upstream(url).follow(TOKEN, None))


@pytest.mark.parametrize("name", ["no HTTP", "nothing", "broken off", "a chunk broken off"])
def test_results_whose_answer_can_not_be_read_are_not_known_to_be_taken(name: str) -> None:
    with answering(UNREADABLE[name]) as url, pytest.raises(UpstreamError):
        Upstream(url).forward("/api/experiments/F/results", "Bearer x", b"{}")


@pytest.mark.parametrize("body", [b"{}", b"[]", b'{"tokens": 7}', b'{"tokens": [7]}', b'{"tokens": [{"token": []}]}'])
def test_a_token_about_which_nonsense_was_answered_is_not_called_wrong(tmp_path: Path, body: bytes) -> None:
    with answering(with_body(body)) as url, pytest.raises(Problem) as refused:
        RelayTokens(Upstream(url), tmp_path / "tokens.json").check(TOKEN, datetime.now(UTC))
    assert refused.value.status == 503


def test_a_token_opens_the_relay_though_the_disk_takes_nothing(tmp_path: Path) -> None:
    (tmp_path / "full").write_text("where the folder should be")
    body = b'{"tokens": [{"token": "*:production.x", "type": "client", "environment": "production"}]}'
    with answering(with_body(body)) as url:
        found = RelayTokens(Upstream(url), tmp_path / "full" / "tokens.json").check(TOKEN, datetime.now(UTC))
    assert isinstance(found, Token)


@pytest.mark.parametrize("token", ["*:production.secret\n", "*:production.secret\nX-More: 1", "*:production.secret…"])
def test_a_token_that_no_header_takes_is_not_repeated(token: str) -> None:
    with pytest.raises(UpstreamError, match="can't be sent") as refused:
        Upstream("http://127.0.0.1:9").poll(token, "")
    assert "secret" not in str(refused.value)
    assert refused.value.__suppress_context__
