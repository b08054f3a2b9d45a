"""Who does the work: this process, a pool of others, or a cluster (dask_crew.py); the results are the same to the bit.

Work is cut into chunks by what it is, never by how many do it, and a chunk's result depends on nothing else. So one
that was lost with its worker is simply done again. Models travel as JSON artifacts, never as pickles.
"""

import json
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from gateway.errors import WearwellError
from predictors.batch import Array, SlotBatch
from predictors.declaration import Declaration
from predictors.family import Family
from predictors.history import History
from predictors.predictor import Predictor
from predictors.registry import load, named

Marks = NDArray[np.bool_]
Chunk = TypeVar("Chunk")
Result = TypeVar("Result")

ROWS = 16_384  # of a batch in a chunk
PATIENCE = 3  # times that chunks lost with their workers are handed out again


class CrewLost(WearwellError):
    """Worker processes keep dying; the work is not done."""


class Crew(Protocol):
    """Do work on chunks and return the results in the order of the chunks; `away` where that is another process."""

    away: bool

    def do(self, work: Callable[[Chunk], Result], chunks: Sequence[Chunk]) -> list[Result]: ...


class Inline:
    """This process, one chunk after the other."""

    away = False

    def do(self, work: Callable[[Chunk], Result], chunks: Sequence[Chunk]) -> list[Result]:
        return [work(chunk) for chunk in chunks]


class Pool:
    """Worker processes of this machine; those that die are replaced, and what they had in hand is done again."""

    away = True

    def __init__(self, workers: int) -> None:
        self.workers = workers

    def do(self, work: Callable[[Chunk], Result], chunks: Sequence[Chunk]) -> list[Result]:
        """Return the results; raise CrewLost where workers keep dying, and what the work itself raises."""
        done: dict[int, Result] = {}
        for _ in range(1 + PATIENCE):
            todo = [i for i in range(len(chunks)) if i not in done]
            if not todo:
                break
            done |= self._shift(work, {i: chunks[i] for i in todo})
        if len(done) < len(chunks):
            raise CrewLost(
                f"workers died {1 + PATIENCE} times with {len(chunks) - len(done)} of {len(chunks)} chunks to do;"
                " is there memory enough? Ask for fewer with --workers"
            )
        return [done[i] for i in range(len(chunks))]

    def _shift(self, work: Callable[[Chunk], Result], todo: dict[int, Chunk]) -> dict[int, Result]:
        """Return what was done until all was, or a worker died."""
        done: dict[int, Result] = {}
        futures: dict[Future[Result], int] = {}
        with ProcessPoolExecutor(self.workers, mp_context=multiprocessing.get_context("spawn")) as pool:
            try:
                for i, chunk in todo.items():
                    futures[pool.submit(work, chunk)] = i
            except BrokenProcessPool:
                pass  # what was handed out before is looked at all the same
            for future in as_completed(futures):
                try:
                    done[futures[future]] = future.result()
                except BrokenProcessPool:
                    continue
        return done


@dataclass(frozen=True)
class Lesson:
    """Hold what a predictor is to learn from."""

    predictor: str
    declaration: Declaration
    history: History
    family: Family | None = None


@dataclass(frozen=True)
class Question:
    """Hold slots that a model is to forecast; see Predictor.forecast."""

    model: Predictor
    batch: SlotBatch
    quantiles: tuple[float, ...]
    alive: Marks


@dataclass(frozen=True)
class Answer:
    """Hold days to the end of life (n, q), percent left (n,) and whether they are measured (n,)."""

    eol_d: Array
    pct_left: Array
    measured: Marks


@dataclass(frozen=True)
class _Posted:
    """A question on its way: the model as an artifact."""

    artifact: str
    batch: SlotBatch
    quantiles: tuple[float, ...]
    alive: Marks


INLINE = Inline()


def fit(crew: Crew, lessons: Sequence[Lesson]) -> list[Predictor]:
    """Return the models that learned the lessons, one chunk each."""
    if not crew.away:
        return crew.do(_learned, lessons)
    return [load(json.loads(text)) for text in crew.do(learned_text, lessons)]


def forecast(crew: Crew, questions: Sequence[Question]) -> list[Answer]:
    """Return the answers, each as long as its question; what is longer than ROWS is cut there."""
    pieces = [(i, piece) for i, question in enumerate(questions) for piece in _cut(question)]
    if crew.away:
        texts = [json.dumps(question.model.to_artifact()) for question in questions]
        posted = [_Posted(texts[i], piece.batch, piece.quantiles, piece.alive) for i, piece in pieces]
        answers = crew.do(answered, posted)
    else:
        answers = crew.do(_answered, [piece for _, piece in pieces])
    whole: list[list[Answer]] = [[] for _ in questions]
    for (i, _), answer in zip(pieces, answers, strict=True):
        whole[i].append(answer)
    return [_joined(parts) for parts in whole]


def learned_text(lesson: Lesson) -> str:
    """Return the fitted model's artifact; the work of a process that is away."""
    return json.dumps(_learned(lesson).to_artifact())


def answered(posted: _Posted) -> Answer:
    """Return the answer to a question that came with an artifact; the work of a process that is away."""
    return _answered(Question(_loaded(posted.artifact), posted.batch, posted.quantiles, posted.alive))


def _learned(lesson: Lesson) -> Predictor:
    return named(lesson.predictor)(lesson.declaration).fit(lesson.history, lesson.family)


def _answered(question: Question) -> Answer:
    said = question.model.forecast(question.batch, question.quantiles, alive=question.alive)
    return Answer(said.eol_d, said.pct_left, said.measured)


@lru_cache(maxsize=2)
def _loaded(artifact: str) -> Predictor:
    return load(json.loads(artifact))


def _cut(question: Question) -> list[Question]:
    n = len(question.batch)
    if n <= ROWS:
        return [question]
    pieces = []
    for start in range(0, n, ROWS):
        rows = np.zeros(n, dtype=bool)
        rows[start : start + ROWS] = True
        pieces.append(Question(question.model, question.batch.take(rows), question.quantiles, question.alive[rows]))
    return pieces


def _joined(parts: list[Answer]) -> Answer:
    if len(parts) == 1:
        return parts[0]
    return Answer(
        np.concatenate([part.eol_d for part in parts]),
        np.concatenate([part.pct_left for part in parts]),
        np.concatenate([part.measured for part in parts]),
    )
