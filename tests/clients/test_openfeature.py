"""OpenFeature's Python provider for OFREP, unmodified."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
import requests
from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import Reason

from control_plane.experiments.credits import FLAG
from flags.client.openfeature import set_provider
from flags.evaluation.bucketing import bucket
from flags.store import UserAttributes
from tests.installation import CUTOVER, Installation

Wait = Callable[[Callable[[], bool]], None]
NUMBER = {
    "name": "limit",
    "enabled": True,
    "strategies": [{"name": "default"}],
    "variants": [{"name": "high", "weight": 1000, "payload": {"type": "number", "value": "5.0"}}],
}


@pytest.fixture
def client(url: str, installation: Installation) -> Iterator[OpenFeatureClient]:
    """An OpenFeature client whose provider asks us."""
    token = installation.token("client", trusted_attributes=["signupDate"])
    api.set_provider(OFREPProvider(url, headers_factory=lambda: {"Authorization": f"Bearer {token}"}))
    yield api.get_client()
    api.shutdown()


def test_it_sees_allowlist_percentage_and_rollback(
    client: OpenFeatureClient, installation: Installation, eventually: Wait
) -> None:
    def is_on(user_id: str, **attributes: str) -> bool:
        return client.get_boolean_value(FLAG, False, EvaluationContext(user_id, attributes))

    installation.users(
        UserAttributes("beta-user", "free", beta=True), UserAttributes("new", "free", CUTOVER + timedelta(1))
    )
    assert not is_on("beta-user")
    installation.move(1)
    eventually(lambda: is_on("beta-user"))
    assert not is_on("other")
    installation.move(2, 3)
    eventually(lambda: is_on("new"))
    assert is_on("claims-to-be-new", signupDate=str((CUTOVER + timedelta(2)).date()))
    installation.move(3, 1)
    inside = next(name for name in map(str, range(100)) if bucket(FLAG, name) <= 25)
    eventually(lambda: is_on(inside))
    installation.roll_back()
    eventually(lambda: not is_on(inside))


def test_it_gets_variant_reason_and_phase(
    client: OpenFeatureClient, installation: Installation, eventually: Wait
) -> None:
    installation.move(3, 3)
    eventually(lambda: client.get_boolean_value(FLAG, False, EvaluationContext("anybody")))
    details = client.get_boolean_details(FLAG, False, EvaluationContext("anybody"))
    assert (details.variant, details.reason, details.flag_metadata) == ("on", Reason.STATIC, {"phase": "everyone"})


def test_a_flag_may_hold_a_number(
    client: OpenFeatureClient, url: str, installation: Installation, eventually: Wait
) -> None:
    answer = requests.post(
        f"{url}/api/environments/production/import",
        json={"features": [NUMBER]},
        headers={"Authorization": installation.token("admin")},
        timeout=5,
    )
    assert answer.status_code == 200
    eventually(lambda: client.get_float_value("limit", 1.0) == 5.0)
    assert client.get_float_details("limit", 1.0).variant == "high"


def test_a_flag_that_is_not_there_or_needs_a_user_is_an_error_with_its_code(
    client: OpenFeatureClient, installation: Installation, eventually: Wait
) -> None:
    assert client.get_boolean_details("NOT_THERE", True).error_code is ErrorCode.FLAG_NOT_FOUND
    installation.move(3)
    eventually(lambda: client.get_boolean_details(FLAG, True).error_code is ErrorCode.TARGETING_KEY_MISSING)


@pytest.mark.parametrize("domain", ["", "shop"])
def test_one_line_registers_it(url: str, installation: Installation, eventually: Wait, domain: str) -> None:
    installation.move(3, 3)
    set_provider(f"{url}/", installation.token("client"), domain=domain)
    asked = api.get_client(domain or None)
    eventually(lambda: asked.get_boolean_value(FLAG, False, EvaluationContext("anybody")))
    api.shutdown()
