"""Echo state networks: tasks, sequences, missing responses, streams, simulation, bad input."""

import numpy as np
import pytest
import sklearn
from scipy import stats
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold, cross_validate

from reglm import EchoStateNetwork

SMALL = {"n_units": 15, "random_state": 0}


def rng(seed=0):
    return np.random.default_rng(seed)


def inputs_and_response(n=200, seed=0):
    """A moving average of the first input."""
    x = rng(seed).normal(size=(n, 2))
    y = 0.7 * x[:, 0] + 0.5 * np.r_[0.0, x[:-1, 0]] + 0.1 * rng(seed + 1).normal(size=n)
    return x, y


def autoregression(n=400, seed=0):
    x, e = np.zeros(n), rng(seed).normal(size=n)
    for t in range(1, n):
        x[t] = 0.8 * x[t - 1] + e[t]
    return x[:, None]


# -- tasks ------------------------------------------------------------------------------------------------------------


def test_the_readout_is_ridge_regression_on_the_states():
    x, y = inputs_and_response()
    model = EchoStateNetwork(**SMALL, washout=10).fit(x, y)
    F = model.features(x).to_numpy()
    ridge = Ridge(model.alpha_[0]).fit(F[10:], y[10:])
    np.testing.assert_allclose(model.predict(x)[10:], ridge.predict(F)[10:], rtol=1e-8)
    assert model.score(x, y) > 0.9
    rest = (y - ridge.predict(F))[10:]
    assert model.readouts_.parts[0].dispersion == pytest.approx(rest @ rest / (190 - model.edf_[0]))


def test_states_remember_what_the_inputs_alone_do_not_say():
    x, y = inputs_and_response()
    no_memory = Ridge(1.0).fit(x, y).score(x, y)
    assert EchoStateNetwork(**SMALL, skip=False).fit(x, y).score(x, y) > no_memory + 0.15


def test_rows_are_predicted_from_the_rows_before():
    x = autoregression()
    model = EchoStateNetwork(**SMALL).fit(x[:300])
    changed = x.copy()
    changed[350:] += 5.0
    np.testing.assert_array_equal(model.predict(x)[:351], model.predict(changed)[:351])
    error = (x - model.predict(x))[300:]
    assert 0.8 < error.std() < 1.25  # the innovations have standard deviation 1, the series 1.7
    assert model.score(x) == pytest.approx(model.logpdf(x)[0] / 400)


def test_log_densities_are_those_of_the_fitted_normal_distribution():
    x, y = inputs_and_response()
    model = EchoStateNetwork(**SMALL, washout=0).fit(x, y, lengths=[120, 80])
    sd = np.sqrt(model.readouts_.parts[0].dispersion)
    rows = stats.norm.logpdf(y, model.predict(x, lengths=[120, 80]), sd)
    np.testing.assert_allclose(model.logpdf(x, y, lengths=[120, 80]), [rows[:120].sum(), rows[120:].sum()])
    upper = model.predict(x, lengths=[120, 80], kind="quantile", level=0.9)
    np.testing.assert_allclose(upper, model.predict(x, lengths=[120, 80]) + stats.norm.ppf(0.9) * sd)


def test_rows_that_are_washed_out_are_predicted_by_their_inputs_alone():
    x, y = inputs_and_response()
    model = EchoStateNetwork(**SMALL, washout=10).fit(x, y)
    scaled = (x - x.mean(axis=0)) / x.std(axis=0)
    expected = Ridge(model.starts_.parts[0].alpha).fit(scaled, y).predict(scaled)
    np.testing.assert_allclose(model.predict(x)[:10], expected[:10])


@pytest.mark.parametrize("pool", ["mean", "last"])
def test_a_response_for_each_sequence(pool):
    lengths = rng().integers(5, 12, 60)
    level = rng(1).normal(size=60)
    x = np.repeat(level, lengths)[:, None] + rng(2).normal(size=(lengths.sum(), 1))
    model = EchoStateNetwork(**SMALL, pool=pool).fit(x, level, lengths=lengths)
    assert model.task_ == "sequence"
    assert model.predict(x, lengths=lengths).shape == model.logpdf(x, level, lengths=lengths).shape == (60,)
    assert model.score(x, level, lengths=lengths) > (0.85 if pool == "mean" else 0.5)
    assert model.features(x, lengths=lengths).shape == (60, 16)


def test_families_of_the_package_and_a_family_for_each_column():
    x, y = inputs_and_response(150)
    counts, signs = rng(3).poisson(np.exp(0.5 * y)), (y + 0.3 * rng(4).normal(size=150) > 0).astype(float)
    both = np.column_stack([counts, signs])
    model = EchoStateNetwork(**SMALL, family=["poisson", "bernoulli"]).fit(x, both)
    total = 0.0
    for j, family in enumerate(["poisson", "bernoulli"]):
        alone = EchoStateNetwork(**SMALL, family=family).fit(x, both[:, j])
        np.testing.assert_allclose(model.predict(x)[:, j], alone.predict(x), rtol=1e-6)
        total = total + alone.logpdf(x, both[:, j])
    np.testing.assert_allclose(model.logpdf(x, both), total, rtol=1e-6)


def test_feedback_takes_the_response_before_and_free_runs_on_its_own():
    series = np.sin(0.3 * np.arange(300.0))
    x = np.ones((300, 1))
    model = EchoStateNetwork(40, feedback=True, random_state=0).fit(x[:200], series[:200])
    taught = model.predict(x, series)
    assert np.abs(taught - series)[30:].max() < 1e-2
    stream, state = model.step(x[:200], y=series[:200])
    np.testing.assert_allclose(stream, taught[:200], atol=1e-9)
    free, _ = model.step(x[200:220], state)
    assert np.abs(free - series[200:220]).max() < 0.1
    assert model.predict(x).shape == (300,)  # on its own predictions from the start


def test_inference_of_the_readout():
    x, y = inputs_and_response()
    model = EchoStateNetwork(5, random_state=0, skip=True).fit(x, y)
    assert model.feature_names_out_ == ["h1", "h2", "h3", "h4", "h5", "x0", "x1"]
    readout = model.readouts_.parts[0]
    np.testing.assert_allclose(readout.model.coef_, readout.coef[:, 0], rtol=1e-6)
    assert readout.model.intercept_ == pytest.approx(readout.intercept[0])
    text = str(model.summary())
    assert "h5" in text
    assert "x1" in text
    interval = model.inference().get_prediction(model.features(x)).conf_int()
    inside = (interval[:, 0] < model.predict(x)) & (model.predict(x) < interval[:, 1])
    assert inside[20:].all()


def test_of_several_reservoirs_the_best_is_kept():
    x, y = inputs_and_response()
    stream = rng(0)  # each fit draws the next reservoir
    losses = [EchoStateNetwork(8, random_state=stream).fit(x, y).loo_[0] for _ in range(4)]
    model = EchoStateNetwork(8, n_init=4, random_state=0).fit(x, y)
    assert model.loo_[0] == pytest.approx(min(losses))
    assert np.ptp(losses) > 1e-6


def test_keys_that_are_never_pressed_are_not_impossible():
    x = (rng().random((80, 2)) < 0.4).astype(float)
    x[:, 1] = 0.0
    model = EchoStateNetwork(5, family="bernoulli", washout=0, random_state=0).fit(x)
    np.testing.assert_allclose(model.predict(x)[:, 1], 0.5 / 81)


# -- sequences --------------------------------------------------------------------------------------------------------


def test_groups_may_be_interleaved():
    x, y = inputs_and_response()
    model = EchoStateNetwork(**SMALL).fit(x, y, lengths=[100, 100])
    order = np.argsort(np.tile(np.arange(100), 2), kind="stable")
    groups = np.repeat(["b", "a"], 100)
    mixed = EchoStateNetwork(**SMALL).fit(x[order], y[order], groups=groups[order])
    np.testing.assert_allclose(
        mixed.predict(x[order], groups=groups[order]), model.predict(x, lengths=[100, 100])[order]
    )
    np.testing.assert_allclose(
        mixed.logpdf(x[order], y[order], groups=groups[order]), model.logpdf(x, y, lengths=[100, 100])
    )


def test_what_is_not_observed_has_no_weight():
    x, y = inputs_and_response()
    gaps = y.copy()
    gaps[40:60] = np.nan
    weights = np.where(np.isnan(gaps), 0.0, 1.0)
    one = EchoStateNetwork(**SMALL).fit(x, gaps)
    other = EchoStateNetwork(**SMALL).fit(x, np.nan_to_num(gaps, nan=9.0), sample_weight=weights)
    np.testing.assert_allclose(one.predict(x), other.predict(x), rtol=1e-9)
    seen = ~np.isnan(gaps)
    assert one.score(x, gaps) > 0.9
    rows = [one.logpdf(x, np.where(np.arange(200) == i, y, np.nan))[0] for i in np.flatnonzero(seen)[:3]]
    assert np.isfinite(rows).all()


def test_rows_with_gaps_are_modelled_where_they_are_observed():
    x = autoregression(200)
    x[50:53] = np.nan
    model = EchoStateNetwork(**SMALL).fit(x)
    assert np.isfinite(model.predict(x)).all()
    assert np.isfinite(model.logpdf(x)).all()


def test_offsets_shift_the_linear_predictor():
    x, y = inputs_and_response()
    shift = np.linspace(0, 3, 200)
    model = EchoStateNetwork(**SMALL).fit(x, y + shift, offset=shift)
    plain = EchoStateNetwork(**SMALL).fit(x, y)
    np.testing.assert_allclose(model.predict(x, offset=shift), plain.predict(x) + shift, rtol=1e-7)


def test_grouped_cross_validation_hands_each_fold_its_own_sequences():
    x, y = inputs_and_response(240)
    groups = np.repeat(np.arange(8), 30)
    with sklearn.config_context(enable_metadata_routing=True):
        model = EchoStateNetwork(**SMALL).set_fit_request(groups=True).set_score_request(groups=True)
        found = cross_validate(model, x, y, cv=GroupKFold(4), params={"groups": groups})["test_score"]
    train, test = next(GroupKFold(4).split(x, y, groups))
    alone = EchoStateNetwork(**SMALL).fit(x[train], y[train], groups=groups[train])
    assert found[0] == pytest.approx(alone.score(x[test], y[test], groups=groups[test]))
    assert found.min() > 0.9


# -- streams and simulation -------------------------------------------------------------------------------------------


def test_steps_of_a_stream_are_the_predictions_of_the_whole():
    x, y = inputs_and_response()
    model = EchoStateNetwork(**SMALL).fit(x, y)
    first, state = model.step(x[:7])
    second, _ = model.step(x[7:60], state)
    np.testing.assert_allclose(np.r_[first, second], model.predict(x)[:60], rtol=1e-9)
    series = autoregression()
    density = EchoStateNetwork(**SMALL).fit(series)
    after, _ = density.step(series[:60])
    np.testing.assert_allclose(after[:-1], density.predict(series)[1:60], rtol=1e-9)


def test_samples_have_the_moments_of_the_series():
    x = autoregression(1000)
    model = EchoStateNetwork(10, washout=0, random_state=0).fit(x)
    lengths = [60] * 40 + [1, 30]
    drawn = model.sample(lengths=lengths, random_state=1)
    assert drawn.shape == (2431, 1)
    np.testing.assert_array_equal(drawn[:3], model.sample(lengths=lengths, random_state=1)[:3])
    paths = drawn[:2400, 0].reshape(40, 60)[:, 20:]
    assert np.corrcoef(paths[:, :-1].ravel(), paths[:, 1:].ravel())[0, 1] == pytest.approx(0.8, abs=0.06)
    assert paths.std() == pytest.approx(x.std(), rel=0.2)


def test_forecasts_widen_to_the_distribution_of_the_series():
    x = autoregression(1000)
    model = EchoStateNetwork(10, random_state=0).fit(x)
    found = model.forecast(x, 30, n_samples=400, random_state=0)
    assert found.mean.shape == found.lower.shape == (1, 30, 1)
    assert found.draws.shape == (400, 1, 30, 1)
    np.testing.assert_allclose(found.mean[0, 0], model.step(x)[0][-1], atol=0.2)
    width = (found.upper - found.lower)[0, :, 0]
    assert width[0] == pytest.approx(2 * 1.96, rel=0.2)
    assert width[-1] > 1.3 * width[0]


# -- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_units": 0}, "n_units"),
        ({"spectral_radius": -1.0}, "spectral_radius"),
        ({"leak": 1.5}, "leak"),
        ({"density": 0.0}, "density"),
        ({"bias_scaling": -0.1}, "bias_scaling"),
        ({"washout": -1}, "washout"),
        ({"washout": 500}, "washout=500"),
        ({"activation": "softmax"}, "activation"),
        ({"alpha": "cv"}, "alpha"),
        ({"alpha": -1.0}, "alpha"),
        ({"alphas": 1}, "alphas"),
        ({"alphas": [0.0, 1.0]}, "alphas"),
        ({"n_init": 2, "alpha": 1.0}, "n_init"),
        ({"family": ["gaussian", "poisson"]}, "family names 2"),
        ({"family": "student_t"}, "shape parameters"),
        ({"family": "poisson"}, "y"),
    ],
)
def test_options_that_make_no_sense(options, message):
    x, y = inputs_and_response(50)
    with pytest.raises(ValueError, match=message):
        EchoStateNetwork(**SMALL | options).fit(x, y)


def test_shape_parameters_are_estimated_at_a_given_penalty():
    x, y = inputs_and_response()
    model = EchoStateNetwork(**SMALL, family="negative_binomial", alpha=1.0).fit(x, rng(2).poisson(np.exp(y)))
    assert np.isfinite(model.logpdf(x, rng(2).poisson(np.exp(y)))).all()


def test_data_that_make_no_sense():
    x, y = inputs_and_response(50)
    model = EchoStateNetwork(**SMALL)
    with pytest.raises(ValueError, match="add up to 40, X has 50"):
        model.fit(x, y, lengths=[20, 20])
    with pytest.raises(ValueError, match="empty sequence"):
        model.fit(x, y, lengths=[50, 0])
    with pytest.raises(ValueError, match="NaN in every row"):
        model.fit(np.full((50, 1), np.nan))
    with pytest.raises(ValueError, match="no observed row"):
        model.fit(x, np.full(50, np.nan))
    with pytest.raises(ValueError, match="infinity"):
        model.fit(x, np.where(np.arange(50) == 3, np.inf, y))
    with pytest.raises(ValueError, match="at least 2"):
        model.fit(x[:1], y[:1])
    with pytest.raises(ValueError, match="inconsistent numbers"):
        model.fit(x, y[:30])
    with pytest.raises(ValueError, match="feedback"):
        EchoStateNetwork(feedback=True).fit(x)
    model.fit(x, y)
    with pytest.raises(ValueError, match="y has 2 columns"):
        model.score(x, np.column_stack([y, y]))
    for method in (model.sample, lambda: model.forecast(x)):
        with pytest.raises(ValueError, match="without y"):
            method()
    with pytest.raises(ValueError, match="positive whole"):
        model.fit(x).sample(0)
    with pytest.raises(ValueError, match="steps=0"):
        model.forecast(x, 0)
    assert model.predict(x[:1]).shape == (1, 2)  # one row has no past, and is predicted all the same
