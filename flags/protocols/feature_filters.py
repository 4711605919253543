"""The filters that an SDK may set on the features it polls, as Unleash reads them: `project`, `namePrefix`, `tag`."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Self

from werkzeug.datastructures import MultiDict

from flags.protocols.unleash_errors import BadRequest
from flags.unleash.compiler import Wire
from flags.unleash.feature_payload import PROJECT

TAG = re.compile(r"[^:]{1,50}:.{1,255}")


@dataclass(frozen=True, slots=True)
class FeatureFilters:
    """Features of any of these projects, with this prefix, and with any of these tags."""

    projects: frozenset[str] = frozenset()
    prefix: str = ""
    tags: frozenset[tuple[str, str]] = frozenset()

    @classmethod
    def of(cls, query: MultiDict[str, str]) -> Self:
        """Read the query; raises BadRequest for a tag that is not `type:value`."""
        tags = query.getlist("tag")
        for tag in tags:
            if not TAG.fullmatch(tag):
                raise BadRequest(("tag", f"The tag {tag[:40]!r} can't be used; write it type:value."))
        pairs = frozenset((kind, value) for kind, _, value in (tag.partition(":") for tag in tags))
        return cls(frozenset(query.getlist("project")) - {"*"}, query.get("namePrefix", ""), pairs)

    def __bool__(self) -> bool:
        """Return whether anything is left out."""
        return bool(self.projects or self.prefix or self.tags)

    def matches(self, feature: Wire, tagged: Collection[str]) -> bool:
        """Return whether a feature passes; `tagged` are the names of those with one of the tags."""
        name: str = feature["name"]
        return (
            (not self.projects or feature.get("project", PROJECT) in self.projects)
            and name.startswith(self.prefix)
            and (not self.tags or name in tagged)
        )

    def to_json(self) -> dict[str, object]:
        """Return the filters as the answer repeats them."""
        found: dict[str, object] = {}
        if self.projects:
            found["project"] = sorted(self.projects)
        if self.prefix:
            found["namePrefix"] = self.prefix
        if self.tags:
            found["tag"] = [list(tag) for tag in sorted(self.tags)]
        return found
