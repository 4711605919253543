"""Statements by their text: one account, each shard, or across."""

import pytest

from credits_engine.distribution.statements import Reach, judge

COLUMNS = {"a": "user_id", "b": "user_id"}

ONE = (
    "SELECT * FROM a WHERE a.user_id = $1 FOR UPDATE",
    "SELECT * FROM a WHERE a.user_id = %(of_user)s::VARCHAR AND a.x > 2",
    "DELETE FROM a WHERE a.user_id = 'ada'",
    "SELECT * FROM a JOIN b ON b.user_id = a.user_id WHERE b.user_id = $1",
    "SELECT * FROM a, b WHERE a.user_id = $1 AND b.user_id = $1",
    "SELECT * FROM a LEFT JOIN b ON b.user_id = a.user_id WHERE a.user_id = $1",
    "SELECT * FROM a LEFT JOIN b ON b.user_id = $1 WHERE a.user_id = $1",
    "SELECT EXISTS (SELECT 1 FROM b WHERE b.user_id = a.user_id) FROM a WHERE a.user_id = $1",
    "INSERT INTO a (id, user_id) VALUES (1, $1) ON CONFLICT DO NOTHING",
    "SELECT * FROM a JOIN plan ON plan.name = a.plan WHERE a.user_id = $1",
)
ANY = (
    "SELECT * FROM a WHERE a.x = 1",
    "SELECT * FROM a WHERE a.user_id = $1 OR a.x = 2",
    "SELECT * FROM a WHERE NOT (a.user_id = $1)",
    "SELECT * FROM a WHERE lower(a.user_id) = $1",
    "SELECT * FROM a LEFT JOIN b ON b.user_id = a.user_id AND b.user_id = $1",
    "SELECT EXISTS (SELECT 1 FROM b WHERE b.user_id = a.user_id AND b.user_id = $1) FROM a",
    "UPDATE a SET x = 1 WHERE a.id = $1",
)
ACROSS = (
    "SELECT * FROM a, b WHERE a.user_id = $1 AND b.user_id = $2",
    "SELECT * FROM a JOIN b ON b.id = a.id WHERE a.user_id = $1",
    "SELECT * FROM a LEFT JOIN b ON a.user_id = $1 AND b.user_id = $1",
    "SELECT * FROM a FULL JOIN b ON b.user_id = a.user_id WHERE a.user_id = $1",
    "SELECT * FROM a WHERE a.id = $1 FOR UPDATE",
    "INSERT INTO a (id) VALUES (1)",
    "INSERT INTO a (id, user_id) VALUES (1, $1), (2, $2)",
    "INSERT INTO a (id, user_id) SELECT b.id, b.user_id FROM b WHERE b.user_id = $1",
    "SELECT * FROM a WHERE a.user_id = $1 AND EXISTS (SELECT 1 FROM a WHERE a.id = 1)",
    "not a statement at all (",
    "SELECT * FROM a WHERE a.user_id = $1; DELETE FROM a",
    "SELECT 1; DELETE FROM a",
)


@pytest.mark.parametrize(
    ("statement", "reach"),
    [
        *((each, Reach.ONE_ACCOUNT) for each in ONE),
        *((each, Reach.EACH_SHARD) for each in ANY),
        *((each, Reach.CROSSES) for each in ACROSS),
        ("SELECT * FROM plan WHERE plan.name = $1", Reach.ELSEWHERE),
    ],
)
def test_a_statement_reaches_as_far_as_its_text_shows(statement: str, reach: Reach) -> None:
    found = judge(statement, COLUMNS)
    assert found.reach is reach, found.reason
    assert bool(found.reason) is (reach is not Reach.ELSEWHERE)
