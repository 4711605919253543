"""What every command shares: what it counted reaches the guard, whatever became of the command."""

from collections.abc import Callable

import click
import pytest
from click.testing import CliRunner, Result
from flask import Flask
from sqlalchemy.exc import OperationalError

from control_plane.platform.db.database import read_only
from control_plane.platform.observability import signals
from control_plane.platform.observability.signals import BUFFER, Sample, SeriesKey
from control_plane.platform.runtime import cli_support
from control_plane.platform.runtime.cli_support import CommandFailed, in_application
from control_plane.signal_counts import Counts

Run = Callable[[Callable[[], None]], Result]


@pytest.fixture
def run(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a function as a command on the application of the test."""
    BUFFER.get(app).take()
    monkeypatch.setattr(cli_support, "application", lambda **_: app)
    return lambda function: CliRunner().invoke(click.command()(in_application(function)))


def count() -> None:
    signals.record(Sample("beans_spilled", bad=True))


def stored(app: Flask) -> Counts | None:
    with app.app_context(), read_only() as session:
        return signals.totals(session).get(SeriesKey("beans_spilled"))


def test_what_a_command_counted_is_written(app: Flask, run: Run) -> None:
    assert run(count).exit_code == 0
    assert stored(app) == Counts(1, 1)


@pytest.mark.database("sqlite")
def test_a_command_that_failed_has_counted_all_the_same(app: Flask, run: Run) -> None:
    def fail() -> None:
        count()
        raise CommandFailed("It can't be done.")

    assert (result := run(fail)).exit_code == 1
    assert result.output == "Error: It can't be done.\n"
    assert stored(app) == Counts(1, 1)


@pytest.mark.database("sqlite")
def test_counts_that_can_not_be_written_fail_no_command(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_now: object) -> None:
        raise OperationalError("INSERT", {}, Exception("away"))

    monkeypatch.setattr(signals, "flush", away)
    assert run(count).exit_code == 0
