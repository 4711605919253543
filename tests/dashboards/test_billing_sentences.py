"""Why an event of Stripe's was refused is told in Spanish as the inbox writes it."""

import pytest

from control_plane.platform.settings import Settings
from credits_engine.billing.inbox.verification import ForeignEventError, check_origin
from credits_engine.billing.stripe_api.json_fields import Json
from dashboards.language import use_language
from dashboards.stored_sentences import localized_text

LIVE = "del modo activo"
TEST = "del modo de prueba"


@pytest.mark.parametrize(
    ("event", "wanted", "told"),
    [
        ({"account": "acct_1"}, True, "Rechazado: el evento es de la cuenta 'acct_1', que no figura en"),
        ({"livemode": False}, True, f"cuentan los eventos {LIVE} de Stripe, y este es {TEST} (livemode: false);"),
        ({"livemode": True}, False, f"cuentan los eventos {TEST} de Stripe, y este es {LIVE} (livemode: true);"),
    ],
)
def test_why_an_event_was_refused_is_told_in_spanish(event: Json, wanted: bool, told: str) -> None:
    with pytest.raises(ForeignEventError) as refusal:
        check_origin(event, Settings(stripe_livemode=wanted))
    with use_language("es"):
        assert told in localized_text(str(refusal.value))
