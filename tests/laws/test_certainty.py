"""Laws of certainty: one form equals the other, blocks do not matter, undoing leaves nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from selfright.detect.certainty.bank import Accused, Bank, Block
from selfright.detect.certainty.bets import NO_GRADE, RATE_BETS, Grade, grade, values
from selfright.detect.certainty.fleet import Certainty, CertaintyPolicy, Rows
from selfright.detect.certainty.found import Found
from selfright.detect.certainty.lane import Lane, Mark
from selfright.detect.certainty.rank import octaves
from selfright.detect.detection import SYSTEM, WatchedMetric
from selfright.loop.saved import decode_state, encode_state

THRESHOLDS = {
    WatchedMetric.SUCCESS_RATE: 0.8,
    WatchedMetric.ERROR_RATE: 0.85,
    WatchedMetric.ACCURACY: 0.7,
}
STEP_US = 1_000_000
EAGER = CertaintyPolicy(run_length=20.0, min_drop=0.0)


def _fleet(seed: int, rows: int, agents: int, *, graded: bool = False) -> Rows:
    """Return the rows of a fleet that falls at half of them, of all kinds, some with holes."""
    rng = np.random.default_rng(seed)
    agent = rng.integers(0, agents, rows)
    rate = np.where(np.arange(rows) < rows / 2, 0.9, 0.5)
    good = rng.random(rows) < rate
    values = np.full((rows, len(WatchedMetric)), -1.0)
    is_run = rng.random(rows) < 0.7
    values[is_run, WatchedMetric.SUCCESS_RATE] = good[is_run]
    values[is_run, WatchedMetric.ERROR_RATE] = ~good[is_run]
    slow = np.where(np.arange(rows) < rows / 2, 1.0, 3.0)
    for metric in (WatchedMetric.LATENCY, WatchedMetric.COST, WatchedMetric.TOKEN_USAGE):
        reported = is_run & (rng.random(rows) < 0.9)
        amounts = np.rint(1e6 * slow * rng.lognormal(0.0, 0.5, rows))
        amounts[rng.random(rows) < 0.004] *= 300  # now and then far from usual
        values[reported, metric] = amounts[reported]
    scores = np.rint(np.clip(good * 0.8 + rng.random(rows) * 0.2, 0, 1) * 2**32) / 2**32
    values[~is_run, WatchedMetric.ACCURACY] = (scores if graded else good)[~is_run]
    return Rows(agent, values, np.arange(rows), np.arange(rows) * STEP_US)


def _feed(certainty: Certainty, rows: Rows, sizes: list[int]) -> list[tuple[Any, Found]]:
    """Feed rows in blocks of these sizes, over and over; rows of findings count from the start."""
    found, at, turn = [], 0, 0
    while at < len(rows.agent):
        size = sizes[turn % len(sizes)]
        part = rows.part(at, at + size)
        said = certainty.feed(part, int(part.ts_us[0]))
        certainty.keep()
        found += [(stream, one._replace(row=one.row + at)) for stream, one in said]
        at, turn = at + size, turn + 1
    return found


def _state(certainty: Certainty) -> bytes:
    return encode_state(certainty.to_state())


class Diary:
    """A keeper that writes down what it hears, suspects streams for a while, and renews."""

    def __init__(self) -> None:
        self.heard: dict[int, list[Any]] = {}
        self.suspects: dict[int, int] = {}

    def watched(self) -> dict[int, int]:
        """Return the suspects."""
        return self.suspects

    def outcome(self, slot: int, row: int, x: float, here: Mark) -> None:
        """Suspect for 70 outcomes."""
        self._hear(slot, ("outcome", row, x, here))
        self.suspects[slot] -= 1
        if not self.suspects[slot]:
            del self.suspects[slot]

    def alarm(self, row: int, alarms: int, here: Mark, accused: Accused) -> None:
        """Suspect from here on."""
        slot, lane, grades = accused
        changed = [lane.changed(r) for r in range(REFERENCES)]
        self._hear(slot, ("alarm", row, alarms, here, changed, lane.tens(), grades))
        self.suspects.setdefault(slot, 70)

    def fifties(self, slots: Any, tens: Any) -> Any:
        """Renew the references now and then."""
        places, renewed = [], []
        for at, slot in enumerate(slots.tolist()):
            self._hear(slot, ("fifty", tens[:, at].tolist()))
            if len(self.heard[slot]) % 3 == 0:
                mean = tens[:, at].sum() / 50.0
                places.append(at)
                renewed.append(
                    [NO_GRADE, grade(mean - 0.1, 1.5), grade(min(mean + 0.02, 0.99), 1.0)]
                )
        return np.array(places, dtype=np.int64), [list(of) for of in zip(*renewed, strict=True)]

    def _hear(self, slot: int, what: Any) -> None:
        self.heard.setdefault(slot, []).append(what)


REFERENCES = 3


def _one_by_one(block: Block, level: float, keeper: Diary, grades: list[Grade]) -> dict[int, Lane]:
    """Do what a bank does, by the scalar form."""
    lanes: dict[int, Lane] = {}
    held: dict[int, list[Grade]] = {}
    columns = (column.tolist() for column in block)
    for row, (slot, x, offset, ts_us) in enumerate(zip(*columns, strict=True)):
        lane = lanes.get(slot)
        if lane is None:
            lane = lanes[slot] = Lane(REFERENCES)
            held[slot] = grades
            lane.values = [values(of, RATE_BETS) for of in grades]
        alarms = lane.update(x, level, offset, ts_us)
        here = Mark(lane.n, lane.total, offset, ts_us)
        if slot in keeper.watched():
            keeper.outcome(slot, row, x, here)
        if alarms:
            keeper.alarm(row, alarms, here, Accused(slot, lane, held[slot]))
            lane.forget(alarms)
        if lane.n % 50 == 0:
            tens = np.array(lane.tens())[:, np.newaxis]
            _, renewed = keeper.fifties(np.array([slot]), tens)
            if renewed:
                held[slot] = [of for (of,) in renewed]
                lane.values = [values(of, RATE_BETS) for of in held[slot]]
    return lanes


def _plain(lane: Lane) -> list[Any]:
    edges = lane.edges if lane.n % 50 == 0 else lane.edges[: (lane.n - 1) % 50 // 10 + 1]
    return [lane.n, lane.total, edges, lane.products, lane.sums, lane.heights, lane.places]


@settings(max_examples=30)
@given(
    seed=st.integers(0, 10_000),
    streams=st.sampled_from([1, 2, 9, 150]),
    graded=st.booleans(),
    size=st.sampled_from([1, 13, 400, 6_000]),
    level=st.sampled_from([15.0, 200.0]),
)
def test_the_vectorised_form_equals_the_scalar_form(
    seed: int, streams: int, graded: bool, size: int, level: float
) -> None:
    """They say the same, in the same order by stream, and end in the same state, to the bit."""
    rng, rows = np.random.default_rng(seed), 3_000 if size > 1 else 300
    slots = np.minimum(rng.geometric(2.0 / (streams + 1), rows) - 1, streams - 1)
    x = rng.random(rows) < np.where(np.arange(rows) < rows / 2, 0.9, 0.6)
    graded_x = np.clip(x * 0.8 + 0.2 * rng.random(rows), 0.0, 1.0)
    block = Block(slots, graded_x if graded else x.astype(np.float64), np.arange(rows) * 3,
                  np.arange(rows) * STEP_US)  # fmt: skip
    grades = [grade(0.88, 1.0), grade(0.8, 2.0), NO_GRADE]
    bank, ours, theirs = Bank(REFERENCES, RATE_BETS), Diary(), Diary()
    for _ in range(streams):
        bank.add(grades)
    for first in range(0, rows, size):
        ours_before = {slot: len(heard) for slot, heard in ours.heard.items()}
        bank.feed(Block(*(column[first : first + size] for column in block)), level, ours)
        bank.keep()
        for slot, heard in ours.heard.items():  # rows count from the beginning of a block
            for at in range(ours_before.get(slot, 0), len(heard)):
                kind, *rest = heard[at]
                if kind != "fifty":
                    heard[at] = (kind, rest[0] + first, *rest[1:])
    lanes = _one_by_one(block, level, theirs, grades)
    assert ours.heard == theirs.heard
    assert ours.suspects == theirs.suspects
    for slot, lane in lanes.items():
        assert _plain(bank.lane(slot)) == _plain(lane)
        assert bank.lane(slot).values == lane.values


class Deaf(Diary):
    """A keeper that wants to hear of no fifties, and renews nothing."""

    def fifties(self, slots: Any, tens: Any) -> Any:
        """Do nothing."""
        del slots, tens
        return np.zeros(0, dtype=np.int64), []


@settings(max_examples=15)
@given(
    seed=st.integers(0, 10_000),
    streams=st.sampled_from([1, 9, 150]),
    level=st.sampled_from([15.0, 200.0]),
)
def test_without_fifties_the_forms_are_equal_too(seed: int, streams: int, level: float) -> None:
    """A bank that keeps no sums of ten says and knows the same, but for these."""
    rng, rows = np.random.default_rng(seed), 3_000
    slots = rng.integers(0, streams, rows)
    x = rng.random(rows) * np.where(np.arange(rows) < rows / 2, 1.0, 0.8)
    block = Block(slots, x, np.arange(rows) * 3, np.arange(rows) * STEP_US)
    grades = [grade(0.48, 1.0)] * REFERENCES
    bank, ours, theirs = Bank(REFERENCES, RATE_BETS, fifties=False), Deaf(), Deaf()
    for _ in range(streams):
        bank.add(grades)
    bank.feed(block, level, ours)
    bank.keep()
    lanes = _one_by_one(block, level, theirs, grades)
    for heard in (ours, theirs):
        for told in heard.heard.values():
            told[:] = [one[:5] for one in told]  # the sixth of an alarm are sums of ten
    assert ours.heard == theirs.heard
    for slot, lane in lanes.items():
        n, total, _, *evidence = _plain(bank.lane(slot))
        assert [n, total, _plain(lane)[2], *evidence] == _plain(lane)


@settings(max_examples=15)
@given(
    seed=st.integers(0, 1000),
    agents=st.sampled_from([1, 3, 40]),
    sizes=st.lists(st.sampled_from([1, 7, 50, 333, 700]), min_size=2, max_size=5).filter(
        lambda sizes: sum(sizes) >= 100
    ),
)
def test_how_rows_are_batched_does_not_matter(seed: int, agents: int, sizes: list[int]) -> None:
    """Any blocks give the findings and the state of one block."""
    rows = _fleet(seed, 3_000, agents)
    whole, parted = Certainty(EAGER, THRESHOLDS), Certainty(EAGER, THRESHOLDS)
    assert _feed(parted, rows, sizes) == _feed(whole, rows, [3_000])
    assert _state(parted) == _state(whole)


@settings(max_examples=15)
@given(seed=st.integers(0, 1000), agents=st.sampled_from([1, 3, 40]), stop=st.integers(1, 1_500))
def test_what_is_dropped_leaves_nothing(seed: int, agents: int, stop: int) -> None:
    """Feeding a block, dropping it and feeding a part is feeding the part."""
    rows = _fleet(seed, 3_000, agents)
    head = rows.part(0, 1_500)
    tail = rows.part(1_500, 3_000)
    straight, detour = Certainty(EAGER, THRESHOLDS), Certainty(EAGER, THRESHOLDS)
    for certainty in (straight, detour):
        _feed(certainty, head, [1_500])
    detour.feed(tail, int(tail.ts_us[0]))
    detour.drop()
    part = tail.part(0, stop)
    for certainty in (straight, detour):
        certainty.feed(part, int(tail.ts_us[0]))
        certainty.keep()
    assert _state(detour) == _state(straight)


@settings(max_examples=15)
@given(seed=st.integers(0, 1000), at=st.integers(1, 2_999))
def test_a_checkpoint_and_the_rest_is_the_whole(seed: int, at: int) -> None:
    """State out, through bytes, and in again changes nothing that is found afterwards."""
    rows = _fleet(seed, 3_000, 4)
    whole = Certainty(EAGER, THRESHOLDS)
    expected = _feed(whole, rows, [at, 3_000])
    first = Certainty(EAGER, THRESHOLDS)
    found = _feed(first, rows.part(0, at), [at])
    second = Certainty(EAGER, THRESHOLDS).restored(decode_state(_state(first)))
    rest = _feed(second, rows.part(at, 3_000), [3_000])
    found += [(stream, one._replace(row=one.row + at)) for stream, one in rest]
    assert found == expected
    assert _state(second) == _state(whole)


@given(st.lists(st.floats(0, 1e15), min_size=1, max_size=300), st.integers(0, 20))
def test_an_octave_depends_on_the_value_alone(values: list[float], start: int) -> None:
    """Not on how many are computed at once, and it grows with the value."""
    together = octaves(np.array(values))
    assert together[start:].tolist() == octaves(np.array(values)[start:].copy()).tolist()
    assert (np.diff(octaves(np.sort(values))) >= 0).all()


def test_the_fleet_itself_is_followed_by_its_rates() -> None:
    """Many agents of few runs each fall together: the fleet's streams say so."""
    certainty = Certainty(CertaintyPolicy(run_length=1e4), THRESHOLDS)
    rows = _fleet(1, 40_000, 4_000)
    said = {(stream.scope, stream.metric) for stream, _ in _feed(certainty, rows, [1024])}
    assert (SYSTEM, WatchedMetric.SUCCESS_RATE) in said
    assert (SYSTEM, WatchedMetric.ACCURACY) in said


@settings(max_examples=10)
@given(seed=st.integers(0, 1000), sizes=st.lists(st.sampled_from([7, 50, 333]), min_size=1))
def test_spikes_depend_on_the_values_alone(seed: int, sizes: list[int]) -> None:
    """Batches do not matter, a dropped block leaves none, a checkpoint keeps all."""
    rows = _fleet(seed, 3_000, 2)
    whole, parted = Certainty(EAGER, THRESHOLDS), Certainty(EAGER, THRESHOLDS)
    _feed(whole, rows, [3_000])
    _feed(parted, rows.part(0, 2_000), sizes)
    rest = rows.part(2_000, 3_000)
    parted.feed(rest, int(rest.ts_us[0]))
    parted.drop()
    parted = parted.restored(decode_state(_state(parted)))
    _feed(parted, rest, sizes)
    assert parted.spikes() == whole.spikes()
