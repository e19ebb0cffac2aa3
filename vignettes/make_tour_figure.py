"""Draw the README's picture: ``python vignettes/make_tour_figure.py``."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np

from reglm import RecursiveGLMRegressor, datasets, plots
from reglm.plots.style import INK, legend

claims = datasets.simulate_claims(60_000, seed=1)
X, y = claims.data[["driver_age", "exposure"]], claims.target
options = {"family": "poisson", "exposure": "exposure", "random_state": 0}
glm = RecursiveGLMRegressor(**options).fit(X, y)
network = RecursiveGLMRegressor(hidden=(6,), alpha=20.0, **options).fit(X, y)

figure, ax = plt.subplots(figsize=(7.2, 4.0), layout="constrained")
plots.partial_effect(glm, X, "driver_age", exposure="exposure", ax=ax, name="GLM, hidden=()")
plots.partial_effect(network, X, "driver_age", exposure="exposure", ax=ax, name="recursive GLM, hidden=(6,)")

exposure = X["exposure"].to_numpy()
ages = X["driver_age"].to_numpy()
edges = np.array([18, 20, 22, 24, 26, 29, 32, 36, 40, 45, 50, 55, 60, 64, 68, 72, 76])
group = np.digitize(ages, edges)
kept = (group >= 1) & (group < len(edges))
total, years = (np.bincount(group[kept], v[kept])[1:] for v in (y.to_numpy(), exposure))
middle = np.bincount(group[kept], (ages * exposure)[kept])[1:] / years
ax.errorbar(
    middle, total / years, yerr=1.96 * np.sqrt(total) / years, fmt="o", ms=4.5, color=INK, elinewidth=1.2,
    label="observed, 95% interval", zorder=1,
)  # fmt: skip
truth = claims.frequency * exposure
expected = np.bincount(group[kept], np.asarray(truth)[kept])[1:]
ax.plot(middle, expected / years, color="#888888", lw=1.2, ls=(0, (4, 3)), label="truth", zorder=0)
ax.set(xlabel="driver's age in years", ylabel="claims a year", xlim=(17, 78), ylim=(-0.05, 0.36))
ax.set_yticks(np.arange(0.0, 0.36, 0.05))
legend(ax, loc="upper center")
figure.savefig(Path(__file__).parent / "_static" / "tour.png", dpi=140, metadata={"Software": None})
