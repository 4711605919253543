"""Settings: one reader of the environment, a sentence for what can't be used, and secrets that stay in place."""

import os
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path

import pytest

from control_plane.platform.setting_values import SettingsError
from control_plane.platform.settings import Settings

GIVEN = "a secret of at least thirty-two characters"


def read(tmp_path: Path, **environ: str) -> Settings:
    return Settings.from_env({"INSTANCE_DIR": str(tmp_path), **environ})


def test_without_any_setting_everything_has_a_default(tmp_path: Path) -> None:
    settings = read(tmp_path)
    assert settings.database_url == f"sqlite:///{tmp_path}/rollout.db"
    assert (settings.environment, settings.port, settings.environment_switch) == ("production", 8000, None)


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("TRUE", True), ("false", False), ("0", False), ("", None)]
)
def test_the_variable_of_the_guide_is_read_as_people_write_it(tmp_path: Path, text: str, value: bool | None) -> None:
    assert read(tmp_path, ENABLE_CREDITS_V2=text).environment_switch is value


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
    assert read(tmp_path, SECRET_KEY=GIVEN).secret_key == GIVEN


@pytest.mark.parametrize("name", ["SECRET_KEY", "USER_JWT_SECRET"])
@pytest.mark.parametrize("value", ["a", " ", "x" * 31, "x" * 64, "ab" * 40, " " * 64, "short" + " " * 40])
def test_a_secret_that_can_be_guessed_stops_the_start_and_is_not_repeated(
    tmp_path: Path, name: str, value: str
) -> None:
    with pytest.raises(SettingsError, match=f"^{name} has .*write at least 32") as refusal:
        read(tmp_path, **{name: value})
    assert value not in str(refusal.value) or len(value.strip()) < 2
    assert isinstance(read(tmp_path, **{name: GIVEN}), Settings)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("STRIPE_WEBHOOK_SECRETS", "no-such-thing"),
        ("STRIPE_WEBHOOK_SECRETS", "whsec_short"),
        ("STRIPE_WEBHOOK_SECRETS", "whsec_0123456789abcdef,pk_live_0123456789abcdef"),
        ("STRIPE_API_KEY", "pk_live_0123456789abcdef"),
        ("STRIPE_API_KEY", "sk_test_"),
    ],
)
def test_a_secret_of_stripes_is_known_by_its_shape(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name} .*write one like") as refusal:
        read(tmp_path, **{name: value})
    assert value not in str(refusal.value)


def test_secrets_of_stripes_are_taken(tmp_path: Path) -> None:
    two = "whsec_0123456789abcdef, whsec_fedcba9876543210"
    settings = read(tmp_path, STRIPE_WEBHOOK_SECRETS=two, STRIPE_API_KEY="rk_live_0123456789abcdef")
    assert len(settings.stripe_webhook_secrets) == 2
    assert settings.stripe_api_key.startswith("rk_live_")


@pytest.mark.parametrize("name", ["USER_JWT_JWKS_URL", "PROMETHEUS_URL"])
@pytest.mark.parametrize("value", ["keys", "file:///etc/passwd", "https://", "http://a b/"])
def test_an_address_to_ask_at_is_one_of_the_web(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(f"{name} is '{value}'; write ")):
        read(tmp_path, **{name: value})


@pytest.mark.parametrize("content", ["", "\n", "  "])
def test_an_empty_secret_file_is_made_again(tmp_path: Path, content: str) -> None:
    path = tmp_path / "secret_key"
    path.write_text(content)
    path.chmod(0o644)
    made = read(tmp_path).secret_key
    assert len(made) >= 48
    assert (path.read_text(), path.stat().st_mode & 0o777) == (made, 0o600)
    assert [each.name for each in tmp_path.iterdir()] == ["secret_key"]


def test_a_short_secret_file_stops_the_start_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "secret_key").write_text("tooshort")
    with pytest.raises(SettingsError, match="secret_key has 8 characters; remove the file"):
        read(tmp_path)


def test_who_may_not_make_a_secret_reads_the_one_there_is_and_writes_nothing(tmp_path: Path) -> None:
    place = tmp_path / "instance"
    without = Settings.from_env({"INSTANCE_DIR": str(place)}, may_make_key=False)
    assert (without.secret_key, without.secret_keys, place.exists()) == ("", (), False)
    with pytest.raises(SettingsError, match="There is no secret key in"):
        without.signing_key  # noqa: B018 - it is asked for
    made = read(place).secret_key
    assert Settings.from_env({"INSTANCE_DIR": str(place)}, may_make_key=False).signing_key == made


def test_processes_that_start_together_take_the_same_secret(tmp_path: Path) -> None:
    (tmp_path / "secret_key").touch()
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(lambda _: read(tmp_path).secret_key, range(8)))
    assert len(made) == 1


def test_a_folder_that_is_made_is_for_this_user_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        read(tmp_path / "instance")
    finally:
        os.umask(before)
    assert (tmp_path / "instance").stat().st_mode & 0o777 == 0o700


def test_a_folder_that_cannot_be_made_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="set SECRET_KEY, or INSTANCE_DIR to a folder that can be written"):
        read(tmp_path / "file" / "instance")


def test_every_setting_says_how_it_is_set() -> None:
    source = Path(Settings.from_env.__code__.co_filename).read_text()
    for field in fields(Settings):
        after = source.split(f"    {field.name}: ", 1)[1].split("\n", 2)[1]
        assert after.strip().startswith('"""'), field.name


@pytest.mark.parametrize(
    ("url", "direct"),
    [("", "postgresql://h/n"), ("sqlite:///a.db", "postgresql://h/n"), ("postgresql://h/n", "nonsense")],
)
def test_a_direct_address_without_a_pooler_before_it_stops_the_start(tmp_path: Path, url: str, direct: str) -> None:
    with pytest.raises(SettingsError, match="DATABASE_DIRECT_URL"):
        Settings.from_env({"INSTANCE_DIR": str(tmp_path), "DATABASE_URL": url, "DATABASE_DIRECT_URL": direct})
