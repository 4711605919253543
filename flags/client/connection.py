"""The connection to a control plane: UnleashClient for the flags, and what compares the two sides of one."""

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakSet

from UnleashClient import UnleashClient
from UnleashClient.cache import FileCache
from UnleashClient.constants import FEATURES_URL
from UnleashClient.events import BaseEvent, UnleashEventType
from UnleashClient.utils import InstanceAllowType

from flags.client.cache_folder import own_folder
from flags.client.comparison import NO_COHORTS, Comparison, Comparisons
from flags.client.contexts import unleash_context
from flags.client.hooks import EvaluationHook, EvaluationReason, FlagEvaluation, notify

Decision = TypeVar("Decision")

PRODUCTION = "production"
PATIENCE_SECONDS = 3.0
READ_SECONDS = 25
NO_VARIANT: Mapping[str, object] = {"name": "disabled", "enabled": False, "feature_enabled": False}
OFF, ON = ("false", "0", "off"), ("true", "1", "on")


class Flags:
    """The flags of one token's environment. Every method may be called from any thread and after any fork."""

    def __init__(
        self,
        url: str,
        token: str,
        *,
        app_name: str,
        cache_dir: Path,
        patience_seconds: float,
        results_token: str = "",
        hooks: Sequence[EvaluationHook] = (),
    ) -> None:
        self._hooks = tuple(hooks)
        self._url = url.rstrip("/").removesuffix("/api")
        self._token = token
        self._app_name = app_name
        self._cache_dir = cache_dir
        self._patience_seconds = patience_seconds
        self._cache_name = "flags-" + blake2b(f"{self._url} {token}".encode(), digest_size=8).hexdigest()
        self._results_token = results_token
        self._starting = threading.Lock()
        self._started: tuple[int, UnleashClient] | None = None
        self._comparisons: tuple[int, Comparisons] | None = None
        CONNECTIONS.add(self)

    def is_enabled(
        self,
        flag: str,
        user_id: str | int | None = None,
        *,
        signed_up_at: datetime | None = None,
        default: bool = False,
        attributes: Mapping[str, str] | None = None,
    ) -> bool:
        """Return whether the flag is on for this user; `default` while the flag is unknown.

        An environment variable of the flag's name decides first: false always, true outside production.
        """
        switched, unknown = self._switched(flag), False

        def fall_back(*_: object) -> bool:
            nonlocal unknown
            unknown = True
            return default

        value = switched
        if value is None:
            context = unleash_context(user_id, signed_up_at, attributes or {})
            value = bool(self.client.is_enabled(flag, context, fall_back))
        reason = EvaluationReason.STATIC if switched is not None else EvaluationReason.UNKNOWN
        self._notify(flag, user_id, EvaluationReason.ERROR if unknown else reason, value=value)
        return value

    def variant(
        self,
        flag: str,
        user_id: str | int | None = None,
        *,
        signed_up_at: datetime | None = None,
        attributes: Mapping[str, str] | None = None,
    ) -> dict[str, object]:
        """Return the variant this user gets, in UnleashClient's form; the one called `disabled` where there is none.

        Where the environment variable of the flag's name switches it off there is none.
        """
        if self._switched(flag) is False:
            self._notify(flag, user_id, EvaluationReason.STATIC, value=False, variant=str(NO_VARIANT["name"]))
            return {**NO_VARIANT}
        found: dict[str, object] = self.client.get_variant(
            flag, unleash_context(user_id, signed_up_at, attributes or {})
        )
        value, variant = bool(found.get("feature_enabled")), str(found["name"])
        self._notify(flag, user_id, EvaluationReason.UNKNOWN, value=value, variant=variant)
        return found

    def compare(
        self,
        flag: str,
        *,
        control: Callable[..., Decision],
        candidate: Callable[..., Decision],
        key: str | int,
        arguments: tuple[object, ...] = (),
        signed_up_at: datetime | None = None,
        attributes: Mapping[str, str] | None = None,
        cohorts: Mapping[str, str] = NO_COHORTS,
        **options: Any,
    ) -> Decision:
        """Answer by the side that the flag gives to the user `key`, run the other beside it, and report both.

        Both are called with `arguments`; the shadow gets deep copies, or what `copy=` makes of them, and runs in
        another thread. `equal=` says when two answers are the same. `cohorts` are the parts of the traffic that the
        request belongs to, known before either side runs, such as `{"country": "NO", "with a voucher": ""}`; the
        guard looks at each by itself. Where the environment variable of the flag's name switches it off, the control
        runs alone.
        """
        if self._switched(flag) is False:
            return control(*arguments)
        candidate_serves = self.is_enabled(flag, key, signed_up_at=signed_up_at, attributes=attributes)
        comparison: Comparison[Decision] = Comparison(control, candidate, arguments, **options)
        return self._comparing().run(flag, comparison, candidate_serves=candidate_serves, key=str(key), cohorts=cohorts)

    async def compare_async(
        self,
        flag: str,
        *,
        control: Callable[..., Coroutine[object, object, Decision]],
        candidate: Callable[..., Coroutine[object, object, Decision]],
        key: str | int,
        arguments: tuple[object, ...] = (),
        signed_up_at: datetime | None = None,
        attributes: Mapping[str, str] | None = None,
        cohorts: Mapping[str, str] = NO_COHORTS,
        **options: Any,
    ) -> Decision:
        """Do as `compare` does with two coroutine functions; the shadow runs as a task of the same event loop.

        What either side keeps from awaiting keeps everything else of the loop, as any coroutine would.
        """
        if self._switched(flag) is False:
            return await control(*arguments)
        if not self._is_started:
            await asyncio.to_thread(lambda: self.client)  # which may wait for the server
        candidate_serves = self.is_enabled(flag, key, signed_up_at=signed_up_at, attributes=attributes)
        comparison: Comparison[Decision] = Comparison(control, candidate, arguments, **options)
        return await self._comparing().run_async(
            flag, comparison, candidate_serves=candidate_serves, key=str(key), cohorts=cohorts
        )

    @property
    def _is_started(self) -> bool:
        return self._started is not None and self._started[0] == os.getpid()

    @property
    def client(self) -> UnleashClient:
        """The official client of this process, started when it is first asked for."""
        started = self._started
        if started is None or started[0] != os.getpid():
            with self._starting:
                if self._started is None or self._started[0] != os.getpid():
                    self._started = (os.getpid(), self._start())
                started = self._started
        return started[1]

    def close(self) -> None:
        """Report what is still to be reported and end the threads of this process."""
        with self._starting:
            started, self._started = self._started, None
            comparisons, self._comparisons = self._comparisons, None
        if comparisons is not None and comparisons[0] == os.getpid():
            comparisons[1].close()
        if started is not None and started[0] == os.getpid():
            started[1].destroy()

    def _notify(
        self, flag: str, user_id: str | int | None, reason: EvaluationReason, *, value: bool, variant: str = ""
    ) -> None:
        if self._hooks:
            who = None if user_id is None else str(user_id)
            chosen = variant or ("on" if value else "off")
            notify(self._hooks, FlagEvaluation(flag, value, chosen, who, self._environment, reason))

    @property
    def _environment(self) -> str:
        return self._token.partition(":")[2].partition(".")[0]

    def _comparing(self) -> Comparisons:
        """Return the comparisons of this process, begun at the first one."""
        comparisons = self._comparisons
        if comparisons is None or comparisons[0] != os.getpid():
            with self._starting:
                if self._comparisons is None or self._comparisons[0] != os.getpid():
                    if not self._results_token:
                        raise ValueError("A comparison reports its results with a service token; give results_token.")
                    self._comparisons = (os.getpid(), Comparisons(self._url, self._results_token))
                comparisons = self._comparisons
        return comparisons[1]

    def _start(self) -> UnleashClient:
        ready = threading.Event()

        def on_event(event: BaseEvent) -> None:
            if event.event_type is UnleashEventType.READY:
                ready.set()

        cache = self._cache()
        client = UnleashClient(
            f"{self._url}/api",
            self._app_name,
            custom_headers={"Authorization": self._token},
            request_timeout=READ_SECONDS,
            cache=cache,
            event_callback=on_event,
            multiple_instance_mode=InstanceAllowType.SILENTLY_ALLOW,
            experimental_mode={"type": "streaming"},
        )
        client.initialize_client()
        if not cache.bootstrapped:
            ready.wait(self._patience_seconds)
        return client

    def _cache(self) -> FileCache:
        """Return the cache on disk; a client that finds flags there answers from them at once."""
        self._cache_dir.mkdir(parents=True, exist_ok=True)
        cache = FileCache(self._cache_name, directory=str(self._cache_dir))
        cache.bootstrapped = bool(cache.get(FEATURES_URL))
        return cache

    def _switched(self, flag: str) -> bool | None:
        word = os.environ.get(flag, "").strip().lower()
        if word in OFF:
            return False
        return True if word in ON and self._environment != PRODUCTION else None


CONNECTIONS = WeakSet[Flags]()


def _replace_locks() -> None:
    """Free what a thread held that a forked process does not have."""
    for each in CONNECTIONS:
        each._starting = threading.Lock()  # noqa: SLF001 - of this very module


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_replace_locks)


def connect(
    url: str,
    token: str,
    *,
    app_name: str = "python-service",
    cache_dir: Path | None = None,
    patience_seconds: float = PATIENCE_SECONDS,
    results_token: str = "",
    hooks: Sequence[EvaluationHook] = (),
) -> Flags:
    """Return the flags that the token opens. Nothing is started and nobody is asked before the first evaluation.

    `cache_dir` is where the last known flags are kept (default: this user's own in the temporary folder). Where nothing
    was kept, the first evaluation waits up to `patience_seconds` for the server. `results_token` is a service token,
    which `compare` needs. `hooks` are told of every evaluation (`flags.client.opentelemetry`).
    """
    folder = cache_dir or own_folder()
    return Flags(
        url,
        token,
        app_name=app_name,
        cache_dir=folder,
        patience_seconds=patience_seconds,
        results_token=results_token,
        hooks=hooks,
    )
