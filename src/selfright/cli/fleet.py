"""What a command asks of a fleet: over REST, or straight from its directory.

Both answer with the same plain values, so that no command knows whom it asked.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from selfright.cli import show
from selfright.cli.directory import DataDirectory
from selfright.cli.remote import RemoteFleet
from selfright.cli.session import MODEL_TYPES
from selfright.errors import ConfigError, DataDirectoryLockedError, UnknownNameError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from selfright.cli.session import Session
    from selfright.config import Settings
    from selfright.events.batch import Intake


class Fleet(Protocol):
    """What can be asked. Lists are newest last where they have an order in time."""

    def health(self) -> dict[str, Any]:
        """Return status, score and parts."""
        ...

    def system(self, window_minutes: float | None = None) -> dict[str, Any]:
        """Return the whole fleet's figures."""
        ...

    def agent(self, name: str, window_minutes: float | None = None) -> dict[str, Any]:
        """Return one agent's figures. Raises ``SelfrightError`` for an unknown one."""
        ...

    def agents(
        self, window_minutes: float | None = None, *, retired: bool = False
    ) -> list[dict[str, Any]]:
        """Return the figures of every agent, of ``retired`` ones when asked."""
        ...

    def alerts(
        self,
        *,
        level: str | None = None,
        agent_name: str | None = None,
        state: str | None = None,
        limit: int = 50,
    ) -> list[dict[str, Any]]:
        """Return the newest alerts that match."""
        ...

    def explain(self, alert_id: str) -> dict[str, Any]:
        """Return why an alert was raised. Raises ``SelfrightError`` for an unknown one."""
        ...

    def acknowledge(self, alert_id: str) -> dict[str, Any]:
        """Say that somebody is on it; return the alert."""
        ...

    def report(self, window_minutes: float | None = None) -> dict[str, Any]:
        """Return the report on the window."""
        ...

    def report_page(self, window_minutes: float | None = None) -> str:
        """Return the report on the window as one HTML file."""
        ...

    def retrain(
        self, model_type: str, *, full: bool, reason: str, tell: Callable[[float], None]
    ) -> dict[str, Any]:
        """Retrain now; return the result. ``tell`` hears the share that is done.

        A model of the user's own can be retrained where it is registered alone: by a service
        whose program did that. Raises ``SelfrightError`` saying so where it is not.
        """
        ...

    def cancel_retraining(self, retrain_id: str, reason: str) -> dict[str, Any]:
        """End a retraining that has no result yet; return what became of it."""
        ...

    def models(self) -> list[dict[str, Any]]:
        """Return one row per model: what serves, what is on trial, what it has learnt."""
        ...

    def versions(self, model_type: str) -> list[dict[str, Any]]:
        """Return the versions of a model."""
        ...

    def promotions(self, model_type: str) -> list[dict[str, Any]]:
        """Return the promotion log of a model."""
        ...

    def serving_at(self, at: str, model_type: str | None) -> list[dict[str, Any]]:
        """Return what served at a moment: every model, or one."""
        ...

    def compare(self, model_type: str, before: int, after: int) -> dict[str, Any]:
        """Return what two versions of a model believe differently."""
        ...

    def rollback(self, model_type: str, version: int | None) -> dict[str, Any]:
        """Let the parent of the served version serve again, or ``version``."""
        ...

    def retire(self, name: str) -> None:
        """Take an agent that is gone out of the fleet until it runs again."""
        ...

    def delete(self, name: str) -> None:
        """Drop what is known of an agent."""
        ...

    def submit(self, intake: Intake) -> tuple[int, int]:
        """Keep rows that passed the door; return how many were new and how many known."""
        ...

    def close(self) -> None:
        """Give back what is held."""
        ...


class LocalFleet:
    """The fleet of a directory that nobody serves, opened for the length of a command."""

    def __init__(self, settings: Settings) -> None:
        from selfright.server.serve import open_faces

        self.monitor, self.updater = open_faces(settings)

    def health(self) -> dict[str, Any]:
        """See ``Fleet``."""
        return self.monitor.get_health()

    def system(self, window_minutes: float | None = None) -> dict[str, Any]:
        """See ``Fleet``."""
        return self.monitor.get_system_metrics(window_minutes).to_dict()

    def agent(self, name: str, window_minutes: float | None = None) -> dict[str, Any]:
        """See ``Fleet``."""
        found = self.monitor.get_agent_metrics(name, window_minutes)
        if found.status == "unknown":
            known = list(self.monitor.get_all_agent_metrics())
            raise UnknownNameError("agent", name, did_you_mean(name, known).removeprefix("; "))
        return found.to_dict()

    def agents(
        self, window_minutes: float | None = None, *, retired: bool = False
    ) -> list[dict[str, Any]]:
        """See ``Fleet``."""
        found = self.monitor.get_all_agent_metrics(window_minutes)
        hidden = set() if retired else set(self.monitor.retired_agents())
        return [agent.to_dict() for name, agent in found.items() if name not in hidden]

    def alerts(
        self,
        *,
        level: str | None = None,
        agent_name: str | None = None,
        state: str | None = None,
        limit: int = 50,
    ) -> list[dict[str, Any]]:
        """See ``Fleet``."""
        found = self.monitor.get_alerts(level, agent_name, limit, state)
        return [alert.to_dict() for alert in found]

    def explain(self, alert_id: str) -> dict[str, Any]:
        """See ``Fleet``."""
        return self.monitor.explain_alert(alert_id)

    def acknowledge(self, alert_id: str) -> dict[str, Any]:
        """See ``Fleet``."""
        return self.monitor.acknowledge_alert(alert_id).to_dict()

    def report(self, window_minutes: float | None = None) -> dict[str, Any]:
        """See ``Fleet``."""
        return self.monitor.generate_report(time_window_minutes=window_minutes)

    def report_page(self, window_minutes: float | None = None) -> str:
        """See ``Fleet``."""
        return self.monitor.generate_report(time_window_minutes=window_minutes, format="html")

    def retrain(
        self, model_type: str, *, full: bool, reason: str, tell: Callable[[float], None]
    ) -> dict[str, Any]:
        """See ``Fleet``."""
        from selfright.learn.model_type import ModelType

        if model_type not in MODEL_TYPES:
            raise self._not_here(model_type)
        performer = self.monitor.circle.performer
        performer.watch = lambda _, share: tell(share)
        try:
            result = self.monitor.trigger_retraining(reason, full, ModelType(model_type))
        finally:
            performer.watch = None
        return result.to_dict()

    def _not_here(self, model_type: str) -> ConfigError:
        """Return why a model that is none of the five cannot be retrained from a directory."""
        known = self.updater.registry.model_types()
        if model_type in known:
            return ConfigError(
                "model",
                model_type,
                "is a model of your own: its versions are in this directory, its code is in the "
                "program that registers it. Start that one; if it serves "
                "(create_app(monitor, updater)), repeat this with --url, else have it call "
                f"updater.trigger_retraining({model_type!r})",
            )
        return ConfigError(
            "model",
            model_type,
            f"must be one of {', '.join(MODEL_TYPES)}{did_you_mean(model_type, MODEL_TYPES)}; a "
            "model of your own is retrained by the program that registers it: name that with --url",
        )

    def cancel_retraining(self, retrain_id: str, reason: str) -> dict[str, Any]:
        """See ``Fleet``."""
        return self.monitor.cancel_retraining(retrain_id, reason).to_dict()

    def models(self) -> list[dict[str, Any]]:
        """See ``Fleet``."""
        return self.updater.models()

    def versions(self, model_type: str) -> list[dict[str, Any]]:
        """See ``Fleet``."""
        return [version.to_dict() for version in self.updater.versions(model_type)]

    def promotions(self, model_type: str) -> list[dict[str, Any]]:
        """See ``Fleet``."""
        return [entry.to_dict() for entry in self.updater.promotions(model_type)]

    def serving_at(self, at: str, model_type: str | None) -> list[dict[str, Any]]:
        """See ``Fleet``."""
        return [served.to_dict() for served in self.updater.serving_at(at, model_type)]

    def compare(self, model_type: str, before: int, after: int) -> dict[str, Any]:
        """See ``Fleet``."""
        return self.updater.compare(model_type, before, after).to_dict()

    def rollback(self, model_type: str, version: int | None) -> dict[str, Any]:
        """See ``Fleet``."""
        return self.updater.rollback(model_type, version).to_dict()

    def retire(self, name: str) -> None:
        """See ``Fleet``."""
        self.monitor.retire_agent(name)

    def delete(self, name: str) -> None:
        """See ``Fleet``."""
        self.monitor.delete_agent(name)

    def submit(self, intake: Intake) -> tuple[int, int]:
        """See ``Fleet``."""
        receipt = self.monitor.circle.submit(intake)
        self.monitor.flush()
        return receipt.accepted, receipt.duplicates

    def close(self) -> None:
        """See ``Fleet``."""
        self.updater.stop()
        self.monitor.close()


@contextmanager
def reach(session: Session, *, create: bool = False) -> Iterator[Fleet]:
    """Give the fleet that the command is about, for the length of the block.

    The service at ``--url``; else the one that owns the data directory; else the
    directory itself. Raises ``ConfigError`` if there is none, unless ``create``.
    """
    settings = session.settings()
    fleet = remote(session) or _local(settings, create=create)
    try:
        yield fleet
    finally:
        fleet.close()


def remote(session: Session) -> RemoteFleet | None:
    """Return the service at ``--url``; None if there is no such option."""
    if session.options.url is None:
        return None
    fleet = RemoteFleet(session.options.url, session.key())
    if fleet.tells_everybody:
        remark = f"the key goes to {fleet.url} unencrypted; use https, or an SSH tunnel"
        show.remarks().print(remark, markup=False)
    return fleet


def _local(settings: Settings, *, create: bool) -> Fleet:
    directory = DataDirectory.of(settings)
    if not directory.exists and not create:
        raise ConfigError(
            "data directory",
            str(directory.path),
            "holds no fleet yet; name another with --data-dir, a service with --url, or begin "
            "with `selfright serve` or `selfright import FILE`",
        )
    try:
        return LocalFleet(settings)
    except DataDirectoryLockedError:
        url = directory.service_url()
        if url is None:
            raise
        return RemoteFleet(url, directory.service_key())
