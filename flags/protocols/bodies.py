"""What SDKs send, read leniently: only what we use must fit, everything else may be anything."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

Count = Annotated[int, Field(ge=0, le=2**53)]
Name = Annotated[str, Field(min_length=1, max_length=500)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class Body(BaseModel):
    """A body whose unknown fields are ignored."""

    model_config = ConfigDict(extra="ignore", alias_generator=to_camel)


class Registration(Body):
    """`POST /api/client/register`: an SDK instance introduces itself."""

    app_name: Name
    instance_id: str | None = None
    connection_id: str | None = None
    sdk_version: str | None = None
    strategies: list[Any] = []
    started: Any = None
    interval: Any = None


class Toggle(Body):
    """How often one flag was answered in which way."""

    yes: Count = 0
    no: Count = 0
    variants: dict[str, Count] = {}


class Bucket(Body):
    """The answers of one interval, by flag."""

    start: Any = None
    stop: Any = None
    toggles: dict[str, Toggle] = {}


class SampleBucket(Body):
    """The observations up to a bound."""

    le: Finite | Literal["+Inf"]
    count: Finite


class Sample(Body):
    """One series of an impact metric."""

    labels: dict[str, Any] = {}
    value: Finite | None = None
    count: Finite | None = None
    sum: Finite | None = None
    buckets: list[SampleBucket] | None = None


class ImpactMetric(Body):
    """What a service measured since it last reported."""

    name: Name
    type: Literal["counter", "gauge", "histogram"]
    help: str = ""
    samples: list[Sample] = []


class Metrics(Body):
    """`POST /api/client/metrics`: answers by flag; `bucket` is null where only impact metrics are sent."""

    app_name: Name
    instance_id: str | None = None
    bucket: Bucket | None = None
    impact_metrics: list[ImpactMetric] | None = None


class BulkMetric(Body):
    """The answers of one flag, gathered by a relay."""

    feature_name: Name
    app_name: Name
    environment: str
    timestamp: Any = None
    yes: Count = 0
    no: Count = 0
    variants: dict[str, Count] = {}


class BulkMetrics(Body):
    """`POST /api/client/metrics/bulk`: what a relay gathered from the instances behind it."""

    applications: list[Registration] = []
    metrics: list[BulkMetric] = []
    impact_metrics: list[ImpactMetric] | None = None


class Tokens(Body):
    """`POST /edge/validate`: the tokens that a relay was shown."""

    tokens: list[str]


class AskedContext(Body):
    """Who asks, as Unleash says it."""

    model_config = ConfigDict(extra="allow", alias_generator=to_camel)

    user_id: str | None = None
    session_id: str | None = None
    app_name: str | None = None
    current_time: str | None = None
    remote_address: str | None = None
    properties: dict[str, Any] | None = None


class AskedToggles(Body):
    """`POST /api/frontend`: who asks."""

    context: AskedContext = AskedContext()


class EvaluationContext(Body):
    """Who asks, as OpenFeature says it; every other field is an attribute."""

    model_config = ConfigDict(extra="allow", alias_generator=to_camel)

    targeting_key: str | None = None


class Evaluation(Body):
    """An evaluation: for whom."""

    context: EvaluationContext | None = None
