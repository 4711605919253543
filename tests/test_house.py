"""The rules of the house that no linter knows: what lies where, how large it may be, and what the locks may hold."""

import ast
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from importlib import import_module
from pathlib import Path

import pytest

from control_plane.app import PACKAGES

ROOT = Path(__file__).parents[1]
PRODUCT = ("control_plane", *PACKAGES)
TOP_FOLDERS = {*PRODUCT, "tests", "docs", "deploy", "requirements"}
LOCKS = sorted(ROOT.glob("requirements/*.txt"))

FILE_LINES = 300
FUNCTION_LINES = 40
LONG_FILES: dict[str, str] = {}
"""Files above the limit, each with the reason why it stays whole."""
LONG_FUNCTIONS: dict[str, str] = {"control_plane/platform/settings.py:from_env": "a line for each setting"}
"""Functions above the limit, as `file:name`, each with the reason why it stays whole."""
PARAMETERS = 6
WIDE_FUNCTIONS_MAX = 11
"""Half of them are commands, with an argument for each of their options."""

ANY_LINES = 191
"""So many lines may say `Any`: half of those of the review. What drivers, wires and optional libraries hold."""

STATE_MODULE = "control_plane/platform/extensions.py"
STATE_KEY = re.compile(r"= AppState\[.+\]\(\s*\"(\w+)\"")

REGISTRATION = re.compile(r"\b(rollouts|blast_radius|sample_ratio)\.(register_\w+|on_change)\(")

SQL = re.compile(r"from sqlalchemy import .*|session\.(?:execute|scalars?|get|query)\(")

PRIVATE = re.compile(r"_(?!make$)[a-z]")
"""A name that a library keeps to itself; `namedtuple._make` is documented."""

HOST_TIME = "datetime.now(UTC)"
HOST_TIME_ALLOWED = {
    "control_plane/platform/clock.py": "the door to it",
    "control_plane/platform/db/database.py": "of SQLite, which has one host",
}
HOST_TIME_FOLDERS = ("flags/client/", "flags/relay/", "dashboards/simulation/")
"""What runs beside other services or on a database of its own, and has no database that hosts share."""

PIN = re.compile(r"^(?P<name>[a-z0-9.-]+)(\[[a-z,]+\])?==(?P<version>\S+)", re.MULTILINE)


def test_the_top_level_holds_the_five_packages_their_tests_and_nothing_else() -> None:
    ignored = [line.rstrip("/") for line in (ROOT / ".gitignore").read_text().split()]
    folders = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")}
    assert {name for name in folders if not any(fnmatch(name, pattern) for pattern in ignored)} == TOP_FOLDERS


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_joins_the_application_and_the_command_line_the_same_way(package: str) -> None:
    assert callable(import_module(package).init_app)
    assert callable(import_module(f"{package}.cli").register)


@pytest.mark.parametrize("package", PACKAGES)
def test_what_a_package_registers_with_rollouts_stands_in_its_init(package: str) -> None:
    calls = {name for name, text in _modules(package) if REGISTRATION.search(text)}
    assert calls <= {f"{package}/__init__.py"}


def test_no_module_gives_two_values_to_one_name() -> None:
    """The second would take the place of the first for everything that was written before it."""
    found = []
    for name, text in _modules(*PRODUCT):
        body = ast.parse(text).body
        given = [
            node.targets[0].id
            for node in body
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        ]
        found += [f"{name}: {each}" for each in sorted(set(given)) if given.count(each) > 1]
    assert found == []


def test_the_dashboards_execute_no_sql() -> None:
    """Let each package's store do that: a page is made of what those return."""
    found = [f"{name}: {line}" for name, text in _modules("dashboards") for line in SQL.findall(text)]
    assert found == []


def test_the_present_is_asked_of_the_clock_that_all_hosts_share() -> None:
    """A host whose own clock is minutes off would decide and store by it."""
    found = {name for name, text in _modules(*PRODUCT) if not name.startswith(HOST_TIME_FOLDERS) and HOST_TIME in text}
    assert found == HOST_TIME_ALLOWED.keys()


def test_the_database_layer_uses_no_private_part_of_a_library() -> None:
    found = [
        f"{name}:{node.lineno}: {node.attr if isinstance(node, ast.Attribute) else node.name}"
        for name, text in _modules("control_plane/platform/db")
        for node in ast.walk(ast.parse(text))
        if (isinstance(node, ast.Attribute) and _is_foreign(node.value) and PRIVATE.match(node.attr))
        or (isinstance(node, ast.alias) and PRIVATE.match(node.name))
    ]
    assert found == []


def test_no_file_is_longer_than_agreed() -> None:
    long = {name: lines for name, lines in _file_lengths() if lines > FILE_LINES}
    assert long.keys() == LONG_FILES.keys(), f"{long} must be split, or listed with a reason"


def test_no_function_is_longer_than_agreed() -> None:
    long = {name: lines for name, lines in _function_lengths() if lines > FUNCTION_LINES}
    assert long.keys() == LONG_FUNCTIONS.keys(), f"{long} must be split, or listed with a reason"


def test_few_lines_say_any() -> None:
    lines = sorted(
        {
            f"{place}:{node.lineno}"
            for place, text in _modules(*PRODUCT)
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.Name) and node.id == "Any"
        }
    )
    assert len(lines) <= ANY_LINES, lines


def test_few_functions_have_many_parameters() -> None:
    wide = [name for name, parameters in _parameter_counts() if parameters > PARAMETERS]
    assert len(wide) <= WIDE_FUNCTIONS_MAX, f"{wide}: what always travels together is a value with a name"


def test_the_state_of_an_application_is_reached_through_typed_keys_alone() -> None:
    found = [
        f"{name}:{node.lineno}"
        for name, text in _modules(*PRODUCT)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Attribute) and node.attr == "extensions"
    ]
    assert {place.partition(":")[0] for place in found} == {STATE_MODULE}, f"{found}: declare an AppState instead"


def test_no_two_keys_of_the_state_have_the_same_name() -> None:
    names = [name for _, text in _modules(*PRODUCT) for name in STATE_KEY.findall(text)]
    assert names
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_a_lock_holds_pins_and_hashes_and_names_no_registry(lock: Path) -> None:
    entries = lock.read_text().replace("\\\n", " ").splitlines()
    assert entries
    for entry in entries:
        assert PIN.match(entry), entry
        assert "--hash=sha256:" in entry, entry
        assert "://" not in entry, entry


def test_testing_installs_every_pin_of_running_so_that_one_environment_serves_both() -> None:
    running, testing = (set(_pins(ROOT / "requirements" / name)) for name in ("run.txt", "test.txt"))
    assert running <= testing


def _pins(lock: Path) -> Iterator[tuple[str, str]]:
    return ((found["name"], found["version"]) for found in PIN.finditer(lock.read_text()))


def _is_foreign(value: ast.expr) -> bool:
    return not (isinstance(value, ast.Name) and value.id in ("self", "cls"))


def _modules(*packages: str) -> Iterator[tuple[str, str]]:
    for package in packages:
        for path in sorted((ROOT / package).rglob("*.py")):
            if path.parent.name != "versions":  # a migration is one long list of what changes
                yield str(path.relative_to(ROOT)), path.read_text()


def _file_lengths() -> Iterator[tuple[str, int]]:
    return ((name, text.count("\n")) for name, text in _modules(*PRODUCT, "tests"))


def _parameter_counts() -> Iterator[tuple[str, int]]:
    for name, text in _modules(*PRODUCT):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                yield f"{name}:{node.name}", len([each for each in given if each.arg not in ("self", "cls")])


def _function_lengths() -> Iterator[tuple[str, int]]:
    for name, text in _modules(*PRODUCT):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno is not None
                yield f"{name}:{node.name}", node.end_lineno - node.lineno + 1
