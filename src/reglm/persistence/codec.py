"""Objects of a fitted model as JSON with arrays beside it, and back.

What is not a JSON value becomes ``{"$": kind, ...}``. Kinds and class names are looked up in fixed tables;
nothing is imported or called by a name that a file gives.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass, replace
from typing import Any

import numpy as np
from scipy import sparse

from reglm import families, links
from reglm.estimators.design import Design
from reglm.estimators.formula import FormulaDesign
from reglm.families import Family
from reglm.layers import Layer
from reglm.likelihood import Likelihood
from reglm.links import Link
from reglm.network import Network
from reglm.parameters import INITIALISERS, Array, Spec
from reglm.persistence.archive import storable
from reglm.persistence.models import described, is_estimator, rebuilt
from reglm.persistence.tables import KERNELS, RECORDS, Unstorable, name_of, named
from reglm.record import Fit

TAG = "$"


class Encoder:
    """Turns values into JSON, collecting arrays.

    Attributes
    ----------
    arrays : list of ndarray
    dropped : list of str
        Options that were left at their defaults because they are functions or the like.
    """

    def __init__(self) -> None:
        self.arrays: list[Array] = []
        self.dropped: list[str] = []
        self._places: dict[int, tuple[int, Array]] = {}

    def __call__(self, value: Any) -> Any:
        """JSON form of a value.

        Raises
        ------
        Unstorable
            For types without one.
        """
        if value is None or type(value) in (bool, int, str):
            return value
        named = next((name for name, function in INITIALISERS.items() if function is value), None)
        if named is not None:
            return named
        for table, form in ((RECORDS, self._record), (KERNELS, self._kernel)):
            name = name_of(value, table)
            if name is not None:
                return form(value, name)
        if is_estimator(value):
            return {TAG: "estimator", **described(value, self)}
        for kinds, form_of in self._forms():
            if isinstance(value, kinds):
                return form_of(value)
        raise Unstorable(f"{type(value).__name__} object {value!r:.60}{_hint(value)}")

    def _forms(self) -> tuple[tuple[Any, Callable[[Any], Any]], ...]:
        return (
            (np.generic, lambda v: self(v.item())),
            (str, str),
            (float, _number),
            (np.ndarray, self._array),
            (list, lambda v: [self(item) for item in v]),
            (tuple, self._tuple),
            (dict, lambda v: {TAG: "dict", "items": [[self(k), self(item)] for k, item in v.items()]}),
            (Layer, lambda v: self._by_fields(v, "layer", type(v).__name__)),
            (Family, lambda v: {TAG: "family", "value": self(v.to_dict())}),
            (Link, lambda v: {TAG: "link", "name": v.name}),
            (Design, lambda v: {TAG: "design", "value": self(v.to_dict())}),
            (FormulaDesign, lambda v: {TAG: "formula", "value": self(v.to_dict())}),
            (Likelihood, self._likelihood),
            (sparse.csr_matrix, self._sparse),
            (sparse.csr_array, self._sparse),
        )

    def _tuple(self, value: tuple[Any, ...]) -> Any:
        if type(value) is not tuple:  # a named one is a record, or the loaded model would lack its names
            raise Unstorable(f"{type(value).__name__}")
        return {TAG: "tuple", "items": [self(item) for item in value]}

    def _array(self, array: Array) -> Any:
        if not storable(array):
            if array.dtype.kind not in "OU":
                raise Unstorable(f"array of {array.dtype}")
            kind = "text" if array.dtype.kind == "U" else "objects"
            return {TAG: kind, "shape": list(array.shape), "items": [self(v) for v in array.ravel().tolist()]}
        turned = array.flags.f_contiguous and not array.flags.c_contiguous  # the order in memory decides about rounding
        place, _ = self._places.setdefault(id(array), (len(self.arrays), array))  # parts of a fit share arrays
        if place == len(self.arrays):
            self.arrays.append(array.T if turned else array)
        return {TAG: "transposed" if turned else "array", "index": place}

    def _sparse(self, matrix: Any) -> Any:
        parts = {name: self(getattr(matrix, name)) for name in ("data", "indices", "indptr")}
        return {TAG: "csr", "shape": list(matrix.shape), "matrix": isinstance(matrix, sparse.spmatrix), **parts}

    def _kernel(self, kernel: Any, name: str) -> Any:
        given = {key: self(value) for key, value in kernel.get_params(deep=False).items()}
        return {TAG: "kernel", "name": name, "fields": given}

    def _record(self, value: Any, name: str) -> Any:
        value = without_data(value) if isinstance(value, Fit) else value
        return self._by_fields(value.stored() if hasattr(value, "stored") else value, "record", name)

    def _by_fields(self, value: Any, kind: str, name: str) -> Any:
        found = {
            field: self.option(f"{name}({field}=...)", getattr(value, field), default)
            for field, default in _arguments(value)
        }
        return {TAG: kind, "name": name, "fields": found}

    def option(self, name: str, value: Any, default: Any) -> Any:
        """JSON form of an option; one that is a function or the like is left at its default and noted."""
        try:
            return self(value)
        except Unstorable:
            if default is MISSING:
                raise
            self.dropped.append(name)
            return self(default)

    def _likelihood(self, value: Likelihood) -> Any:
        specs = [{"name": s.name, "shape": list(s.shape), "penalised": s.penalised} for s in value.shape_specs]
        options = {"dtype": value.dtype, "backend": value.backend, "is_sparse": value.is_sparse}
        return {
            TAG: "likelihood", "network": self(value.network), "family": self(value.family), "link":
            self(value.link), "options": options, "shape_specs": specs, "buffers": {k: self(v) for k, v in
            value.buffers.items()},
        }  # fmt: skip


def _hint(value: Any) -> str:
    """What to do about a kernel that no file can hold."""
    modules = {kind.__module__ for kind in type(value).__mro__}
    if modules.isdisjoint({"reglm.kernels.grams", "sklearn.gaussian_process.kernels"}):
        return ""
    return f"; files hold kernels by name and parameters, the names of scikit-learn or of {tuple(KERNELS)}"


def without_data(fit: Fit) -> Fit:
    """Return a fit without its training rows, and of its details what a summary shows, numbers and words."""
    shown = ("aliased", "levels")
    details = {k: v for k, v in fit.details.items() if k in shown or isinstance(v, (str, int, float))}
    restarts = [replace(restart, theta=np.zeros(0)) for restart in fit.restarts]
    return replace(fit, data=None, details=details, restarts=restarts, refit=None)


def _arguments(value: Any) -> Iterator[tuple[str, Any]]:
    """Names of the arguments that make a record, with their defaults."""
    if is_dataclass(value):
        yield from ((f.name, _default(f)) for f in fields(value) if f.init)
    else:
        for p in inspect.signature(type(value)).parameters.values():
            yield p.name, MISSING if p.default is p.empty else p.default


def _default(f: Field[Any]) -> Any:
    return f.default if f.default_factory is MISSING else f.default_factory()


def _number(value: float) -> Any:
    value = float(value)
    return value if math.isfinite(value) else {TAG: "float", "value": repr(value)}


class Decoder:
    """Turns JSON back into values.

    Parameters
    ----------
    arrays : list of ndarray
    """

    def __init__(self, arrays: list[Array]) -> None:
        self.arrays = arrays
        self.numbers = sum(array.size for array in arrays)
        self._forms: dict[str, Callable[[Mapping[str, Any]], Any]] = {
            "float": lambda v: {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}[v["value"]],
            "array": lambda v: self.arrays[_index(v["index"])],
            "transposed": lambda v: self.arrays[_index(v["index"])].T,
            "text": lambda v: np.array(self(v["items"]), dtype=str).reshape(_sizes(v["shape"])),
            "objects": self._objects,
            "tuple": lambda v: tuple(self(v["items"])),
            "dict": lambda v: {self(key): self(item) for key, item in v["items"]},
            "layer": self._layer,
            "record": lambda v: self._record(v, RECORDS),
            "kernel": lambda v: self._record(v, KERNELS),
            "csr": self._sparse,
            "estimator": lambda v: rebuilt(v, self),
            "family": lambda v: families.from_dict(self(v["value"])),
            "link": lambda v: links.get(v["name"]),
            "design": lambda v: Design.from_dict(self(v["value"])),
            "formula": lambda v: FormulaDesign.from_dict(self(v["value"])),
            "likelihood": self._likelihood,
        }

    def __call__(self, value: Any) -> Any:
        """Return the value that an `Encoder` turned into `value`.

        Raises
        ------
        ValueError
            For kinds and names that are not in the tables, and for sizes that do not agree.
        """
        if isinstance(value, list):
            return [self(item) for item in value]
        if not isinstance(value, dict):
            return value
        if value.get(TAG) not in self._forms:
            raise ValueError(f"kind {value.get(TAG)!r:.60} is not known")
        return self._forms[value[TAG]](value)

    def _objects(self, value: Mapping[str, Any]) -> Array:
        array = np.empty(len(value["items"]), dtype=object)
        array[:] = [self(item) for item in value["items"]]
        return array.reshape(_sizes(value["shape"]))

    def _sparse(self, value: Mapping[str, Any]) -> Any:
        parts = tuple(self(value[name]) for name in ("data", "indices", "indptr"))
        made = sparse.csr_matrix if value["matrix"] else sparse.csr_array
        found = made(parts, shape=_sizes(value["shape"]))
        found.check_format(full_check=True)
        return found

    def _layer(self, value: Mapping[str, Any]) -> Any:
        name = value["name"]
        if name not in Layer.registry:
            raise ValueError(f"class {name!r:.60} is not known; import the module that defines it first")
        return Layer.registry[name](**self._fields(value))

    def _record(self, value: Mapping[str, Any], table: dict[str, str]) -> Any:
        record = named(value["name"], table)(**self._fields(value))
        if isinstance(record, Fit):
            _check_sizes(record)
        return record

    def _fields(self, value: Mapping[str, Any]) -> dict[str, Any]:
        return {key: self(item) for key, item in value["fields"].items()}

    def _likelihood(self, value: Mapping[str, Any]) -> Likelihood:
        network, options = self(value["network"]), value["options"]
        if not isinstance(network, Network) or options["dtype"] not in ("float64", "float32"):
            raise ValueError("the likelihood has no network or no known dtype")
        specs = [Spec(str(s["name"]), _sizes(s["shape"]), penalised=bool(s["penalised"])) for s in value["shape_specs"]]
        if network.layout().size > self.numbers:
            raise ValueError(
                f"the network needs {network.layout().size} parameters, the file has {self.numbers} numbers"
            )
        likelihood = Likelihood(
            network, self(value["family"]), self(value["link"]), dtype=options["dtype"],
            backend=str(options["backend"]), is_sparse=bool(options["is_sparse"]), shape_specs=specs,
        )  # fmt: skip
        buffers = {name: self(item) for name, item in value["buffers"].items()}
        for name, expected in likelihood.buffers.items():
            if buffers[name].shape != expected.shape or buffers[name].dtype != expected.dtype:
                raise ValueError(f"buffer {name!r} has shape {buffers[name].shape}, not {expected.shape}")
        likelihood.buffers = {name: buffers[name] for name in likelihood.buffers}
        return likelihood


def _index(value: Any) -> int:
    if not isinstance(value, int) or value < 0:
        raise ValueError(f"array number {value!r:.60} is not a number from 0")
    return value


def _sizes(shape: Any) -> tuple[int, ...]:
    return tuple(_index(size) for size in shape)


def _check_sizes(fit: Fit) -> None:
    """Raise unless parameters and penalties are vectors of the length that the network needs."""
    size = fit.likelihood.layout.size
    for name in ("theta", "penalty", "l1"):
        found = getattr(fit, name)
        if not isinstance(found, np.ndarray) or found.shape != (size,) or found.dtype.kind != "f":
            raise ValueError(f"{name} must hold {size} floating-point numbers")
