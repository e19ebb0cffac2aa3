"""Update rules, schedules, clipping and the L1 penalty."""

from __future__ import annotations

import numpy as np
import pytest
from optimize_cases import logistic_data, logistic_problem

from reglm.optimize import SCHEDULES, minimize, rules, schedules
from reglm.optimize.problem import soft_threshold, subgradient

X, Y = logistic_data()
RATE = 0.1


def textbook(name, gradients):
    """The rules as printed in their papers, theta starting at zero."""
    theta, v, s, d = (np.zeros_like(gradients[0]) for _ in range(4))
    for t, g in enumerate(gradients, 1):
        if name == "sgd":
            theta = theta - RATE * g
        elif name == "momentum":
            v = 0.9 * v - RATE * g
            theta = theta + v
        elif name == "nesterov":  # Sutskever et al. 2013, in the look-ahead point
            new = 0.9 * v - RATE * g
            theta, v = theta - 0.9 * v + 1.9 * new, new
        elif name == "adagrad":
            s = s + g**2
            theta = theta - RATE * g / (np.sqrt(s) + 1e-8)
        elif name == "adadelta":
            s = 0.95 * s + 0.05 * g**2
            step = -np.sqrt(d + 1e-6) / np.sqrt(s + 1e-6) * g
            d = 0.95 * d + 0.05 * step**2
            theta = theta + RATE * step
        elif name == "adam":
            v = 0.9 * v + 0.1 * g
            s = 0.999 * s + 0.001 * g**2
            theta = theta - RATE * (v / (1 - 0.9**t)) / (np.sqrt(s / (1 - 0.999**t)) + 1e-8)
    return theta


@pytest.mark.parametrize("name", rules.RULES)
def test_rules_are_the_published_ones(name):
    gradients = np.random.default_rng(0).normal(size=(20, 7))
    rule = rules.RULES[name]()
    theta = np.zeros(7)
    state = rule.init(theta)
    for g in gradients:
        rule.step(state, theta, g, RATE, None)
    np.testing.assert_allclose(theta, textbook(name, gradients), rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("name", rules.RULES)
def test_blocks_do_not_change_the_bits(name, monkeypatch):
    gradients = np.random.default_rng(0).normal(size=(5, 1000)).astype(np.float32)
    found = []
    for block in (64, 4096):
        monkeypatch.setattr(rules, "BLOCK", block)
        rule, theta = rules.RULES[name](), np.zeros(1000, np.float32)
        state = rule.init(theta)
        for g in gradients:
            rule.step(state, theta, g, RATE, None)
        found.append(theta)
    np.testing.assert_array_equal(*found)
    assert found[0].dtype == np.float32
    assert found[0].std() > 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_compiled_adam_has_the_bits_of_numpy(dtype, monkeypatch):
    gradients = np.random.default_rng(0).normal(size=(50, 999)).astype(dtype)
    found = []
    for limit in (10**12, -1):
        monkeypatch.setattr(rules, "KERNEL_PAYS", limit)
        rule, theta = rules.adam(), np.zeros(999, dtype)
        state = rule.init(theta)
        for g in gradients:
            rule.step(state, theta, g, 1e-3, None)
        found.append(theta)
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("name", rules.RULES)
def test_l1_fixed_point_is_the_penalised_optimum(name):
    # Minimise (x - a)^2 / 2 + l1 |x|: the minimum is a shrunk by l1, whatever the metric of the rule.
    a, l1 = np.array([2.0, -0.3, 0.5, -1.5]), np.full(4, 0.6)
    rule, theta = rules.RULES[name](), np.full(4, 0.2)
    state = rule.init(theta)
    for _ in range(6000):
        rule.step(state, theta, theta - a, {"adadelta": 1.0, "adagrad": 0.2, "adam": 1e-3}.get(name, 0.05), l1)
    # AdaDelta's steps do not die out: it hovers about the minimum.
    tolerance = 0.05 if name == "adadelta" else 2e-3
    np.testing.assert_allclose(theta, np.sign(a) * np.maximum(np.abs(a) - l1, 0), atol=tolerance)
    assert theta[1] == theta[2] == 0.0


def test_schedules():
    history = []
    assert [schedules.constant(k, 10, history) for k in range(3)] == [1, 1, 1]
    assert [schedules.inverse(k, 10, history) for k in range(3)] == [1, 1 / 2, 1 / 3]
    assert schedules.linear(0, 10, history) == 1
    assert schedules.linear(5, 10, history) == schedules.linear(9, 10, history) == pytest.approx(0.01)
    assert schedules.cosine(5, 10, history) == pytest.approx(0.5)
    falling, flat = list(range(10, 0, -1)), [1.0] * 11
    assert schedules.plateau(10, 99, falling) == 1
    assert schedules.plateau(11, 99, flat) == 0.25
    with pytest.raises(ValueError, match=r"schedule='step' is not known"):
        schedules.get("step")


@pytest.mark.parametrize("schedule", [*SCHEDULES, lambda epoch, max_iter, history: 0.5**epoch])
def test_learning_rates_follow_the_schedule(schedule):
    result = minimize(
        logistic_problem(X, Y),
        np.zeros(4),
        "sgd",
        schedule=schedule,
        max_iter=8,
        learning_rate=0.2,
        patience=99,
    )
    rule = schedules.get(schedule)
    objective = result.history["objective"]
    assert result.history["step"] == [0.2 * rule(k, 8, objective[:k]) for k in range(8)]


def test_clipping():
    g = np.array([3.0, 4.0], np.float32)
    np.testing.assert_allclose(rules.clip_by_norm(g, 1.0), [0.6, 0.8], rtol=1e-6)
    assert rules.clip_by_norm(g, 1.0).dtype == np.float32
    assert rules.clip_by_norm(g, 5.0) is g
    result = minimize(
        logistic_problem(X, Y), np.zeros(4), "sgd", clip=1e-3, momentum=0.0, max_iter=1, learning_rate=1.0
    )
    assert np.linalg.norm(result.theta) <= 12 * 1e-3 * 1.0001


def test_soft_threshold_and_subgradient():
    theta = np.array([1.0, -0.2, 0.0, -3.0])
    soft_threshold(theta, np.array([0.5, 0.5, 0.5, 1.0]))
    np.testing.assert_array_equal(theta, [0.5, 0.0, 0.0, -2.0])
    found = subgradient(theta, np.array([0.1, 0.4, -0.7, 1.0]), np.full(4, 0.5))
    np.testing.assert_allclose(found, [0.6, 0.0, -0.2, 0.5])


@pytest.mark.parametrize("solver", ["lbfgs", "gd", "sgd", "adagrad", "adam"])
def test_l1_logistic_against_scikit_learn(solver):
    from sklearn.linear_model import LogisticRegression

    l1 = np.array([30.0, 30.0, 30.0, 0.0])
    model = LogisticRegression(C=1 / 30, l1_ratio=1.0, solver="saga", tol=1e-10, max_iter=5000).fit(X[:, :3], Y)
    reference = np.append(model.coef_[0], model.intercept_)
    assert reference[2] == 0.0
    assert np.abs(reference[:2]).min() > 0.01
    rates = {"gd": 0.5, "sgd": 0.02, "adagrad": 0.3, "adam": 0.03}
    result = minimize(
        logistic_problem(X, Y, l1=l1), np.zeros(4), solver, learning_rate=rates.get(solver),
        schedule="constant" if solver == "gd" else "cosine", patience=1000, batch_size=100,
    )  # fmt: skip
    np.testing.assert_allclose(result.theta, reference, atol=1e-4 if solver in ("lbfgs", "gd") else 1e-2)
    assert result.theta[2] == 0.0
    value = logistic_problem(X, Y).value_grad(result.theta)[0] + np.abs(result.theta) @ l1
    assert result.value == pytest.approx(value)


def test_ragged_last_batch_and_rows_seen_once():
    seen = []
    good = logistic_problem(X, Y)

    def batch(theta, rows):
        seen.append(rows.copy())
        return good.batch_value_grad(theta, rows)

    minimize(logistic_problem(X, Y, batch_value_grad=batch), np.zeros(4), "adam", batch_size=250, max_iter=2)
    assert [len(rows) for rows in seen] == [250, 250, 100] * 2
    for epoch in (seen[:3], seen[3:]):
        np.testing.assert_array_equal(np.sort(np.concatenate(epoch)), np.arange(600))
    assert not np.array_equal(np.concatenate(seen[:3]), np.concatenate(seen[3:]))
