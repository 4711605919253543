"""Parsers of single values in `alerts.yaml`; each raises ValueError with what was expected. Pure."""

import re
from collections.abc import Callable
from decimal import Decimal
from enum import StrEnum
from typing import TypeVar

import yaml

from alerts.analysis import quantities
from alerts.analysis.rules import Query

NAME_PATTERN = "[a-z][a-z0-9_]{0,63}"
FLAG_PATTERN = "[A-Za-z][A-Za-z0-9_.-]{0,99}"
CREDITS_PATTERN = r"[0-9]{1,9}(\.0+)?"
NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")

Word = TypeVar("Word", bound=StrEnum)


def text(node: yaml.Node) -> str:
    """Return one value, as it is written."""
    if not isinstance(node, yaml.ScalarNode) or node.tag == "tag:yaml.org,2002:null":
        raise ValueError("expected one value here.")
    return str(node.value)


def name(pattern: str, example: str) -> Callable[[yaml.Node], str]:
    """Return a name of this form."""

    def read(node: yaml.Node) -> str:
        found = text(node)
        if node.tag != "tag:yaml.org,2002:str" or not re.fullmatch(pattern, found):
            raise ValueError(f"{found!r} is not a valid name; write it like {example}.")
        return found

    return read


def one_of(choices: type[Word]) -> Callable[[yaml.Node], Word]:
    """Return one of a few words."""

    def read(node: yaml.Node) -> Word:
        found = text(node)
        if found not in [*choices]:
            raise ValueError(f"{found!r} is none of {', '.join(choices)}.")
        return choices(found)

    return read


def number(node: yaml.Node) -> Decimal:
    """Parse `2` or `99.9`."""
    found = text(node)
    if node.tag not in NUMBERS:
        raise ValueError(f"{found!r} is not a plain number; write it like 2 or 99.9.")
    return quantities.parse_number(found)


def credit_count(node: yaml.Node) -> int:
    """Parse `1000`."""
    found = text(node)
    if node.tag not in NUMBERS or not re.fullmatch(CREDITS_PATTERN, found):
        raise ValueError(f"{found!r} is no whole number of credits up to 999999999; write it like 1000.")
    return int(Decimal(found))


def environments(node: yaml.Node) -> tuple[str, ...]:
    """Return a list of environments, each once."""
    if not isinstance(node, yaml.SequenceNode) or not node.value:
        raise ValueError("expected a list of environments, like [production].")
    names = tuple(map(name(NAME_PATTERN, "production"), node.value))
    if len(set(names)) < len(names):
        raise ValueError("an environment is listed twice.")
    return names


def query(node: yaml.Node) -> Query:
    """Parse the queries for the bad outcomes and for all."""
    found = {key.value: value.value for key, value in node.value} if isinstance(node, yaml.MappingNode) else {}
    if found.keys() != {"bad", "total"} or not all(isinstance(each, str) and each for each in found.values()):
        raise ValueError("expected the keys bad and total, each with a query for the number so far.")
    return Query(found["bad"], found["total"])
