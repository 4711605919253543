"""What the client writes by itself, beside what the server reads."""

import os
import tempfile
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flags.client import connection
from flags.client.contexts import unleash_context
from flags.client.hooks import EvaluationReason, FlagEvaluation
from flags.evaluation.contexts import SIGNUP_DATE
from flags.evaluation.timestamps import format_timestamp

ZONED = st.datetimes(timezones=st.timezones()).filter(lambda instant: 1 < instant.year < 9999)


@given(ZONED)
def test_a_signup_date_is_spelled_as_the_server_spells_it(instant: datetime) -> None:
    context = unleash_context("7", instant, {})
    assert context["properties"] == {SIGNUP_DATE: format_timestamp(instant)}


def test_what_is_kept_is_in_a_folder_that_nobody_else_can_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    own = connection.connect("http://127.0.0.1:1", "*:staging.x")._cache_dir
    assert (own.parent, own.stat().st_mode & 0o777) == (tmp_path, 0o700)
    assert connection.connect("http://127.0.0.1:1", "*:staging.x")._cache_dir == own
    own.chmod(0o777)
    other = connection.connect("http://127.0.0.1:1", "*:staging.x")._cache_dir
    assert (other != own, other.stat().st_mode & 0o777) == (True, 0o700)
    own.rmdir()
    own.symlink_to(other)
    assert connection.connect("http://127.0.0.1:1", "*:staging.x")._cache_dir not in (own, other)


def test_a_process_that_is_forked_while_another_thread_begins_does_not_wait_for_it(tmp_path: Path) -> None:
    flags = connection.connect("http://127.0.0.1:1", "*:staging.x", cache_dir=tmp_path)
    with flags._starting:
        child = os.fork()
        if child == 0:
            os._exit(0 if flags._starting.acquire(timeout=5) else 1)
    _, status = os.waitpid(child, 0)
    assert status == 0


def test_the_environment_variable_that_switches_a_flag_off_leaves_no_variant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = list[FlagEvaluation]()
    flags = connection.connect("http://127.0.0.1:1", "*:staging.x", cache_dir=tmp_path, hooks=[told.append])
    monkeypatch.setenv("CHECKOUT", "off")
    assert flags.variant("CHECKOUT", "ann") == {"name": "disabled", "enabled": False, "feature_enabled": False}
    assert [(each.value, each.variant, each.reason) for each in told] == [(False, "disabled", EvaluationReason.STATIC)]
