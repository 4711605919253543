"""YAML as plans are written in it: 1.2's scalars, no alias, no tag, every key once, the line of each value. Pure."""

import re
from collections.abc import Mapping

import yaml

from control_plane.strict_json import is_storable

CHARACTERS_MAX = 200_000
DEPTH_MAX = 20
EVENTS_MAX = 50_000
"""A value is one, a list or an object two: what is short and has more takes seconds to read."""
BREAKS = "\x85\u2028\u2029"
DIGITS_MAX = 4000
Place = tuple[str | int, ...]
"""Keys and indexes that lead to a value."""


class MalformedYAML(ValueError):  # noqa: N818 - the field's word
    """The text can't be read; `line` is where."""

    def __init__(self, line: int, sentence: str) -> None:
        super().__init__(sentence)
        self.line = line


class _Dumper(yaml.SafeDumper):
    """Quotes a text that either version of YAML would read as something else."""


class _Loader(yaml.SafeLoader):
    """Reads 17:00 and 2026-12-07 as the text they are, where YAML 1.1 makes a number and a date of them."""


_Loader.yaml_implicit_resolvers = {}


for tag, pattern, first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
):
    for reader_or_writer in (_Loader, _Dumper):
        reader_or_writer.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(rf"(?:{pattern})\Z"), list(first))


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # Between single quotes the next line would be a space, and other breaks would be folded with it.
    broken = any(each in text for each in BREAKS)
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if broken else None)


_Dumper.add_representer(str, _text)


def _integer(_loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    if len(node.value) > DIGITS_MAX:
        raise MalformedYAML(node.start_mark.line + 1, f"A number has more than {DIGITS_MAX:,} digits.")
    return int(node.value)


_Loader.yaml_constructors = {
    **yaml.SafeLoader.yaml_constructors,
    "tag:yaml.org,2002:int": _integer,
}


def load(text: str) -> tuple[object, Mapping[Place, int]]:
    """Return the value of `text`, and the line of every value in it by its place. Raises MalformedYAML."""
    if len(text) > CHARACTERS_MAX:
        raise MalformedYAML(1, f"The file is longer than {CHARACTERS_MAX:,} characters.")
    try:
        depth = 0
        for number, event in enumerate(yaml.parse(text, Loader=_Loader)):
            if number > EVENTS_MAX:
                raise MalformedYAML(_line(event), "The file holds too many values from here on.")
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEPTH_MAX:
                raise MalformedYAML(_line(event), "It is nested too deeply to be a plan.")
            _refuse_event(event)
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            lines: dict[Place, int] = {}
            if node is not None:
                _note(node, (), lines)
            return (None if node is None else loader.construct_document(node)), lines
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as broken:
        line = broken.problem_mark.line + 1 if broken.problem_mark else 1
        raise MalformedYAML(line, f"This is not valid YAML: {(broken.problem or '').removeprefix('but ')}.") from broken
    except (yaml.YAMLError, RecursionError, ValueError) as broken:
        if isinstance(broken, MalformedYAML):
            raise
        raise MalformedYAML(
            1, f"This is not valid YAML: {str(broken).splitlines()[0] or 'nested too deeply'}."
        ) from broken


def dump(value: object) -> str:
    """Return `value` as YAML, in its own order."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def _refuse_event(event: yaml.Event) -> None:
    """Refuse what a plan has no use for. Raises MalformedYAML."""
    line = _line(event)
    if isinstance(event, yaml.AliasEvent):
        raise MalformedYAML(line, "Write the value again instead of an alias.")
    if isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent) and event.tag is not None:
        sentence = f"This is not the YAML of plans: leave out the tag {event.tag[:40]}."
        raise MalformedYAML(line, sentence)
    if isinstance(event, yaml.ScalarEvent) and not is_storable(event.value):
        raise MalformedYAML(line, "A text holds a NUL or half of a surrogate pair, which can't be stored.")


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1


def _note(node: yaml.Node, place: Place, lines: dict[Place, int]) -> None:
    lines[place] = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*place, str(key.value))
            if inner in lines:
                raise MalformedYAML(key.start_mark.line + 1, f"{key.value} stands here twice; keep one.")
            _note(value, inner, lines)
            lines[inner] = key.start_mark.line + 1
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _note(value, (*place, index), lines)
