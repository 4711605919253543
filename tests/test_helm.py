"""The Helm chart fits the program: its values, its settings and its probes; `make chart` renders it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from flask import Flask
from jsonschema import Draft7Validator

ROOT = Path(__file__).parents[1]
CHART = ROOT / "deploy" / "helm"
TEMPLATES = "".join(path.read_text() for path in sorted(CHART.glob("templates/*.yaml")))
SETTING = re.compile(r"^    \"\"\"`([A-Z0-9_]+)`", re.MULTILINE)


def values() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
    return found


def test_the_values_are_those_of_the_schema_and_others_are_refused() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    Draft7Validator.check_schema(schema)
    validator = Draft7Validator(schema)
    assert list(validator.iter_errors(values())) == []
    for wrong in ({"replicas": 0}, {"settings": {"WORKERS": 2}}, {"existingSecret": ""}, {"replica": 2}):
        assert not validator.is_valid(values() | wrong), wrong


def test_every_value_that_a_template_names_is_there() -> None:
    named = set(re.findall(r"\.Values((?:\.\w+)+)", TEMPLATES))
    assert named
    for path in named:
        place: Any = values()
        for name in path.strip(".").split("."):
            assert name in place, path
            place = place[name]


def test_its_settings_are_those_of_the_program_and_hold_no_secret() -> None:
    known = set(SETTING.findall((ROOT / "control_plane/platform/settings.py").read_text()))
    named = set(values()["settings"])
    assert named <= known
    assert [name for name in named if "SECRET" in name or "DATABASE" in name] == []


@pytest.mark.database("sqlite")
def test_it_probes_routes_that_there_are_and_runs_as_the_image_does(app: Flask) -> None:
    rules = {rule.rule for rule in app.url_map.iter_rules()}
    paths = set(re.findall(r"httpGet: \{path: (\S+),", TEMPLATES))
    assert {"/healthz", "/readyz"} == paths <= rules
    (user,) = re.findall(r"^USER (\d+)", (ROOT / "deploy/Dockerfile").read_text(), re.MULTILINE)
    assert f"runAsUser: {user}" in TEMPLATES
    assert {"readOnlyRootFilesystem: true", "runAsNonRoot: true", "allowPrivilegeEscalation: false"} <= {
        line.strip() for line in TEMPLATES.splitlines()
    }
