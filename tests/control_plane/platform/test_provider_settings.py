"""The settings of an identity provider: whole, from the environment or a file, or refused with a sentence."""

from pathlib import Path

import pytest

from control_plane.platform.identity_types import Grant, Role
from control_plane.platform.setting_values import SettingsError
from control_plane.platform.settings import Settings

WHOLE = {
    "OIDC_ISSUER": "https://login.example.com",
    "OIDC_CLIENT_ID": "rollout",
    "OIDC_CLIENT_SECRET": "s3cret",
    "OIDC_ROLES": "leads=owner, staff=viewer",
    "SECRET_KEY": "0123456789abcdefghijklmnopqrstuvwxyz",
}


def test_they_are_read(tmp_path: Path) -> None:
    settings = Settings.from_env(WHOLE)
    assert (settings.oidc_client_secret, settings.oidc_groups_claim) == ("s3cret", "groups")
    assert settings.oidc_roles["leads"] == (Grant(Role.OWNER),)
    (tmp_path / "secret").write_text("of a file\n")
    of_file = Settings.from_env(WHOLE | {"OIDC_CLIENT_SECRET_FILE": str(tmp_path / "secret")})
    assert of_file.oidc_client_secret == "of a file"


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"OIDC_ISSUER": "login.example.com"}, "OIDC_ISSUER"),
        ({"OIDC_CLIENT_ID": ""}, "OIDC_CLIENT_ID"),
        ({"OIDC_CLIENT_SECRET": ""}, "OIDC_CLIENT_SECRET"),
        ({"OIDC_ROLES": ""}, "OIDC_ROLES"),
        ({"OIDC_ROLES": "leads=king"}, "OIDC_ROLES"),
        ({"OIDC_CLIENT_SECRET_FILE": "/nowhere"}, "OIDC_CLIENT_SECRET_FILE"),
    ],
)
def test_what_can_not_be_used_stops_the_start_and_names_the_setting(change: dict[str, str], name: str) -> None:
    with pytest.raises(SettingsError, match=name) as refusal:
        Settings.from_env(WHOLE | change)
    assert "s3cret" not in str(refusal.value)
