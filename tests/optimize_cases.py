"""Small problems with known optima for the solver tests."""

from __future__ import annotations

import numpy as np

from reglm.optimize import Problem


def logistic_data(n=600, p=4, seed=0):
    rng = np.random.default_rng(seed)
    X = np.column_stack([rng.normal(size=(n, p - 1)), np.ones(n)])
    beta = np.array([1.0, -0.5, 0.0, 0.3])[:p]
    y = (rng.random(n) < 1 / (1 + np.exp(-X @ beta))).astype(float)
    assert 0.3 < y.mean() < 0.7
    return X, y


def logistic_problem(X, y, l2=0.0, **fields):
    """Logistic regression, with every derivative the solvers may ask for."""

    def value_grad(theta):
        eta = X @ theta
        mu = 1 / (1 + np.exp(-eta))
        value = np.sum(np.logaddexp(0, eta) - y * eta) + 0.5 * l2 * theta @ theta
        return value, (X.T @ (mu - y) + l2 * theta).astype(theta.dtype)

    def hessian(theta):
        mu = 1 / (1 + np.exp(-X @ theta))
        return X.T @ (X * (mu * (1 - mu))[:, None]) + l2 * np.eye(X.shape[1])

    def batch(theta, rows):
        eta = X[rows] @ theta
        mu = 1 / (1 + np.exp(-eta))
        value = np.mean(np.logaddexp(0, eta) - y[rows] * eta) + 0.5 * l2 / len(y) * theta @ theta
        gradient = X[rows].T @ (mu - y[rows]) / len(rows) + l2 / len(y) * theta
        return value, gradient.astype(theta.dtype)

    given = {
        "value_grad": value_grad, "n_rows": len(y), "hessian": hessian, "batch_value_grad": batch,
        "information": lambda theta: (value_grad(theta)[1], hessian(theta)),
        "hessp": lambda theta, v: hessian(theta) @ v,
        "gnp": lambda theta: hessian(theta).__matmul__,
    }  # fmt: skip
    return Problem(**(given | fields))


def rosenbrock_problem(**fields):
    """Rosenbrock's valley, minimum 0 at (1, 1); a least-squares problem, so it has an information matrix."""

    def value_grad(x):
        r = np.sqrt(2) * np.array([10 * (x[1] - x[0] ** 2), 1 - x[0]])
        return 0.5 * r @ r, jacobian(x).T @ r

    def jacobian(x):
        return np.sqrt(2) * np.array([[-20 * x[0], 10.0], [-1.0, 0.0]])

    def hessian(x):
        return np.array([[1200 * x[0] ** 2 - 400 * x[1] + 2, -400 * x[0]], [-400 * x[0], 200.0]])

    given = {
        "value_grad": value_grad, "n_rows": 1, "hessian": hessian, "hessp": lambda x, v: hessian(x) @ v,
        "information": lambda x: (value_grad(x)[1], jacobian(x).T @ jacobian(x)),
        "gnp": lambda x: (jacobian(x).T @ jacobian(x)).__matmul__,
    }  # fmt: skip
    return Problem(**(given | fields))
