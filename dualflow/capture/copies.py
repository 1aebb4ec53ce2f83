"""Instrumented copies of functions: made once in a process, and kept on disk for the next.

Comes in: the code of a function. Goes out: its `Copy`. On disk it lies beside the kernels, under
the hash of the code and of the file that the function is in: what is read to make it. So a process
that runs what an earlier one has run parses no source.
"""

from __future__ import annotations

import marshal
import os
from types import CodeType
from typing import Any
from weakref import ref

from dualflow.base.digest import hashed
from dualflow.runtime import cache as disk
from dualflow.runtime import helper

from .instrument import Copy, instrument, instrument_node
from .locate import FunctionNode, Module, NoSource, text_of
from .slots import Refused

#: by the id of the code, which the weak reference keeps from meaning another one later
_copies: dict[tuple[int, bool], tuple[ref[CodeType], Copy | Refused | NoSource]] = {}


def instrumented(code: CodeType, namespace: dict[str, Any], ends: bool = False) -> Copy:
    """The instrumented copy of `code`; made once. A generator with try or with must be known to
    end before the call (`ends`).

    Raises:
        Refused: it has a construct that is not in the table.
        NoSource: its source cannot be had.
    """
    key = id(code), ends
    entry = _copies.get(key)
    if entry is not None:
        found = entry[1]
    else:
        try:
            found = _kept(code, namespace, ends)
        except (Refused, NoSource) as reason:
            found = reason.with_traceback(None)
        _copies[key] = ref(code, lambda _, pop=_copies.pop: pop(key, None)), found
    if isinstance(found, Copy):
        return found
    raise _again(found)


def _again(reason: Refused | NoSource) -> Refused | NoSource:
    """A reason like one that is kept, which must not keep the frames that it is raised through."""
    made = type(reason).__new__(type(reason), *reason.args)
    vars(made).update(vars(reason))
    return made


def add(code: CodeType, node: FunctionNode, cls: str | None, module: Module) -> None:
    """Enter the copy of `code`, which no file holds: it was compiled from `node`."""
    try:
        found: Copy | Refused = instrument_node(code, node, cls, module)
    except Refused as reason:
        found = reason.with_traceback(None)
    key = id(code), False
    _copies[key] = ref(code, lambda _, pop=_copies.pop: pop(key, None)), found


def _kept(code: CodeType, namespace: dict[str, Any], ends: bool) -> Copy:
    """From disk, or made now and kept there."""
    text = text_of(code, namespace)
    parts = marshal.dumps((code, ends), 2), text.encode("utf-8", "surrogatepass")
    stamp = disk.stamp(os.path.dirname(__file__)).encode()  # of all hooks that a copy may call
    hashes = [hashed(part).digest() for part in (*parts, stamp)]
    name = hashed(b"".join(hashes)).hexdigest()
    data = disk.fetch(name, disk.COPY)
    if data is not None:
        return Copy(*marshal.loads(data))
    helper.begin()  # what is recorded for the first time has no kernels on disk either
    made = instrument(code, text, ends)
    disk.store(name, marshal.dumps(tuple(made)), "", disk.COPY)
    return made
