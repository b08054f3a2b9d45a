"""The manufacturer's bench: measure models on the deployment's own history, and explain what they say."""

from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway import clock
from gateway.cli import bench, talk
from gateway.errors import Exit

if TYPE_CHECKING:
    from gateway.bench.contender import Contender
    from gateway.bench.evaluate import Evaluation
    from gateway.bench.explain import Explanation
    from gateway.bench.replay import Outcome
    from gateway.bench.scores import Score

DECIDED = ("early_d", "late_d", "late_rate", "stock_out_rate", "cost")  # what a forecast would have led to

model = typer.Typer()


@model.command()
def evaluate(
    slot: bench.SlotName,
    contender: Annotated[
        str | None,
        typer.Option("--model", help="A predictor, a version's number, champion or shadow; else the slot's."),
    ] = None,
    origins: bench.Origins = 12,
    until: bench.Until = None,
    workers: bench.Workers = 1,
    dask: bench.DaskAddress = None,
    as_json: talk.AsJson = False,
) -> None:
    """Measure a model on this deployment's own history: fitted on what had arrived, judged on what came."""
    from gateway.bench import backtest, choose, measured, plain, read
    from gateway.bench import evaluate as evaluation

    with bench.connected() as conn:
        of = read.slot(conn, slot)
        record = read.record(conn, of, bench.moment(until))
        chosen = choose.choose(conn, record, contender or of.predictor)
        with talk.progress(f"evaluating {chosen.name}") as progress:
            days, crew = backtest.origins(record, origins), bench.crew(workers, dask)
            found = evaluation.evaluate(record, chosen, days, progress=progress, crew=crew)
        if found.scores:
            measured.keep(conn, record, [chosen], clock.now())
    if as_json:
        talk.as_json(plain.plain(found))
    else:
        _tell(found, chosen)
    for said in found.leaks[:3]:
        talk.complain(f"leak: {said}")
    if found.leaks:
        raise typer.Exit(Exit.FAILED)


def _tell(found: "Evaluation", chosen: "Contender") -> None:
    """Print an evaluation's tables; where nothing could be judged, that and no empty ones."""
    t = found.tally
    talk.say(
        f"{t.cycles} cycles of {t.units} units: {t.ended} with a seen end, {t.censored} censored and weighed in,"
        f" {t.unwitnessed} left out: nothing would have shown their end, or no forecast yet"
    )
    talk.table([_errors(each) for each in found.scores], json=False, nothing=_nothing_judged(t.forecasts, chosen))
    if not found.scores:
        return
    talk.line("")
    timed = {each.group: each.cost for each in found.timer_scores}
    decided = [_decided(each) | _rounded({"timer_cost": timed[each.group]}) for each in found.scores]
    talk.table(decided, json=False, nothing="")
    talk.line("")
    foresight = {found.contender: found.prognosis, "hours timer": found.timer_prognosis}
    talk.table([{"prognosis": k} | _rounded(asdict(v)) for k, v in foresight.items()], json=False, nothing="")
    talk.line("")
    talk.table([_outcome(each) for each in (found.outcome, found.timer)], json=False, nothing="")
    talk.line("")
    talk.line("PIT\t" + "\t".join(f"{share:.2f}" for share in found.pit))


@model.command()
def compare(
    slot: bench.SlotName,
    challenger: Annotated[str, typer.Option(help="A predictor, a version's number, or shadow.")],
    champion: Annotated[
        str | None, typer.Option(help="Likewise; else the version in force, or beside a predictor the slot's own.")
    ] = None,
    promote: Annotated[bool, typer.Option(help="Release the challenger, if and only if the rule lets it.")] = False,
    by: Annotated[str | None, typer.Option(help="Who decides, for --promote.")] = None,
    origins: bench.Origins = 12,
    until: bench.Until = None,
    workers: bench.Workers = 1,
    dask: bench.DaskAddress = None,
    as_json: talk.AsJson = False,
) -> None:
    """Compare a challenger with the champion on identical snapshots, paired, by a rule fixed beforehand."""
    from gateway.bench import backtest, choose, measured, plain, promote_by_rule, read
    from gateway.bench import compare as comparison

    if promote and not by:
        talk.refuse("--promote needs --by EMAIL: a release is somebody's")
    if promote and until:
        talk.refuse("--promote decides about now; leave out --until")
    with bench.connected() as conn:
        of = read.slot(conn, slot)
        record = read.record(conn, of, bench.moment(until))
        one, other = choose.pair(conn, record, challenger, champion)
        with talk.progress(f"comparing {one.name} with {other.name}") as progress:
            rule = comparison.declared_rule(conn, of.tenant_id)
            days = backtest.origins(record, origins)
            crew = bench.crew(workers, dask)
            found = comparison.compare(record, one, other, rule, at=days, progress=progress, crew=crew)
        if all(found.scores.values()):
            measured.keep(conn, record, [one, other], clock.now())
        released = None
        if promote and found.promote:
            released = promote_by_rule.promote(conn, record, found, other, by=by or "", now=clock.now())
    if as_json:
        said = {**plain.plain(found), "promote": found.promote, "released": released}
        talk.as_json(said)
    else:
        rows = [
            {"model": name} | _score(each)
            for name, table in found.scores.items()
            for each in table
            if each.group == "all"
        ]
        talk.table(rows, json=False, nothing=_nothing_judged(found.snapshots, one, other))
        talk.line("")
        talk.table([_outcome(each) for each in found.outcomes.values()], json=False, nothing="")
        talk.line("")
        verdict = [{"asked": c.name, "met": "yes" if c.met else "no", "says": c.says} for c in found.criteria]
        talk.table(verdict, json=False, nothing="")
    if found.left_out:
        talk.say(f"{found.left_out} forecasts were left out: only one of the two may be judged on them")
    talk.say(f"the rule {'lets' if found.promote else 'does not let'} {found.challenger} take over")
    if released is not None:
        talk.say(f"version {released} is released")
    elif promote:
        talk.complain("nothing was released: the rule does not let it; see the lines that say no")
        raise typer.Exit(Exit.FAILED)


@model.command()
def whatif(
    slot: bench.SlotName,
    threshold: Annotated[float | None, typer.Option(help="Another indicator_eol, in the indicator's unit.")] = None,
    delivery_days: Annotated[float | None, typer.Option(help="Another delivery time.")] = None,
    cost_early: Annotated[float | None, typer.Option(help="Another cost of a day of life thrown away.")] = None,
    cost_late: Annotated[float | None, typer.Option(help="Another cost of a day run past the end.")] = None,
    predictor: bench.PredictorName = None,
    until: bench.Until = None,
    as_json: talk.AsJson = False,
) -> None:
    """Replay the history with another threshold, delivery time or costs: prompts, late rate, wasted life, money."""
    from gateway.bench import choose, plain, read
    from gateway.bench import whatif as replaying

    change = replaying.Change(threshold, delivery_days, cost_early, cost_late)
    if change == replaying.Change():
        talk.refuse("change something: --threshold, --delivery-days, --cost-early or --cost-late")
    with bench.connected() as conn:
        of = read.slot(conn, slot)
        record = read.record(conn, of, bench.moment(until))
        with talk.progress("replaying") as progress:
            found = replaying.whatif(record, change, choose.known(predictor or of.predictor), progress=progress)
        currency = record.money.currency if record.money else None
    if as_json:
        talk.as_json(plain.plain(found) | {"currency": currency})
    else:
        rows = [_outcome(each) | {"currency": currency} for each in (found.stands, found.would, found.timer)]
        talk.table(rows, json=False, nothing="nothing to replay")
    for warning in found.warnings:
        talk.say(warning)


@model.command()
def explain(
    unit: Annotated[str, typer.Argument(help="A device name or GTIN/serial.")],
    slot: Annotated[str | None, typer.Option(help="The slot's code, where the unit has several.")] = None,
    until: Annotated[datetime | None, typer.Option(help="The last forecast made by then, in UTC; else by now.")] = None,
    as_json: talk.AsJson = False,
) -> None:
    """Explain a forecast: in words for its owner, in numbers for an engineer, with its version and inputs."""
    from gateway.bench import explain as reasons
    from gateway.bench import plain
    from gateway.registry import units

    with bench.connected() as conn:
        found = reasons.explain(conn, units.named(conn, unit), slot, bench.moment(until))
    if as_json:
        talk.as_json(plain.plain(found))
        return
    talk.line(reasons.sentence(found))
    for said in found.words:
        talk.line(f"  {said}")
    talk.line("")
    head = {"forecast": found.forecast_id, "basis": found.basis, "predictor": found.predictor}
    talk.figures(
        head | {"version": found.model_version or "the declaration alone", "learned from": _learned_from(found)},
        json=False,
    )
    talk.line("")
    talk.table([{"share of exposure": k, "of 1": v} for k, v in found.shares.items()], json=False, nothing="")
    rows = [
        {"number": k, "value": v, "means": found.meanings.get(k, "")} for k, v in found.numbers.items() if v is not None
    ]
    talk.table(rows, json=False, nothing="")


def _learned_from(found: "Explanation") -> str:
    counted = found.learned_from and found.ends_seen is not None
    return f"{found.learned_from} finished parts" + (f", {found.ends_seen} of them seen to end" if counted else "")


def _score(score: "Score") -> dict[str, Any]:
    return _rounded({name: value for name, value in asdict(score).items() if name != "pit"})


def _errors(score: "Score") -> dict[str, Any]:
    return {name: value for name, value in _score(score).items() if name not in DECIDED}


def _decided(score: "Score") -> dict[str, Any]:
    return {name: value for name, value in _score(score).items() if name in ("group", *DECIDED)}


def _outcome(outcome: "Outcome") -> dict[str, Any]:
    return _rounded(asdict(outcome))


def _rounded(row: dict[str, Any]) -> dict[str, Any]:
    return {name: round(value, 3) if isinstance(value, float) else value for name, value in row.items()}


def _nothing_judged(forecasts: int, *contenders: "Contender") -> str:
    said = f"none of {forecasts} forecasts can be judged yet: no end came after one that it may be judged on"
    if all(each.refitted for each in contenders):
        return said
    return f"{said}. A version is judged on what was forecast since it was made; judge its predictor by name instead"


@model.command()
def drift(
    slot: Annotated[
        str | None, typer.Argument(help="GTIN/code of a slot, looked at now; else what the worker saw.")
    ] = None,
    as_json: talk.AsJson = False,
) -> None:
    """Look whether the world still is the one the models learned from: five tests, one false alarm in a hundred."""
    from gateway.bench import drift as watching
    from gateway.bench import read
    from gateway.registry import alarms

    with bench.connected() as conn:
        of = read.slot(conn, slot) if slot else None
        if of is not None:
            watching.keep(conn, of, watching.look(read.record(conn, of, clock.now())), clock.now())
        found = alarms.standing(conn, of.slot_id if of else None)
    rows = [
        {
            "slot": f"{each.gtin}/{each.slot_code}",
            "test": each.code,
            "stands": "alarm" if each.alarm else "calm",
            "p": each.p_value,
            "before": each.then_value,
            "lately": each.now_value,
            "says": each.says,
        }
        for each in found
    ]
    talk.table(rows, json=as_json, nothing="nobody has looked yet; look with: wearwell model drift SLOT")


@model.command()
def report(
    slot: bench.SlotName,
    out: Annotated[Path | None, typer.Option(help="A file to write; else stdout.")] = None,
    challenger: Annotated[str, typer.Option(help="A predictor, a version's number, or shadow.")] = "rated",
    contender: Annotated[
        str | None, typer.Option("--model", help="Likewise, or champion; else the slot's own.")
    ] = None,
    origins: bench.Origins = 12,
    until: bench.Until = None,
    as_json: talk.AsJson = False,
) -> None:
    """Write a report: life, calibration, errors, trade-off, comparison and drift, as one page or as JSON."""
    from gateway.bench import choose, compare, measured, read
    from gateway.bench import report as reporting

    with bench.connected() as conn:
        of = read.slot(conn, slot)
        record = read.record(conn, of, bench.moment(until))
        pair = choose.pair(conn, record, challenger, contender or of.predictor, option="--model")
        rule = compare.declared_rule(conn, of.tenant_id)
        product = read.product(conn, of)
        with talk.progress("measuring") as progress:
            found = reporting.report(
                record, pair[0], pair[1], product=product, rule=rule, count=origins, progress=progress
            )
        if all(found.comparison.scores.values()):
            measured.keep(conn, record, pair, clock.now())
    text = talk.json_of(found.as_json()) if as_json else found.as_html()
    if out is None:
        talk.line(text)
        return
    bench.write(out, text + "\n")
    talk.say(f"report written to {out}")
