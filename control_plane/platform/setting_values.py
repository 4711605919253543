"""How a setting is read: each kind of value, and the sentence for one that can't be used."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from control_plane.platform import provider_settings, secret_values
from control_plane.platform.provider_settings import ProviderSettingsError
from control_plane.platform.secret_values import SecretError

SWITCH = {"true": True, "1": True, "on": True, "false": False, "0": False, "off": False, "": None}
ANCHOR = re.compile(r"file:/\S+|https?://[^\s/]+(/\S*)?")
USAGE_WEBHOOK_SECRET = re.compile(r"whsec_([A-Za-z0-9+/]{4}){6,}([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
WEB_ADDRESS = re.compile(r"https?://[^\s/]+(/\S*)?")


class SettingsError(ValueError):
    """A setting can't be used; the message names it, its value and what to write instead."""


def database_url(env: Mapping[str, str], instance_dir: Path) -> str:
    """Return the URL, with the file of SQLite made absolute: what uses it must agree on the folder it is in."""
    value = env.get("DATABASE_URL", "") or f"sqlite:///{instance_dir.absolute()}/rollout.db"
    url = _database_address("DATABASE_URL", value)
    if url.get_backend_name() == "sqlite" and url.database and url.database != ":memory:":
        url = url.set(database=str(Path(url.database).absolute()))
    return url.render_as_string(hide_password=False)


def database_direct_url(env: Mapping[str, str]) -> str:
    """Return the address of PostgreSQL behind the pooler that `DATABASE_URL` names; nothing where there is none."""
    name, value = "DATABASE_DIRECT_URL", env.get("DATABASE_DIRECT_URL", "")
    if not value:
        return ""
    url, pooled = (
        _database_address(name, value),
        _database_address("DATABASE_URL", env.get("DATABASE_URL") or "sqlite://"),
    )
    if not url.get_backend_name() == pooled.get_backend_name() == "postgresql":
        raise SettingsError(f"{name} is set, so it and DATABASE_URL both have to be addresses of PostgreSQL.")
    return url.render_as_string(hide_password=False)


def _database_address(name: str, value: str) -> URL:
    try:
        return make_url(value)
    except (ArgumentError, ValueError) as error:
        # The value may hold a password, so it is not repeated.
        raise SettingsError(
            f"{name} is no address of a database; write sqlite:///file or "
            "postgresql+psycopg://user:password@host:port/name. Several hosts go into the query: "
            "@/name?host=h1,h2&port=5432,5432&target_session_attrs=read-write."
        ) from error


def switch(env: Mapping[str, str], name: str) -> bool | None:
    """Return true, false, or None where it is unset."""
    value = env.get(name, "")
    if value.strip().lower() not in SWITCH:
        raise SettingsError(f"{name} is {value!r}; write true, false or leave it unset.")
    return SWITCH[value.strip().lower()]


def integer(env: Mapping[str, str], name: str, default: int, allowed: range) -> int:
    """Return a whole number of `allowed`."""
    value = env.get(name, str(default))
    if not value.isdecimal() or int(value) not in allowed:
        raise SettingsError(f"{name} is {value!r}; write a whole number from {allowed[0]} to {allowed[-1]}.")
    return int(value)


def choice(env: Mapping[str, str], name: str, default: str, allowed: tuple[str, ...]) -> str:
    """Return one of `allowed`."""
    value = env.get(name, default)
    if value not in allowed:
        raise SettingsError(f"{name} is {value!r}; write one of {', '.join(allowed)}.")
    return value


def address(env: Mapping[str, str], name: str, default: str) -> str:
    """Return a path of the product or an address; no script can hide in it, as it is put into pages."""
    value = env.get(name, default)
    is_path = value.startswith("/") and not value.startswith("//")
    if not (is_path or value.startswith(("https://", "http://"))) or not value.isprintable() or " " in value:
        raise SettingsError(f"{name} is {value!r}; write a path like /billing/upgrade or an https:// address.")
    return value


def names(env: Mapping[str, str], name: str) -> tuple[str, ...]:
    """Return what stands between commas."""
    return tuple(part.strip() for part in env.get(name, "").split(",") if part.strip())


def secret(env: Mapping[str, str], name: str) -> str:
    """Return a secret that is strong enough, or nothing."""
    value = env.get(name, "")
    try:
        return secret_values.check(value) if value else ""
    except SecretError as error:
        raise SettingsError(f"{name} {error}") from None


def secrets(env: Mapping[str, str], name: str) -> tuple[str, ...]:
    """Return secrets that are strong enough."""
    try:
        return tuple(secret_values.check(each) for each in names(env, name))
    except SecretError as error:
        raise SettingsError(f"One of {name} {error}") from None


def anchor(value: str) -> str:
    """Return a place for anchors of the audit trail."""
    if value != "log" and not ANCHOR.fullmatch(value):
        raise SettingsError(f"AUDIT_ANCHORS has {value!r}; write log, file:/a/path or an https:// address.")
    return value


def provider(env: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings of the identity provider by their names."""
    try:
        return provider_settings.read(env, web_address(env, "OIDC_ISSUER"))
    except ProviderSettingsError as error:
        raise SettingsError(str(error)) from None


def secret_key(env: Mapping[str, str], instance_dir: Path, *, may_make: bool) -> str:
    """Return the key that is set, else the one that the instance keeps, made at the first start; empty without any."""
    path = instance_dir / "secret_key"
    try:
        return secret(env, "SECRET_KEY") or (secret_values.stored(path) if may_make else secret_values.read(path))
    except SecretError as error:
        raise SettingsError(f"{path} {error}") from None
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        sentence = f"The secret key can't be kept in {path} ({reason})"
        raise SettingsError(f"{sentence}; set SECRET_KEY, or INSTANCE_DIR to a folder that can be written.") from None


def shaped(name: str, value: str, pattern: re.Pattern[str], example: str) -> str:
    """Return a secret that has the form of its kind; what was written instead is not repeated."""
    if value and not pattern.fullmatch(value):
        raise SettingsError(f"{name} is not such a secret; write one like {example}.")
    return value


def webhook_secret(env: Mapping[str, str]) -> str:
    """Return what signs webhooks about usage, which their address takes."""
    name = "USAGE_WEBHOOK_SECRET"
    if env.get("USAGE_WEBHOOK_URL") and not env.get(name):
        raise SettingsError(f"USAGE_WEBHOOK_URL needs {name}, by which its owner knows that a request is ours.")
    return shaped(name, env.get(name, ""), USAGE_WEBHOOK_SECRET, "whsec_ and 32 bytes in base64")


def web_address(env: Mapping[str, str], name: str) -> str:
    """Return an address of the web, or nothing."""
    value = env.get(name, "")
    if value and not WEB_ADDRESS.fullmatch(value):
        raise SettingsError(f"{name} is {value!r}; write an address like https://host/path.")
    return value
