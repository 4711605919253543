"""The settings of an identity provider: all of them or none."""

from collections.abc import Mapping
from pathlib import Path

from control_plane.platform import group_roles
from control_plane.platform.group_roles import GroupRolesError

GROUPS_CLAIM = "groups"


class ProviderSettingsError(ValueError):
    """They can't be used; the message names the setting and what to write."""


def read(env: Mapping[str, str], issuer: str) -> dict[str, object]:
    """Read what belongs to the provider at `issuer`, by the names of the settings. Raises ProviderSettingsError."""
    client_id, secret = env.get("OIDC_CLIENT_ID", ""), _secret(env)
    entries = [part.strip() for part in env.get("OIDC_ROLES", "").split(",") if part.strip()]
    try:
        roles = group_roles.parse(entries)
    except GroupRolesError as error:
        raise ProviderSettingsError(f"OIDC_ROLES: {error}") from None
    if issuer and not (client_id and secret and roles):
        sentence = "OIDC_ISSUER needs OIDC_CLIENT_ID, OIDC_CLIENT_SECRET and OIDC_ROLES beside it."
        raise ProviderSettingsError(sentence)
    return {
        "oidc_issuer": issuer,
        "oidc_client_id": client_id,
        "oidc_client_secret": secret,
        "oidc_groups_claim": env.get("OIDC_GROUPS_CLAIM", "") or GROUPS_CLAIM,
        "oidc_roles": roles,
    }


def _secret(env: Mapping[str, str]) -> str:
    path = env.get("OIDC_CLIENT_SECRET_FILE", "")
    if not path:
        return env.get("OIDC_CLIENT_SECRET", "")
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ProviderSettingsError(f"OIDC_CLIENT_SECRET_FILE {path} can't be read: {error}.") from None
