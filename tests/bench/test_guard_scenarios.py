"""Faults on the running product over HTTP, once each; `tests.bench.guard_scenarios` runs them twenty times."""

import pytest

from tests.bench.guard_scenarios.faults import FAULTS
from tests.bench.guard_scenarios.runs import run

pytestmark = pytest.mark.faults


@pytest.mark.parametrize("name", FAULTS)
def test_the_guard_does_what_is_right(name: str) -> None:
    outcome = run(name, seed=2026)
    assert outcome.right, f"{outcome.state}: {outcome.reason}"
