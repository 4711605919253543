import pytest
from tests.control_plane.test_rollout_model import model, run
@pytest.mark.database("postgresql")
def test_long(model):
    run(model, runs=250, steps=60)
