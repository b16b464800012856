"""The nouns: what a log can hold.

Runs and outcomes arrive by the million, so they travel as columns (``batch``) and have
here only the wire form that the door decodes. Everything else is rare and travels as
these records themselves: they are called *acts*, for each one is something that the
fleet's operator or Selfright did.

Acts are tagged msgspec structs; their msgpack form is the log's format.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, field

# Limits of a single value. They keep the int64 sums of a full retention period (10
# million events) far from overflow for any realistic mix, and refuse unit mistakes.
MAX_DURATION_MS = 1e10  # 115 days
MAX_COST_USD = 1e5
MAX_TOKENS = 10**11
MAX_MEMORY_MB = 1e8
MAX_NAME = 200
MAX_TEXT = 1_000

Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME)]
Text = Annotated[str, Meta(max_length=MAX_TEXT)]
Milliseconds = Annotated[float, Meta(ge=0, le=MAX_DURATION_MS)]
Dollars = Annotated[float, Meta(ge=0, le=MAX_COST_USD)]
Tokens = Annotated[int, Meta(ge=0, le=MAX_TOKENS)]
Count = Annotated[int, Meta(ge=0, le=10**9)]
Megabytes = Annotated[float, Meta(ge=0, le=MAX_MEMORY_MB)]
Score = Annotated[float, Meta(ge=0, le=1)]
Attributes = dict[str, Any]


class AgentRun(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One execution by an agent, as it stands on the wire.

    Durations in milliseconds, cost in dollars, memory in megabytes, scores in 0..1.
    An absent quantity is null, never 0. ``timestamp`` is RFC 3339 or epoch seconds;
    absent, the time of arrival.
    """

    run_id: Name
    agent_name: Name
    agent_type: Name = "agent"
    status: str = "success"
    duration_ms: Milliseconds | None = None
    tokens_used: Tokens | None = None
    cost: Dollars | None = None
    memory_mb: Megabytes | None = None
    cpu_ms: Milliseconds | None = None
    quality_score: Score | None = None
    confidence: Score | None = None
    error_type: Text | None = None
    metadata: Attributes | None = None
    timestamp: str | float | None = None
    tokens_in: Tokens | None = None
    tokens_out: Tokens | None = None
    api_calls: Count | None = None
    retry_count: Count = 0
    task_id: Name | None = None
    task_type: Name | None = None
    context: Attributes | None = None
    decision_id: Name | None = None
    agent_version: Name | None = None
    parent_run_id: Name | None = None
    session_id: Name | None = None
    config: Attributes | None = None
    route: Name | None = None


class Outcome(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What really came of a run, as it stands on the wire.

    Either ``accuracy_score`` (0..1), or a prediction and the truth to score it by.
    """

    agent_name: Name
    task_id: Name | None = None
    predicted_outcome: Any = None
    actual_outcome: Any = None
    feedback_source: Name = "user"
    metadata: Attributes | None = None
    timestamp: str | float | None = None
    accuracy_score: Score | None = None
    outcome_id: Name | None = None
    run_id: Name | None = None


class Act(Struct, frozen=True, kw_only=True, tag_field="act"):
    """Base of the rare records. ``act_id`` is its identity: the same id counts once."""

    act_id: str
    ts_us: int


class Decision(Act, frozen=True, kw_only=True, tag="decision"):
    """An arm was chosen. ``probability`` is the exact propensity of the choice.

    Of a canary's decisions (``mode``) ``probabilities`` are those of the mixture that was
    drawn from, ``challenger_probabilities`` the part of the challenger before its weight.
    """

    model_type: str
    arm: str
    probability: float
    candidates: list[str]
    probabilities: list[float]
    model_version: int
    mode: str
    task_type: str | None = None
    context: Attributes | None = None
    challenger_version: int | None = None
    challenger_probabilities: list[float] | None = None


class RetrainRequested(Act, frozen=True, kw_only=True, tag="retrain_requested"):
    """A retraining was asked for; ``act_id`` is its retrain id.

    ``causes`` says which rules, agents and values asked; ``agents`` which agents the
    retraining is about (empty: the whole fleet); ``since_us`` from when on the data of an
    agent can be trusted, where a change point is known.
    """

    model_type: str
    mode: Literal["incremental", "full"]
    reason: str
    automatic: bool
    agents: list[str]
    causes: list[dict[str, Any]]
    requested_by: str = "selfright"
    since_us: dict[str, int] = field(default_factory=dict)


class GateRecord(Struct, frozen=True, kw_only=True):
    """The gate's verdict with the numbers behind it.

    ``gain`` is the mean loss of the champion minus that of the challenger per affected
    outcome, in the unit of ``loss``; positive means that the challenger is better.
    ``effective`` is the effective sample size where policies were compared by logged
    decisions; ``reason`` says in words why, where the numbers do not.
    """

    verdict: Literal[
        "pending",
        "promoted",
        "rejected",
        "inconclusive",
        "canary",
        "emergency",
        "forced",
        "rolled_back",
        "none",
    ]
    n: int = 0
    gain: float | None = None
    gain_low: float | None = None
    gain_high: float | None = None
    evidence_better: float | None = None
    evidence_worse: float | None = None
    champion_loss: float | None = None
    challenger_loss: float | None = None
    loss: str = "log_loss"
    level: float = 0.01
    effective: float | None = None
    reason: str | None = None


class Proof(Struct, frozen=True, kw_only=True):
    """What a promotion was worth, as the runs after it showed.

    ``measure`` is ``reward``, higher being better, or a loss, lower being better.
    ``before`` and ``after`` are its means: of rewards before the promotion and since, or of
    the parent's and the version's losses on the same runs since. ``gain`` is by how much
    the version is better, each bound erring with at most 5 %; ``unknown``: too few runs.
    """

    verdict: Literal["improved", "no_change", "worse", "unknown"]
    measure: str
    before: float | None = None
    after: float | None = None
    gain: float | None = None
    gain_low: float | None = None
    gain_high: float | None = None
    n_before: int = 0
    n: int = 0
    rolled_back: bool = False


class RetrainFinished(Act, frozen=True, kw_only=True, tag="retrain_finished"):
    """What became of a retraining; ``act_id`` is ``<retrain_id>:<state>``.

    ``pending`` is followed by ``done`` when the gate has decided. What was promoted is
    then watched: the last record, ``<retrain_id>:proved``, has the ``proof`` besides.
    ``cancelled``: it was aborted because somebody wanted that, and is not to be tried again
    by itself.
    """

    retrain_id: str
    model_type: str
    retrain_type: Literal["incremental", "full"]
    state: Literal["done", "pending", "failed", "aborted"]
    reason: str
    automatic: bool
    agents: list[str]
    events_processed: int = 0
    agents_tracked: int = 0
    duration_ms: float = 0.0
    version: int | None = None
    parent_version: int | None = None
    promoted: bool = False
    gate: GateRecord | None = None
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None
    error: str | None = None
    cancelled: bool = False
    proof: Proof | None = None


class ModelAdopted(Act, frozen=True, kw_only=True, tag="model_adopted"):
    """From here on ``version`` serves, and why.

    Of a model of the user's own that is watched from here on, ``offset`` is that of the first
    row by which it is, and ``parent_version`` what serves again after harm.
    """

    model_type: str
    version: int
    parent_version: int | None
    verdict: str
    retrain_id: str | None = None
    adopted_by: str = "selfright"
    proof: Proof | None = None  # why, of a version that was rolled back by itself
    offset: int | None = None


class AlertTransition(Act, frozen=True, kw_only=True, tag="alert_transition"):
    """An alert changed state. The whole evaluation stands in ``details``."""

    alert_id: str
    rule: str
    agent_name: str | None
    state: str
    level: str
    message: str
    details: dict[str, Any]


class OperatorAct(Act, frozen=True, kw_only=True, tag="operator"):
    """Somebody decided: acknowledge, mute, rollback, promote, accept as normal, retire, delete."""

    verb: Literal[
        "acknowledge", "mute", "rollback", "promote", "accept_as_normal", "retire", "delete"
    ]
    target: str
    arguments: dict[str, Any]
    by: str = "operator"


class SettingsApplied(Act, frozen=True, kw_only=True, tag="settings"):
    """These settings hold from here on: a replay of the log uses what held then."""

    settings: dict[str, Any]


AnyAct = (
    Decision
    | RetrainRequested
    | RetrainFinished
    | ModelAdopted
    | AlertTransition
    | OperatorAct
    | SettingsApplied
)

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[AnyAct] = msgspec.msgpack.Decoder(AnyAct)


def encode_act(act: AnyAct) -> bytes:
    """Return the log's form of an act."""
    return _encoder.encode(act)


def decode_act(data: bytes) -> AnyAct:
    """Return the act that ``encode_act`` wrote. Raises ``msgspec.MsgspecError``."""
    return _decoder.decode(data)
