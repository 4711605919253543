"""The tokens on disk: whole or not at all, for this user alone."""

from pathlib import Path

import pytest

from control_plane.platform.auth import token_backup
from tests.control_plane.platform.auth.test_token_cache import token


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "made" / "tokens.json"


def test_what_was_written_is_read(path: Path) -> None:
    token_backup.write(path, [token("web"), token("app", 2)])
    assert token_backup.read(path) == {"web": token("web"), "app": token("app", 2)}


def test_a_later_writing_replaces_an_earlier_one_and_leaves_nothing_beside_it(path: Path) -> None:
    token_backup.write(path, [token("web")])
    token_backup.write(path, [])
    assert token_backup.read(path) == {}
    assert list(path.parent.iterdir()) == [path]


def test_it_is_readable_by_its_user_alone(path: Path) -> None:
    token_backup.write(path, [token("web")])
    assert path.stat().st_mode & 0o077 == 0


def test_a_missing_file_holds_nothing(path: Path) -> None:
    assert token_backup.read(path) == {}


@pytest.mark.parametrize("damage", [b"", b"[", b"\x00" * 100, b'{"web": 1}', b'[{"id": 1}]', b"\xff"])
def test_a_damaged_file_holds_nothing(path: Path, damage: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(damage)
    assert token_backup.read(path) == {}


def test_a_torn_file_holds_nothing(path: Path) -> None:
    token_backup.write(path, [token("web"), token("app", 2)])
    content = path.read_bytes()
    for length in range(0, len(content), 17):
        path.write_bytes(content[:length])
        assert token_backup.read(path) == {}
