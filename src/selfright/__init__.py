"""Selfright rights a fleet of AI agents by itself.

The rooms, in the order in which an event passes through them::

    sources   what happened outside, as the log takes it in
    events    the records; the one door where input is checked
    log       kept, in order, with offsets
    metrics   how it goes: windows, rates, quantiles, trends
    detect    what is odd, and with which certainty
    alerts    what to tell, what to advise, health, report
    learn     what we believe: which agent, route and parameters; quality, latency
    retrain   when (trigger), how (job), whether (gate), which version (registry)
    loop      the circle between them: a fold over the log, and the threads around it

and around them the faces: ``PerformanceMonitor``, ``RealTimeModelUpdater``,
``MonitoredOrchestrator``, the server and the command line. The public names are loaded
when they are first used: importing this package costs about a bare interpreter.
"""

from __future__ import annotations

from importlib import import_module

# Importing `typing` alone would double what importing this package costs.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from selfright.online_learning import (
        AgentPerformanceModel as AgentPerformanceModel,
    )
    from selfright.online_learning import (
        EventSeverity as EventSeverity,
    )
    from selfright.online_learning import (
        LearningMetrics as LearningMetrics,
    )
    from selfright.online_learning import (
        ModelType as ModelType,
    )
    from selfright.online_learning import (
        ModelVersion as ModelVersion,
    )
    from selfright.online_learning import (
        OutcomeEvent as OutcomeEvent,
    )
    from selfright.online_learning import (
        OutcomeStatus as OutcomeStatus,
    )
    from selfright.online_learning import (
        OwnModel as OwnModel,
    )
    from selfright.online_learning import (
        RealTimeModelUpdater as RealTimeModelUpdater,
    )
    from selfright.online_learning import (
        UpdateStrategy as UpdateStrategy,
    )
    from selfright.online_learning import (
        get_model_updater as get_model_updater,
    )
    from selfright.orchestrator import MonitoredOrchestrator as MonitoredOrchestrator
    from selfright.performance_monitor import (
        AccuracyMeasurement as AccuracyMeasurement,
    )
    from selfright.performance_monitor import (
        AgentPerformance as AgentPerformance,
    )
    from selfright.performance_monitor import (
        AlertLevel as AlertLevel,
    )
    from selfright.performance_monitor import (
        MetricType as MetricType,
    )
    from selfright.performance_monitor import (
        PerformanceAlert as PerformanceAlert,
    )
    from selfright.performance_monitor import (
        PerformanceMetrics as PerformanceMetrics,
    )
    from selfright.performance_monitor import (
        PerformanceMonitor as PerformanceMonitor,
    )
    from selfright.performance_monitor import (
        get_performance_monitor as get_performance_monitor,
    )
    from selfright.performance_monitor import (
        init_performance_monitor as init_performance_monitor,
    )

__version__ = "0.1.0"

_FACE_OF = {
    **dict.fromkeys(
        (
            "AccuracyMeasurement",
            "AgentPerformance",
            "AlertLevel",
            "MetricType",
            "PerformanceAlert",
            "PerformanceMetrics",
            "PerformanceMonitor",
            "get_performance_monitor",
            "init_performance_monitor",
        ),
        "selfright.performance_monitor",
    ),
    **dict.fromkeys(
        (
            "AgentPerformanceModel",
            "EventSeverity",
            "LearningMetrics",
            "ModelType",
            "ModelVersion",
            "OutcomeEvent",
            "OutcomeStatus",
            "OwnModel",
            "RealTimeModelUpdater",
            "UpdateStrategy",
            "get_model_updater",
        ),
        "selfright.online_learning",
    ),
    "MonitoredOrchestrator": "selfright.orchestrator",
}

__all__ = [*sorted(_FACE_OF), "__version__"]  # noqa: PLE0604 - names, all of them text


def __getattr__(name: str) -> object:
    face = _FACE_OF.get(name)
    if face is None:
        raise AttributeError(f"module 'selfright' has no attribute {name!r}")
    return getattr(import_module(face), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_FACE_OF})
