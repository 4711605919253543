from control_plane.audiences.base import AudienceKind
from control_plane.audiences.exposure import Exposure
from flags.evaluation.evaluator import EvaluationContext, ReasonCode
from flags.evaluation.step_preview import Change, entry_audience, entry_percentage, preview_step
from tests.flags.examples import ALICE, ANONYMOUS, CUTOVER, NAMED, NOW, SECOND, flag, user_in_bucket

TEN, FIFTY = Exposure(everyone_percentage=10), Exposure(everyone_percentage=50)
BUCKET_37 = EvaluationContext(user_in_bucket(37))


def test_a_step_beyond_the_bucket_lets_the_user_in() -> None:
    prospect = preview_step(flag(exposure=TEN), FIFTY, BUCKET_37, now=NOW)
    assert prospect.change is Change.GAINS
    assert prospect.after.detail is ReasonCode.EVERYONE_INSIDE


def test_a_step_back_takes_the_flag_away() -> None:
    assert preview_step(flag(exposure=FIFTY), TEN, BUCKET_37, now=NOW).change is Change.LOSES


def test_a_step_changes_nothing_for_who_is_denied() -> None:
    denied = flag(exposure=TEN, denied={BUCKET_37.user_id: NAMED})
    assert preview_step(denied, FIFTY, BUCKET_37, now=NOW).change is Change.SAME


def test_a_user_enters_at_the_percentage_of_their_bucket() -> None:
    assert entry_percentage(flag(), BUCKET_37) == 37
    assert entry_percentage(flag(), ANONYMOUS) is None


def test_a_user_enters_with_the_first_audience_they_belong_to() -> None:
    newcomer = EvaluationContext("bob", CUTOVER + SECOND)
    assert entry_audience(flag(), ALICE) is AudienceKind.EVERYONE
    assert entry_audience(flag(), newcomer) is AudienceKind.NEW_SIGNUPS
    assert entry_audience(flag(beta={"bob"}), newcomer) is AudienceKind.ALLOWLIST
    assert entry_audience(flag(exposure=Exposure(environment=True)), newcomer) is AudienceKind.ENVIRONMENTS
    assert entry_audience(flag(), ANONYMOUS) is None
