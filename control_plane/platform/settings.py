"""Everything that can be configured, read from the environment once, here and nowhere else."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from control_plane.platform import setting_values, shipped_files
from control_plane.platform.extensions import AppState
from control_plane.platform.group_roles import GroupRoles

UPGRADE_URL = "/billing/upgrade"
WEBHOOK_SECRET = re.compile(r"whsec_[!-~]{10,}")
STRIPE_KEY = re.compile(r"(sk|rk)_(test|live)_[!-~]{10,}")
NO_ROLE = "none"
TOKEN_DAYS_LONGEST = 3650
RISKY = (NO_ROLE, "approver", "owner", "admin")


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting with its default. Environment variables carry the names given in `from_env`."""

    database_url: str = "sqlite:///instance/rollout.db"
    """`DATABASE_URL`: sqlite:///file or postgresql+psycopg://user:password@host/name."""
    database_direct_url: str = ""
    """`DATABASE_DIRECT_URL`: PostgreSQL itself, where DATABASE_URL names a pooler in transaction mode."""
    instance_dir: Path = Path("instance")
    """`INSTANCE_DIR`: where the database, the secret key and flag snapshots of this installation live."""
    secret_key: str = ""
    """`SECRET_KEY`: signs sessions, seals the audit trail; without it one is made and kept in the instance folder."""
    secret_key_fallbacks: tuple[str, ...] = ()
    """`SECRET_KEY_FALLBACKS`: secrets that were replaced, comma separated; what they signed still counts."""
    environment: str = "production"
    """`ENVIRONMENT`: the flag environment in which this process consumes credits."""
    environment_switch: bool | None = None
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
    """`THREADS`: requests one worker can answer at once."""
    streams: int = 2000
    """`STREAMS`: SDKs that can follow one worker at once; one thread sends to all."""
    live_pages: int = 500
    """`LIVE_PAGES`: pages for people that one worker keeps true at once, while they are open."""
    session_idle_minutes: int = 120
    """`SESSION_IDLE_MINUTES`: how long a person's session lasts without any use; none lasts longer than 12 hours."""
    second_factor_from: str = NO_ROLE
    """`SECOND_FACTOR_FROM`: the least role that takes a second factor: approver, owner or admin; or none."""
    approval_access_days: int = 0
    """`APPROVAL_ACCESS_DAYS`: for how long an account counts as one with whoever gave it access, where something takes
    two people; 0 counts each account as a person."""
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
    otel_endpoint: str = ""
    """`OTEL_EXPORTER_OTLP_ENDPOINT`: where traces are sent by OTLP over HTTP; unset, nothing is traced."""
    log_format: str = "console"
    """`LOG_FORMAT`: json or console."""
    sqlite_synchronous: str = "NORMAL"
    """`SQLITE_SYNCHRONOUS`: NORMAL survives any crash of the program; FULL also a power cut, and is slower."""
    guard_lease_seconds: float = 30.0
    """`GUARD_LEASE_SECONDS`: how long exposure outlives the guard's last heartbeat."""
    background: bool = True
    """Whether this process runs the guard and the change feed; off in tests that drive them by hand."""

    @property
    def has_pooler(self) -> bool:
        """Return whether connections are shared with others between transactions."""
        return bool(self.database_direct_url)

    @property
    def direct_url(self) -> str:
        """Return the address for what is kept longer than a transaction."""
        return self.database_direct_url or self.database_url

    @property
    def flags_backup_dir(self) -> Path:
        """The folder of the last good flags, for a start without the database."""
        return self.instance_dir / "flags"

    @property
    def secret_keys(self) -> tuple[str, ...]:
        """The secret that signs, then those whose signatures still count. A command may have none."""
        return tuple(filter(None, (self.secret_key, *self.secret_key_fallbacks)))

    @property
    def signing_key(self) -> str:
        """The secret that signs. Raises SettingsError without one: anybody could repeat what is signed with nothing."""
        if not self.secret_key:
            raise setting_values.SettingsError(
                f"There is no secret key in {self.instance_dir}; set SECRET_KEY or INSTANCE_DIR to the installation's."
            )
        return self.secret_key

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, *, may_make_key: bool = True) -> "Settings":
        """Read the settings of the process environment. Raises SettingsError for a value that can't be used.

        Where there is no secret key yet one is made, or with `may_make_key` false nothing is written and there is none.
        """
        env = os.environ if environ is None else environ
        instance_dir = Path(env.get("INSTANCE_DIR", "instance"))
        return cls(
            database_url=setting_values.database_url(env, instance_dir),
            database_direct_url=setting_values.database_direct_url(env),
            instance_dir=instance_dir,
            secret_key=setting_values.secret_key(env, instance_dir, may_make=may_make_key),
            secret_key_fallbacks=setting_values.secrets(env, "SECRET_KEY_FALLBACKS"),
            environment=env.get("ENVIRONMENT", "production"),
            environment_switch=setting_values.switch(env, "ENABLE_CREDITS_V2"),
            alerts_file=Path(env["ALERTS_FILE"]) if env.get("ALERTS_FILE") else shipped_files.alerts_in(Path()),
            host=env.get("HOST", "127.0.0.1"),
            port=setting_values.integer(env, "PORT", 8000, range(1, 65536)),
            workers=setting_values.integer(env, "WORKERS", 1, range(1, 65)),
            threads=setting_values.integer(env, "THREADS", 128, range(4, 4097)),
            streams=setting_values.integer(env, "STREAMS", 2000, range(1, 4097)),
            live_pages=setting_values.integer(env, "LIVE_PAGES", 500, range(1, 4097)),
            session_idle_minutes=setting_values.integer(env, "SESSION_IDLE_MINUTES", 120, range(1, 721)),
            second_factor_from=setting_values.choice(env, "SECOND_FACTOR_FROM", NO_ROLE, RISKY),
            approval_access_days=setting_values.integer(env, "APPROVAL_ACCESS_DAYS", 0, range(366)),
            **setting_values.provider(env),
            token_days_max=setting_values.integer(env, "TOKEN_DAYS_MAX", 0, range(TOKEN_DAYS_LONGEST + 1)),
            backup_dir=env.get("BACKUP_DIR", ""),
            backup_hours=setting_values.integer(env, "BACKUP_HOURS", 24, range(1, 745)),
            backup_count=setting_values.integer(env, "BACKUP_COUNT", 14, range(1, 1001)),
            request_body_seconds=setting_values.integer(env, "REQUEST_BODY_SECONDS", 20, range(1, 601)),
            trusted_proxies=setting_values.integer(env, "TRUSTED_PROXIES", 0, range(11)),
            user_jwt_secret=setting_values.secret(env, "USER_JWT_SECRET"),
            user_jwt_jwks_url=setting_values.web_address(env, "USER_JWT_JWKS_URL"),
            user_jwt_audience=setting_values.names(env, "USER_JWT_AUDIENCE"),
            user_jwt_issuer=setting_values.names(env, "USER_JWT_ISSUER"),
            credits_fail_open_kinds=setting_values.names(env, "CREDITS_FAIL_OPEN_KINDS"),
            credits_at_risk_max=setting_values.integer(env, "CREDITS_AT_RISK_MAX", 1_000, range(10**9)),
            advance_max_refused_percent=setting_values.integer(env, "ADVANCE_MAX_REFUSED_PERCENT", 5, range(101)),
            upgrade_url=setting_values.address(env, "UPGRADE_URL", UPGRADE_URL),
            stripe_webhook_secrets=tuple(
                setting_values.shaped("STRIPE_WEBHOOK_SECRETS", each, WEBHOOK_SECRET, "whsec_…")
                for each in setting_values.names(env, "STRIPE_WEBHOOK_SECRETS")
            ),
            stripe_api_key=setting_values.shaped(
                "STRIPE_API_KEY", env.get("STRIPE_API_KEY", ""), STRIPE_KEY, "rk_live_…"
            ),
            stripe_accounts=setting_values.names(env, "STRIPE_ACCOUNTS"),
            stripe_livemode=setting_values.switch(env, "STRIPE_LIVEMODE"),
            stripe_disputes=setting_values.choice(env, "STRIPE_DISPUTES", "freeze", ("freeze", "keep")),
            stripe_api_url=setting_values.web_address(env, "STRIPE_API_URL"),
            usage_webhook_url=setting_values.web_address(env, "USAGE_WEBHOOK_URL"),
            usage_webhook_secret=setting_values.webhook_secret(env),
            alertmanager_acting_alerts=setting_values.names(env, "ALERTMANAGER_ACTING_ALERTS"),
            prometheus_url=setting_values.web_address(env, "PROMETHEUS_URL"),
            notify_urls=setting_values.names(env, "NOTIFY_URLS"),
            audit_anchors=tuple(setting_values.anchor(each) for each in setting_values.names(env, "AUDIT_ANCHORS")),
            otel_endpoint=setting_values.web_address(env, "OTEL_EXPORTER_OTLP_ENDPOINT"),
            log_format=setting_values.choice(env, "LOG_FORMAT", "console", ("console", "json")),
            sqlite_synchronous=setting_values.choice(env, "SQLITE_SYNCHRONOUS", "NORMAL", ("FULL", "NORMAL")),
            guard_lease_seconds=float(setting_values.integer(env, "GUARD_LEASE_SECONDS", 30, range(2, 3601))),
        )


SETTINGS = AppState[Settings]("settings")


def current() -> Settings:
    """Return the settings of the running application."""
    return SETTINGS.get()
