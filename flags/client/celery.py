"""Flags of a Celery application: `flags.client.celery.init_app(celery)`; needs celery."""

from typing import Any

from celery import Celery
from celery.signals import worker_process_shutdown

from flags.client.connection import Flags, connect


def init_app(celery: Celery, url: str = "", token: str = "", **options: Any) -> Flags:
    """Return the flags of the application's tasks; `options` are those of `connect`.

    Address and token may stand in the application's configuration as `flags_url` and `flags_token` (and
    `flags_results_token` for comparisons).
    """
    options = {"results_token": celery.conf.get("flags_results_token") or ""} | options
    made = connect(url or celery.conf["flags_url"], token or celery.conf["flags_token"], **options)

    def close(**_signal: object) -> None:
        made.close()

    # A process of the pool ends without what Python runs at its end, so what waits to be reported would be lost.
    worker_process_shutdown.connect(close, weak=False)
    return made
