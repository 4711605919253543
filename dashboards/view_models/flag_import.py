"""An import of flags from elsewhere: what was pasted or uploaded, and what taking it would do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from flags import store
from flags.administration.imports import ImportOptions, preview_import, refusals, repairs


@dataclass(frozen=True, slots=True)
class ImportPreview:
    """The flags that would be made, changed, left as they are and removed, and what is said of the document."""

    made: Sequence[str]
    changed: Sequence[str]
    same: Sequence[str]
    removed: Sequence[str]
    segments: int
    repairs: Sequence[Mapping[str, str]]
    refused: Sequence[Mapping[str, str]]

    @property
    def groups(self) -> tuple[tuple[str, Sequence[str]], ...]:
        """Return the names by what becomes of them, without those of whom there are none."""
        groups = (("made", self.made), ("changed", self.changed), ("removed", self.removed), ("same", self.same))
        return tuple((label, names) for label, names in groups if names)


@dataclass(frozen=True, slots=True)
class ImportScreen:
    """The form as of `now`, with its mistakes, or with a preview."""

    now: datetime
    environments: Sequence[str]
    environment: str
    text: str = ""
    options: ImportOptions = ImportOptions()  # noqa: RUF009 - frozen
    mistakes: Sequence[str] = ()
    preview: ImportPreview | None = None


def read_preview(session: Session, environment: str, raw: object, options: ImportOptions) -> ImportPreview:
    """Return what an import would do. Raises Problem where nothing would be taken."""
    taken = preview_import(session, environment, raw, options)
    before = {wire["name"]: wire for wire in store.definitions(session, environment)}
    after = {wire["name"]: wire for wire in taken.features}
    return ImportPreview(
        made=sorted(after.keys() - before.keys()),
        changed=sorted(name for name in after.keys() & before.keys() if after[name] != before[name]),
        same=sorted(name for name in after.keys() & before.keys() if after[name] == before[name]),
        removed=sorted(before.keys() - after.keys()) if options.replace else (),
        segments=len(taken.segments),
        repairs=repairs(taken.repairs),
        refused=refusals(taken.refusals),
    )
