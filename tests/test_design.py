"""From arrays and frames to the model matrix: against scikit-learn's and pandas' own codings."""

import json

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.preprocessing import OneHotEncoder
from sklearn.utils.estimator_checks import check_estimator
from sklearn.utils.validation import check_consistent_length, check_is_fitted, column_or_1d

from reglm.estimators.coding import SPARSE_INDICATORS
from reglm.estimators.design import Design

N = 60


@pytest.fixture
def raw():
    rng = np.random.default_rng(1)
    return {
        "age": rng.normal(size=N).tolist(),
        "region": rng.choice(["N", "S", "S", "S", "W"], N).tolist(),
        "kids": rng.integers(0, 4, N).tolist(),
        "member": (rng.uniform(size=N) < 0.5).tolist(),
        "expo": rng.uniform(0.1, 1.0, N).tolist(),
    }


@pytest.fixture(params=["pandas", "polars"])
def make(request):
    return {"pandas": pd.DataFrame, "polars": pl.DataFrame}[request.param]


def loaded(design):
    return Design.from_dict(json.loads(json.dumps(design.to_dict())))


def test_onehot_equals_scikit_learns(raw, make):
    X = make(raw)
    design = Design.fit(X, exposure="expo")
    assert design.names_out == ["age", "region[N]", "region[W]", "kids", "member"]
    assert design.levels == {"region": ["S", "N", "W"]}
    region = np.array(raw["region"])[:, None]
    reference = OneHotEncoder(drop=["S"], sparse_output=False).fit_transform(region)
    expected = np.column_stack([raw["age"], reference, raw["kids"], raw["member"]])
    out = loaded(design).transform(X)
    np.testing.assert_array_equal(out.X, expected)
    np.testing.assert_array_equal(out.exposure, raw["expo"])
    assert out.offset is None
    assert out.X.flags.c_contiguous
    assert out.X.dtype == np.float64
    assert design.n_features_in == 5
    assert design.feature_names_in == list(raw)


def test_embedding_gives_level_numbers(raw, make):
    X = make(raw)
    design = Design.fit(X, categorical="embedding")
    assert design.categorical_columns == (1,)
    assert design.names_out == list(raw)
    codes = design.transform(X).X[:, 1].astype(int)
    assert [design.levels["region"][code] for code in codes] == raw["region"]


def test_columns_of_the_users_layers_become_level_numbers(raw, make):
    X = make({**raw, "colour": ["r", "g"] * (N // 2)})
    design = Design.fit(X, layer_columns=("region", "age"))
    assert design.names_out == ["age", "region", "kids", "member", "expo", "colour[r]"]
    assert design.categorical_columns == (1,)


def test_polars_and_pandas_agree(raw):
    designs = [Design.fit(make(raw)) for make in (pd.DataFrame, pl.DataFrame)]
    assert designs[0] == designs[1]
    np.testing.assert_array_equal(designs[0].transform(pl.DataFrame(raw)).X, designs[1].transform(pd.DataFrame(raw)).X)


@pytest.mark.parametrize(
    "column",
    [
        pd.Series(["b", "a", "b", "c"], dtype="str"),
        pd.Series(["b", "a", "b", "c"], dtype="string"),
        pd.Series(["b", "a", "b", "c"], dtype=object),
        pl.Series(["b", "a", "b", "c"]),
        pl.Series(["b", "a", "b", "c"], dtype=pl.Categorical),
    ],
    ids=["str", "string", "object", "polars", "polars categorical"],
)
def test_most_frequent_string_is_the_reference(column):
    make = pl.DataFrame if isinstance(column, pl.Series) else pd.DataFrame
    design = Design.fit(make({"x": column}))
    assert design.levels == {"x": ["b", "a", "c"]}
    np.testing.assert_array_equal(design.transform(make({"x": column})).X, [[0, 0], [1, 0], [0, 0], [0, 1]])


@pytest.mark.parametrize(
    "column",
    [
        pd.Categorical(["b", "a", "b", "c"], categories=["z", "c", "b", "a"]),
        pl.Series(["b", "a", "b", "c"], dtype=pl.Enum(["z", "c", "b", "a"])),
    ],
    ids=["pandas", "polars"],
)
def test_declared_order_gives_the_reference_and_empty_levels_are_unseen(column):
    make = pl.DataFrame if isinstance(column, pl.Series) else pd.DataFrame
    design = Design.fit(make({"x": column}))
    assert design.levels == {"x": ["c", "b", "a"]}
    np.testing.assert_array_equal(design.transform(make({"x": column})).X, [[1, 0], [0, 1], [1, 0], [0, 0]])


@pytest.mark.parametrize("dtype", ["Int64", "Float64", "boolean", "int8", "uint16", "float32", "bool", object])
def test_numeric_dtypes_of_pandas_are_numbers(dtype):
    X = pd.DataFrame({"x": pd.Series([0, 1, 1], dtype=dtype)})
    design = Design.fit(X)
    assert design.levels == {}
    np.testing.assert_array_equal(design.transform(X).X, [[0.0], [1.0], [1.0]])


@pytest.mark.parametrize("dtype", [pl.Int8, pl.UInt64, pl.Float32, pl.Boolean, pl.Decimal(scale=2)])
def test_numeric_dtypes_of_polars_are_numbers(dtype):
    X = pl.DataFrame({"x": pl.Series([0, 1, 1], dtype=pl.Int64).cast(dtype)})
    np.testing.assert_array_equal(Design.fit(X).transform(X).X, [[0.0], [1.0], [1.0]])


def test_levels_need_not_be_strings():
    X = pd.DataFrame({"zone": pd.Categorical([3, 1, 3]), "bin": pd.cut([0.1, 0.6, 0.9], [0, 0.5, 1])})
    design = Design.fit(X)
    assert design.levels == {"zone": [1, 3], "bin": ["(0.0, 0.5]", "(0.5, 1.0]"]}
    new = pd.DataFrame({"zone": [1.0, 3.0], "bin": ["(0.5, 1.0]", "(0.0, 0.5]"]})
    np.testing.assert_array_equal(loaded(design).transform(new).X, [[0, 1], [1, 0]])


def test_missing_category_is_a_level_of_its_own_if_seen(make):
    seen = Design.fit(make({"x": ["a", "b", None, "b"]}))
    assert seen.levels == {"x": ["b", "a", None]}
    assert seen.names_out == ["x[a]", "x[missing]"]
    np.testing.assert_array_equal(loaded(seen).transform(make({"x": [None, "b"]})).X, [[0, 1], [0, 0]])
    with pytest.raises(ValueError, match=r"column 'x' of X has missing values in 1 row\(s\), first in row 1"):
        Design.fit(make({"x": ["a", "b"]})).transform(make({"x": ["a", None]}))


def test_unseen_level_raises_or_is_the_reference(make):
    train, new = make({"x": ["a", "b", "b"], "z": [1, 2, 3]}), make({"x": ["b", "q"], "z": [1, 2]})
    with pytest.raises(ValueError, match=r"column 'x' of X has 'q'.*handle_unknown='reference'"):
        Design.fit(train).transform(new)
    with pytest.warns(UserWarning, match="coded as the reference level 'b'"):
        out = Design.fit(train, handle_unknown="reference").transform(new)
    np.testing.assert_array_equal(out.X, [[0, 1], [0, 2]])
    with pytest.warns(UserWarning, match="coded as the zero vector"):
        out = Design.fit(train, handle_unknown="reference", categorical="embedding").transform(new)
    np.testing.assert_array_equal(out.X, [[0, 1], [-1, 2]])


def test_many_levels_come_as_csr_equal_to_the_dense_matrix(make):
    rng = np.random.default_rng(2)
    codes = [*range(SPARSE_INDICATORS + 5), *rng.integers(0, 50, 500)]
    X = make({"age": rng.integers(0, 3, len(codes)), "model": [f"m{code}" for code in codes]})
    design = loaded(Design.fit(X))
    found = design.transform(X).X
    assert sparse.issparse(found)
    assert found.has_canonical_format
    np.testing.assert_array_equal(found.toarray(), Design.fit(X, sparse=False).transform(X).X)
    # Prediction on few rows keeps the form that fit chose.
    assert sparse.issparse(design.transform(X[:3]).X)
    assert not Design.fit(X, layer_columns=["age"]).is_sparse
    assert not Design.fit(X, categorical="embedding").is_sparse


def test_arrays_are_taken_as_they_come_less_the_offset():
    A = np.random.default_rng(3).normal(size=(8, 4))
    out = Design.fit(A, offset=3, exposure=1).transform(A)
    np.testing.assert_array_equal(out.X, A[:, [0, 2]])
    np.testing.assert_array_equal(out.offset, A[:, 3])
    np.testing.assert_array_equal(out.exposure, A[:, 1])
    assert Design.fit(A, offset=3).names_out == ["x0", "x1", "x2"]
    assert Design.fit(A).transform(A).X is A
    for other in (np.asfortranarray(A), A.astype(object), A.tolist()):
        out = Design.fit(other).transform(other)
        np.testing.assert_array_equal(out.X, A)
        assert out.X.flags.c_contiguous


@pytest.mark.parametrize("form", ["csr", "csc", "coo", "lil", "dok", "bsr", "dia"])
@pytest.mark.parametrize("kind", [sparse.csr_matrix, sparse.csr_array], ids=["matrix", "array"])
def test_sparse_matrices_of_any_format(form, kind):
    A = np.random.default_rng(4).poisson(0.5, size=(9, 5)).astype(float)
    design = Design.fit(kind(A).asformat(form), exposure=4)
    out = design.transform(kind(A).asformat(form))
    assert out.X.format == "csr"
    np.testing.assert_array_equal(out.X.toarray(), A[:, :4])
    np.testing.assert_array_equal(out.exposure, A[:, 4])
    np.testing.assert_array_equal(design.transform(A).X.toarray(), A[:, :4])
    np.testing.assert_array_equal(Design.fit(A, exposure=4).transform(kind(A)).X, A[:, :4])


@pytest.mark.parametrize(
    ("X", "arguments", "message"),
    [
        ({"a": [1.0, np.nan]}, {}, "Input X contains NaN: column 'a', row 1"),
        ({"a": [1.0, np.inf]}, {}, "Input X contains infinity: column 'a', row 1"),
        ({"a": [1 + 1j, 2]}, {}, "Complex data not supported: column 'a'"),
        ({"a": pd.to_datetime(["2020-01-01", "2021-01-01"])}, {}, "column 'a' of X has dtype datetime64"),
        ({"a": [[1], [2]]}, {}, "column 'a' of X holds values that cannot be levels"),
        ({"a": [1, 2]}, {"offset": "b"}, "offset='b' is not a column of X; its labels are 'a'"),
        ({"a": [1, 2]}, {"offset": "a", "exposure": "a"}, "both name column 'a'"),
        ({"a": ["u", "v"]}, {"offset": "a"}, "offset='a' names a categorical column"),
        ({"a": []}, {}, "0 sample"),
        ({}, {}, "0 (sample|feature)"),
        ({"a": [1]}, {"categorical": "codes"}, "categorical='codes' must be one of"),
        ({"a": [1]}, {"handle_unknown": "ignore"}, "handle_unknown='ignore' must be one of"),
        ({"a": [1]}, {"sparse": 1}, "sparse=1 must be one of"),
    ],
)
def test_bad_frames_are_refused_by_name(X, arguments, message):
    frame = pd.DataFrame(X)
    with pytest.raises(ValueError, match=message):
        Design.fit(frame, **arguments).transform(frame)


def test_other_columns_than_in_fit_are_refused():
    design = Design.fit(pd.DataFrame({"a": [1.0, 2.0], "b": ["u", "v"]}))
    with pytest.raises(ValueError, match="feature names should match"):
        design.transform(pd.DataFrame({"a": [1.0], "c": ["u"]}))
    with (
        pytest.warns(UserWarning, match="does not have valid feature names"),
        pytest.raises(ValueError, match="must be a data frame, as it was in fit: its column 'b'"),
    ):
        design.transform(np.ones((2, 2)))
    numeric = Design.fit(np.ones((2, 1)))
    with (
        pytest.warns(UserWarning, match="fitted without feature names"),
        pytest.raises(ValueError, match="column 'x0' of X must hold numbers"),
    ):
        numeric.transform(pd.DataFrame({"a": ["u"]}))
    with pytest.raises(ValueError, match="offset=5 is not a column of X; its positions are 0"):
        Design.fit(np.ones((2, 1)), offset=5)
    with pytest.raises(ValueError, match="data frame"):
        Design.fit(np.array([["a"], ["b"]], dtype=object))
    twice = pd.DataFrame(np.ones((2, 2)), columns=["a", "a"])
    with pytest.raises(ValueError, match="2 columns named 'a'"):
        Design.fit(twice)


def test_integer_labels_of_a_frame():
    X = pd.DataFrame(np.arange(6.0).reshape(3, 2), columns=[10, 20])
    design = Design.fit(X, exposure=20)
    assert design.names_out == ["10"]
    assert design.feature_names_in is None
    np.testing.assert_array_equal(design.transform(X).exposure, X[20])


class LeastSquares(RegressorMixin, BaseEstimator):
    """The least that an estimator does with a design.

    Attributes
    ----------
    n_features_in_ : int
    feature_names_in_ : ndarray
    """

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def fit(self, X, y):
        if y is None:
            raise ValueError("requires y to be passed, but the target y is None")
        self.design_ = Design.fit(X, estimator=self)
        matrix = self.matrix(X)
        y = column_or_1d(y, warn=True, dtype=float)
        check_consistent_length(matrix, y)
        if not np.isfinite(y).all():
            raise ValueError("y contains NaN or inf")
        self.coef_ = np.linalg.lstsq(matrix, y, rcond=None)[0]
        return self

    def matrix(self, X):
        X = self.design_.transform(X, self).X
        return X.toarray() if sparse.issparse(X) else X

    def predict(self, X):
        check_is_fitted(self)
        return self.matrix(X) @ self.coef_


def test_scikit_learns_checks_of_inputs_pass():
    check_estimator(LeastSquares(), on_skip=None)
