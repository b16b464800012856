"""The report as a page: everything is in it, nothing else is needed, nothing slips through."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest

from selfright.alerts.report import build_report
from selfright.alerts.report_html.page import MOST_BYTES, as_html
from selfright.alerts.report_html.style import STYLE
from selfright.config import Thresholds
from selfright.metrics.snapshot import AgentPerformance

HOSTILE = [
    "<script>alert(1)</script>",
    "\"onload='x'&amp;</title></style>",
    "team/alpha/planner",
    "naïve/агент/🤖",
    "\u202egnp.exe\u0007\ud800",
]
UNKNOWN = AgentPerformance.unknown("nobody").metrics.to_dict()
FIGURES = {
    **UNKNOWN,
    "total_tasks": 200,
    "decided_tasks": 190,
    "success_rate": 0.912,
    "success_rate_interval": [0.88, 0.94],
    "error_rate": 0.05,
    "error_rate_interval": [0.03, 0.08],
    "avg_accuracy": 0.61,
    "accuracy_interval": [0.55, 0.67],
    "accuracy_sample_size": 120,
    "accuracy_coverage": 0.63,
    "p50_latency_ms": 300.0,
    "p95_latency_ms": 1234.0,
    "p99_latency_ms": 20_000.0,
    "cost_per_task": 0.012,
}
VOID = {"meta", "use", "circle", "path", "rect"}


class Page(HTMLParser):
    """Reads a page and notes what a browser would act on."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.words)


def agent(name, **figures):
    """Return an agent as plain values."""
    return {
        **AgentPerformance.unknown(name).to_dict(),
        "metrics": {**FIGURES, **figures},
        "last_run": "2026-01-01T00:00:00.000000Z",
    }


def alert(name, level="critical", message="is low"):
    """Return a firing alert as plain values."""
    return {
        "level": level,
        "state": "firing",
        "agent_name": name,
        "message": f"{name} {message}",
        "recommendation": f"look at {name}",
        "count": 3,
        "timestamp": "2026-01-01T00:00:00.000000Z",
    }


def html(agents=(), alerts=(), **changes):
    """Return the page of a report."""
    parts = {
        "generated_at": "2026-01-01T12:00:00.000000Z",
        "time_window_minutes": 60,
        "system_metrics": FIGURES,
        "health": {
            "health_score": 71.3,
            "status": "degraded",
            "reasons": ["accuracy is low"],
            "parts": [
                {"name": "accuracy", "value": 0.61, "threshold": 0.7, "points": 52.3,
                 "weight": 0.9},
                {"name": "alerts", "value": 1.0, "threshold": None, "points": 60.0,
                 "weight": 0.1},
            ],
        },
        "agent_metrics": {name: agent(name) for name in agents},
        "alerts": list(alerts),
        "trends": {
            "accuracy": {"direction": "degrading", "slope_per_h": -0.12, "interval": [-0.2, -0.1]},
            "cost": {"direction": "unknown", "slope_per_h": None, "interval": None},
        },
        "retrainings": [
            {
                "timestamp": "2026-01-01T00:00:00Z", "retrain_type": "incremental",
                "model_type": "agent_selection", "promoted": False, "reason": "accuracy fell",
                "state": "done", "events_processed": 100, "version": 4,
                "gate": {"verdict": "rejected", "n": 88, "gain": -0.02, "gain_low": -0.04,
                         "gain_high": -0.01},
            },
            {
                "timestamp": "2026-01-01T01:00:00Z", "retrain_type": "full",
                "model_type": "agent_selection", "promoted": True, "reason": "accuracy fell",
                "state": "done", "events_processed": 5000, "version": 5,
                "gate": {"verdict": "promoted", "n": 210, "gain": 0.05},
            },
            {
                "timestamp": "2026-01-01T02:00:00Z", "retrain_type": "full",
                "model_type": "routing", "promoted": None, "reason": "by hand",
                "state": "failed", "error": "no outcomes", "version": None, "gate": None,
            },
        ],
    }  # fmt: skip
    report = build_report(**{**parts, **changes})
    return as_html(report, thresholds=Thresholds(), fewest=20, open_alerts=alerts)


def test_every_section_is_there():
    """Health with parts, fleet, agents, alerts, advice, retrainings with verdicts, trends."""
    page = Page(html(["planner"], [alert("planner")]))
    assert not page.open, f"never closed: {page.open}"
    for expected in (
        "71", "degraded", "accuracy is low", "52",  # the score, its reason, a part's points
        "91.2 %", "88.0–94.0 %", "63.0 %", "at least 70.0 %", "beyond threshold",
        "planner is low", "look at planner", "1 firing",
        "rejected", "−0.02", "−0.04 to −0.01", "promoted", "failed: no outcomes",
        "degrading", "−0.12", "−0.2 to −0.1",
    ):  # fmt: skip
        assert expected in page.text, expected
    anchors = [value for tag, name, value in page.attributes if name == "id"]
    for name in (
        "health", "fleet", "agents", "alerts", "recommendations", "retrainings", "trends",
    ):  # fmt: skip
        assert anchors.count(name) == 1


def test_the_page_needs_and_runs_nothing():
    """No script, no frame, no style of an element's own, no address but its own sections."""
    source = html(HOSTILE, [alert(name) for name in HOSTILE])
    page = Page(source)
    assert not {"script", "link", "img", "iframe", "object", "base", "form"} & set(page.tags)
    for tag, name, value in page.attributes:
        assert not name.startswith("on")
        assert name not in {"style", "src"}
        if name == "href":
            assert re.fullmatch(r"#[a-z]+", value), (tag, value)
    assert "url(" not in STYLE
    assert "@import" not in STYLE
    assert "http:" not in source
    assert "https:" not in source


def test_its_policy_admits_its_own_sheet_and_nothing_else():
    """The hash is that of the sheet as a browser sees it."""
    source = html()
    sheet = re.search(r"<style>(.*?)</style>", source, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(sheet.encode()).digest()).decode()
    policy = next(value for _, name, value in Page(source).attributes if "default-src" in value)
    assert policy.startswith("default-src 'none'; ")
    assert f"style-src 'sha256-{digest}';" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize("name", HOSTILE)
def test_every_text_is_escaped(name):
    """An agent may be called anything, in charts, tables, alerts and retrainings."""
    result = {
        "timestamp": name, "retrain_type": name, "model_type": name, "reason": name,
        "state": "failed", "error": name, "version": 1, "gate": {"verdict": name},
    }  # fmt: skip
    source = html([name], [alert(name)], retrainings=[result])
    assert "<script" not in source
    assert "</title></style>" not in source
    assert "\u202e" not in source
    assert "\u0007" not in source
    source.encode()  # a lone surrogate could not be
    page = Page(source)
    assert not page.open
    assert page.tags.count("style") == 1
    if name.isprintable():
        assert page.text.count(name) >= 4


def test_tables_and_charts_say_what_they_are():
    """Captions, scopes, titles and descriptions; a name for every picture."""
    page = Page(html(["planner"], [alert("planner")]))
    assert page.tags.count("table") == page.tags.count("caption") == 6
    ids = {value for _, name, value in page.attributes if name == "id"}
    assert [value for tag, name, value in page.attributes if (tag, name) == ("svg", "role")] == [
        "img", "img", "img",
    ]  # fmt: skip
    for _, name, value in page.attributes:
        if name in {"aria-labelledby", "aria-describedby"}:
            assert value in ids
    assert {value for tag, name, value in page.attributes if (tag, name) == ("th", "scope")} == {
        "col",
        "row",
    }


def test_no_state_is_told_by_colour_alone():
    """Each has a shape of its own and a word beside it."""
    source = html(["planner"], [alert("planner")])
    shapes = re.findall(r'<symbol id="(\w+)" viewBox="0 0 16 16">(.*?)</symbol>', source)
    assert len({shape for _, shape in shapes}) == len(shapes) == 4
    marks = re.findall(r'<span class="state (\w+)[^"]*">(<svg.*?</svg>)([^<]*)</span>', source)
    assert len(marks) == source.count('class="mark"')
    assert all(f'href="#{kind}"' in svg and word for kind, svg, word in marks)


def test_light_and_dark_follow_the_reader():
    """And both say so to the browser's own controls."""
    assert "@media (prefers-color-scheme: dark)" in STYLE
    assert "color-scheme: light dark" in STYLE
    for colour in ("#0072b2", "#e69f00", "#8a5a00", "#d55e00", "#6b7280"):
        assert colour in STYLE
    for colour in ("#111827", "#56b4e9", "#f0e442", "#ff8a4c", "#9ca3af"):
        assert colour in STYLE


def test_trouble_comes_first_and_few_runs_are_neither_good_nor_bad():
    """By severity, then by how far beyond a threshold; those still collecting come last."""
    fine = (0.85, 0.93)
    found = {
        "fine": agent("fine", avg_accuracy=0.9, accuracy_interval=fine),
        "young": agent("young", decided_tasks=3, total_tasks=3, success_rate=0.0),
        "beyond": agent("beyond"),
        "warned": agent("warned", avg_accuracy=0.9, accuracy_interval=fine),
        "down": agent("down", avg_accuracy=0.9, accuracy_interval=fine),
        "asleep": agent("asleep", decided_tasks=0, total_tasks=0),
    }
    source = html(
        agent_metrics=found, alerts=[alert("down"), alert("warned", "warning"), alert(None)]
    )
    table = source[source.index("Figures of the window") :]
    order = re.findall(r'class="name"><bdi>(\w+)</bdi>', table)[: len(found)]
    assert order == ["down", "beyond", "warned", "fine", "young", "asleep"]
    assert "collecting 3/20" in source


def test_charts_mark_threshold_and_interval():
    """The dashed line stands at the threshold, whiskers at the ends of the interval."""
    source = html(["planner"])
    chart = source[source.index('id="chart-success"') : source.index('id="chart-accuracy"')]
    left, width = 178, 360
    at = lambda ratio: f"M{left + width * ratio:.1f} "
    assert f'class="limit" d="{at(0.8)}' in chart
    assert at(0.88) in chart
    assert at(0.94) in chart
    assert chart.count('class="bar"') == 1


def test_two_hundred_agents_fit_the_worst_fifty_are_drawn():
    """All of them stand in the table, and the page stays below 1 MB whatever their names."""
    names = [f"{i:03}{'&' * 197}" for i in range(200)]
    source = html(names, [alert(name) for name in names[:50]])
    assert len(source.encode()) < MOST_BYTES
    assert source.count("<bdi>") == 200 + 50
    chart = source[source.index('id="chart-success"') : source.index('id="chart-accuracy"')]
    assert chart.count('class="bar"') == 50
    assert "The 50 of 200 agents most in trouble" in source


def test_the_longest_texts_there_may_be_still_fit():
    """Fifty alerts and fifty retrainings that quote as much as they can."""
    long = "'" * 1000
    names = [f"{i:03}{long}"[:200] for i in range(200)]
    result = {
        "timestamp": "2026-01-01T00:00:00Z", "retrain_type": "full", "model_type": "routing",
        "reason": long, "state": "failed", "error": long, "version": 1, "gate": None,
    }  # fmt: skip
    source = html(names, [alert(name, message=long) for name in names[:50]],
                  retrainings=[result] * 50)  # fmt: skip
    assert len(source.encode()) < MOST_BYTES
    assert source.count('class="bar"') == 100


def test_a_fleet_of_thousands_does_not_burst_the_page():
    """Those least in trouble are left out, and the page says how many."""
    figures = agent("same")
    found = {f"agent-{i:05}": figures for i in range(3000)}
    source = html(agent_metrics=found)
    assert MOST_BYTES - 20_000 < len(source.encode()) < MOST_BYTES
    assert re.search(r"[\d,]+ agents in less trouble are left out", source)
    assert not Page(source).open


def test_an_empty_fleet_has_a_page_too():
    """It says what is missing, and claims nothing."""
    page = Page(html(system_metrics=UNKNOWN, health={}, alerts=[], trends={}, retrainings=[]))
    assert not page.open
    assert "unknown" in page.text
    assert "No agent has reported a run yet" in page.text
    assert "healthy" not in page.text
    assert "record_agent_run" in page.text


def test_what_is_unknown_of_an_agent_is_a_dash():
    """In charts and in the table."""
    source = html(agent_metrics={"new": {**agent("new"), "metrics": UNKNOWN, "last_run": None}})
    assert "new: –" in source
    assert "idle" in source
    assert not Page(source).open


def test_what_is_to_be_typed_is_marked_up_and_nothing_else_gets_in():
    """In advice and beside the alert; a hostile name between backticks stays text."""
    told = {**alert("planner"), "recommendation": "run `selfright retrain --full` on `<b>`"}
    page = html(alerts=[told])
    assert page.count("<code>selfright retrain --full</code>") == 2
    assert "<b>" not in page
    assert "`" not in page.partition("</style>")[2]
