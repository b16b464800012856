"""The bodies of requests and answers, as records: what is decoded, and what is documented.

Figures, alerts and results have their shape from the faces; they are described here only
as far as the faces do not.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from selfright.events.record import Attributes, Dollars, Milliseconds, Name, Score
from selfright.events.wire import Rejection

ModelTypeWord = Literal[
    "agent_selection",
    "parameter_optimization",
    "routing",
    "quality_prediction",
    "latency_prediction",
]
ScopeWord = Literal["ingest", "read", "operate", "admin"]
_MAX_ARMS = 10_000


class IngestAnswer(Struct, frozen=True):
    """What became of a batch.

    ``accepted`` records count now, ``duplicates`` were known already, ``rejected`` ones
    had a bad field; the rest of the batch is not affected by them.
    """

    accepted: int
    duplicates: int
    rejected: list[Rejection]


class RetrainBody(Struct, frozen=True, forbid_unknown_fields=True):
    """What to retrain, how and why. Incremental unless ``force_full_retrain``."""

    reason: Annotated[str, Meta(min_length=1, max_length=1000)] = "Manual trigger"
    force_full_retrain: bool = False
    model_type: ModelTypeWord = "agent_selection"


class RetrainByNameBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Why and how to retrain. Incremental unless ``force_full_retrain``."""

    reason: Annotated[str, Meta(min_length=1, max_length=1000)] = "Manual trigger"
    force_full_retrain: bool = False


class CancelBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Why a retraining shall end."""

    reason: Annotated[str, Meta(min_length=1, max_length=1000)] = "cancelled by an operator"


class MuteBody(Struct, frozen=True, forbid_unknown_fields=True):
    """For how many seconds an alert shall be silent; at most a year."""

    for_s: Annotated[float, Meta(gt=0, le=365 * 86_400)] = 3600.0


class SelectBody(Struct, frozen=True, forbid_unknown_fields=True):
    """What to choose for.

    ``candidates`` are names of agents or routes, or parameter sets as objects; null means
    everything known. For parameter sets ``context.agent_name`` says whose they are.
    """

    model_type: Literal["agent_selection", "routing", "parameter_optimization"] = "agent_selection"
    task_type: Name | None = None
    context: Attributes | None = None
    candidates: Annotated[list[Name | dict[str, Any]], Meta(max_length=_MAX_ARMS)] | None = None


class PredictBody(Struct, frozen=True, forbid_unknown_fields=True):
    """What to predict for. ``top_k`` bounds how many agents are listed."""

    task_type: Name | None = None
    agent_name: Name | None = None
    context: Attributes | None = None
    top_k: Annotated[int, Meta(ge=1, le=1000)] = 3


class DecisionOutcome(Struct, frozen=True, forbid_unknown_fields=True):
    """What came of a decision: at least one of reward, accuracy_score and status."""

    decision_id: Name
    reward: Score | None = None
    status: str | None = None
    cost: Dollars | None = None
    latency_ms: Milliseconds | None = None
    accuracy_score: Score | None = None


class RollbackBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Which version shall serve; null: the parent of the one that serves."""

    version: Annotated[int, Meta(ge=0, le=2**53)] | None = None


class DecisionAnswer(Struct, frozen=True):
    """What was chosen, and with which probability it was."""

    decision_id: str
    agent_name: str
    probability: float
    probabilities: dict[str, float]
    model_version: int
    mode: str


class RetrainAnswer(Struct, frozen=True):
    """What became of a retraining.

    ``success``: the attempt ran; ``promoted``: its model serves for good. ``state`` is
    ``running``, then ``pending`` while the gate watches, then ``done``; or ``failed`` or
    ``aborted``. ``progress``: the share that is done while it runs. ``events_processed``
    counts outcomes. ``proof``: what the promotion was worth, once the watch after it has ended.
    """

    retrain_id: str | None  # none where there was nothing to start
    model_type: str
    retrain_type: Literal["incremental", "full"]
    state: Literal["running", "pending", "done", "failed", "aborted"]
    success: bool | None = None
    promoted: bool | None = None
    reason: str | None = None
    timestamp: str | None = None
    events_processed: int | None = None
    agents_tracked: int | None = None
    duration_ms: float | None = None
    version: int | None = None
    parent_version: int | None = None
    gate: dict[str, Any] | None = None
    error: str | None = None
    automatic: bool | None = None
    agents: list[str] | None = None
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None
    progress: float | None = None
    proof: dict[str, Any] | None = None


class Page(Struct, frozen=True):
    """Some items of a list; ``next_cursor`` leads to the next page, null behind the last."""

    items: list[dict[str, Any]]
    next_cursor: str | None


class Health(Struct, frozen=True):
    """How the fleet is: 0..100 and the parts that make it; null while unknown."""

    status: Literal["healthy", "degraded", "unhealthy", "unknown"]
    health_score: float | None
    parts: Any = None


class AgentRetired(Struct, frozen=True):
    """An agent was taken out of the fleet until it runs again."""

    agent_name: str
    retired: bool = True


class AgentDeleted(Struct, frozen=True):
    """What was known of an agent was dropped."""

    agent_name: str
    deleted: bool = True


class LoginBody(Struct, frozen=True, forbid_unknown_fields=True):
    """A key, to log in with."""

    key: Annotated[str, Meta(max_length=1000)]


class KeyBody(Struct, frozen=True, forbid_unknown_fields=True):
    """What a new key is for and what it allows. ``expires_days``: null for ever."""

    name: Name
    scopes: Annotated[list[ScopeWord], Meta(min_length=1, max_length=4)]
    expires_days: Annotated[float, Meta(gt=0, le=36_500)] | None = None


class KeyShown(Struct, frozen=True):
    """A key, without what would open anything."""

    prefix: str
    name: str
    scopes: list[ScopeWord]
    state: Literal["active", "expired", "revoked"]
    created_at: str
    expires_at: str | None
    revoked_at: str | None


class MadeKey(Struct, frozen=True):
    """A new key. ``key`` is shown this once and kept nowhere."""

    key: str
    about: KeyShown


class Session(Struct, frozen=True):
    """A session: whose key it was begun with, and after how many seconds it ends."""

    about: KeyShown
    ends_in_s: int


class AccessAnswer(Struct, frozen=True):
    """Whether keys are asked for, and whose key the request came with."""

    keys_required: bool
    about: KeyShown | None


class SyncAnswer(Struct, frozen=True):
    """What an import brought."""

    loaded: int
    duplicates: int
    rejected: int


class Readiness(Struct, frozen=True):
    """Whether the service can do its work, and if not, why."""

    status: Literal["ready", "not ready"]
    reasons: list[str]
