"""Run an architecture search: batch by batch, side by side if wanted, and resumable."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from joblib import Parallel, delayed

from reglm.estimators.candidates import Candidate, Space, below, plan
from reglm.estimators.checkpoint import Checkpoint
from reglm.estimators.evaluating import Evaluation, Judge
from reglm.parameters import Array


@dataclass
class Path:
    """What a search evaluated, in its order, and the stage each candidate belongs to."""

    done: dict[Candidate, Evaluation] = field(default_factory=dict)
    stages: list[str] = field(default_factory=list)
    interrupted: bool = False

    def best(self, one_standard_error: bool = False) -> Evaluation:
        """Lowest criterion, or the smallest model within a standard error of it (Breiman et al. 1984)."""
        best = min(self.done.values(), key=order)
        if not one_standard_error:
            return best
        limit = best.criterion + float(np.nan_to_num(best.standard_error))
        close = [e for e in self.done.values() if e.criterion <= limit]
        return min(close, key=lambda e: (e.n_parameters, *order(e)))

    def parent(self, candidate: Candidate) -> Evaluation | None:
        """Best evaluated candidate that a candidate may grow from: of its depth, with no more units."""
        found = [
            e
            for c, e in self.done.items()
            if c.hidden and c.activation == candidate.activation and e.estimates is not None
            and (c.hidden == candidate.hidden or below(c.hidden, candidate.hidden))
        ]  # fmt: skip
        return min(found, key=order, default=None)

    def results(self, params: list[dict[str, Any]]) -> dict[str, Any]:
        """``cv_results_`` as scikit-learn has it; `params` are those of the candidates in their order."""
        found = list(self.done.values())
        score = np.array([-e.criterion for e in found])
        columns: dict[str, Any] = {"params": params}
        for name in ("hidden", "activation", "inputs"):
            columns[f"param_{name}"] = _objects([p[name] for p in params])
        columns |= {
            "mean_test_score": score, "std_err_test_score": _array(found, "standard_error"),
            "rank_test_score": 1 + np.array([int((score > s).sum()) for s in score]), "stage": np.array(self.stages),
            "mean_fit_time": _array(found, "seconds"),
        }  # fmt: skip
        return columns | {
            name: _array(found, name) for name in ("n_parameters", "log_likelihood", "converged", "error")
        }


def order(evaluation: Evaluation) -> tuple[float, bool, int, str]:
    """Key by which the best evaluation comes first; ties go to fewer parameters, failures come last."""
    fitted = evaluation.n_parameters > 0
    return evaluation.criterion, not fitted, evaluation.n_parameters, evaluation.candidate.key


def from_key(key: str) -> Candidate:
    """Candidate whose `Candidate.key` this is."""
    hidden, activation, inputs = json.loads(key)
    return Candidate(tuple(hidden), activation, tuple(inputs))


def run(space: Space, judge: Judge, file: Checkpoint, n_jobs: int | None, verbose: int) -> Path:
    """Evaluate what the plan asks for; Ctrl-C keeps what there is.

    Parameters
    ----------
    space : Space
    judge : Judge
    file : Checkpoint
        Evaluations that it knows are not made again.
    n_jobs : int, optional
    verbose : int

    Raises
    ------
    ValueError
        If no candidate of the first batch could be fitted.
    KeyboardInterrupt
        If none was evaluated.
    """
    path = Path()
    with progress(judge.criterion, verbose) as report:
        try:
            for stage, batch in plan(space, path.done, lambda: path.best().candidate):
                parents = {c: path.parent(c) for c in batch}
                for found in _evaluated(judge, batch, parents, file.known, n_jobs):
                    file.add(found)
                    path.done[found.candidate] = found
                    path.stages.append(stage)
                    report(stage, found, path.best())
                best = path.best()
                if best.error and not best.n_parameters:
                    raise ValueError(best.error)
        except KeyboardInterrupt:
            if not path.done:
                raise
            path.interrupted = True
    return path


def _evaluated(
    judge: Judge, batch: list[Candidate], parents: Mapping[Candidate, Evaluation | None],
    known: Mapping[Candidate, Evaluation], n_jobs: int | None,
) -> Iterator[Evaluation]:  # fmt: skip
    """Evaluations of a batch in its order: known ones, then candidates side by side, or one whose restarts are."""
    fresh = [c for c in batch if c not in known]
    running: Iterator[Evaluation]
    if n_jobs in (None, 1) or len(fresh) < 2:
        one = replace(judge, n_jobs=n_jobs)
        running = (one(c, parents[c]) for c in fresh)
    else:
        running = Parallel(n_jobs=n_jobs, return_as="generator")(delayed(judge)(c, parents[c]) for c in fresh)
    for c in batch:
        yield known[c] if c in known else next(running)


@contextmanager
def progress(criterion: str, verbose: int) -> Iterator[Callable[[str, Evaluation, Evaluation], None]]:
    """Show the latest and the best candidate if `verbose`."""
    if not verbose:
        yield lambda stage, found, best: None
        return
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = SpinnerColumn(), TextColumn("{task.completed} models  {task.description}"), TimeElapsedColumn()
    with Progress(*columns, transient=verbose < 2) as bar:
        task = bar.add_task("architecture search: starting", total=None)

        def report(stage: str, found: Evaluation, best: Evaluation) -> None:
            text = f"{stage}: {_text(found)}  best: {_text(best)}  ({criterion})"
            bar.update(task, advance=1, description=text)

        yield report


def _text(evaluation: Evaluation) -> str:
    candidate = evaluation.candidate
    inputs = f" of {len(candidate.inputs)} inputs" if candidate.inputs else ""
    return f"hidden {candidate.hidden}{inputs} {evaluation.criterion:.6g}"


def _objects(values: list[Any]) -> Array:
    found = np.empty(len(values), dtype=object)
    found[:] = values
    return found


def _array(found: list[Evaluation], name: str) -> Array:
    return np.array([getattr(e, name) for e in found])
