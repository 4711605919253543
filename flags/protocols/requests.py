"""Request models of SDKs, read leniently: only the fields used must fit."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

Count = Annotated[int, Field(ge=0, le=2**53)]
Name = Annotated[str, Field(min_length=1, max_length=500)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class ClientRequest(BaseModel):
    """A body whose unknown fields are ignored."""

    model_config = ConfigDict(extra="ignore", alias_generator=to_camel)


class Registration(ClientRequest):
    """`POST /api/client/register`: an SDK instance introduces itself."""

    app_name: Name
    instance_id: str | None = None
    connection_id: str | None = None
    sdk_version: str | None = None
    # Sent by every SDK and used by nobody; declared so that our description of the API names them.
    strategies: list[object] = []
    started: object = None
    interval: object = None


class FeatureCounts(ClientRequest):
    """Counts of the answers of one flag."""

    yes: Count = 0
    no: Count = 0
    variants: dict[str, Count] = {}


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

    labels: dict[str, object] = {}
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
    instance_id: str | None = None
    bucket: Bucket | None = None
    impact_metrics: list[ImpactMetric] | None = None


class BulkMetric(ClientRequest):
    """The answers of one flag, gathered by a relay."""

    feature_name: Name
    app_name: Name
    environment: str
    timestamp: object = None
    yes: Count = 0
    no: Count = 0
    variants: dict[str, Count] = {}


class BulkMetrics(ClientRequest):
    """`POST /api/client/metrics/bulk`: what a relay gathered from the instances behind it."""

    applications: list[Registration] = []
    metrics: list[BulkMetric] = []
    impact_metrics: list[ImpactMetric] | None = None


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
