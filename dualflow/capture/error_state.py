"""NumPy's error state: whether it may be left unlooked at while a program runs."""

from __future__ import annotations

from typing import Any

import numpy as np

#: NumPy's error state, as one object that changes whenever the state does
error_state: Any = getattr(np._core._ufunc_config, "_extobj_contextvar", None)  # type: ignore[attr-defined]

_quiet: list[Any] = []


def errors_are_quiet() -> bool:
    """Whether NumPy ignores or warns of floating-point errors, and does nothing more."""
    state = error_state.get() if error_state is not None else None
    if state is not None:
        for known_state in _quiet:
            if state is known_state:
                return True
    quiet = set(np.geterr().values()) <= {"ignore", "warn"}
    if quiet and state is not None and len(_quiet) < 16:
        _quiet.append(state)
    return quiet
