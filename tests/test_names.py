"""Public names are words of the field or stand in docs/glossary.md; the old dialect of this code stays out."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import click
import pytest
from prometheus_client import REGISTRY

from alerts.analysis.metrics import METRICS
from control_plane.cli import command_line
from control_plane.platform.settings import Settings
from tests.test_house import PRODUCT, ROOT

DENIED = frozenset(
    re.findall(
        r"\w+",
        """
        acquaintance afresh aftermath alone anew asked asks astray besides bet bets breadth crew crossing crowded
        crowding desk dissection doubt doubtful doubts drawn everywhere fold folded glance glances happening heard
        holdings hopeless informed insist introduced judged keep keeping kept knock knocking lend lent look looking
        looks manners mention mentioned novelties office owed owes owing recall recalled recollection rehearsal rehearse
        seen settle settled settlement shelf shown sight silent speak specimen standing stranger strangers survey
        tallies tally tell telling tells testimony till told torn truth turnstile uncompared uncounted unlike unopened
        unshadowed unsold untold whoever whom wish witness worded wording words
        """,
    )
)
"""Metaphors, past participles as nouns and adverbs as functions: see the table of the glossary for what to write."""
ALLOWED = {"touch_last_seen": "the column is Unleash's `last_seen_at`"}
"""Names that hold a denied word all the same, each with the reason."""
ALLOWED_VALUES = {
    "alone": "a job of the schedule that shares its thread with none",
    "asked_per_second": "stored in the report of a load test",
    "owed": "what a rollback's report calls the amount to give back",
    "seen_version": "the version with which a form was sent out",
    "shown": "the fields of a form of the plan",
}
"""Parameters and local values that hold a denied word all the same."""
FREE_RELATIVE = re.compile(r"(Who|Whom|Whose|What|How|Where|Whoever|Whatever|Whether|Which)\b")
NOUN_PHRASE = re.compile(r"(The|A|An|Every|One|Why|When|Everything|All|Both|Everybody|Those)\b")
DESCRIBED_AS_VALUES = re.compile(r"property|setter|fixture|command|group|option|argument")
"""Decorators of functions that are read like values, or whose docstring is what their help says."""
TERMS_MAX = 60


def parts(name: str) -> set[str]:
    """Return the words of a name in any spelling: `snake_case`, `CamelCase`, `kebab-case`, `UPPER_CASE`."""
    return {word.lower() for word in re.findall(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+", name)}


def denied(names: Iterator[tuple[str, str]]) -> list[str]:
    """Return each name with a denied word, as `place: name`."""
    return [f"{place}: {name}" for place, name in names if parts(name) & DENIED and name not in ALLOWED]


@dataclass(frozen=True, slots=True)
class Definition:
    """A class or a function of a module; `place` is the module's path."""

    place: str
    name: str
    docstring: str
    is_function: bool
    is_top_level: bool
    decorators: str


def modules(*packages: str) -> Iterator[Path]:
    for package in packages:
        yield from (path for path in sorted((ROOT / package).rglob("*.py")) if path.parent.name != "versions")


def module_names(*packages: str) -> Iterator[tuple[str, str]]:
    return ((str(path.relative_to(ROOT)), path.stem) for path in modules(*packages))


@cache
def definitions(*packages: str) -> tuple[Definition, ...]:
    return tuple(
        Definition(
            str(path.relative_to(ROOT)),
            node.name,
            ast.get_docstring(node) or "",
            isinstance(node, ast.FunctionDef),
            node in tree.body,
            " ".join(map(ast.unparse, node.decorator_list)),
        )
        for path in modules(*packages)
        for tree in [ast.parse(path.read_text())]
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    )


def values(*packages: str) -> Iterator[tuple[str, str]]:
    """Yield every parameter and every local value, with the function that it is in."""
    for path in modules(*packages):
        for function in ast.walk(ast.parse(path.read_text())):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                place = f"{path.relative_to(ROOT)}:{function.name}"
                for node in ast.walk(function):
                    if isinstance(node, ast.arg):
                        yield place, node.arg
                    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                        yield place, node.id


def test_modules_classes_and_functions_are_named_in_words_of_the_field() -> None:
    assert denied(module_names(*PRODUCT)) == []
    assert denied((each.place, each.name) for each in definitions(*PRODUCT)) == []


def test_parameters_and_local_values_are_named_in_words_of_the_field() -> None:
    found = {place for place in denied(values(*PRODUCT)) if place.rpartition(" ")[2] not in ALLOWED_VALUES}
    assert found == set()


def test_support_code_of_tests_is_named_in_words_of_the_field() -> None:
    support = (each for each in definitions("tests") if each.is_top_level and not each.name.startswith("test_"))
    assert denied(module_names("tests")) == []
    assert denied((each.place, each.name) for each in support) == []


def test_commands_and_options_are_named_in_words_of_the_field() -> None:
    assert denied(_commands(command_line(), "rollout")) == []


def test_settings_are_named_in_words_of_the_field() -> None:
    assert denied(("settings", name) for name in Settings.__dataclass_fields__) == []


def test_metrics_and_signals_are_named_in_words_of_the_field() -> None:
    assert denied(("metrics", name) for name in _metrics()) == []


def test_no_docstring_of_a_function_begins_with_a_free_relative() -> None:
    found = [
        f"{each.place}: {each.name}"
        for each in (*definitions(*PRODUCT), *definitions("tests"))
        if each.is_function and FREE_RELATIVE.match(each.docstring)
    ]
    assert found == []


def test_the_docstring_of_a_function_of_the_product_says_what_to_do() -> None:
    found = [
        f"{each.place}: {each.name}"
        for each in definitions(*PRODUCT)
        if each.is_function and NOUN_PHRASE.match(each.docstring) and not DESCRIBED_AS_VALUES.search(each.decorators)
    ]
    assert found == []


def test_the_glossary_is_short_and_names_places_that_exist() -> None:
    rows = [
        [cell.strip() for cell in line.strip("|\n").split("|")]
        for line in (ROOT / "docs" / "glossary.md").read_text().splitlines()
        if line.startswith("|") and not line.startswith(("| term", "|---"))
    ]
    assert 30 <= len(rows) <= TERMS_MAX
    terms = [row[0] for row in rows]
    assert terms == sorted(terms, key=str.lower)
    for term, what, _, where in rows:
        assert what, term
        for place in re.findall(r"`([^`]+)`", where):
            assert (ROOT / place).exists(), (term, place)


@pytest.mark.parametrize("name", ["TruthTeller", "keep_shelf", "after-all-told", "KEPT_SECONDS"])
def test_a_denied_word_is_found_in_every_spelling(name: str) -> None:
    assert denied(iter([("here", name)])) == [f"here: {name}"]


def _commands(command: click.Command, place: str) -> Iterator[tuple[str, str]]:
    for parameter in command.params:
        yield place, str(parameter.name)
    if isinstance(command, click.Group):
        for name, each in command.commands.items():
            yield place, name
            yield from _commands(each, f"{place} {name}")


def _metrics() -> set[str]:
    """Return the names that alerts may give, and every series that is exported."""
    exported = {metric.name for metric in REGISTRY.collect() if metric.name.startswith(("rollout_", "guard_"))}
    return {*METRICS, *exported}
