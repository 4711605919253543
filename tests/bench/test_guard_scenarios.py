"""Faults on the running product over HTTP, once each; `tests.bench.guard_scenarios` runs them twenty times."""

import pytest

from tests.bench import guard_scenarios

pytestmark = pytest.mark.faults


@pytest.mark.parametrize("name", guard_scenarios.SCENARIOS)
def test_the_guard_does_what_is_right(name: str) -> None:
    outcome = guard_scenarios.run(name, seed=2026)
    assert outcome.right, f"{outcome.state}: {outcome.reason}"
