"""Whatever Prometheus' address answers, there is a number or a sentence that says why there is none."""

import pytest

from alerts.prometheus_queries.prometheus import QueryError, query_total
from tests.raw_server import UNREADABLE, answering, with_body

NOW = 1_790_000_000.0
NONSENSE = {
    "a list": b"[]",
    "no data": b'{"status": "success"}',
    "data that is none": b'{"status": "success", "data": 7}',
    "no instant": b'{"status": "success", "data": {"resultType": "scalar", "result": ["soon", "1"]}}',
    "no number": b'{"status": "success", "data": {"resultType": "scalar", "result": [1790000000, "many"]}}',
    "null": b'{"status": "success", "data": {"resultType": "scalar", "result": [null, null]}}',
}


@pytest.mark.parametrize("words", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_what_can_not_be_read_is_said_to_be_no_answer(words: bytes) -> None:
    with answering(words) as url, pytest.raises(QueryError, match=r"Prometheus (can't|gave|refuses)"):
        query_total(url, "up", at=NOW)


@pytest.mark.parametrize("body", NONSENSE.values(), ids=NONSENSE.keys())
def test_an_answer_without_a_number_says_so(body: bytes) -> None:
    with answering(with_body(body)) as url, pytest.raises(QueryError):
        query_total(url, "up", at=NOW)


def test_a_number_is_taken() -> None:
    body = b'{"status": "success", "data": {"resultType": "scalar", "result": [1790000000, "41.5"]}}'
    with answering(with_body(body)) as url:
        assert query_total(url, "up", at=NOW) == 41.5
