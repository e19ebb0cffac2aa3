"""Evaluations on disk, a JSON line each, so that a search that was stopped goes on where it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from reglm.estimators.candidates import Candidate
from reglm.estimators.evaluating import Evaluation

FORMAT = 1


class Checkpoint:
    """A file of evaluations.

    Parameters
    ----------
    path : str or path-like or None
        None keeps nothing.
    fingerprint : str
        Of everything that evaluations depend on but the seed.
    seed : int or None
        Of the search; None takes the file's if there is one.
    fresh_seed : int
        For a new file where `seed` is None.

    Attributes
    ----------
    seed : int
    known : dict of Candidate to Evaluation
        What the file holds.

    Raises
    ------
    ValueError
        If the file belongs to another search.
    """

    def __init__(self, path: Any, fingerprint: str, seed: int | None, fresh_seed: int) -> None:
        self.path = None if path is None else Path(path)
        self.known: dict[Candidate, Evaluation] = {}
        self.seed = fresh_seed if seed is None else seed
        lines = [] if self.path is None or not self.path.exists() else _whole_lines(self.path)
        if lines:
            self._check(lines[0], fingerprint, seed)
            self.seed = lines[0]["seed"]
            found = map(Evaluation.from_dict, lines[1:])
            self.known = {evaluation.candidate: evaluation for evaluation in found}
        elif self.path is not None:
            self._write({"reglm": FORMAT, "fingerprint": fingerprint, "seed": self.seed}, "w")

    def _check(self, head: dict[str, Any], fingerprint: str, seed: int | None) -> None:
        if head.get("reglm") != FORMAT or head.get("fingerprint") != fingerprint or seed not in (None, head["seed"]):
            raise ValueError(
                f"checkpoint={str(self.path)!r} belongs to another search (other data, estimator, criterion or seed); "
                "delete it or give another path."
            )

    def add(self, evaluation: Evaluation) -> None:
        """Append an evaluation."""
        if self.path is not None and evaluation.candidate not in self.known:
            self._write(evaluation.to_dict(), "a")

    def _write(self, entry: dict[str, Any], mode: str) -> None:
        assert self.path is not None
        with self.path.open(mode, encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")


def _whole_lines(path: Path) -> list[dict[str, Any]]:
    """Entries of a file, which is cut after the last whole one: a killed search may leave half a line.

    Raises
    ------
    ValueError
        If the file does not begin as a checkpoint does.
    """
    content = path.read_bytes()
    entries, end = [], 0
    for line in content.splitlines(keepends=True):
        try:
            entries.append(json.loads(line))
        except ValueError:
            break
        if not line.endswith(b"\n"):
            entries.pop()
            break
        end += len(line)
    if content and (not entries or not isinstance(entries[0], dict)):
        raise ValueError(f"checkpoint={str(path)!r} is no checkpoint of a search; give another path.")
    if end < len(content):
        with path.open("r+b") as file:
            file.truncate(end)
    return entries
