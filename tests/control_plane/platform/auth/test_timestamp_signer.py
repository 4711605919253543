"""A signature lasts as long by every host's own clock, and a host that is off signs like all others."""

import time
from datetime import datetime, timedelta

import pytest
from itsdangerous import BadSignature, SignatureExpired, URLSafeTimedSerializer

from control_plane.platform import clock
from control_plane.platform.auth.timestamp_signer import SKEW, DatabaseTimestampSigner

AGE_MAX = 3600
SECOND = timedelta(seconds=1)


@pytest.fixture
def serializer() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer("a secret of this test", signer=DatabaseTimestampSigner)


def at(monkeypatch: pytest.MonkeyPatch, now: datetime) -> None:
    monkeypatch.setattr(clock, "now", lambda: now)


def test_the_host_s_own_clock_has_no_say(
    serializer: URLSafeTimedSerializer, monkeypatch: pytest.MonkeyPatch, now: datetime
) -> None:
    at(monkeypatch, now)
    monkeypatch.setattr(time, "time", (now + timedelta(minutes=5)).timestamp)
    signed = serializer.dumps("ada")
    monkeypatch.setattr(time, "time", (now - timedelta(minutes=5)).timestamp)
    found = serializer.loads(signed, max_age=AGE_MAX, return_timestamp=True)
    assert found == ("ada", now.replace(microsecond=0))


@pytest.mark.parametrize("later", [-SKEW, timedelta(0), timedelta(seconds=AGE_MAX)])
def test_it_is_valid_until_its_age_and_where_the_other_host_is_a_little_behind(
    serializer: URLSafeTimedSerializer, monkeypatch: pytest.MonkeyPatch, now: datetime, later: timedelta
) -> None:
    at(monkeypatch, now)
    signed = serializer.dumps("ada")
    at(monkeypatch, now + later)
    assert serializer.loads(signed, max_age=AGE_MAX) == "ada"


@pytest.mark.parametrize("later", [-SKEW - SECOND, timedelta(seconds=AGE_MAX) + SECOND])
def test_it_is_refused_before_and_after(
    serializer: URLSafeTimedSerializer, monkeypatch: pytest.MonkeyPatch, now: datetime, later: timedelta
) -> None:
    at(monkeypatch, now)
    signed = serializer.dumps("ada")
    at(monkeypatch, now + later)
    with pytest.raises(SignatureExpired):
        serializer.loads(signed, max_age=AGE_MAX)
    assert serializer.loads(signed) == "ada", "no age was asked for"


def test_a_forged_one_is_refused(serializer: URLSafeTimedSerializer) -> None:
    with pytest.raises(BadSignature):
        serializer.loads(serializer.dumps("ada")[:-2], max_age=AGE_MAX)
