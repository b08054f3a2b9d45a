"""Faults do what they say, and the same seed does it again."""

import itertools
from typing import Any

import numpy as np
import pytest

from firmware_stubs import faults, wire
from firmware_stubs.faults import Fault
from firmware_stubs.wire import Message

T = 1_795_457_100
KINDS: dict[str, Any] = {
    "duplicate": faults.Duplicate,
    "gap": faults.Gap,
    "stuck": faults.Stuck,
    "rollback": faults.Rollback,
    "skew": faults.Skew,
    "no clock": faults.NoClock,
    "reboot": faults.Reboot,
}


def rng(seed: int = 7) -> np.random.Generator:
    return np.random.default_rng(seed)


def batches(count: int = 200, size: int = 3, session: int = 1) -> list[Message]:
    def values(n: int) -> dict[str, float]:
        return {"runtime": 500 + n / 4, "pm25": float(n % 17)}

    return [
        wire.batch([wire.Sample(session, n, T + 60 * n, "synced", values(n)) for n in range(first, first + size)])
        for first in range(1, count * size, size)
    ]


def through(fault: Fault, given: list[Message] | None = None) -> list[Message]:
    return list(faults.stream(batches() if given is None else given, fault))


def values_of(channel: str, out: list[Message]) -> list[Any]:
    return [sample.values[channel] for batch in out for sample in wire.samples(batch)]


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
def test_seed_repeats_it(kind: Any) -> None:
    """The same seed makes the same trouble, and the batches that come in are not touched."""
    given = batches()
    assert through(kind(rng()), given) == through(kind(rng()), given)
    assert batches() == given


def test_duplicate() -> None:
    """A share of the batches leaves twice, some at once and some after the next; none is lost or changed."""
    out = through(faults.Duplicate(rng(), 0.3))
    again = len(out) - 200
    assert 40 < again < 80
    assert batches() == sorted({batch["q"]: batch for batch in out}.values(), key=lambda batch: batch["q"])
    at_once = sum(one == other for one, other in itertools.pairwise(out))
    assert 0 < at_once < again


def test_gap() -> None:
    """A share of the batches never arrives; the rest arrives as it is, in order."""
    out, given = through(faults.Gap(rng(), 0.2)), batches()
    assert 20 < len(given) - len(out) < 60
    assert [batch for batch in given if batch in out] == out


def test_stuck() -> None:
    """From one sample on the channel says the same; the others go on."""
    dust = values_of("pm25", out := through(faults.Stuck(rng(), "pm25", 0.01)))
    was = values_of("pm25", batches())
    since = next(k for k in range(len(dust)) if dust[k:] == [dust[k]] * (len(dust) - k))
    assert was[: since + 1] == dust[: since + 1]
    assert 0 < since < len(dust) - 50
    assert values_of("runtime", batches()) == values_of("runtime", out)


def test_stuck_sensor_that_is_not_there() -> None:
    """A channel that the unit does not have cannot get stuck."""
    assert batches() == through(faults.Stuck(rng(), "humidity", 1.0))


def test_rollback() -> None:
    """The counter falls once, by the loss, and counts on; identity and times stay."""
    out = through(faults.Rollback(rng(), "runtime", 0.02, loss=100))
    steps = np.diff(values_of("runtime", out))
    assert [pytest.approx(-99.75)] == list(steps[steps < 0])
    assert [(b["s"], b["q"], b["t"]) for b in batches()] == [(b["s"], b["q"], b["t"]) for b in out]


def test_rollback_stops_at_zero() -> None:
    """A counter cannot lose more than it has."""
    assert 0 == values_of("runtime", through(faults.Rollback(rng(), "runtime", 1.0, loss=1e6)))[0]


def test_skew() -> None:
    """The clock is off by one offset for all, plus its drift; nothing else changes."""
    shifts = [out["t"] - was["t"] for out, was in zip(through(faults.Skew(rng())), batches(), strict=True)]
    assert 1 == len({round(shift, 2) for shift in shifts})
    assert 0 != shifts[0]
    drifting = [o["t"] - b["t"] for o, b in zip(through(faults.Skew(rng(), drift=0.1)), batches(), strict=True)]
    assert 0.1 * 60 * 3 * 199 == pytest.approx(drifting[-1] - drifting[0], abs=0.01)


def test_skew_needs_a_clock() -> None:
    """A batch without a synced clock has nothing to be skewed."""
    relative = [{**batch, "c": "relative"} for batch in batches(5)]
    assert relative == through(faults.Skew(rng()), relative)


def test_no_clock() -> None:
    """An honest unit says that it has no clock and sends no times."""
    out = through(faults.NoClock(rng()))
    assert {("none", 0)} == {(batch["c"], batch["t"]) for batch in out}
    assert {0} == {offset for batch in out for offset, _ in batch["r"]}
    assert values_of("runtime", batches()) == values_of("runtime", out)


def test_clock_of_1970() -> None:
    """Another claims that its clock of 1970 is right."""
    out = through(faults.NoClock(rng(), honest=False))
    assert all(batch["c"] == "synced" and batch["t"] < 86_400 for batch in out)


def test_clock_is_lost_for_good() -> None:
    """Once lost, the clock does not come back."""
    clocks = [batch["c"] for batch in through(faults.NoClock(rng(), hazard=0.02))]
    lost = clocks.index("none")
    assert 0 < lost
    assert ["synced"] * lost + ["none"] * (200 - lost) == clocks


def test_reboot() -> None:
    """Each reboot begins a greater session at sequence 1; within a session nothing is missing or doubled."""
    out = through(faults.Reboot(rng(), 0.05))
    sessions = [batch["s"] for batch in out]
    assert sorted(sessions) == sessions
    assert 4 < len(set(sessions)) < 20
    for session in set(sessions):
        numbers = [s.sequence for batch in out if batch["s"] == session for s in wire.samples(batch)]
        assert list(range(1, len(numbers) + 1)) == numbers
    assert values_of("runtime", batches()) == values_of("runtime", out)


def test_reboot_of_a_unit_that_reboots_by_itself() -> None:
    """The unit's own next session stays greater than those that the fault made."""
    out = through(faults.Reboot(rng(), 0.05), [*batches(100), *batches(100, session=2)])
    identities = [(s.session, s.sequence) for batch in out for s in wire.samples(batch)]
    assert sorted(set(identities)) == identities


def test_chain_composes() -> None:
    """Faults behind one another act one after the other."""
    fault = faults.chain(faults.Gap(rng(1), 0.2), faults.Duplicate(rng(2), 0.2), faults.Skew(rng(3)))
    apart = through(faults.Skew(rng(3)), through(faults.Duplicate(rng(2), 0.2), through(faults.Gap(rng(1), 0.2))))
    assert apart == through(fault)
