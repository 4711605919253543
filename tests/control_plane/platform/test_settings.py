"""Settings: one reader of the environment, a sentence for what can't be used, and secrets that stay in place."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from control_plane.platform.settings import Settings, SettingsError


def read(tmp_path: Path, **environ: str) -> Settings:
    return Settings.from_env({"INSTANCE_DIR": str(tmp_path), **environ})


def test_without_any_setting_everything_has_a_default(tmp_path: Path) -> None:
    settings = read(tmp_path)
    assert settings.database_url == f"sqlite:///{tmp_path}/rollout.db"
    assert (settings.environment, settings.port, settings.credits_v2_override) == ("production", 8000, None)


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("TRUE", True), ("false", False), ("0", False), ("", None)]
)
def test_the_variable_of_the_guide_is_read_as_people_write_it(tmp_path: Path, text: str, value: bool | None) -> None:
    assert read(tmp_path, ENABLE_CREDITS_V2=text).credits_v2_override is value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ENABLE_CREDITS_V2", "perhaps"),
        ("PORT", "0"),
        ("PORT", "65536"),
        ("PORT", "http"),
        ("WORKERS", "0"),
        ("LOG_FORMAT", "xml"),
        ("SQLITE_SYNCHRONOUS", "OFF"),
        ("UPGRADE_URL", "javascript:alert(1)"),
        ("UPGRADE_URL", "//elsewhere.example"),
        ("UPGRADE_URL", "/up grade"),
    ],
)
def test_a_value_that_cannot_be_used_is_named_with_what_to_write(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(f"{name} is '{value}'; write ")):
        read(tmp_path, **{name: value})


@pytest.mark.parametrize("value", ["/billing/upgrade", "https://shop.example/plans?from=credits"])
def test_where_to_upgrade_is_a_path_or_an_address(tmp_path: Path, value: str) -> None:
    assert read(tmp_path, UPGRADE_URL=value).upgrade_url == value


def test_the_secret_is_made_once_and_for_this_user_alone(tmp_path: Path) -> None:
    first = read(tmp_path).secret_key
    assert len(first) >= 48
    assert read(tmp_path).secret_key == first
    assert (tmp_path / "secret_key").stat().st_mode & 0o777 == 0o600
    assert read(tmp_path, SECRET_KEY="given").secret_key == "given"


def test_every_setting_says_how_it_is_set() -> None:
    source = Path(Settings.from_env.__code__.co_filename).read_text()
    for field in fields(Settings):
        after = source.split(f"    {field.name}: ", 1)[1].split("\n", 2)[1]
        assert after.strip().startswith('"""'), field.name
