"""What the circle knows, as the faces show it: figures, alerts, retrainings, health."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from selfright.alerts.alert import AlertLevel
from selfright.alerts.health import health
from selfright.alerts.report import build_report
from selfright.errors import ConfigError, UnknownNameError
from selfright.events.timestamp import iso
from selfright.loop.explain import explained
from selfright.loop.frames import runs_frame
from selfright.loop.retraining import RetrainResult, under_way
from selfright.loop.run_spike import RunSpike, shown
from selfright.metrics.snapshot import AgentPerformance, PerformanceMetrics

if TYPE_CHECKING:
    from selfright.alerts.alert import PerformanceAlert
    from selfright.loop.control import Circle
    from selfright.loop.fold import Fold

# Where a wrong id is put right.
_LISTED: Final = "`selfright alerts` lists them"


class FleetView:
    """Reads a circle for a face. Every method first folds what was recorded before."""

    def __init__(self, circle: Circle, *, trends: bool = True) -> None:
        self._circle = circle
        self._trends = trends

    def _now_us(self, fold: Fold) -> int:
        # A simulation lives in the file's time, a monitor in the machine's.
        return fold.now_us if fold.policy.file_clock else self._circle.clock.now_us()

    def system(self, window_minutes: float | None) -> PerformanceMetrics:
        """Return the whole fleet's figures."""
        with self._circle.reading() as fold:
            return fold.rooms.metrics.snapshot(None, self._now_us(fold), _window(window_minutes))

    def agent(self, name: str, window_minutes: float | None) -> AgentPerformance:
        """Return one agent's figures."""
        with self._circle.reading() as fold:
            code = fold.agents.get(name)
            if code is None:
                return AgentPerformance.unknown(name)
            return self._performances(fold, [code], [name], _window(window_minutes))[name]

    def agents(self, window_minutes: float | None) -> dict[str, AgentPerformance]:
        """Return every agent's figures by name."""
        window = _window(window_minutes)
        with self._circle.reading() as fold:
            metrics, names = fold.rooms.metrics, fold.agents.names
            codes = metrics.agents()
            return self._performances(fold, codes, [names[code] for code in codes], window)

    def agent_names(self) -> list[str]:
        """Return the names of all agents ever seen, but for those deleted and not back."""
        with self._circle.reading() as fold:
            absent = fold.rooms.absent
            gone = {name for name, ts in absent.retired.items() if absent.deleted.get(name) == ts}
            return [name for name in fold.agents.names if name not in gone]

    def retired(self) -> list[str]:
        """Return the names of agents that are retired, deleted ones left out."""
        with self._circle.reading() as fold:
            absent = fold.rooms.absent
            deleted = absent.deleted
            return sorted(name for name, ts in absent.retired.items() if deleted.get(name) != ts)

    def alerts(
        self, level: AlertLevel | str | None, agent_name: str | None, limit: int, state: str | None
    ) -> list[PerformanceAlert]:
        """Return the newest alerts that match, newest last."""
        if limit < 1:
            raise ConfigError("limit", limit, "must be at least 1")
        wanted = None if level is None else _level(level)
        with self._circle.reading() as fold:
            return fold.rooms.book.query(
                level=wanted, agent_name=agent_name, limit=limit, state=state
            )

    def spikes(self, agent_name: str | None, limit: int) -> list[RunSpike]:
        """Return the newest runs far from usual, newest last."""
        if limit < 1:
            raise ConfigError("limit", limit, "must be at least 1")
        with self._circle.reading() as fold:
            names = fold.agents.names
            found = [
                shown(names[stream.scope], stream, spike)
                for stream, spike in fold.rooms.certainty.spikes()
                if agent_name is None or names[stream.scope] == agent_name
            ]
        return found[-limit:]

    def alert(self, alert_id: str) -> PerformanceAlert:
        """Return one alert; raise ``UnknownNameError``."""
        with self._circle.reading() as fold:
            found = fold.rooms.book.get(alert_id)
        if found is None:
            raise UnknownNameError("alert", alert_id, _LISTED)
        return found

    def explain(self, alert_id: str) -> dict[str, Any]:
        """Return an alert with everything it was judged from."""
        with self._circle.reading() as fold:
            found = fold.rooms.book.get(alert_id)
            if found is None:
                raise UnknownNameError("alert", alert_id, _LISTED)
            why = fold.rooms.book.explain(alert_id) or {}
        certain = next(
            (
                why[at]
                for at in ("latest", "opened_by")
                if "run_length" in why[at].get("inputs", {})
            ),
            None,
        )
        if certain is not None:
            why["certainty"] = explained(self._circle.log, found.agent_name, certain)
        return {"alert": found.to_dict(), "why": why}

    def trends(self) -> dict[str, dict[str, Any]]:
        """Return the fleet's trends by metric."""
        if not self._trends:
            return {}
        with self._circle.reading() as fold:
            found = fold.rooms.metrics.trends(None, self._now_us(fold), None)
            return {name: trend.to_dict() for name, trend in found.items()}

    def retrainings(self, limit: int) -> list[RetrainResult]:
        """Return the newest retrainings, newest last; those that run at the end."""
        self._circle.catch_up()  # the gate of a model of the user's own may have decided
        with self._circle.reading() as fold:
            found = [RetrainResult.of(item) for item in fold.trials.retrainings.values()]
            running = fold.trials.unfinished()
        return (found + [under_way(self._circle, request) for request in running])[-limit:]

    def suppressed(self, limit: int) -> list[dict[str, Any]]:
        """Return retrainings that were held back, newest last."""
        with self._circle.reading() as fold:
            return [item.to_dict() for item in fold.rooms.trigger.suppressed.newest(limit)]

    def health(self) -> dict[str, Any]:
        """Return the health score with its parts."""
        with self._circle.reading() as fold:
            metrics = fold.rooms.metrics.snapshot(None, self._now_us(fold), None)
            return health(
                metrics, self._circle.settings.thresholds, fold.rooms.book.active()
            ).to_dict()

    def report(self, include_agents: bool, window_minutes: float | None) -> dict[str, Any]:
        """Return the report on a window as plain values."""
        return build_report(**self.report_inputs(include_agents, window_minutes))

    def report_html(self, include_agents: bool, window_minutes: float | None) -> str:
        """Return the report on a window as one page."""
        from selfright.alerts.report_html.page import as_html

        settings = self._circle.settings
        report = self.report(include_agents, window_minutes)
        with self._circle.reading() as fold:
            active = [alert.to_dict() for alert in fold.rooms.book.active()]
        return as_html(
            report,
            thresholds=settings.thresholds,
            fewest=settings.windows.min_outcomes,
            open_alerts=active,
        )

    def report_inputs(self, include_agents: bool, window_minutes: float | None) -> dict[str, Any]:
        """Return the plain inputs of a report."""
        minutes = window_minutes or self._circle.settings.windows.window_minutes
        agents = self.agents(window_minutes) if include_agents else {}
        retired = set(self.retired())
        return {
            "generated_at": iso(self._circle.clock.now_us()),
            "time_window_minutes": minutes,
            "system_metrics": self.system(window_minutes).to_dict(),
            "health": self.health(),
            "agent_metrics": {
                name: agent.to_dict() for name, agent in agents.items() if name not in retired
            },
            "alerts": [alert.to_dict() for alert in self.alerts(None, None, 50, None)],
            "trends": self.trends(),
            "retrainings": [result.to_dict() for result in self.retrainings(50)],
        }

    def stats(self) -> dict[str, Any]:
        """Return counts of the circle itself."""
        circle = self._circle
        buffered = len(circle.inbox)
        retired = self.retired()
        with circle.reading() as fold:
            metrics, book = fold.rooms.metrics, fold.rooms.book
            return {
                "events_buffered": buffered,
                "events_logged": circle.log.next_offset,
                "events_folded": fold.applied,
                "events_dropped": circle.inbox.dropped,
                "events_late": metrics.late,
                "timestamps_clamped": circle.door.clamped,
                "agents_tracked": len(fold.agents) - len(fold.rooms.absent.retired) + len(retired),
                "agents_retired": len(retired),
                "accuracy_measurements": metrics.outcomes_total,
                "active_alerts": len(book.active()),
                "retrainings": len(fold.trials.retrainings),
                "rewards_beyond_bounds": fold.rooms.feed.beyond_bounds,
                "failures": circle.failures,
                "last_failure": circle.last_failure,
            }

    def runs_frame(self, engine: str) -> Any:
        """Return the kept runs as a data frame, oldest first."""
        self._circle.pump()
        return runs_frame(self._circle.log, engine)

    def _performances(
        self, fold: Fold, codes: list[int], names: list[str], window_minutes: float | None
    ) -> dict[str, AgentPerformance]:
        types = [fold.agent_types.get(name, "agent") for name in names]
        found = fold.rooms.metrics.performances(
            codes, names, types, self._now_us(fold), window_minutes
        )
        return dict(zip(names, found, strict=True))


def _window(minutes: float | None) -> float | None:
    if minutes is not None and not minutes > 0:
        raise ConfigError("time_window_minutes", minutes, "must be greater than 0")
    return minutes


def _level(level: AlertLevel | str) -> AlertLevel:
    try:
        return AlertLevel(level)
    except ValueError:
        words = ", ".join(item.value for item in AlertLevel)
        raise ConfigError("level", level, f"must be one of {words}") from None
