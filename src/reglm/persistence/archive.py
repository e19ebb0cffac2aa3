"""The file of a saved model: a zip of one JSON document and plain NumPy arrays.

A file is treated as hostile. Nothing is extracted to disk and nothing is unpickled; members are stored
uncompressed, so that a reader never needs more memory than the file has bytes; headers of arrays are checked
against the document before a number is read.
"""

from __future__ import annotations

import json
import math
import os
import re
import tempfile
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from reglm.parameters import Array

FORMAT = "reglm model"
VERSION = 1
DOCUMENT = "model.json"
DTYPES = frozenset({"|b1", "|i1", "|u1", *(f"<{kind}{size}" for kind in "iu" for size in (2, 4, 8)), "<f4", "<f8"})
"""Types of arrays a file may hold: little-endian numbers, never objects."""

HEADER = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '([^']{3})', 'fortran_order': False, 'shape': \(([\d, ]*)\), \} *\n",
    re.DOTALL,
)
"""Beginning of an .npy file of version 1.0."""


def member(index: int) -> str:
    """Name of an array's member."""
    return f"arrays/{index}.npy"


def storable(array: Array) -> bool:
    """Whether an array is of a type that files hold."""
    return array.dtype.newbyteorder("<").str in DTYPES


def write(path: str | os.PathLike[str], model: Any, arrays: list[Array], written_by: str) -> None:
    """Write a document and its arrays; an existing file is replaced only once the new one is complete.

    Parameters
    ----------
    path : path
    model : JSON-able
    arrays : list of ndarray
        Of types in `DTYPES`.
    written_by : str
        Version of the package.
    """
    arrays = [np.ascontiguousarray(a, dtype=a.dtype.newbyteorder("<")).reshape(a.shape) for a in arrays]
    described = [{"dtype": a.dtype.str, "shape": list(a.shape)} for a in arrays]
    document = {
        "format": FORMAT, "version": VERSION, "written_by": written_by, "arrays": described, "model": model,
    }  # fmt: skip
    target = Path(path)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(descriptor, "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            text = json.dumps(document, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
            archive.writestr(zipfile.ZipInfo(DOCUMENT), text.encode())
            for index, array in enumerate(arrays):
                buffer = BytesIO()
                np.lib.format.write_array(buffer, array, version=(1, 0), allow_pickle=False)
                archive.writestr(zipfile.ZipInfo(member(index)), buffer.getbuffer())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise


def _umask() -> int:
    """Permissions that new files are denied; `mkstemp` denies more."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def read(path: str | os.PathLike[str]) -> tuple[Any, list[Array]]:
    """Document and arrays of a file.

    Raises
    ------
    ValueError
        If the file is not a saved model, is damaged, or holds anything a saved model does not.
    OSError
        If it cannot be opened.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = _members(archive, os.path.getsize(path))
            document = _document(archive, members)
            arrays = document["arrays"]
            if set(members) != {DOCUMENT, *(member(i) for i in range(len(arrays)))}:
                raise ValueError(f"its members {_short(sorted(members))} are not those its document lists")
            return document["model"], [
                _array(archive.read(members[member(i)]), described) for i, described in enumerate(arrays)
            ]
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise ValueError(f"not a zip file, damaged or encrypted ({error})") from None


def _members(archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """Members by name, after checking that none is compressed and all fit into the file."""
    members = {info.filename: info for info in archive.infolist()}
    if len(members) != len(archive.infolist()):
        raise ValueError("two members have the same name")
    for name, info in members.items():
        if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
            raise ValueError(f"member {_short(name)} is compressed; saved models store their members as they are")
    if sum(info.file_size for info in members.values()) > size:
        raise ValueError("its members claim more bytes than the file has")
    if DOCUMENT not in members:
        raise ValueError(f"it has no member {DOCUMENT!r}")
    return members


def _document(archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo]) -> dict[str, Any]:
    """Parse the document, checking format, version and the list of arrays."""
    try:
        document = json.loads(archive.read(members[DOCUMENT]).decode())
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{DOCUMENT} cannot be parsed ({error})") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ValueError(f"{DOCUMENT} does not describe a {FORMAT}")
    version = document.get("version")
    if version != VERSION:
        raise ValueError(
            f"it has format version {_short(version)} of reglm {_short(document.get('written_by'))}; this "
            f"reglm reads version {VERSION}: install the one that wrote it"
        )
    if not isinstance(document.get("arrays"), list) or "model" not in document:
        raise ValueError(f"{DOCUMENT} lists no arrays or no model")
    return document


def _array(content: bytes, described: Any) -> Array:
    """Array from the bytes of an .npy member, whose header must say what the document says.

    The header is matched, not evaluated: NumPy's own reader runs a Python parser over it.
    """
    header = HEADER.match(content)
    if header is None or header.end() != 10 + int.from_bytes(content[8:10], "little"):
        raise ValueError(f"an array does not begin as an .npy file of version 1.0 does: {_short(content[:40])}")
    dtype, shape = header[1].decode(), [int(size) for size in header[2].decode().split(",") if size.strip()]
    if described != {"dtype": dtype, "shape": shape} or dtype not in DTYPES:
        raise ValueError(f"an array is {dtype}{_short(shape)} where the document says {_short(described)}")
    numbers = content[header.end() :]
    if len(numbers) != math.prod(shape) * np.dtype(dtype).itemsize:
        raise ValueError(f"an array of shape {_short(shape)} has {len(numbers)} bytes")
    return np.frombuffer(numbers, dtype).reshape(shape).astype(np.dtype(dtype).newbyteorder("="))


def _short(value: Any) -> str:
    """Part of an untrusted value, fit for a message."""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
