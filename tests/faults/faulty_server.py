"""`python -m tests.faults.faulty_server serve`: the `rollout` command, whose engines fail as a file of its folder says.

The file is read again at each operation, so that whoever drives the server over HTTP breaks it while it serves.
"""

import json
import os
import random
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy.exc import OperationalError

from control_plane.cli import run
from credits_engine.api import serializers
from credits_engine.engines import legacy, v2
from credits_engine.engines.amounts import Limits
from credits_engine.engines.decisions import Book, Decision, Engine, Request
from credits_engine.engines.receipts import Receipt
from credits_engine.operations import consumption, execution, stored_procedure
from credits_engine.operations.consumption import Engines

FILE = "faults.json"


@dataclass(frozen=True, slots=True)
class EngineFault:
    """Which requests an engine fails, or is slow for: those that meet every condition that is given."""

    share: float = 1.0
    accounts: tuple[str, ...] = ()
    kind: str = ""
    amount_from: int = 0
    toggle_seconds: float = 0.0
    """In force for so long, and then not for as long, by the clock; 0 is always."""
    slow_seconds: float = 0.0
    """It answers, and takes so much longer."""
    grants_nothing: bool = False
    """It answers, by limits of 0."""

    def hits(self, request: Request) -> bool:
        """Return whether this request meets the fault now."""
        if self.toggle_seconds and int(time.time() / self.toggle_seconds) % 2:
            return False
        if self.accounts and request.user_id not in self.accounts:
            return False
        if self.kind and not request.amounts[self.kind]:
            return False
        return request.amounts.total >= self.amount_from and random.random() < self.share


@dataclass(frozen=True, slots=True)
class Faults:
    """Everything that is broken in a server; nothing by default."""

    v2: EngineFault | None = None
    legacy: EngineFault | None = None
    serving: tuple[str, ...] = ()
    """The engines around which everything fails where they serve."""
    status: tuple[str, ...] = ()
    """The engines whose readers of a user's credits get an error."""
    database_away: bool = False

    def write(self, folder: Path) -> None:
        """Put these in force in the server of that folder, in place of others."""
        arriving = folder / f"{FILE}.new"
        arriving.write_text(json.dumps(asdict(self)), encoding="utf-8")
        arriving.replace(folder / FILE)

    @classmethod
    def read(cls, folder: Path) -> "Faults":
        """Return what is in force there."""
        try:
            found = json.loads((folder / FILE).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return NONE
        engines = {name: _engine_fault(found[name]) for name in ("v2", "legacy")}
        places = {name: tuple(found[name]) for name in ("serving", "status")}
        return cls(**found | engines | places)


def _engine_fault(found: dict[str, Any] | None) -> EngineFault | None:
    return EngineFault(**found | {"accounts": tuple(found["accounts"])}) if found else None


NONE = Faults()


def in_force() -> Faults:
    """Return the faults of this process's folder."""
    return Faults.read(Path(os.environ["INSTANCE_DIR"]))


def faulty(engine: Engine, fault_of: Callable[[Faults], EngineFault | None]) -> Engine:
    """Return the engine with its faults."""

    def decide(book: Book, request: Request) -> Decision:
        fault = fault_of(in_force())
        if fault is None or not fault.hits(request):
            return engine(book, request)
        if fault.grants_nothing:
            return engine(replace(book, limits=Limits(*(0 for _ in book.limits.in_order))), request)
        if fault.slow_seconds:
            time.sleep(fault.slow_seconds)
            return engine(book, request)
        raise ValueError

    return decide


def install() -> None:
    """Let this process, and those that it forks, serve with the faults of its folder."""
    engines = Engines(faulty(legacy.decide, lambda each: each.legacy), faulty(v2.decide, lambda each: each.v2))
    consume, call, status = consumption.consume, stored_procedure.call, serializers.status_document

    def consume_with_faults(*arguments: Any, policy: Any, **options: Any) -> Receipt:
        found = in_force()
        if found.database_away:
            raise OperationalError("UPDATE", {}, Exception("canceling statement due to lock timeout"))
        receipt = consume(*arguments, policy=replace(policy, engines=engines), **options)
        if receipt.served.engine.value in found.serving:
            raise RuntimeError
        return receipt

    def call_without_faults(*arguments: Any, **options: Any) -> Receipt | None:
        # What PostgreSQL decides by itself can't be broken from here; `consume` decides there as well.
        return call(*arguments, **options) if in_force() == NONE else None

    def status_with_faults(books: Any, engine: Any) -> Any:
        if engine.value in in_force().status:
            raise RuntimeError
        return status(books, engine)

    vars(execution)["consume"] = consume_with_faults
    vars(stored_procedure)["call"] = call_without_faults
    vars(serializers)["status_document"] = status_with_faults


if __name__ == "__main__":
    install()
    run()
