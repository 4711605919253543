"""Keys and lines of a YAML text, and what is wrong with it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

import yaml

Children = Mapping[str, tuple[int, yaml.Node]]
"""The keys of a mapping, each with its line and its value."""


@dataclass(frozen=True, slots=True)
class RuleError:
    """One thing wrong with the file: where, at which key, and what was expected."""

    line: int
    key: str
    expected: str

    def __str__(self) -> str:
        return f"Line {self.line}, {self.key}: {self.expected}"


def children_of(node: yaml.Node | None, path: str, mistakes: list[RuleError]) -> Children:
    """Return the keys of a mapping with the line of each; keys given twice are mistakes and the first one counts."""
    if not isinstance(node, yaml.MappingNode):
        line = node.start_mark.line + 1 if node else 1
        mistakes.append(RuleError(line, path, "expected keys with values below it."))
        return {}
    found: dict[str, tuple[int, yaml.Node]] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        name = key.value if isinstance(key, yaml.ScalarNode) else "?"
        if name in found:
            expected = f"given twice; the first one is on line {found[name][0]}. Keep one."
            mistakes.append(RuleError(line, name if path == "the file" else f"{path}.{name}", expected))
        found.setdefault(name, (line, value))
    return found
