"""Errors, coverage and width on recorded parts: `python -m tests.benchmarks.wear --data ROOT [--sets …] [--json OUT]`.

Finds ROOT/<set>/train and, where it stands, ROOT/<set>/test. With a test part every model is fitted on the train part
and scored on the test part; the train part alone is cross-validated by unit, and with whole conditions left out where
the set has conditions. One configuration serves all sets: what differs is what a maker declares.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.benchmarks.wear import lives, trial
from tests.benchmarks.wear.fleet import fleet
from tests.benchmarks.wear.gates import verdicts
from tests.benchmarks.wear.lives import Life
from tests.benchmarks.wear.models import DEFAULT, MODELS
from tests.benchmarks.wear.recording import Recording
from tests.benchmarks.wear.scores import Score, score
from tests.benchmarks.wear.sets import SETS, RecordedSet
from tests.benchmarks.wear.trial import Fold

DATA = Path(__file__).parents[4] / "shared" / "data"


def protocols(
    recorded: RecordedSet, train: Sequence[Recording], test: Sequence[Recording]
) -> Iterable[tuple[str, list[Fold]]]:
    """Yield the name and the folds of every protocol that the set allows."""
    if test:
        yield "test", [Fold(train, test, by_condition=False)]
    yield "cv", trial.by_unit(train)
    for place, label in enumerate(recorded.protocols):
        folds = trial.by_condition(train, trial.label_of(label))
        if len(folds) > 1:
            yield "leave_one_condition_out" if place == 0 else f"leave_one_{label}_out", folds


def measure(
    root: Path, sets: Sequence[str], models: Sequence[str], *, clocked: bool = False
) -> tuple[dict[str, dict[str, dict[str, Score]]], dict[str, Life]]:
    """Return the scores by set, protocol and model of every set that root holds, and one life of each set."""
    found: dict[str, dict[str, dict[str, Score]]] = {}
    shown: dict[str, Life] = {}
    for recorded in SETS:
        if recorded.name not in sets or not (root / recorded.name).is_dir():
            continue
        train, test = recorded.parts(root)
        found[recorded.name] = {}
        for name, folds in protocols(recorded, train, test):
            forecasts = trial.run(recorded, folds, models, lambda line: _say(f"  {line}"), clocked=clocked)
            found[recorded.name][name] = {model: score(of) for model, of in forecasts.items() if of}
            _table(f"{recorded.name}, {name}", found[recorded.name][name])
            life = lives.middle(forecasts)
            if life is not None:
                shown.setdefault(recorded.name, life)
    return found, shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the sets")
    parser.add_argument("--sets", default=",".join(one.name for one in SETS), help="which of them, with commas")
    parser.add_argument("--models", default=",".join(MODELS), help="which models, with commas")
    parser.add_argument("--json", type=Path, help="where the figures go")
    parser.add_argument("--clock", action="store_true", help="with the fitted covariates of predictors.clock")
    given = parser.parse_args()
    if not given.data.is_dir():
        parser.error(f"{given.data} is not there: name the folder that holds the sets with --data")
    scores, shown = measure(given.data, given.sets.split(","), given.models.split(","), clocked=given.clock)
    gates = verdicts(scores) | {"fleet": fleet(DEFAULT)}
    print("\ngates")
    for name, gate in gates.items():
        word = "no data" if gate["met"] is None else "met" if gate["met"] else "missed"
        seen = ", ".join(f"{key} {value:.2f}" for key, value in (gate["seen"] or {}).items())
        print(f"  {name:30} {word:8} {seen:48} aim: {gate['aim']}")
    if given.json:
        said = {"default_model": DEFAULT, "sets": scores, "lives": shown, "gates": gates}
        given.json.write_text(json.dumps(said, indent=1))


def _table(title: str, scores: dict[str, Score]) -> None:
    print(f"\n{title}")
    head = f"{'MAE':>8} {'rmse_unit':>10} {'cov80':>6} {'width80':>8} {'a-l':>5} {'PH':>5} {'CRA':>6} {'cost':>7}"
    head += "   MAE and cov80 at life fractions"
    print(f"  {'model':12} {'units':>5} {head}")
    for model, one in scores.items():
        if not one:
            continue
        parts = "  ".join(
            f"{fraction}: {at['mae']:.1f} {at['cov80']:.2f}" for fraction, at in one["by_fraction"].items() if at
        )
        numbers = f"{one['mae']:8.2f} {one['rmse_unit']:10.2f} {one['cov80']:6.2f} {one['width80']:8.1f}"
        near, seen = one["alpha_lambda"], one["prognosis"]
        numbers += f" {near:5.2f} {seen['horizon_share']:5.2f} {seen['relative_accuracy']:6.2f}"
        numbers += f" {one['asking']['cost']:7.1f}"
        print(f"  {model:12} {one['units']:5} {numbers}   {parts}", flush=True)


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    main()
