"""The command line: what it prints and writes, and one clear line where the user erred."""

import re
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

import reglm
from reglm import RecursiveGLMRegressor, datasets
from reglm.cli import main

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """CSV file of simulated claims."""
    path = tmp_path_factory.mktemp("tables") / "claims.csv"
    frame = datasets.simulate_claims(600, seed=2).frame
    frame.assign(new=np.where(frame["vehicle_age"] == 0, "yes", "no")).to_csv(path, index=False)
    return path


class Page(HTMLParser):
    """Tags and the addresses they load."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.loaded = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.loaded += [value for name, value in attributes if name in ("src", "href", "srcset", "data")]


def check_page(path, figures):
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert page.tags.count("img") == figures
    assert all(address.startswith("data:image/svg+xml;base64,") for address in page.loaded)
    assert "url(" not in text
    assert "@import" not in text
    return text


def fails(capsys, *arguments):
    """Return the line on stderr of a command that must fail."""
    assert main([str(a) for a in arguments]) == 2
    err = capsys.readouterr().err.splitlines()
    assert len(err) == 1, err
    assert err[0].startswith("reglm: error: ")
    return err[0]


def test_version(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--version"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out == f"reglm {reglm.__version__}\n"


def test_help_names_the_commands(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    assert all(command in text for command in ("demo", "fit", "predict"))


def test_no_command_exits_with_2():
    run = subprocess.run([sys.executable, "-m", "reglm.cli"], capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert "Traceback" not in run.stderr


def test_help_loads_nothing_heavy():
    code = "import sys, reglm.cli; reglm.cli.parser(); print(*{name.split('.')[0] for name in sys.modules})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"numpy", "sklearn", "pytensor", "pandas", "rich", "matplotlib"} & set(run.stdout.split())


def test_demo(tmp_path, capsys):
    path = tmp_path / "demo.html"
    assert main(["demo", "--rows", "1000", "--output", str(path)]) == 0
    captured = capsys.readouterr()
    for said in ("Generalized Linear Model Results", "Recursive Generalized", "gradient boosting", "null"):
        assert said in captured.out
    for said in ("AR-GLM", "RNN", "LSTM", "HMM", "linear-Gaussian"):
        assert said in captured.out
    text = check_page(path, figures=3)
    for said in ("lncoins", "kernel ridge (RBF)", "held-out deviance", "LSTM"):
        assert said in text


def test_fit_saves_and_predict_reads(table, tmp_path, capsys):
    model, page, out = (tmp_path / name for name in ("m.reglm", "m.html", "out.csv"))
    formula = "claims ~ driver_age + C(region) + new"
    arguments = ["fit", table, formula, "--family", "poisson", "--exposure", "exposure", "--hidden", "3"]
    arguments += ["--alpha", "1", "--seed", "5", "--save", model, "--output", page]
    assert main([str(a) for a in arguments]) == 0
    assert "6-3-1 tanh" in capsys.readouterr().out
    assert "claims ~ driver_age" in check_page(page, figures=3)
    assert main(["predict", str(model), str(table), "-o", str(out)]) == 0
    frame = pd.read_csv(table)
    direct = RecursiveGLMRegressor.from_formula(
        formula, frame, family="poisson", exposure="exposure", hidden=(3,), alpha=1.0, random_state=5
    )
    written = pd.read_csv(out)
    np.testing.assert_allclose(written.pop("fitted"), direct.predict(frame), rtol=1e-12)
    pd.testing.assert_frame_equal(written, frame)


def test_fit_classes(table, tmp_path, capsys):
    model = tmp_path / "m.reglm"
    arguments = ["fit", table, "new ~ driver_age + power", "--family", "bernoulli", "--save", model]
    assert main([str(a) for a in arguments]) == 0
    capsys.readouterr()
    assert main(["predict", str(model), str(table)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("new,P(no),P(yes)")
    shares = np.array([line.split(",")[-2:] for line in lines[1:]], dtype=float)
    np.testing.assert_allclose(shares.sum(axis=1), 1.0)


def test_tab_separated(table, tmp_path, capsys):
    frame = pd.read_csv(table)
    frame.to_csv(tmp_path / "t.tsv", sep="\t", index=False)
    summaries = []
    for arguments in (["fit", table], ["fit", tmp_path / "t.tsv", "--sep", "\\t"]):
        assert main([*map(str, arguments), "power ~ driver_age"]) == 0
        summaries.append(capsys.readouterr().out)
    assert summaries[0] == summaries[1]


def test_parquet(table, tmp_path, capsys):
    pytest.importorskip("pyarrow")
    pd.read_csv(table).to_parquet(tmp_path / "t.parquet")
    assert main(["fit", str(tmp_path / "t.parquet"), "power ~ driver_age"]) == 0
    assert "driver_age" in capsys.readouterr().out
    (tmp_path / "noise.parquet").write_bytes(b"noise")
    assert "cannot be read as a parquet file" in fails(capsys, "fit", tmp_path / "noise.parquet", "y ~ x")


@pytest.mark.parametrize(
    ("formula", "options", "message"),
    [
        ("claims ~ agee", [], "agee"),
        ("claims ~ driver_age", ["--exposure", "years"], "years"),
        ("claims ~ driver_age + (", [], "cannot be read"),
        ("claims", [], "response ~ terms"),
        ("claims ~ __import__('os').system('true')", [], "formula"),
        ("region ~ driver_age", ["--family", "poisson"], "'region' holds text"),
        ("claims ~ driver_age", ["--family", "poison"], "unknown family 'poison'"),
        ("claims ~ driver_age", ["--family", "gamma"], "y"),
        ("claims ~ driver_age", ["--family", "beta"], "y"),
        ("claims ~ driver_age", ["--family", "poisson", "--link", "lug"], "lug"),
        ("claims ~ driver_age", ["--solver", "magic"], "magic"),
        ("claims ~ driver_age", ["--alpha", "-1"], "alpha=-1.0"),
        ("claims ~ driver_age", ["--hidden", "2", "--activation", "swoosh"], "swoosh"),
        ("claims ~ driver_age", ["--restarts", "0"], "n_init=0"),
        ("claims ~ driver_age", ["--output", "/nowhere/report.html"], "/nowhere/report.html"),
        ("claims ~ driver_age", ["--save", "/nowhere/model.reglm"], "/nowhere/"),
    ],
)
def test_mistakes_get_one_line_and_status_2(table, capsys, formula, options, message):
    assert message in fails(capsys, "fit", table, formula, *options)


def test_unreadable_files(tmp_path, table, capsys):
    empty, noise, ragged, bare = (tmp_path / name for name in ("a.csv", "b.csv", "c.csv", "d.csv"))
    empty.write_text("")
    noise.write_bytes(bytes(range(128, 256)))
    ragged.write_text("y,x\n1,2\n1,2,3,4\n")
    bare.write_text("y,x\n")
    assert "No such file or directory" in fails(capsys, "fit", tmp_path / "none.csv", "y ~ x")
    assert str(tmp_path) in fails(capsys, "fit", tmp_path, "y ~ x")
    for path in (empty, noise, ragged):
        assert "cannot be read as a CSV file" in fails(capsys, "fit", path, "y ~ x")
    assert "has no rows" in fails(capsys, "fit", bare, "y ~ x")
    assert "not a readable reglm model" in fails(capsys, "predict", table, table)


@pytest.mark.parametrize(
    ("y", "family", "message"),
    [
        ([1, -2, 3, 4], "poisson", "-2"),
        ([1, 2, np.inf, 4], "gaussian", "inf"),
        ([1, 2, np.nan, 4], "gaussian", "NaN|nan|missing"),
        ([0, 1, 2, 1], "bernoulli", "multinomial"),
        ([1, 1, 1, 1], "bernoulli", "one class"),
    ],
)
def test_impossible_responses(tmp_path, capsys, y, family, message):
    path = tmp_path / "t.csv"
    pd.DataFrame({"y": y, "x": [0.0, 1.0, 0.5, 2.0]}).to_csv(path, index=False)
    assert re.search(message, fails(capsys, "fit", path, "y ~ x", "--family", family))


def test_bad_widths(table, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["fit", str(table), "claims ~ power", "--hidden", "many"])
    assert stopped.value.code == 2
    assert "not a list of widths like 16,8" in capsys.readouterr().err


def test_warnings_become_lines(tmp_path, capsys):
    path = tmp_path / "t.csv"
    pd.DataFrame({"y": [0, 0, 0, 1, 1, 1], "x": range(6)}).to_csv(path, index=False)
    assert main(["fit", str(path), "y ~ x", "--family", "bernoulli"]) == 0
    err = capsys.readouterr().err
    assert re.match(r"reglm: warning: RecursiveGLMClassifier: .*add a penalty", err)
    assert len(err.splitlines()) == 1


def test_debug_shows_the_traceback(table):
    with pytest.raises(ValueError, match="agee"):
        main(["--debug", "fit", str(table), "claims ~ agee"])
