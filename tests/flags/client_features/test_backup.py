"""What is kept on disk survives whatever happens to the file."""

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flags.client_features import backup
from flags.client_features.feature_set import FeatureSource
from tests.flags.examples import EVERYTHING, EXPIRED, FLAG, NAMED, flag

FEATURE = {"name": "other", "enabled": True, "strategies": [{"name": "default"}]}


def source(revision: int) -> FeatureSource:
    rollout_flag = flag(exposure=EVERYTHING, denied={"eve": NAMED}, allowed={"ann": EXPIRED}, beta=frozenset({"bob"}))
    return FeatureSource("production", revision, {FLAG: rollout_flag}, (FEATURE,), ({"id": 1, "constraints": []},))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file of an environment that was kept twice, at revisions 1 and 2."""
    backup.save(tmp_path, source(1))
    backup.save(tmp_path, source(2))
    return tmp_path / "production.flags"


def test_what_is_kept_comes_back_as_it_was(path: Path) -> None:
    found = backup.load(path.parent, "production")
    assert found is not None
    assert found.source == source(2)
    assert list(backup.environments(path.parent)) == ["production"]
    assert backup.load(path.parent, "staging") is None


def test_a_file_names_what_it_holds_as_earlier_releases_do(path: Path) -> None:
    content = json.loads(path.read_bytes().partition(b"\n")[2])
    assert set(content) == {"environment", "revision", "phased", "features", "segments"}


@pytest.mark.parametrize(
    "harm",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-20]),
        lambda path: path.write_bytes(path.read_bytes()[:50]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes().replace(b'"other"', b'"othes"')),
        lambda path: path.write_bytes(os.urandom(5000)),
        lambda path: path.write_bytes(path.read_bytes().replace(b"flags 1", b"flags 9")),
        lambda path: path.unlink(),
    ],
    ids=["torn", "torn in its head", "empty", "changed", "rubbish", "of another version", "gone"],
)
def test_a_file_that_is_not_whole_is_passed_over_for_the_one_before(path: Path, harm: Callable[[Path], object]) -> None:
    harm(path)
    found = backup.load(path.parent, "production")
    assert found is not None
    assert found.source == source(1)


def test_where_neither_is_whole_there_is_nothing(path: Path) -> None:
    for each in path.parent.iterdir():
        each.write_bytes(b"rubbish")
    assert backup.load(path.parent, "production") is None


def test_a_write_that_fails_leaves_what_was_there(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        backup.save(path.parent, source(3))
    found = backup.load(path.parent, "production")
    assert found is not None
    assert found.source.revision == 2


def test_the_file_knows_when_it_was_last_confirmed(path: Path) -> None:
    os.utime(path, (1, 1))
    found = backup.load(path.parent, "production")
    assert found is not None
    assert found.confirmed_at == datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)
    backup.confirm(path.parent, "production")
    found = backup.load(path.parent, "production")
    assert found is not None
    assert datetime.now(UTC) - found.confirmed_at < timedelta(minutes=1)
    backup.confirm(path.parent, "staging")
