"""Both ways of showing it: live on the status page, or told at the end."""

from __future__ import annotations

import tempfile
import threading
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from selfright.cli import show
from selfright.cli.command import FAILED, OK, command
from selfright.cli.session import Session
from selfright.clock import US_PER_S, SystemClock, monotonic_s
from selfright.config import with_values
from selfright.errors import ConfigError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from selfright.cli.demo.tale import Tale
    from selfright.config import Settings
    from selfright.online_learning import RealTimeModelUpdater
    from selfright.performance_monitor import PerformanceMonitor

app = typer.Typer()

# Tasks under way at the same time.
_TOGETHER: Final = 10
# Headless: one task a second of simulated time. The best agent tips over once everybody
# relies on it; if the circle has not closed many tasks later, it has not closed.
_TASK_EVERY_S: Final = 1.0
_DRIFT: Final = 4_000
_MOST_TASKS: Final = 16_000
# Live: so many tasks a second of real time, so that the whole story fits in 90 s.
_LIVE_RATE: Final = 100.0
_LIVE_DRIFT_S: Final = 35.0
_LABEL_DELAY: Final = 5  # in tasks, on average
_PORTS_TRIED: Final = 20


@command(app)
def demo(
    session: Session,
    once: Annotated[
        bool,
        typer.Option("--once", help="No server: play it fast, tell it, exit 0 if the loop closed."),
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the fleet and of all chance.")] = 1,
    port: Annotated[int | None, typer.Option(help="First port to try.")] = None,
) -> int:
    """Show the whole loop on a simulated fleet of 24 agents whose best one tips over.

    Drift, alert, retraining, gate, promotion, recovery: live on the status page within
    90 seconds, or with --once headless in simulated time.
    """
    settings = session.settings(server__port=port)
    # Kept in memory, except for the versions of the models, which go when the demo ends.
    with tempfile.TemporaryDirectory(prefix="selfright-demo-") as folder:
        if once:
            return _tell_once(session, settings, folder, seed)
        _show_live(settings, folder, seed)
    return OK


def _tell_once(session: Session, settings: Settings, folder: str, seed: int) -> int:
    from selfright.cli.demo.cast import fleet_model
    from selfright.cli.demo.play import Play
    from selfright.cli.demo.tale import Tale
    from selfright.events.record import SettingsApplied
    from selfright.testing.clock import START_US, ManualClock
    from selfright.testing.fleet import Fleet

    started_s = monotonic_s()
    console = None if session.as_json else show.console()

    def tell(task: int, event: str) -> None:
        if console is not None:
            console.print(f"task {task:>6,}  {event}", markup=False)

    clock = ManualClock()
    monitor, updater = _faces(settings, folder, seed)
    # Simulated time and no threads: the same seed tells the same story to the last digit.
    monitor.circle.clock = clock
    monitor.circle.act(
        SettingsApplied(act_id="demo", ts_us=clock.now_us(), settings={"automatic": True})
    )
    model = fleet_model(_DRIFT * _TASK_EVERY_S, _LABEL_DELAY * _TASK_EVERY_S, seed)
    play = Play(Fleet(model, seed), monitor, updater, seed)
    tale = Tale(monitor, play, _DRIFT, tell)
    tell(
        0, f"{len(model.agents)} agents, {len(model.task_types)} kinds of tasks; select_agent picks"
    )
    with show.progress("playing") as progress:
        while not tale.is_decided and len(play.sent) < _MOST_TASKS:
            first = len(play.sent)
            times = [
                START_US + round((first + k) * _TASK_EVERY_S * US_PER_S) for k in range(_TOGETHER)
            ]
            clock.set(times[-1])
            play.round(times)
            monitor.flush()
            tale.look()
            progress(min(1.0, first / (2 * _DRIFT)))
    result = {**tale.result(), "seed": seed, "duration_s": round(monotonic_s() - started_s, 3)}
    monitor.close()
    if console is None:
        show.as_json(result)
    else:
        _print_end(result)
    return OK if result["closed"] else FAILED


def _show_live(settings: Settings, folder: str, seed: int) -> None:
    from selfright.server.serve import serve_faces

    listener = _first_free(settings)
    remarks = show.remarks()
    monitor, updater = _faces(settings, folder, seed)
    ended = threading.Event()
    started_s = monotonic_s()

    def tell(task: int, event: str) -> None:
        seconds = int(monotonic_s() - started_s)
        remarks.print(
            f"{seconds // 60:02}:{seconds % 60:02}  task {task:>6,}  {event}", markup=False
        )

    traffic = threading.Thread(
        target=_drive, args=(monitor, updater, seed, tell, ended), name="demo-traffic", daemon=True
    )

    def ready(url: str) -> None:
        remarks.print(f"watch it at {url} (API: {url}/docs); Ctrl-C ends the demo", markup=False)
        traffic.start()

    try:
        serve_faces(monitor, updater, listener=listener, on_ready=ready)
    finally:
        ended.set()
        if traffic.is_alive():
            traffic.join(5.0)
        monitor.close()


def _drive(
    monitor: PerformanceMonitor,
    updater: RealTimeModelUpdater,
    seed: int,
    tell: Callable[[int, str], None],
    ended: threading.Event,
) -> None:
    """Send tasks in real time until told to end; say what the system does about them."""
    from selfright.cli.demo.cast import fleet_model
    from selfright.cli.demo.play import Play
    from selfright.cli.demo.tale import Tale
    from selfright.testing.fleet import Fleet

    clock = SystemClock()
    start_us = clock.now_us()
    model = fleet_model(_LIVE_DRIFT_S, _LABEL_DELAY / _LIVE_RATE, seed)
    play = Play(Fleet(model, seed, start_us=start_us), monitor, updater, seed)
    tale: Tale | None = None
    told = False
    tell(
        0, f"{len(model.agents)} agents, {len(model.task_types)} kinds of tasks; select_agent picks"
    )
    began_s = monotonic_s()
    while not ended.is_set():
        now_us = clock.now_us()
        if tale is None and now_us - start_us >= _LIVE_DRIFT_S * US_PER_S:
            tale = Tale(monitor, play, len(play.sent), tell)
        play.round([now_us] * _TOGETHER)
        if tale is not None:
            tale.look()
            if tale.is_decided and not told:
                told = True
                for line in _ending(tale.result()):
                    tell(len(play.sent), line)
        ahead_s = len(play.sent) / _LIVE_RATE - (monotonic_s() - began_s)
        if ahead_s > 0:
            ended.wait(ahead_s)


def _faces(
    settings: Settings, folder: str, seed: int
) -> tuple[PerformanceMonitor, RealTimeModelUpdater]:
    from selfright.online_learning import RealTimeModelUpdater
    from selfright.performance_monitor import PerformanceMonitor

    settings = with_values(settings, {"learn.seed": seed})
    # Rounds are folded whole: a pick need not wait for the runs of its own round.
    updater = RealTimeModelUpdater(
        model_storage_path=folder, batch_size=8 * _TOGETHER, settings=settings
    )
    return PerformanceMonitor(model_updater=updater, settings=settings), updater


def _first_free(settings: Settings) -> socket.socket:
    """Return a listener on the wanted port, or on the next free one, and say so."""
    from selfright.server.serve import bind, url_of

    wanted = settings.server.port
    for port in range(wanted, wanted + _PORTS_TRIED):
        try:
            listener = bind(settings.server.host, port)
        except ConfigError as error:
            if error.setting != "server.port" or port == wanted + _PORTS_TRIED - 1:
                raise
            continue
        if port != wanted:
            show.remarks().print(f"port {wanted} is taken; using {url_of(listener)}", markup=False)
        return listener
    raise AssertionError("the last port tried returns or raises")


def _ending(result: dict[str, Any]) -> list[str]:
    right, possible = result["fleet_right"], result["best_possible"]
    share = result["sick_agent_share"]
    before, during, after = (f"{right[spell]:.1%}" for spell in ("before", "during", "after"))
    fleet = f"the fleet is right in {before} before, {during} during, {after} after"
    before, during, after = (f"{share[spell]:.1%}" for spell in ("before", "during", "after"))
    traffic = f"traffic to {result['sick_agent']}: {before} before, {during} during, {after} after"
    unaided, best = f"{right['had_nothing_been_done']:.1%}", f"{possible['after']:.1%}"
    lines = [f"{fleet} (had nothing been done: {unaided}; the best choices: {best})", traffic]
    missing = [step for step, done in result["steps"].items() if not done]
    if missing:
        return [*lines, f"the loop did not close: not {', not '.join(missing)}"]
    return [*lines, "the loop closed: drift, alert, retraining, gate, promotion, recovery"]


def _print_end(result: dict[str, Any]) -> None:
    console = show.console()
    for line in _ending(result):
        console.print(f"             {line}", markup=False)
    console.print(
        f"             {result['tasks']:,} tasks in {result['duration_s']:.1f} s", markup=False
    )
