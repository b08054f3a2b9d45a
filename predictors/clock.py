"""Exposure clock with fitted covariates: what wears a part besides the load that was declared.

    x' = x exp(beta'(z - z_ref)),  z the mean of the covariates over the part's life so far, recent z for what comes
    log x' at the end of life ~ N(mu, sigma^2): an accelerated failure time (predictors.aft)

A covariate is on the scale of a logarithm (log flow, log concentration, log particle size), so that its beta is an
exponent; beta = 0 is the declared load. Cumulative exposure: Hong & Meeker (2013), Technometrics 55; Meeker & Escobar
(1998), ch. 17. A covariate is taken in only where units, or groups of units, left out are likelier with it than
without, by more than one standard error (Breiman et al. 1984, the one-standard-error rule).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from predictors import aft
from predictors.artifact import DamagedArtifact
from predictors.batch import UTMOST, Array, SlotBatch
from predictors.future import per_hour
from predictors.history import History

ENOUGH = 4  # ends of life before a covariate is looked at
FOLDS = 10
MARGIN = 0.25  # of the range seen: so far outside it the covariate still counts, no further
LEAST_MARGIN = 0.1  # of a logarithm: readings of one condition differ by a tenth
UTMOST_LOG = float(np.log(100.0))  # of the whole ratio, either way
UTMOST_BETA = 100.0


@dataclass(frozen=True, slots=True)
class ExposureClock:
    """Hold exponents beta, reference and range seen of each covariate, (C,) each; a NaN range was never seen."""

    beta: Array
    reference: Array
    low: Array
    high: Array

    @classmethod
    def learn(cls, history: History) -> Self | None:
        """Return the clock that cycles teach, None where they hold no covariates.

        beta stays 0 for every covariate while fewer than ENOUGH cycles have ended, for one that never varies, and for
        one that units left out do not confirm. The reference is the covariate's mean over cycles: an average condition
        wears a part as was declared.
        """
        if history.covariates is None:
            return None
        z = history.covariates
        seen = np.isfinite(z)
        count = seen.sum(axis=0)
        ordered = np.sort(np.where(seen, z, np.inf), axis=0)
        total = np.where(np.isfinite(ordered), ordered, 0.0).sum(axis=0)
        reference = np.where(count > 0, total / np.maximum(count, 1), 0.0)
        low = np.where(count > 0, np.where(seen, z, np.inf).min(axis=0, initial=np.inf), np.nan)
        high = np.where(count > 0, np.where(seen, z, -np.inf).max(axis=0, initial=-np.inf), np.nan)
        rows = np.isfinite(history.exposure) & (history.exposure > 0)
        centred = np.where(seen, z - reference, 0.0)[rows]
        groups = None if history.groups is None else history.groups[rows]
        beta = _fitted(np.log(history.exposure[rows]), history.censored[rows], centred, groups)
        return cls(beta, reference, low, high)

    def logs(self, z: Array | None, n: int) -> Array:
        """Return beta (z - z_ref) of each covariate, (n, C): zero where z, (n, C) or None, is not known."""
        width = self.beta.size
        if z is None:
            return np.zeros((n, width))
        _check(z, width)
        below, above = self._bounds()
        return np.asarray(np.where(np.isfinite(z), np.clip(z, below, above) - self.reference, 0.0) * self.beta)

    def ratio(self, z: Array | None, n: int) -> Array:
        """Return exposure by this clock over the declared one's, (n,), between 1/100 and 100."""
        return _ratio(self.logs(z, n))

    def strange(self, z: Array | None, n: int) -> NDArray[np.bool_]:
        """Return who lies further outside the range seen than the margin, (n,): their clock is cut there."""
        if z is None:
            return np.zeros(n, dtype=bool)
        _check(z, self.beta.size)
        below, above = self._bounds()
        with np.errstate(invalid="ignore"):
            return np.asarray(((z < below) | (z > above)).any(axis=1))

    def history(self, history: History) -> History:
        """Return the cycles on this clock: exposure, hits and looks of a cycle by its ratio."""
        ratio = self.ratio(history.covariates, len(history))
        return replace(
            history,
            exposure=np.minimum(history.exposure * ratio, UTMOST),
            hits=_scaled(history.hits, ratio),
            looks=_looked(history.looks, ratio),
        )

    def batch(self, batch: SlotBatch) -> SlotBatch:
        """Return the slots on this clock; what their own reports say is left as told.

        Exposure so far, hits and reads go by the mean covariates, use to come by the recent ones, by the mean
        ones where those are not known. Who lies outside the range seen is novel.
        """
        n = len(batch)
        logs = self.logs(batch.covariates, n)
        known = None if batch.covariates_recent is None else np.isfinite(batch.covariates_recent)
        recent = logs if known is None else np.where(known, self.logs(batch.covariates_recent, n), logs)
        so_far, coming = _ratio(logs), _ratio(recent)
        used = np.where(np.isfinite(batch.load_h), batch.load_h, batch.run_h)
        strange = self.strange(batch.covariates, n) | self.strange(batch.covariates_recent, n)
        told = np.zeros(n) if batch.novel is None else np.nan_to_num(batch.novel)
        return replace(
            batch,
            load_h=np.minimum(used * so_far, UTMOST),
            load_per_h=per_hour(batch) * coming,
            hits=_scaled(batch.hits, so_far),
            reads=_looked(batch.reads, so_far),
            use_path=_scaled(batch.use_path, coming),
            novel=np.where(strange, 1.0, told),
        )

    def written(self) -> dict[str, Any]:
        """Return the numbers as plain lists; a range never seen is null."""
        columns = {"beta": self.beta, "reference": self.reference, "low": self.low, "high": self.high}
        return {key: [float(cell) if np.isfinite(cell) else None for cell in column] for key, column in columns.items()}

    @classmethod
    def read(cls, numbers: Any, covariates: int) -> Self:
        """Return what was written; raise DamagedArtifact where it is no clock over so many covariates."""
        keys = ("beta", "reference", "low", "high")
        if not isinstance(numbers, Mapping):
            raise DamagedArtifact(f"artifact's clock is not a set of numbers: {numbers!r}")
        try:
            beta, reference, low, high = (np.array(numbers[key], dtype=np.float64) for key in keys)
        except (KeyError, TypeError, ValueError) as wrong:
            raise DamagedArtifact(f"artifact's clock cannot be read: {wrong}") from None
        if not all(column.shape == (covariates,) for column in (beta, reference, low, high)):
            raise DamagedArtifact(f"artifact's clock does not fit {covariates} declared covariates")
        never = np.isnan(low) & np.isnan(high) & (beta == 0)
        with np.errstate(invalid="ignore"):
            ranged = (low <= reference + 1e-9) & (reference <= high + 1e-9) & np.isfinite(low) & np.isfinite(high)
            sound = np.isfinite(reference) & (np.abs(beta) <= UTMOST_BETA) & (never | ranged)
        if not sound.all():
            raise DamagedArtifact("artifact's clock holds exponents or ranges that cannot be")
        return cls(beta, reference, low, high)

    def _bounds(self) -> tuple[Array, Array]:
        """Return how far below and above each covariate counts, (C,); of one never seen nothing is strange."""
        room = np.maximum(MARGIN * (self.high - self.low), LEAST_MARGIN)
        below = np.where(np.isfinite(self.low), self.low - room, -np.inf)
        return below, np.where(np.isfinite(self.high), self.high + room, np.inf)


def _fitted(log_x: Array, censored: NDArray[np.bool_], z: Array, groups: NDArray[np.int64] | None) -> Array:
    """Return beta, (C,): covariates taken in one by one, the one that helps units left out most before the others."""
    beta = np.zeros(z.shape[1])
    if (~censored).sum() < ENOUGH:
        return beta
    order = np.lexsort(np.column_stack([z, censored, log_x]).T)
    log_x, censored, z = log_x[order], censored[order], z[order]
    labels = np.arange(log_x.size) if groups is None else groups[order]
    labels = np.unique(labels, return_inverse=True)[1]
    taken: list[int] = []
    before = _left_out(log_x, censored, z[:, taken], labels)
    open_ = [int(column) for column in np.flatnonzero(np.ptp(z, axis=0) > 0)]
    while open_:
        after = {column: _left_out(log_x, censored, z[:, [*taken, column]], labels) for column in open_}
        best = max(open_, key=lambda column: float(after[column].sum()))
        gain = after[best] - before
        if not gain.sum() > np.sqrt(gain.size) * gain.std(ddof=1 if gain.size > 1 else 0):
            break
        taken.append(best)
        open_.remove(best)
        before = after[best]
    if taken:
        beta[taken] = aft.fit(log_x, censored, z[:, taken]).beta
    return beta


def _left_out(log_x: Array, censored: NDArray[np.bool_], z: Array, labels: NDArray[np.int64]) -> Array:
    """Return the log likelihood of each group, (g,), by a regression that has not seen it nor the rest of its fold."""
    fold = labels % FOLDS
    likely = np.zeros(log_x.size)
    for out in np.unique(fold):
        here = fold == out
        if (~censored[~here]).sum() < 2:
            continue
        law = aft.fit(log_x[~here], censored[~here], z[~here])
        likely[here] = law.likelihood(log_x[here], censored[here], z[here])
    return np.asarray(np.bincount(labels, weights=likely), dtype=np.float64)


def _ratio(logs: Array) -> Array:
    # Column by column, so that a row's result does not depend on how many rows stand beside it.
    total = np.zeros(logs.shape[0])
    for column in logs.T:
        total = total + column
    return np.asarray(np.exp(np.clip(total, -UTMOST_LOG, UTMOST_LOG)))


def _scaled(table: Array | None, ratio: Array) -> Array | None:
    return None if table is None else np.asarray(np.minimum(table * ratio[:, None], UTMOST))


def _looked(tables: Array | None, ratio: Array) -> Array | None:
    """Return reads, (n, 5) or (n, G, 5), with their exposure, the first number of each, by the ratio."""
    if tables is None:
        return None
    scaled = tables.copy()
    scaled[..., 0] = np.minimum((tables[..., 0].T * ratio).T, UTMOST)
    return scaled


def _check(z: Array, width: int) -> None:
    if z.ndim != 2 or z.shape[1] != width:
        raise ValueError(f"covariates has shape {z.shape}, {width} are declared")
