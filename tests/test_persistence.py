"""Saved models predict the same; damaged and hostile files raise, whatever is in them."""

import contextlib
import json
import pickle
import struct
import subprocess
import sys
import zipfile

import numpy as np
import pandas as pd
import pytest

import reglm
from reglm import RecursiveGLMClassifier, RecursiveGLMRegressor, families, layers
from reglm.compiling import count_compilations
from reglm.persistence import archive, save
from reglm.persistence.codec import Decoder, Encoder


def frame(n=80, seed=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "age": rng.normal(size=n),
            "size": rng.normal(size=n),
            "region": pd.Categorical(rng.choice(["north", "south", "west"], n)),
            "exposure": rng.random(n) + 0.1,
        }
    )


X = frame()
COUNTS = np.random.default_rng(1).poisson(np.exp(X["age"] / 2) * X["exposure"] * 3)
LABELS = np.where(X["age"] + np.random.default_rng(3).logistic(size=len(X)) > 0.3, "yes", "no")
BASES = layers.Parallel([layers.Spline(["age"], bins=3), layers.Periodic(["size"], waves=2)])
MODELS = {
    "glm": RecursiveGLMRegressor(family="poisson", exposure="exposure"),
    "network": RecursiveGLMRegressor((3,), family="poisson", exposure="exposure", skip=True, max_iter=20),
    "float32": RecursiveGLMRegressor((3,), dtype="float32", max_iter=20),
    "shape": RecursiveGLMRegressor((2,), "logit", families.NegativeBinomial(), alpha=1.0, max_iter=20),
    "embedding": RecursiveGLMRegressor((2,), family="poisson", categorical="embedding", max_iter=20),
    "layers": RecursiveGLMRegressor(
        layers=[BASES, layers.Dense(3, "relu", init="he"), layers.BatchNorm()], solver="adam", max_iter=3
    ),
}


def fitted(name):
    model = MODELS[name]
    return model.__class__(**model.get_params()).set_params(random_state=0).fit(X, COUNTS)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "glm.reglm"
    fitted("glm").save(path)
    return path


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # fits are cut short on purpose
def test_a_loaded_model_predicts_the_same_and_compiles_nothing(name, tmp_path):
    model = fitted(name)
    model.save(tmp_path / "model")
    new = frame(30, seed=2)
    with count_compilations() as compiled:
        loaded = reglm.load(tmp_path / "model")
        predicted = loaded.predict(new)
    assert not any(compiled.values())
    np.testing.assert_allclose(predicted, model.predict(new), rtol=1e-12, atol=0)
    assert repr(loaded) == repr(model)
    assert loaded.fit_.theta.dtype == model.fit_.theta.dtype
    assert loaded.score(X, COUNTS) == pytest.approx(model.score(X, COUNTS), rel=1e-12)
    assert "does not hold its training data" in loaded.inference().refusal
    assert loaded.inference().aic == pytest.approx(model.inference().aic, rel=1e-12)


def test_formulas_survive(tmp_path):
    data = X.assign(visits=COUNTS)
    formula = "visits ~ age + center(size) + region + exposure(years)"
    renamed = data.rename(columns={"exposure": "years"})
    model = RecursiveGLMRegressor.from_formula(formula, renamed, family="poisson")
    model.save(tmp_path / "formula")
    new = frame(30, seed=2).rename(columns={"exposure": "years"})
    np.testing.assert_allclose(reglm.load(tmp_path / "formula").predict(new), model.predict(new), rtol=1e-12)


@pytest.mark.parametrize("kind", [str, object, "category"])
def test_class_labels_survive(kind, tmp_path):
    model = RecursiveGLMClassifier().fit(X[["age", "size"]], pd.Series(LABELS).astype(kind))
    model.save(str(tmp_path / "classes"))
    loaded = reglm.load(str(tmp_path / "classes"))
    np.testing.assert_array_equal(loaded.predict(X[["age", "size"]]), model.predict(X[["age", "size"]]))
    np.testing.assert_array_equal(loaded.classes_, model.classes_)
    assert loaded.classes_.dtype == model.classes_.dtype


def test_a_fresh_process_loads_without_numba_or_a_compiler(path, tmp_path):
    X.to_csv(tmp_path / "X.csv", index=False)
    code = (
        "import reglm, pandas as pd, numpy as np, sys\n"
        f"p = reglm.load({str(path)!r}).predict(pd.read_csv({str(tmp_path / 'X.csv')!r}))\n"
        "from reglm.compiling import count_compilations, _counts\n"
        "print(float(p.sum()), sum(_counts.values()))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    total, compiled = run.stdout.split()
    assert float(total) == pytest.approx(fitted("glm").predict(X).sum(), rel=1e-12)
    assert compiled == "0"


def test_saving_twice_gives_the_same_bytes(path, tmp_path):
    fitted("glm").save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == path.read_bytes()
    assert [p.name for p in tmp_path.iterdir()] == ["again"]  # no temporary file stays behind


def test_options_that_cannot_be_stored_are_named(tmp_path):
    model = RecursiveGLMRegressor(random_state=np.random.RandomState(0)).fit(X[["age"]], COUNTS)
    with pytest.warns(UserWarning, match=r"not stored, the loaded model has the defaults: random_state\."):
        model.save(tmp_path / "m")
    assert reglm.load(tmp_path / "m").random_state is None


def test_what_cannot_be_saved(tmp_path):
    with pytest.raises(ValueError, match="not fitted"):
        save(RecursiveGLMRegressor(), tmp_path / "m")
    with pytest.raises(ValueError, match="cannot save a dict"):
        save({}, tmp_path / "m")

    class Other(RecursiveGLMRegressor):
        pass

    with pytest.raises(ValueError, match="cannot save a Other"):
        save(Other(), tmp_path / "m")
    Impostor = type("RecursiveGLMRegressor", (RecursiveGLMRegressor,), {})
    with pytest.raises(ValueError, match="cannot save a RecursiveGLMRegressor"):
        save(Impostor(), tmp_path / "m")
    assert not list(tmp_path.iterdir())


def test_a_failed_save_keeps_the_old_file(path, tmp_path, monkeypatch):
    target = tmp_path / "model"
    target.write_bytes(path.read_bytes())
    monkeypatch.setattr(archive.np.lib.format, "write_array", lambda *a, **k: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        fitted("glm").save(target)
    monkeypatch.undo()
    assert target.read_bytes() == path.read_bytes()
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


# -- values -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        3,
        -2.5,
        "text",
        [1, [2.0, "x"]],
        (1, ("a",)),
        {"a": 1, 2: (3,)},
        np.float64(0.1),
        np.int32(4),
        float("inf"),
        np.bool_(True),
        0.1 + 0.2,
        5e-324,
    ],
)
def test_values_round_trip(value):
    encode = Encoder()
    text = json.dumps(encode(value), allow_nan=False)
    assert Decoder(encode.arrays)(json.loads(text)) == value


def test_arrays_round_trip():
    arrays = [
        np.arange(6.0).reshape(2, 3)[:, ::-1],
        np.array(2.5),
        np.zeros((0, 3), dtype="float32"),
        np.array([True]),
        np.array(["a", "bcd"]),
        np.array(["a", 1, None], dtype=object),
        np.array([np.nan, -np.inf]),
    ]
    encode = Encoder()
    decoded = Decoder(encode.arrays)(json.loads(json.dumps([encode(a) for a in arrays])))
    decoded = Decoder(encode.arrays)([encode(a) for a in arrays])
    for found, expected in zip(decoded, arrays, strict=True):
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)


# -- damaged and hostile files ----------------------------------------------------------------------------


def rewritten(path, target, change=None, members=None, compression=zipfile.ZIP_STORED):
    """Copy a saved model, changing its document or adding members."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w", compression) as new:
        for info in old.infolist():
            content = old.read(info)
            if info.filename == archive.DOCUMENT and change is not None:
                document = json.loads(content)
                change(document)
                content = json.dumps(document).encode()
            if info.filename not in (members or {}):
                new.writestr(info.filename, content)
        for name, content in (members or {}).items():
            if content is not None:
                new.writestr(name, content)
    return target


def refused(target, message):
    with pytest.raises(ValueError, match=message) as caught:
        reglm.load(target)
    assert "is not a readable reglm model" in str(caught.value)
    assert str(target) in str(caught.value)


def test_a_missing_file_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        reglm.load(tmp_path / "nothing")


@pytest.mark.parametrize("content", [b"", b"hello", pickle.dumps({"a": 1}), b"PK\x03\x04" + bytes(100)])
def test_files_of_other_kinds(content, tmp_path):
    (tmp_path / "f").write_bytes(content)
    refused(tmp_path / "f", "not a zip file, damaged or encrypted")


def test_every_truncation_and_every_flipped_byte_is_noticed_or_harmless(path, tmp_path):
    content = path.read_bytes()
    expected = reglm.load(path).predict(X)
    rng = np.random.default_rng(0)
    target = tmp_path / "damaged"
    for length in rng.integers(0, len(content), 40):
        target.write_bytes(content[:length])
        refused(target, "not a zip file")
    for position in rng.integers(0, len(content), 300):
        damaged = bytearray(content)
        damaged[position] ^= 1 << int(rng.integers(8))
        target.write_bytes(bytes(damaged))
        with contextlib.suppress(ValueError):  # or it is a byte that no reader looks at, such as a date
            np.testing.assert_array_equal(reglm.load(target).predict(X), expected)


def test_newer_versions_say_so(path, tmp_path):
    def change(document):
        document.update(version=99, written_by="9.0")

    refused(rewritten(path, tmp_path / "f", change), "format version 99 of reglm '9.0'.*install")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(format="other"), "does not describe a reglm model"),
        (lambda d: d.pop("arrays"), "lists no arrays or no model"),
        (lambda d: d["arrays"].pop(), "are not those its document lists"),
        (lambda d: d["arrays"][0].update(shape=[10**12]), "where the document says"),
        (lambda d: d["arrays"][0].update(dtype="|O"), "where the document says"),
        (lambda d: d["model"].update({"class": "os.system"}), "'os.system' is not one of"),
        (lambda d: d["model"].update({"class": "__init__"}), "'__init__' is not one of"),
        (lambda d: d["model"]["options"].update(nonsense=1), "unexpected keyword argument 'nonsense'"),
        (lambda d: d["model"]["fitted"].update(__class__="x"), "'__class__' is not the name of a fitted"),
        (lambda d: d["model"]["fitted"].update(predict="x"), "'predict' is not the name of a fitted"),
        (lambda d: d["model"]["fitted"].update(x_={"$": "eval", "code": "1"}), "kind 'eval' is not known"),
        (lambda d: d["model"]["fitted"].update(x_={"$": ["array"]}), "unhashable"),
        (lambda d: d["model"]["fitted"].update(x_={"$": "array", "index": -1}), "array number -1"),
        (lambda d: d["model"]["fitted"].update(x_={"$": "array", "index": 10**6}), "out of range"),
        (
            lambda d: d["model"]["fitted"].update(x_={"$": "record", "name": "Popen", "fields": {"args": "id"}}),
            "class 'Popen' is not known",
        ),
        (
            lambda d: d["model"]["fitted"].update(x_={"$": "layer", "name": "Popen", "fields": {}}),
            "class 'Popen' is not known; import the module",
        ),
        (lambda d: d["model"]["fitted"]["fit_"]["fields"].update(theta=[1.0]), "theta must hold 5"),
        (
            lambda d: _chain(d)["fields"]["layers"]["items"][0]["fields"].update(units=10**15),
            "needs .* parameters",
        ),
        (lambda d: _chain(d)["fields"]["layers"]["items"][0]["fields"].update(units="many"), "units='many'"),
        (lambda d: _likelihood(d)["options"].update(dtype="object"), "no known dtype"),
        (lambda d: _likelihood(d)["link"].update(name="exec"), "unknown link"),
        (lambda d: _likelihood(d)["family"]["value"]["items"][0].__setitem__(1, "exec"), "unknown family"),
        (lambda d: d.update(model=[]), "indices must be integers"),
    ],
)
def test_hostile_documents(change, message, path, tmp_path):
    refused(rewritten(path, tmp_path / "f", change), message)


def _likelihood(document):
    return document["model"]["fitted"]["fit_"]["fields"]["likelihood"]


def _chain(document):
    return _likelihood(document)["network"]["fields"]["chain"]


def npy(header, body=b""):
    text = header.encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + body


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pickle.dumps(np.arange(3.0)), "does not begin as an .npy file"),
        (
            npy("{'descr': '|O8', 'fortran_order': False, 'shape': (5,), }\n", pickle.dumps([1])),
            "document says",
        ),
        (npy("{'descr': '<f8', 'fortran_order': False, 'shape': (999999999999,), }\n"), "document says"),
        (npy("{'descr': '<f8', 'fortran_order': False, 'shape': (5,), }\n", b"short"), "has 5 bytes"),
        (npy("{'descr': '<f8', 'fortran_order': True, 'shape': (5,), }\n", bytes(40)), "does not begin"),
        (npy("__import__('os').system('true')\n"), "does not begin"),
        (npy("(" * 5000 + "\n"), "does not begin"),
        (b"", "does not begin"),
    ],
)
def test_hostile_arrays(content, message, path, tmp_path):
    refused(rewritten(path, tmp_path / "f", members={archive.member(0): content}), message)


def test_members_that_do_not_belong(path, tmp_path):
    refused(rewritten(path, tmp_path / "a", members={"../../evil.py": b"x"}), "are not those its document lists")
    refused(rewritten(path, tmp_path / "b", members={"/etc/evil": b"x"}), "are not those its document lists")
    refused(rewritten(path, tmp_path / "c", members={archive.member(0): None}), "are not those its document lists")
    refused(rewritten(path, tmp_path / "d", members={archive.DOCUMENT: None}), "has no member 'model.json'")
    refused(rewritten(path, tmp_path / "e", members={archive.DOCUMENT: b"[" * 10**6}), "cannot be parsed")
    refused(rewritten(path, tmp_path / "f", members={archive.DOCUMENT: b"\xff"}), "cannot be parsed")
    assert not (tmp_path.parent / "evil.py").exists()


def test_zip_bombs_are_refused_before_they_are_read(path, tmp_path, monkeypatch):
    bomb = rewritten(
        path, tmp_path / "bomb", members={archive.member(0): bytes(10**7)}, compression=zipfile.ZIP_DEFLATED
    )
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *a: pytest.fail("read a member"))
    refused(bomb, "is compressed")


def test_overlapping_members_are_refused(path, tmp_path):
    content = bytearray(path.read_bytes())
    # every entry of the central directory claims all of the file
    start = 0
    while (start := content.find(b"PK\x01\x02", start)) >= 0:
        content[start + 20 : start + 28] = struct.pack("<II", len(content), len(content))
        start += 4
    (tmp_path / "f").write_bytes(bytes(content))
    refused(tmp_path / "f", "more bytes than the file has")


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")  # what zipfile says when it writes the file
def test_two_members_of_one_name(path, tmp_path):
    with zipfile.ZipFile(rewritten(path, tmp_path / "f"), "a") as file:
        file.writestr(archive.DOCUMENT, b"{}")
    refused(tmp_path / "f", "two members have the same name")
