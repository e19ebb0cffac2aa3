"""Recurrent GLMs under examination: how far gradients reach, and where rows fall in their forecasts."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import check_is_fitted

from reglm.estimators.options import seed_of
from reglm.estimators.recurrent_paths import Paths
from reglm.estimators.recurrent_rows import observed
from reglm.inference import gradient_flow
from reglm.inference.residuals import Rows, quantile
from reglm.likelihood import Data
from reglm.parameters import Array


class Checks(Paths):
    """What is asked to see whether a fit can be believed."""

    def gradient_norms(self, X: Any, lags: int = 40, ends: int = 40, lengths: Any = None, groups: Any = None) -> Array:
        """Euclidean norms of the gradient of the sum of linear predictors in the hidden state some rows before.

        Parameters
        ----------
        X : array or data frame (n, p)
            As in `fit`.
        lags : int
            Rows before, at most.
        ends : int
            Rows, at most, whose linear predictors count: evenly spread among those with so many rows before.
        lengths, groups
            As in `fit`.

        Returns
        -------
        ndarray (ends, lags + 1)
            Lag 0 first; of the recurrent layer next to the output. Through an LSTM gradients go along all ways.

        Raises
        ------
        ValueError
            If no sequence has more rows than `lags`, or states run backwards.
        """
        check_is_fitted(self)
        self._check_forward("gradient_norms")
        found = self._shape_of(X, lengths, groups).sequences
        order = found.stack(np.arange(found.n))
        first = np.repeat(found.edges[:-1], found.lengths)
        late = np.flatnonzero(np.arange(found.n) - first >= lags)
        if lags < 0 or ends < 1 or not late.size:
            raise ValueError(f"{lags=} and {ends=}: needs a row with {lags} rows before it; the longest sequence has "
                             f"{found.lengths.max()} rows.")  # fmt: skip
        last = late[np.unique(np.linspace(0, len(late) - 1, ends).astype(int))]
        rows = np.concatenate([order[first[t] : t + 1] for t in last])
        lengths = last - first[last] + 1
        shape, data, _ = self._read(_safe_indexing(X, rows), lengths, None, None, needs_offset=False)
        norms = shape.packing.unpack(gradient_flow.norms(self.fit_.likelihood, self.fit_.theta, data))
        return np.stack([norms[end - lags - 1 : end][::-1] for end in np.cumsum(lengths)])

    def pseudo_residuals(
        self, X: Any, y: Any = None, lengths: Any = None, groups: Any = None, offset: Any = None,
        random_state: Any = None,
    ) -> Array:  # fmt: skip
        """Normal quantiles of the distribution function of each response, given what the model knows before it.

        They are standard normal, and those of a density independent over time, if the model is right. Discrete
        responses are drawn uniformly between the function's values on both sides of the jump (Dunn & Smyth 1996).

        Parameters
        ----------
        X, y, lengths, groups, offset
            As in `fit`.
        random_state : int, Generator or None
            The constructor's by default.

        Returns
        -------
        ndarray (n, m)
            NaN where the response is not observed.

        Raises
        ------
        ValueError
            If the family has no distribution function.
        """
        _, eta, coded = self._eta(X, lengths, groups, offset)
        target = self._target(X, y, coded, len(eta))
        response = observed(target, np.ones((len(eta), 1)), self.family_)
        rows = Rows(self.fit_, Data(eta, response.y, np.zeros_like(eta), response.weights))
        rows.__dict__["eta"] = eta  # rows of sequences act on one another: their predictors are known already
        seed = seed_of(self.random_state if random_state is None else random_state)
        z = quantile(rows, seed)
        return np.where(response.weights > 0, z, np.nan)
