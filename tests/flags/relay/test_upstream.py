"""What a relay says of an upstream that it can't ask."""

import pytest

from flags.relay.upstream import Upstream, UpstreamError


@pytest.mark.parametrize("token", ["*:production.secret\n", "*:production.secret\nX-More: 1", "*:production.secret…"])
def test_a_token_that_no_header_takes_is_not_repeated(token: str) -> None:
    with pytest.raises(UpstreamError, match="can't be sent") as refused:
        Upstream("http://127.0.0.1:9").poll(token, "")
    assert "secret" not in str(refused.value)
    assert refused.value.__suppress_context__
