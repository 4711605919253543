"""Everything that can be configured, read from the environment once, here and nowhere else."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from control_plane.platform import provider_settings, secret_values, shipped_files
from control_plane.platform.extensions import AppState
from control_plane.platform.group_roles import GroupRoles
from control_plane.platform.provider_settings import ProviderSettingsError
from control_plane.platform.secret_values import SecretError

SWITCH = {"true": True, "1": True, "on": True, "false": False, "0": False, "off": False, "": None}
UPGRADE_URL = "/billing/upgrade"
WEBHOOK_SECRET = re.compile(r"whsec_[!-~]{10,}")
STRIPE_KEY = re.compile(r"(sk|rk)_(test|live)_[!-~]{10,}")
NO_ROLE = "none"
RISKY = (NO_ROLE, "approver", "owner", "admin")
ANCHOR = re.compile(r"file:/\S+|https?://[^\s/]+(/\S*)?")
USAGE_WEBHOOK_SECRET = re.compile(r"whsec_([A-Za-z0-9+/]{4}){6,}([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
WEB_ADDRESS = re.compile(r"https?://[^\s/]+(/\S*)?")


class SettingsError(ValueError):
    """A setting can't be used; the message names it, its value and what to write instead."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting with its default. Environment variables carry the names given in `from_env`."""

    database_url: str = "sqlite:///instance/rollout.db"
    """`DATABASE_URL`: sqlite:///file or postgresql+psycopg://user:password@host/name."""
    instance_dir: Path = Path("instance")
    """`INSTANCE_DIR`: where the database, the secret key and flag snapshots of this installation live."""
    secret_key: str = ""
    """`SECRET_KEY`: signs sessions, seals the audit trail; without it one is made and kept in the instance folder."""
    secret_key_fallbacks: tuple[str, ...] = ()
    """`SECRET_KEY_FALLBACKS`: secrets that were replaced, comma separated; what they signed still counts."""
    environment: str = "production"
    """`ENVIRONMENT`: the flag environment in which this process consumes credits."""
    credits_v2_override: bool | None = None
    """`ENABLE_CREDITS_V2`: false always wins, true only outside production, unset leaves it to the rollout."""
    alerts_file: Path = Path("alerts.yaml")
    """`ALERTS_FILE`: the thresholds the guard judges by; alerts.yaml of the folder, or the shipped one without it."""
    host: str = "127.0.0.1"
    """`HOST`: the address to serve on."""
    port: int = 8000
    """`PORT`: the port to serve on."""
    workers: int = 1
    """`WORKERS`: serving processes; more than one needs PostgreSQL."""
    threads: int = 128
    """`THREADS`: requests one worker can answer at once, live pages among them."""
    streams: int = 500
    """`STREAMS`: SDKs that can follow one worker at once, each on a thread of its own."""
    session_idle_minutes: int = 120
    """`SESSION_IDLE_MINUTES`: how long a person's session lasts without any use; none lasts longer than 12 hours."""
    second_factor_from: str = NO_ROLE
    """`SECOND_FACTOR_FROM`: the least role that takes a second factor: approver, owner or admin; or none."""
    oidc_issuer: str = ""
    """`OIDC_ISSUER`: the identity provider by which people may sign in too, like https://login.example.com."""
    oidc_client_id: str = ""
    """`OIDC_CLIENT_ID`: how that provider knows this program."""
    oidc_client_secret: str = ""
    """`OIDC_CLIENT_SECRET`: what proves that to it; `OIDC_CLIENT_SECRET_FILE` names a file that holds it."""
    oidc_groups_claim: str = "groups"
    """`OIDC_GROUPS_CLAIM`: the claim that lists the groups of a person."""
    oidc_roles: GroupRoles = field(default_factory=dict)
    """`OIDC_ROLES`: what a group gives, as group=role or group=role:flag:environment, comma separated."""
    token_days_max: int = 0
    """`TOKEN_DAYS_MAX`: how many days a new token may last at most; 0 lets it last until it is revoked."""
    backup_dir: str = ""
    """`BACKUP_DIR`: the folder into which the leader writes backups of the database; empty for none."""
    backup_hours: int = 24
    """`BACKUP_HOURS`: how often it does."""
    backup_count: int = 14
    """`BACKUP_COUNT`: how many of these backups stay."""
    request_body_seconds: int = 20
    """`REQUEST_BODY_SECONDS`: how long the body of a request may take to arrive."""
    trusted_proxies: int = 0
    """`TRUSTED_PROXIES`: how many proxies stand in front, whose word on address and scheme of the caller counts."""
    user_jwt_secret: str = ""
    """`USER_JWT_SECRET`: the HS256 secret with which the product signs its users' tokens."""
    user_jwt_jwks_url: str = ""
    """`USER_JWT_JWKS_URL`: where the product publishes the keys of its users' tokens."""
    user_jwt_audience: tuple[str, ...] = ()
    """`USER_JWT_AUDIENCE`: the audiences of user tokens that count here, comma separated; unset, none may be named."""
    user_jwt_issuer: tuple[str, ...] = ()
    """`USER_JWT_ISSUER`: the issuers of user tokens accepted here, comma separated; unset, any."""
    credits_fail_open_kinds: tuple[str, ...] = ()
    """`CREDITS_FAIL_OPEN_KINDS`: kinds that go ahead uncharged when the serving engine fails, comma separated."""
    credits_at_risk_max: int = 1_000
    """`CREDITS_AT_RISK_MAX`: credits that v2 may charge differently in one step before it is rolled back."""
    advance_max_refused_percent: int = 5
    """`ADVANCE_MAX_REFUSED_PERCENT`: of the users a step lets in, how many in 100 v2 may refuse what legacy grants."""
    upgrade_url: str = UPGRADE_URL
    """`UPGRADE_URL`: where refusals and the card send users who want more credits: a path or an https address."""
    stripe_webhook_secrets: tuple[str, ...] = ()
    """`STRIPE_WEBHOOK_SECRETS`: signing secrets, comma separated; two while one is being replaced."""
    stripe_api_key: str = ""
    """`STRIPE_API_KEY`: optional; lets doubts be settled by asking Stripe."""
    stripe_accounts: tuple[str, ...] = ()
    """`STRIPE_ACCOUNTS`: accounts of others whose events count as well, as acct_…, comma separated."""
    stripe_livemode: bool | None = None
    """`STRIPE_LIVEMODE`: whether live events count or test ones; unset: live in production, both elsewhere."""
    stripe_disputes: str = "freeze"
    """`STRIPE_DISPUTES`: whether an open dispute freezes the credits that its payment bought (freeze) or not (keep)."""
    stripe_api_url: str = ""
    """`STRIPE_API_URL`: the address of Stripe's API, for a proxy or a mock server; unset, Stripe's own."""
    usage_webhook_url: str = ""
    """`USAGE_WEBHOOK_URL`: where the product is told that a user has used most of a limit, or was refused."""
    usage_webhook_secret: str = ""
    """`USAGE_WEBHOOK_SECRET`: what signs these requests, as whsec_ and base64."""
    alertmanager_acting_alerts: tuple[str, ...] = ()
    """`ALERTMANAGER_ACTING_ALERTS`: Alertmanager's alerts that act though alerts.yaml lacks them."""
    prometheus_url: str = ""
    """`PROMETHEUS_URL`: where alerts with a query are answered, like http://prometheus:9090."""
    notify_urls: tuple[str, ...] = ()
    """`NOTIFY_URLS`: where notices go, comma separated; `name=address` for those that only some plans name."""
    audit_anchors: tuple[str, ...] = ()
    """`AUDIT_ANCHORS`: where the end of the audit trail is noted: log, file:/path, https://…; comma separated."""
    log_format: str = "console"
    """`LOG_FORMAT`: json or console."""
    sqlite_synchronous: str = "NORMAL"
    """`SQLITE_SYNCHRONOUS`: NORMAL survives any crash of the program; FULL also a power cut, and is slower."""
    guard_lease_seconds: float = 30.0
    """`GUARD_LEASE_SECONDS`: how long exposure outlives the guard's last heartbeat."""
    background: bool = True
    """Whether this process runs the guard and the change feed; off in tests that drive them by hand."""

    @property
    def flags_backup_dir(self) -> Path:
        """The folder of the last good flags, for a start without the database."""
        return self.instance_dir / "flags"

    @property
    def secret_keys(self) -> tuple[str, ...]:
        """The secret that signs, then those whose signatures still count."""
        return (self.secret_key, *self.secret_key_fallbacks)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> "Settings":
        """Settings of the process environment. Raises SettingsError for a value that can't be used."""
        env = os.environ if environ is None else environ
        instance_dir = Path(env.get("INSTANCE_DIR", "instance"))
        return cls(
            database_url=_database_url(env, instance_dir),
            instance_dir=instance_dir,
            secret_key=_secret_key(env, instance_dir),
            secret_key_fallbacks=_secrets(env, "SECRET_KEY_FALLBACKS"),
            environment=env.get("ENVIRONMENT", "production"),
            credits_v2_override=_switch(env, "ENABLE_CREDITS_V2"),
            alerts_file=Path(env["ALERTS_FILE"]) if env.get("ALERTS_FILE") else shipped_files.alerts_in(Path()),
            host=env.get("HOST", "127.0.0.1"),
            port=_integer(env, "PORT", 8000, range(1, 65536)),
            workers=_integer(env, "WORKERS", 1, range(1, 65)),
            threads=_integer(env, "THREADS", 128, range(4, 4097)),
            streams=_integer(env, "STREAMS", 500, range(1, 4097)),
            session_idle_minutes=_integer(env, "SESSION_IDLE_MINUTES", 120, range(1, 721)),
            second_factor_from=_choice(env, "SECOND_FACTOR_FROM", NO_ROLE, RISKY),
            **_oidc(env),
            token_days_max=_integer(env, "TOKEN_DAYS_MAX", 0, range(3651)),
            backup_dir=env.get("BACKUP_DIR", ""),
            backup_hours=_integer(env, "BACKUP_HOURS", 24, range(1, 745)),
            backup_count=_integer(env, "BACKUP_COUNT", 14, range(1, 1001)),
            request_body_seconds=_integer(env, "REQUEST_BODY_SECONDS", 20, range(1, 601)),
            trusted_proxies=_integer(env, "TRUSTED_PROXIES", 0, range(11)),
            user_jwt_secret=_secret(env, "USER_JWT_SECRET"),
            user_jwt_jwks_url=_web_address(env, "USER_JWT_JWKS_URL"),
            user_jwt_audience=_list(env, "USER_JWT_AUDIENCE"),
            user_jwt_issuer=_list(env, "USER_JWT_ISSUER"),
            credits_fail_open_kinds=_list(env, "CREDITS_FAIL_OPEN_KINDS"),
            credits_at_risk_max=_integer(env, "CREDITS_AT_RISK_MAX", 1_000, range(10**9)),
            advance_max_refused_percent=_integer(env, "ADVANCE_MAX_REFUSED_PERCENT", 5, range(101)),
            upgrade_url=_address(env, "UPGRADE_URL", UPGRADE_URL),
            stripe_webhook_secrets=tuple(
                _shaped("STRIPE_WEBHOOK_SECRETS", each, WEBHOOK_SECRET, "whsec_…")
                for each in _list(env, "STRIPE_WEBHOOK_SECRETS")
            ),
            stripe_api_key=_shaped("STRIPE_API_KEY", env.get("STRIPE_API_KEY", ""), STRIPE_KEY, "rk_live_…"),
            stripe_accounts=_list(env, "STRIPE_ACCOUNTS"),
            stripe_livemode=_switch(env, "STRIPE_LIVEMODE"),
            stripe_disputes=_choice(env, "STRIPE_DISPUTES", "freeze", ("freeze", "keep")),
            stripe_api_url=_web_address(env, "STRIPE_API_URL"),
            usage_webhook_url=_web_address(env, "USAGE_WEBHOOK_URL"),
            usage_webhook_secret=_webhook_secret(env),
            alertmanager_acting_alerts=_list(env, "ALERTMANAGER_ACTING_ALERTS"),
            prometheus_url=_web_address(env, "PROMETHEUS_URL"),
            notify_urls=_list(env, "NOTIFY_URLS"),
            audit_anchors=tuple(_anchor(each) for each in _list(env, "AUDIT_ANCHORS")),
            log_format=_choice(env, "LOG_FORMAT", "console", ("console", "json")),
            sqlite_synchronous=_choice(env, "SQLITE_SYNCHRONOUS", "NORMAL", ("FULL", "NORMAL")),
            guard_lease_seconds=float(_integer(env, "GUARD_LEASE_SECONDS", 30, range(2, 3601))),
        )


SETTINGS = AppState[Settings]("settings")


def current() -> Settings:
    """The settings of the running application."""
    return SETTINGS.get()


def _database_url(env: Mapping[str, str], instance_dir: Path) -> str:
    """Return the URL, with the file of SQLite made absolute: what uses it must agree on the folder it is in."""
    value = env.get("DATABASE_URL", "") or f"sqlite:///{instance_dir.absolute()}/rollout.db"
    try:
        url = make_url(value)
    except (ArgumentError, ValueError) as error:
        # The value may hold a password, so it is not repeated.
        raise SettingsError(
            "DATABASE_URL is no address of a database; write sqlite:///file or "
            "postgresql+psycopg://user:password@host:port/name. Several hosts go into the query: "
            "@/name?host=h1,h2&port=5432,5432&target_session_attrs=read-write."
        ) from error
    if url.get_backend_name() == "sqlite" and url.database and url.database != ":memory:":
        url = url.set(database=str(Path(url.database).absolute()))
    return url.render_as_string(hide_password=False)


def _switch(env: Mapping[str, str], name: str) -> bool | None:
    value = env.get(name, "")
    if value.strip().lower() not in SWITCH:
        raise SettingsError(f"{name} is {value!r}; write true, false or leave it unset.")
    return SWITCH[value.strip().lower()]


def _integer(env: Mapping[str, str], name: str, default: int, allowed: range) -> int:
    value = env.get(name, str(default))
    if not value.isdecimal() or int(value) not in allowed:
        raise SettingsError(f"{name} is {value!r}; write a whole number from {allowed[0]} to {allowed[-1]}.")
    return int(value)


def _choice(env: Mapping[str, str], name: str, default: str, allowed: tuple[str, ...]) -> str:
    value = env.get(name, default)
    if value not in allowed:
        raise SettingsError(f"{name} is {value!r}; write one of {', '.join(allowed)}.")
    return value


def _address(env: Mapping[str, str], name: str, default: str) -> str:
    """A path of the product or an address; no script can hide in it, as it is put into pages."""
    value = env.get(name, default)
    is_path = value.startswith("/") and not value.startswith("//")
    if not (is_path or value.startswith(("https://", "http://"))) or not value.isprintable() or " " in value:
        raise SettingsError(f"{name} is {value!r}; write a path like /billing/upgrade or an https:// address.")
    return value


def _list(env: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in env.get(name, "").split(",") if part.strip())


def _secret(env: Mapping[str, str], name: str) -> str:
    value = env.get(name, "")
    try:
        return secret_values.check(value) if value else ""
    except SecretError as error:
        raise SettingsError(f"{name} {error}") from None


def _secrets(env: Mapping[str, str], name: str) -> tuple[str, ...]:
    try:
        return tuple(secret_values.check(each) for each in _list(env, name))
    except SecretError as error:
        raise SettingsError(f"One of {name} {error}") from None


def _anchor(value: str) -> str:
    if value != "log" and not ANCHOR.fullmatch(value):
        raise SettingsError(f"AUDIT_ANCHORS has {value!r}; write log, file:/a/path or an https:// address.")
    return value


def _oidc(env: Mapping[str, str]) -> dict[str, Any]:
    try:
        return provider_settings.read(env, _web_address(env, "OIDC_ISSUER"))
    except ProviderSettingsError as error:
        raise SettingsError(str(error)) from None


def _secret_key(env: Mapping[str, str], instance_dir: Path) -> str:
    path = instance_dir / "secret_key"
    try:
        return _secret(env, "SECRET_KEY") or secret_values.stored(path)
    except SecretError as error:
        raise SettingsError(f"{path} {error}") from None
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        sentence = f"The secret key can't be kept in {path} ({reason})"
        raise SettingsError(f"{sentence}; set SECRET_KEY, or INSTANCE_DIR to a folder that can be written.") from None


def _shaped(name: str, value: str, pattern: re.Pattern[str], example: str) -> str:
    """A secret of Stripe's, which its beginning tells apart; what was written instead is not repeated."""
    if value and not pattern.fullmatch(value):
        raise SettingsError(f"{name} is not such a secret; write one like {example}.")
    return value


def _webhook_secret(env: Mapping[str, str]) -> str:
    name = "USAGE_WEBHOOK_SECRET"
    if env.get("USAGE_WEBHOOK_URL") and not env.get(name):
        raise SettingsError(f"USAGE_WEBHOOK_URL needs {name}, by which its owner knows that a request is ours.")
    return _shaped(name, env.get(name, ""), USAGE_WEBHOOK_SECRET, "whsec_ and 32 bytes in base64")


def _web_address(env: Mapping[str, str], name: str) -> str:
    value = env.get(name, "")
    if value and not WEB_ADDRESS.fullmatch(value):
        raise SettingsError(f"{name} is {value!r}; write an address like https://host/path.")
    return value
