"""Kinds and plans of credits as they are written: YAML into versions, and back."""

from dataclasses import asdict
from datetime import datetime
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from credits_engine.administration import documents
from credits_engine.administration.documents import Start, start_of
from credits_engine.engines.added_kinds import AddedKind
from credits_engine.engines.amounts import Limit
from credits_engine.engines.plan_versions import GRACE_DAYS_MAX, LIMIT_MAX, PlanVersion
from credits_engine.engines.rollovers import MAX_PERCENT_MAX, PERIODS_MAX, Rollover, Rollovers

VERSIONS_MAX = 200
KINDS_MAX = 20
INVALID = "INVALID_CATALOGUE"


class LimitDocument(BaseModel):
    """The limit of one kind: v2's for a billing period, legacy's for a month. Null is unlimited."""

    model_config = ConfigDict(extra="forbid", strict=True)

    v2: Limit
    legacy: Limit


class RolloverDocument(BaseModel):
    """How much of one kind rolls over from a period of v2 at most, and in how many periods it may be spent."""

    model_config = ConfigDict(extra="forbid", strict=True)

    max: int | None = Field(None, ge=0, le=LIMIT_MAX)
    max_percent: int | None = Field(None, ge=0, le=MAX_PERCENT_MAX)
    periods: int = Field(1, ge=1, le=PERIODS_MAX)

    @model_validator(mode="after")
    def _has_one_maximum(self) -> Self:
        if (self.max is None) == (self.max_percent is None):
            raise ValueError("say the most that rolls over, either as max or as max_percent")
        return self


class PlanDocument(BaseModel):
    """What a plan grants from a moment on; without a start from now on."""

    model_config = ConfigDict(extra="forbid")

    plan: str = Field(min_length=1, max_length=64)
    title: str | None = Field(None, max_length=64)
    above: str | None = Field(None, max_length=64)
    starts: Start = None
    limits: dict[str, LimitDocument]
    grace_days: int | None = Field(None, ge=0, le=GRACE_DAYS_MAX)
    per_seat: bool = False
    rollovers: dict[str, RolloverDocument] | None = None

    def version(self, now: datetime) -> PlanVersion:
        """Return the version as it is stored."""
        limits = {kind: (each.v2, each.legacy) for kind, each in self.limits.items()}
        title = self.title or self.plan.capitalize()
        starts = start_of(self.starts, now)
        written = self.rollovers
        rules = None if written is None else {kind: Rollover(**each.model_dump()) for kind, each in written.items()}
        return PlanVersion(self.plan, title, starts, limits, self.above, self.grace_days, self.per_seat, rules)


class KindDocument(BaseModel):
    """A kind of credits: what each plan grants of it, and the sizes of its packs."""

    model_config = ConfigDict(extra="forbid")

    kind: str = Field(max_length=32)
    starts: Start = None
    limits: dict[str, LimitDocument]
    packs: list[int] = Field([], max_length=20)

    def added(self, now: datetime) -> AddedKind:
        """Return the kind as it is stored."""
        limits = {plan: (each.v2, each.legacy) for plan, each in self.limits.items()}
        return AddedKind(self.kind, start_of(self.starts, now), limits, tuple(self.packs))


class CatalogueDocument(BaseModel):
    """Every kind and every version of a plan that is wanted besides the built-in ones."""

    model_config = ConfigDict(extra="forbid")

    kinds: list[KindDocument] = Field([], max_length=KINDS_MAX)
    plans: list[PlanDocument] = Field([], max_length=VERSIONS_MAX)


def parsed(source: str) -> CatalogueDocument:
    """Read a document from YAML. Raises Problem, with the place of each mistake."""
    return documents.parsed(source, CatalogueDocument, INVALID)


def kind_document_of(added: AddedKind) -> dict[str, object]:
    """Return one kind as it is written."""
    limits = {plan: {"v2": v2, "legacy": legacy} for plan, (v2, legacy) in added.limits.items()}
    return {"kind": added.name, "starts": added.starts_at.isoformat(), "limits": limits, "packs": list(added.packs)}


def document_of(version: PlanVersion) -> dict[str, object]:
    """Return one version as it is written."""
    above = {"above": version.above} if version.above else {}
    grace = {"grace_days": version.grace_days} if version.grace_days is not None else {}
    limits = {kind: {"v2": v2, "legacy": legacy} for kind, (v2, legacy) in version.limits.items()}
    return {
        "plan": version.plan,
        "title": version.title,
        **above,
        "starts": version.starts_at.isoformat(),
        "limits": limits,
        **grace,
        **({"per_seat": True} if version.per_seat else {}),
        **({} if version.rollovers is None else {"rollovers": rollovers_document(version.rollovers)}),
    }


def rollovers_document(rules: Rollovers) -> dict[str, dict[str, int]]:
    """Return the rules of what rolls over as they are written."""
    return {
        kind: {name: value for name, value in asdict(rule).items() if value is not None} for kind, rule in rules.items()
    }
