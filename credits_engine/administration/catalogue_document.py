"""Kinds and plans of credits as they are written: YAML into versions, and back."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from credits_engine.administration import documents
from credits_engine.administration.documents import Start, start_of
from credits_engine.engines.added_kinds import AddedKind
from credits_engine.engines.amounts import Limit
from credits_engine.engines.plan_versions import GRACE_DAYS_MAX, PlanVersion

VERSIONS_MAX = 200
KINDS_MAX = 20
INVALID = "INVALID_CATALOGUE"


class LimitDocument(BaseModel):
    """The limit of one kind: v2's for a billing period, legacy's for a month. Null is unlimited."""

    model_config = ConfigDict(extra="forbid", strict=True)

    v2: Limit
    legacy: Limit


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

    def version(self, now: datetime) -> PlanVersion:
        """Return the version as it is stored."""
        limits = {kind: (each.v2, each.legacy) for kind, each in self.limits.items()}
        title = self.title or self.plan.capitalize()
        starts = start_of(self.starts, now)
        return PlanVersion(self.plan, title, starts, limits, self.above, self.grace_days, self.per_seat)


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
    }
