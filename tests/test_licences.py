"""What is installed to run the program may be used and passed on with it: each licence was looked at once."""

import re
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[1]
PIN = re.compile(r"^([a-z0-9.-]+)(?:\[[a-z,]+\])?==", re.MULTILINE)
PERMISSIVE = re.compile(r"(MIT|BSD|Apache|PSF)\b.*")
"""Licences that ask for a notice and nothing else."""
LOOKED_AT = {
    "certifi": "MPL 2.0: a list of authorities, passed on unchanged",
    "psycopg": "LGPL 3: imported and unchanged, and everybody may install another one",
    "psycopg-binary": "LGPL 3: as psycopg",
}


def test_every_dependency_has_a_licence_that_was_looked_at() -> None:
    found = dict(_licences())
    assert len(found) > 40
    unknown = {name: licence for name, licence in found.items() if not PERMISSIVE.fullmatch(licence)}
    assert unknown.keys() == LOOKED_AT.keys(), f"{unknown}: look at them, and say why they may be used"


def _field(about: metadata.PackageMetadata, name: str) -> str:
    return next(iter(about.get_all(name) or []), "")


def _licences() -> Iterator[tuple[str, str]]:
    for name in PIN.findall((ROOT / "requirements" / "run.txt").read_text()):
        try:
            about = metadata.metadata(name)
        except metadata.PackageNotFoundError:
            continue  # of another platform
        classifiers = [each for each in about.get_all("Classifier") or [] if each.startswith("License ::")]
        short = " ".join(each.split(" :: ")[-1] for each in classifiers if each.count(" :: ") > 1)
        yield name, _field(about, "License-Expression") or short or _field(about, "License")
