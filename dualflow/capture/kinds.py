"""Kinds of Python values that many rooms treat alike."""

from __future__ import annotations

import enum
import functools
import io
import threading
import types
from collections import Counter, OrderedDict, defaultdict, deque

import numpy as np

from dualflow.base.dtypes import BY_NAME
from dualflow.ops.functions.information import FloatInfo, IntegerInfo, NamespaceInfo

from .values import Unchanging

#: objects that are what they are: known by identity, with nothing in them that changes
FIXED = (
    types.ModuleType, types.BuiltinFunctionType, type, np.dtype, enum.Enum, np.ufunc, FloatInfo,
    IntegerInfo, NamespaceInfo, Unchanging,
)  # fmt: skip
#: what instances of subclasses are, if their classes leave it at that, numbers as well
NUMERIC = (int, float, complex)
#: what is looked up and stored in as in a dict; of other keys than a dict's they make values
DICTS = (dict, Counter, defaultdict, OrderedDict)
#: the views of a dict: its keys, values and items
VIEWS = (type({}.keys()), type({}.values()), type({}.items()))
SEQUENCES = (list, tuple, deque)
SIZED = frozenset([*DICTS, *SEQUENCES, set, frozenset, str, bytes])
#: functions with a cache
CACHED: type = type(functools.cache(len))
#: streams of text: writing into them changes nothing else
STREAMS = (io.StringIO, io.TextIOWrapper)
LOCKS = (type(threading.Lock()), type(threading.RLock()))
#: a flag of classes that are no part of the interpreter
HEAP = 1 << 9
#: what is not there
MISSING = object()
#: the types of NumPy scalars that stand-ins can have
SCALAR_TYPES: frozenset[type] = frozenset(dtype.type for dtype in BY_NAME.values())
#: arrays and scalars of NumPy that can be noted
TYPES: frozenset[type] = SCALAR_TYPES | {np.ndarray}
