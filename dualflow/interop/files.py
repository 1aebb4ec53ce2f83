"""Tensors in files, in the safetensors format: names, dtypes, shapes and values, no code."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from dualflow import api as df
from dualflow.base.dtypes import as_dtype, complex128
from dualflow.base.errors import ArgumentError, DTypeError, FileError
from dualflow.ops.operands import own

FilePath = str | os.PathLike[str]
#: the format's names of dtypes that NumPy lacks
_ADDED = {"BF16": "bfloat16", "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2"}


def save(
    tensors: Mapping[str, df.Tensor], path: FilePath, metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors to a safetensors file, which appears whole or not at all.

    Args:
        tensors: by name; NumPy arrays too, but no complex128, which the format lacks.
        path: the file, replaced if it exists.
        metadata: texts to keep beside them.

    Raises:
        ArgumentError: `tensors` is no mapping, a name no text, or a value no tensor.
        DTypeError: a tensor of complex128.
        OSError: the file cannot be written.

    >>> import dualflow as df, tempfile
    >>> path = f"{tempfile.mkdtemp()}/model.safetensors"
    >>> df.save({"weight": df.ones(2)}, path)
    >>> df.load(path)["weight"].tolist()
    [1.0, 1.0]
    """
    if not isinstance(tensors, Mapping):
        raise ArgumentError(f"a {type(tensors).__name__} to be saved",
                            instead='save({"name": tensor}, path)')  # fmt: skip
    arrays = {_name(name): _packed(name, value) for name, value in tensors.items()}
    target = Path(path)
    handle, beside = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    os.close(handle)
    try:
        save_file(arrays, beside, None if metadata is None else dict(metadata))
        os.chmod(beside, 0o666 & ~_umask())
        os.replace(beside, target)
    except BaseException:
        os.unlink(beside)
        raise


def _name(name: Any) -> str:
    if not isinstance(name, str):
        raise ArgumentError(f"a name of type {type(name).__name__}", instead="a string")
    return name


def _packed(name: str, value: Any) -> np.ndarray:
    if not isinstance(value, (df.Tensor, np.ndarray)):
        raise ArgumentError(f"a {type(value).__name__} to be saved as {name!r}",
                            instead="a tensor or an array")  # fmt: skip
    array = df.asarray(value).numpy()
    if array.dtype == complex128:
        raise DTypeError(f"{name!r} of complex128 in a safetensors file",
                         why="the format has no such dtype",
                         instead="its real and imag, or astype(complex64)")  # fmt: skip
    return np.asarray(array, order="C")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def load(path: FilePath, names: Iterable[str] | None = None) -> dict[str, df.Tensor]:
    """The tensors of a safetensors file by name.

    Args:
        path: the file.
        names: which of them; None for all.

    Raises:
        FileError: the file is damaged, or of another format.
        ArgumentError: a name that is not in it.
        OSError: the file cannot be read.

    >>> import dualflow as df, tempfile
    >>> path = f"{tempfile.mkdtemp()}/model.safetensors"
    >>> df.save({"weight": df.ones(2), "bias": df.zeros(1)}, path)
    >>> sorted(df.load(path)), sorted(df.load(path, ["bias"]))
    (['bias', 'weight'], ['bias'])
    """
    try:
        with safe_open(os.fspath(path), framework="numpy") as file:
            found = file.keys()
            wanted = list(found if names is None else names)
            for name in wanted:
                if name not in found:
                    raise ArgumentError(f"no tensor {name!r} in {os.fspath(path)}",
                                        instead=f"one of {sorted(found)}")  # fmt: skip
            return {name: own(_array(file, path, name)) for name in wanted}
    except SafetensorError as cause:
        raise FileError(f"{os.fspath(path)} as a safetensors file: {cause}") from cause


def _array(file: Any, path: FilePath, name: str) -> np.ndarray:
    """The values of a tensor of an open file, which is known to be sound."""
    part = file.get_slice(name)
    added = _ADDED.get(part.get_dtype())
    if added is None:
        return file.get_tensor(name)
    with open(path, "rb") as raw:
        length = int.from_bytes(raw.read(8), "little")
        first, end = json.loads(raw.read(length))[name]["data_offsets"]
        raw.seek(8 + length + first)
        values = np.frombuffer(bytearray(raw.read(end - first)), as_dtype(added))
    return values.reshape(part.get_shape())


def metadata(path: FilePath) -> dict[str, str]:
    """The texts that `save` kept beside the tensors of a safetensors file.

    Raises:
        FileError, OSError: see `load`.
    """
    try:
        with safe_open(os.fspath(path), framework="numpy") as file:
            return dict(file.metadata() or {})
    except SafetensorError as cause:
        raise FileError(f"{os.fspath(path)} as a safetensors file: {cause}") from cause
