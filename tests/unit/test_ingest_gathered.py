"""What is made of thousands of batches at once is what each of them says."""

from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.ingest import believe, clocks
from gateway.ingest.arrays import NO_TIME
from gateway.ingest.content import UNNUMBERED, Batch, Numbers
from gateway.ingest.directory import Catalogue, Shelf
from gateway.ingest.envelope import Envelope
from gateway.ingest.gathered import Gathered, Said
from gateway.ingest.parcel import Parcel, Sender
from gateway.ingest.sequence import Sequence as Numbering
from gateway.registry.channels import Channel
from gateway.registry.units import Unit

NOW = datetime(2025, 6, 1, 12, tzinfo=UTC)
RECEIVED = clocks.micros(NOW)
UNIX = NOW.timestamp()
CHANNELS = {
    "runtime": Channel(1, 1, "runtime", "h", "counter", 0, 1e6),
    "pm25": Channel(2, 1, "pm25", "ug/m3", "gauge", 0, 5_000),
}
CATALOGUE = Catalogue()
SHELVES = [Shelf(CATALOGUE, CHANNELS, {"hepa": 7}), Shelf(CATALOGUE, {"pm25": CHANNELS["pm25"]}, {"carbon": 8})]


def sender(number: int) -> Sender:
    """Return one of a few units, of two product models."""
    whose: dict[str, Any] = dict.fromkeys(each.name for each in fields(Unit)) | {"unit_id": number + 1, "tenant_id": 1}
    return Sender(Unit(**whose), f"acme.{number}", SHELVES[number % 2])


names = st.sampled_from(["runtime", "pm25", "hepa.runtime", "carbon.pm25", "nobody.knows"])
numbers = st.floats(-1e4, 1e4) | st.sampled_from([65_535.0, -1.0])
words = numbers | st.booleans() | st.none() | st.sampled_from(["OFF", "INIT", "12", "what"])


@st.composite
def said(draw: st.DrawFn) -> Said:
    """Return a batch of numbers or of anything, numbered or not, all of whose samples are new, or some."""
    mixed, numbered = draw(st.booleans()), draw(st.booleans())
    values = st.dictionaries(names, words if mixed else numbers, min_size=1, max_size=3)
    samples = draw(st.lists(st.tuples(st.floats(-100, 100), values), min_size=1, max_size=4))
    clock = draw(st.sampled_from(clocks.CLOCKS))
    kind: Any = Batch if mixed else Numbers
    batch = kind(
        v=1, s=3 if numbered else UNNUMBERED, q=draw(st.integers(1, 99)), t=UNIX if clock == "synced" else 50.0,
        c=clock, r=samples,
    )  # fmt: skip
    late = draw(st.integers(0, 5))
    places = draw(st.lists(st.sampled_from(range(len(samples))), unique=True, min_size=1).map(sorted))
    whole = not numbered or draw(st.booleans())
    return Said(
        Parcel(Envelope("", b"", NOW + timedelta(seconds=late)), RECEIVED + late * clocks.SECOND),
        sender(draw(st.integers(0, 3))),
        batch,
        draw(st.sampled_from([None, RECEIVED - 9 * clocks.SECOND])) if numbered else None,
        None if whole else places,
    )


def one_by_one(said: Said) -> list[tuple[Any, ...]]:
    """Return what a batch says in plain words: identity, number, time, value, flags and whether it is kept."""
    batch, unit, found = said.batch, said.sender.unit, []
    last = max(offset for offset, _ in batch.r)
    for place in said.places or range(len(batch.r)):
        offset, values = batch.r[place]
        at = clocks.place(batch.c, batch.t, offset, last=last, received=said.parcel.received, zero=said.zero)
        for name, value in values.items():
            target = said.sender.shelf.target(name)
            judged = believe.judge(value, target.channel) if target else None
            seq = batch.q + (0 if batch.s == UNNUMBERED else place)
            kept = target is not None and judged is not None
            number, flags = judged or (0.0, 0)
            where = (target.slot_id, target.channel.channel_id) if kept and target else None
            raw = NO_TIME if at.raw is None else at.raw
            stands = (at.ts, raw, at.clock, at.flags | flags, None if number != number else number) if kept else None  # noqa: PLR0124  # NaN
            found.append((unit.unit_id, batch.s, seq, where, stands))
    return found


@given(st.lists(said(), min_size=1, max_size=6))
def test_many_batches_say_what_each_says(told: list[Said]) -> None:
    """Models, clocks, words and numbers in any mixture: each reading is the one that its batch alone would leave."""
    gathered = Gathered()
    gathered.said.extend(told)
    readings, kept, origin = gathered.readings(CATALOGUE)
    expected = [(place, *row) for place, each in enumerate(told) for row in one_by_one(each)]
    found = []
    for row, stays, place in zip(readings, kept.tolist(), origin.tolist(), strict=True):
        value = None if row["value"] != row["value"] else float(row["value"])
        stands = (int(row["ts"]), int(row["raw"]), row["clock"], int(row["flags"]), value)
        where = (int(row["slot_id"]), int(row["channel_id"]))
        whose = (place, int(row["unit_id"]), int(row["session"]), int(row["seq"]))
        found.append((*whose, where if stays else None, stands if stays else None))
    assert expected == found


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(0, 5)), max_size=20))
def test_following_is_arriving(spans: list[tuple[int, int]]) -> None:
    """What follows right on is taken in as it would be on a closer look."""
    quick, close = Numbering(), Numbering()
    for first, more in spans:
        fresh = [(first, first + more)] if quick.follow(first, first + more) else quick.arrive(first, first + more)
        assert fresh == close.arrive(first, first + more)
        assert (quick.high, quick.gaps) == (close.high, close.gaps)
