"""Request models of SDKs, read leniently: only the fields used must fit."""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

NAME_LENGTH_MAX = 500


def _whole(value: object) -> object:
    """Read what some SDKs write for a count: nothing at all, or a number with a point."""
    return 0 if value is None else int(value) if isinstance(value, float) and abs(value) < 2**53 else value


def _text(value: object) -> object:
    """Read a number as the text that an SDK meant, and no more of a long one than is stored."""
    text = str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
    return text[:NAME_LENGTH_MAX] if isinstance(text, str) else text


def _or_empty(value: object) -> object:
    return {} if value is None else value


Count = Annotated[int, Field(ge=0, le=2**53), BeforeValidator(_whole)]
Name = Annotated[str, Field(min_length=1, max_length=NAME_LENGTH_MAX), BeforeValidator(_text)]
Identity = Annotated[str | None, BeforeValidator(_text)]
Labels = Annotated[dict[str, object], BeforeValidator(_or_empty)]
Variants = Annotated[dict[str, Count], BeforeValidator(_or_empty)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class ClientRequest(BaseModel):
    """A body whose unknown fields are ignored."""

    model_config = ConfigDict(extra="ignore", alias_generator=to_camel)

    @property
    def has_content(self) -> bool:
        """Return whether it says anything, once what can't be read is left out."""
        return True


class Registration(ClientRequest):
    """`POST /api/client/register`: an SDK instance introduces itself."""

    app_name: Name
    instance_id: Identity = None
    connection_id: Identity = None
    sdk_version: Identity = None
    # Sent by every SDK and used by nobody; declared so that our description of the API names them.
    strategies: list[object] = []
    started: object = None
    interval: object = None


class FeatureCounts(ClientRequest):
    """Counts of the answers of one flag."""

    yes: Count = 0
    no: Count = 0
    variants: Variants = {}


class Bucket(ClientRequest):
    """The answers of one interval, by flag."""

    start: object = None
    stop: object = None
    toggles: dict[str, FeatureCounts] = {}


class SampleBucket(ClientRequest):
    """The observations up to a bound."""

    le: Finite | Literal["+Inf"]
    count: Finite


class Sample(ClientRequest):
    """One series of an impact metric."""

    labels: Labels = {}
    value: Finite | None = None
    count: Finite | None = None
    sum: Finite | None = None
    buckets: list[SampleBucket] | None = None


class ImpactMetric(ClientRequest):
    """A measurement since the last report."""

    name: Name
    type: Literal["counter", "gauge", "histogram"]
    help: str = ""
    samples: list[Sample] = []


class Metrics(ClientRequest):
    """`POST /api/client/metrics`: answers by flag; `bucket` is null where only impact metrics are sent."""

    app_name: Name
    instance_id: Identity = None
    bucket: Bucket | None = None
    impact_metrics: list[ImpactMetric] | None = None

    @property
    def has_content(self) -> bool:
        """Return whether anything is counted or measured."""
        toggles = self.bucket.toggles.values() if self.bucket else ()
        return bool(self.impact_metrics) or any(each.yes or each.no or each.variants for each in toggles)


class BulkMetric(ClientRequest):
    """The answers of one flag, gathered by a relay."""

    feature_name: Name
    app_name: Name
    environment: str
    timestamp: object = None
    yes: Count = 0
    no: Count = 0
    variants: Variants = {}


class BulkMetrics(ClientRequest):
    """`POST /api/client/metrics/bulk`: what a relay gathered from the instances behind it."""

    applications: list[Registration] = []
    metrics: list[BulkMetric] = []
    impact_metrics: list[ImpactMetric] | None = None

    @property
    def has_content(self) -> bool:
        """Return whether anything is counted or measured."""
        return bool(self.metrics or self.impact_metrics)


class Tokens(ClientRequest):
    """`POST /edge/validate`: the tokens that a relay was shown."""

    tokens: list[str]


class FrontendContext(ClientRequest):
    """The context in Unleash's form."""

    model_config = ConfigDict(extra="allow", alias_generator=to_camel)

    user_id: str | None = None
    session_id: str | None = None
    app_name: str | None = None
    current_time: str | None = None
    remote_address: str | None = None
    properties: dict[str, object] | None = None


class FrontendRequest(ClientRequest):
    """`POST /api/frontend`: who asks."""

    context: FrontendContext = FrontendContext()


class OfrepContext(ClientRequest):
    """The context in OpenFeature's form; every other field is an attribute."""

    model_config = ConfigDict(extra="allow", alias_generator=to_camel)

    targeting_key: str | None = None


class OfrepRequest(ClientRequest):
    """An evaluation: for whom."""

    context: OfrepContext | None = None
