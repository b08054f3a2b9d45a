"""Who does the work changes nothing about it: here, in worker processes, on a cluster, and when workers die."""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from dataclasses import field as field_of
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributed import LocalCluster

from gateway.bench import crew
from gateway.bench.backtest import backtest, origins
from gateway.bench.compare import compare
from gateway.bench.contender import recipe
from gateway.bench.crew import INLINE, Crew, CrewLost, Lesson, Pool, Question
from gateway.bench.dask_crew import Dask, NoCluster
from gateway.bench.plain import plain
from gateway.bench.record import Record
from predictors.predictor import Predictor
from tests import bench_field
from tests.benchmarks import wear_speed

pytestmark = pytest.mark.filterwarnings("ignore")  # the cluster's own, in its threads

BATCH, HISTORY = wear_speed.fleet(2_000, cycles=100)
ASKED = (0.1, 0.5, 0.9)


@dataclass
class Deadly:
    """A crew of which a worker is killed in the middle of its first chunk, so many times."""

    crew: Crew
    deaths: Path
    times: int = 1
    away: bool = True

    def do(self, work: Callable[[Any], Any], chunks: Sequence[Any]) -> list[Any]:
        self.deaths.mkdir()
        return self.crew.do(partial(killed, work, str(self.deaths), self.times), chunks)


def killed(work: Callable[[Any], Any], deaths: str, times: int, chunk: Any) -> Any:
    """Do the work, unless this process is among the first `times`: then die as by the kernel's hand."""
    for death in range(times):
        try:
            Path(deaths, str(death)).touch(exist_ok=False)
        except FileExistsError:
            continue
        os.kill(os.getpid(), signal.SIGKILL)
    return work(chunk)


def always_killed(_chunk: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def wrong(chunk: int) -> float:
    return 1 / chunk


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
    ) as two:
        yield two


@pytest.fixture(params=["pool", "dask"])
def dying(request: pytest.FixtureRequest, tmp_path: Path) -> Deadly:
    if request.param == "pool":
        return Deadly(Pool(2), tmp_path / "deaths")
    return Deadly(Dask(request.getfixturevalue("cluster").scheduler_address), tmp_path / "deaths")


@pytest.fixture(scope="module")
def here() -> tuple[list[Predictor], list[crew.Answer]]:
    models = crew.fit(INLINE, lessons())
    return models, crew.forecast(INLINE, questions(models))


def lessons() -> list[Lesson]:
    return [Lesson(name, wear_speed.DECLARED, HISTORY) for name in ("weibull", "hit", "fused")]


def questions(models: list[Predictor]) -> list[Question]:
    return [Question(model, BATCH, ASKED, np.arange(len(BATCH)) % 7 > 0) for model in models]


def in_chunks_of(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    monkeypatch.setattr(crew, "ROWS", rows)


def bits(answers: list[crew.Answer]) -> list[bytes]:
    return [column.tobytes() for each in answers for column in (each.eol_d, each.pct_left, each.measured)]


def test_whoever_forecasts_says_the_same_to_the_bit(
    dying: Deadly, here: tuple[list[Predictor], list[crew.Answer]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Worker processes and clusters, one of them killed at work, return the very numbers of this process."""
    models, expected = here
    in_chunks_of(monkeypatch, 500)
    assert bits(expected) == bits(crew.forecast(dying, questions(models)))
    assert 1 == len(list(dying.deaths.iterdir()))


def test_whoever_fits_learns_the_same_to_the_bit(
    dying: Deadly, here: tuple[list[Predictor], list[crew.Answer]]
) -> None:
    """The artifact of a model fitted elsewhere, at the second attempt, has the hash of the one fitted here."""
    expected = [model.to_artifact()["sha256"] for model in here[0]]
    assert expected == [model.to_artifact()["sha256"] for model in crew.fit(dying, lessons())]
    assert 1 == len(list(dying.deaths.iterdir()))


def test_a_backtest_by_a_crew_is_the_backtest() -> None:
    """Every snapshot has the forecast that it has without workers, fitted and forecast elsewhere."""
    expected, found = (
        backtest(record, recipe("hit"), origins(record, 3), crew=some)
        for record, some in ((field(), INLINE), (field(), Pool(1)))
    )
    assert expected.eol_d.tobytes() == found.eol_d.tobytes()
    assert expected.order_d.tobytes() == found.order_d.tobytes()


def test_a_comparison_by_a_crew_is_the_comparison() -> None:
    """Scores, replays, draws and verdict are those without workers; both contenders went to the crew."""
    busy = Busy()
    expected, found = (
        plain(compare(record, recipe("rated"), recipe("weibull"), at=origins(record, 2), crew=some))
        for record, some in ((field(), INLINE), (field(), busy))
    )
    assert expected == found
    assert {"learned_text", "answered"} == set(busy.did)
    assert 4 == len(busy.did)  # each contender was fitted once for both days, and forecast once


@dataclass
class Busy:
    """A crew that is away as a pool is, and in this process; it writes down what it did."""

    away: bool = True
    did: list[str] = field_of(default_factory=list)

    def do(self, work: Callable[[Any], Any], chunks: Sequence[Any]) -> list[Any]:
        self.did.append(work.__name__)
        return [work(chunk) for chunk in chunks]


def field() -> Record:
    return bench_field.record_of(bench_field.field())


def test_workers_that_keep_dying_are_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """What kills every worker is given up after some trials, with a word of what to do."""
    monkeypatch.setattr(crew, "PATIENCE", 1)
    with pytest.raises(CrewLost, match="--workers"):
        Pool(1).do(always_killed, [1])


def test_what_the_work_itself_raises_is_raised() -> None:
    """A fault in a chunk is no dead worker: it is not tried again."""
    with pytest.raises(ZeroDivisionError):
        Pool(1).do(wrong, [1, 0])


def test_a_cluster_that_is_not_there_is_told_of() -> None:
    """An address where nobody answers ends with its name."""
    with pytest.raises(NoCluster, match=r"127\.0\.0\.1:9"):
        Dask("tcp://127.0.0.1:9", timeout_s=0.5).do(wrong, [1])
