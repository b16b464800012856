"""Every number an operator may turn, with its range, default and description, and nowhere else."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field


def doc(description: str) -> Meta:
    """Return what the table of settings says about a field."""
    return Meta(description=description)


Share = Annotated[float, Meta(ge=0, le=1)]
Positive = Annotated[float, Meta(gt=0)]
NotNegative = Annotated[float, Meta(ge=0)]
RunLength = Annotated[float, Meta(ge=10, le=1e15)]
AtLeastOne = Annotated[int, Meta(ge=1)]
Filled = Annotated[str, Meta(min_length=1)]


class Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of the sections: frozen, and a misspelt key is an error."""


class Thresholds(Section, frozen=True, kw_only=True):
    """When an agent is worse than wanted."""

    success_rate_min: Annotated[Share, doc("lowest share of decided runs that succeed")] = 0.80
    error_rate_max: Annotated[Share, doc("highest share of decided runs that fail or time out")] = (
        0.15
    )
    accuracy_min: Annotated[Share, doc("lowest mean accuracy against real outcomes")] = 0.70
    latency_p95_max_ms: Annotated[
        Positive, doc("highest 95th percentile of a run's duration, ms")
    ] = 5000.0
    cost_per_task_max: Annotated[Positive, doc("highest mean cost of a run, USD")] = 1.0
    memory_max_mb: Annotated[Positive, doc("highest mean memory of a run, MB")] = 1024.0
    token_per_task_max: Annotated[Positive, doc("highest mean tokens of a run")] = 5000.0


class Windows(Section, frozen=True, kw_only=True):
    """Over which time metrics and rules look."""

    window_minutes: Annotated[
        int, doc("rolling window of metrics and rules, minutes"), Meta(ge=1, le=10_080)
    ] = 60
    horizon_minutes: Annotated[
        int, doc("how far back minute by minute figures are kept"), Meta(ge=1, le=44_640)
    ] = 1440
    max_agents: Annotated[
        int, doc("agents told apart; the rest share _other"), Meta(ge=2, le=1_000_000)
    ] = 10_000
    min_outcomes: Annotated[AtLeastOne, doc("fewest outcomes a rule judges by")] = 20


class Log(Section, frozen=True, kw_only=True):
    """How events are kept."""

    memory_events: Annotated[AtLeastOne, doc("events a log in memory keeps")] = 100_000
    retention_events: Annotated[AtLeastOne, doc("events a log on disk keeps")] = 10_000_000
    retention_days: Annotated[Positive, doc("days a log on disk keeps events")] = 90.0
    flush_rows: Annotated[AtLeastOne, doc("rows that end the wait of a group commit")] = 500
    flush_ms: Annotated[NotNegative, doc("longest wait of a group commit, ms")] = 10.0
    queue_rows: Annotated[
        AtLeastOne, doc("rows that may wait before callers are told to slow down")
    ] = 100_000
    checkpoint_events: Annotated[AtLeastOne, doc("events between two checkpoints of the state")] = (
        50_000
    )
    checkpoint_s: Annotated[Positive, doc("seconds between two checkpoints of the state")] = 30.0
    stop_s: Annotated[
        Positive, doc("longest a stop takes, seconds; a retraining that takes longer is aborted")
    ] = 10.0


class Detect(Section, frozen=True, kw_only=True):
    """How sure to be before an agent is said to have certainly become worse."""

    false_alarms_per_week: Annotated[
        Positive, doc("false alarms of certainty put up with, for the whole fleet")
    ] = 1.0
    run_length: Annotated[
        RunLength | None,
        doc("updates of a detector between two false alarms; none: by false_alarms_per_week"),
    ] = None
    min_drop: Annotated[
        float,
        doc("drop of a rate below what the agent was that is put up with"),
        Meta(ge=0, le=0.5),
    ] = 0.02
    tempering: Annotated[bool, doc("allow for failures that come in bursts")] = True


class Trigger(Section, frozen=True, kw_only=True):
    """When a retraining starts by itself."""

    confidence: Annotated[
        float,
        doc("probability beyond the threshold that starts an incremental retraining"),
        Meta(gt=0.5, lt=1),
    ] = 0.95
    judged_outcomes: Annotated[
        int, doc("newest outcomes that probability is computed on"), Meta(ge=20, le=10_000)
    ] = 200
    cooldown_s: Annotated[
        NotNegative, doc("seconds between two attempts; doubles per rejection")
    ] = 300.0
    cooldown_max_s: Annotated[NotNegative, doc("longest cooldown, seconds")] = 3600.0
    new_outcomes: Annotated[AtLeastOne, doc("new outcomes between two attempts")] = 100
    daily_budget: Annotated[AtLeastOne, doc("automatic attempts per model type in 24 h")] = 24
    breaker_rejections: Annotated[AtLeastOne, doc("rejections in 24 h that open the breaker")] = 3
    breaker_hours: Annotated[Positive, doc("hours the breaker stays open")] = 6.0


class Gate(Section, frozen=True, kw_only=True):
    """When a retrained model may serve."""

    level: Annotated[
        float, doc("expected share of harmful challengers promoted"), Meta(gt=0, lt=0.5)
    ] = 0.01
    max_outcomes: Annotated[
        int, doc("affected outcomes after which the gate ends inconclusive"), Meta(ge=20)
    ] = 500
    max_hours: Annotated[Positive, doc("hours after which the gate ends inconclusive")] = 24.0
    emergency: Annotated[
        bool, doc("let an automatic incremental version serve while the gate watches it")
    ] = True
    watch_runs: Annotated[
        int, doc("decided runs that a promoted version is watched for; 0: not at all"), Meta(ge=0)
    ] = 200
    watch_hours: Annotated[Positive, doc("hours after which that watch ends")] = 168.0
    canary_share: Annotated[
        float,
        doc("share of decisions that an undecided challenger makes; 0: none"),
        Meta(ge=0, le=0.5),
    ] = 0.1
    canary_outcomes: Annotated[
        int, doc("rewards after which a canary ends inconclusive"), Meta(ge=100)
    ] = 2_000
    canary_hours: Annotated[Positive, doc("hours after which a canary ends inconclusive")] = 24.0


class Learn(Section, frozen=True, kw_only=True):
    """What the models learn from."""

    strategy: Annotated[
        Literal["bayesian", "exponential", "moving_average", "gradient"],
        doc("how evidence is forgotten"),
    ] = "bayesian"
    incremental_outcomes: Annotated[
        int,
        doc("newest outcomes per affected agent an incremental retraining learns from"),
        Meta(ge=1, le=10_000),
    ] = 100
    full_outcomes: Annotated[
        int, doc("newest runs a full retraining learns from; 0: all in the log"), Meta(ge=0)
    ] = 10_000
    w_success: Annotated[NotNegative, doc("reward per success or point of accuracy")] = 1.0
    w_cost: Annotated[NotNegative, doc("reward lost per USD")] = 0.0
    w_latency: Annotated[NotNegative, doc("reward lost per second")] = 0.0
    cost_bound_usd: Annotated[
        Positive, doc("declared highest cost of a run, scales the reward")
    ] = 1.0
    latency_bound_s: Annotated[
        Positive, doc("declared longest duration of a run, scales the reward")
    ] = 60.0
    seed: Annotated[int, doc("seed of the exploration"), Meta(ge=0)] = 0
    keep_versions: Annotated[int, doc("versions kept per model"), Meta(ge=2)] = 100


class Retrain(Section, frozen=True, kw_only=True):
    """How, and at which fixed times, models are retrained in full."""

    processes: Annotated[
        int, doc("processes that read the log at once in a full retraining"), Meta(ge=1, le=64)
    ] = 1
    schedule: Annotated[
        str, doc('times of full retrainings, in UTC, as in cron, e.g. "0 3 * * sun"; empty: never')
    ] = ""


class Server(Section, frozen=True, kw_only=True):
    """Where the service listens and what it accepts."""

    host: Annotated[Filled, doc("address to listen on; only loopback without keys")] = "127.0.0.1"
    port: Annotated[int, doc("port to listen on; 0 chooses a free one"), Meta(ge=0, le=65_535)] = (
        8000
    )
    data_dir: Annotated[Filled, doc("directory of the log and the models")] = "./selfright-data"
    allowed_hosts: Annotated[list[str], doc("Host headers accepted besides loopback")] = field(
        default_factory=list
    )
    # What the service promises at most: more is never taken, a setting can only lower it.
    max_batch_bytes: Annotated[
        int, doc("largest request body, bytes"), Meta(ge=1024, le=8 * 1024 * 1024)
    ] = 8 * 1024 * 1024
    max_event_bytes: Annotated[
        int, doc("largest single event in a body, bytes"), Meta(ge=1024, le=1024 * 1024)
    ] = 1024 * 1024
    retrain_wait_s: Annotated[
        NotNegative, doc("how long a retraining request waits for its result")
    ] = 10.0
    session_hours: Annotated[
        float, doc("hours after which somebody who logged in has to again"), Meta(gt=0, le=8760)
    ] = 12.0
    failed_keys_per_min: Annotated[
        int, doc("wrong keys an address may present a minute"), Meta(ge=1, le=10_000)
    ] = 20


class Notify(Section, frozen=True, kw_only=True):
    """Who is told."""

    webhook_url: Annotated[str | None, doc("URL that every alert transition is posted to")] = None
    webhook_timeout_s: Annotated[float, doc("longest wait for the webhook"), Meta(gt=0, le=60)] = (
        5.0
    )
    webhook_allow_private: Annotated[
        bool, doc("let the webhook reach private and loopback addresses")
    ] = False


class Sync(Section, frozen=True, kw_only=True):
    """Where ``sync_with_database`` reads what others wrote."""

    url: Annotated[str | None, doc("database to read, e.g. sqlite:///their.db")] = None
    table: Annotated[str | None, doc("table of runs; none: our own log")] = None
    columns: Annotated[dict[str, str], doc("our field = their column")] = field(
        default_factory=dict
    )


class Settings(Section, frozen=True, kw_only=True):
    """The whole tree. Immutable; ``msgspec.structs.replace`` makes a changed copy."""

    thresholds: Thresholds = Thresholds()
    windows: Windows = Windows()
    log: Log = Log()
    detect: Detect = Detect()
    trigger: Trigger = Trigger()
    gate: Gate = Gate()
    learn: Learn = Learn()
    retrain: Retrain = Retrain()
    server: Server = Server()
    notify: Notify = Notify()
    sync: Sync = Sync()
