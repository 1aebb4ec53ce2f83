"""Settings: one frozen record, replaced as a whole, with a context manager for a stretch of code.

Comes in: keyword settings and the environment variables of the table below. Goes out: `active()`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import final

from .errors import ConfigError
from .records import entity, replaced

CHOICES = {
    "on_compiler_error": ("eager", "raise"),
    "mode": ("compiled", "eager"),
    "numerics": ("strict", "exact", "fast"),
}


@entity
class Config:
    """All settings.

    Attributes:
        on_compiler_error: "eager" runs a call eagerly when the compiler fails, and counts it;
            "raise" raises CompileError (the tests run so).
        numerics: "strict" (README, section on rounding), "exact" (eager's own implementation for
            every op that is not bit-exact), "fast" (contraction and reassociation allowed).
        mode: "compiled"; "eager" turns every `df.compile` off: functions run as they were written.
        cache: where compiled kernels are kept; None keeps none.
        retraces: how many recordings a function may make for changing Python values at one place
            before it is co-executed.
        threads: how many threads compute at once, in kernels and in BLAS; None leaves BLAS as it
            is and gives kernels the processors that this process may use.
        tuning: seconds that this process may spend on measuring which of several kernels of a GPU
            is fastest; with 0 a rule chooses, always alike.
    """

    on_compiler_error: str = "eager"
    numerics: str = "strict"
    mode: str = "compiled"
    cache: str | os.PathLike[str] | None = None
    retraces: int = 16
    threads: int | None = None
    tuning: float = 10.0


def _from_environment() -> Config:
    """The environment variables that dualflow reads, all of them.

    DUALFLOW_CACHE: the cache folder; empty for none.
    DUALFLOW_ON_COMPILER_ERROR: eager or raise; ConfigError for anything else.
    DUALFLOW_MODE: compiled or eager; ConfigError for anything else.
    DUALFLOW_NUM_THREADS: how many threads compute at once; ConfigError if it is no number.
    DUALFLOW_KEEP_FREED: see `keep_freed`.
    """
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    cache = os.environ.get("DUALFLOW_CACHE", os.path.join(home, "dualflow"))
    return Config(
        on_compiler_error=_chosen("on_compiler_error", "DUALFLOW_ON_COMPILER_ERROR"),
        mode=_chosen("mode", "DUALFLOW_MODE"),
        cache=cache or None,
        threads=_threads(),
    )


def _chosen(name: str, variable: str) -> str:
    """The setting that an environment variable makes; the first choice if it is not set."""
    value = os.environ.get(variable) or CHOICES[name][0]
    if value not in CHOICES[name]:
        raise ConfigError(f"{variable}={value!r}", instead="one of " + ", ".join(CHOICES[name]))
    return value


def _threads() -> int | None:
    text = os.environ.get("DUALFLOW_NUM_THREADS", "")
    if text and (not text.isdecimal() or int(text) < 1):
        raise ConfigError(f"DUALFLOW_NUM_THREADS={text!r}", instead="a number from 1 on")
    return int(text) if text else None


def keep_freed() -> int:
    """How many bytes of freed memory may stay with the process (`base/freed.py`), by the
    environment variable DUALFLOW_KEEP_FREED: 256 MB if it is not set, 0 for the system's default.

    Raises:
        ConfigError: the variable is no number of bytes that a C int holds.
    """
    text = os.environ.get("DUALFLOW_KEEP_FREED", str(256 << 20))
    if not text.isdecimal() or int(text) >= 1 << 31:
        raise ConfigError(f"DUALFLOW_KEEP_FREED={text!r}", instead="bytes, from 0 to 2147483647")
    return int(text)


_active = _from_environment()
#: called with the settings whenever they have changed
watchers: list[Callable[[Config], None]] = []
#: called before they change
leaving: list[Callable[[], None]] = []


def active() -> Config:
    """The settings in force."""
    return _active


def set_config(**settings: object) -> Config:
    """Change settings for the whole process; returns the settings that were in force before.

    Args:
        settings: any of mode ("compiled" or "eager": whether `df.compile` does anything), numerics
            ("strict", "exact" or "fast": how far from eager results compiled ones may be, see
            the README), on_compiler_error ("eager" or "raise"), cache (the folder of compiled
            kernels), retraces (recordings for changing Python values at one place), threads
            (how many compute at once, in kernels and in BLAS) and tuning (seconds that measuring
            kernels of a GPU may take; 0: none are measured).

    Raises:
        ConfigError: a setting that does not exist, or a value that it does not take.

    >>> before = set_config(numerics="exact")
    >>> set_config(numerics=before.numerics).numerics
    'exact'
    """
    names = set(Config.__annotations__)
    for name, value in settings.items():
        if name not in names:
            raise ConfigError(f"no setting {name!r}", instead="one of " + ", ".join(sorted(names)))
        if name in CHOICES and value not in CHOICES[name]:
            raise ConfigError(f"{name}={value!r}", instead="one of " + ", ".join(CHOICES[name]))
        if name == "threads" and value is not None and not (type(value) is int and value > 0):
            raise ConfigError(f"threads={value!r}", instead="a number from 1 on, or None")
        if name == "tuning" and not (isinstance(value, (int, float)) and value >= 0):
            raise ConfigError(f"tuning={value!r}", instead="seconds, from 0 on")
    before = _active
    _put(replaced(before, **settings))
    return before


def _put(settings: Config) -> None:
    global _active
    for leave in leaving:
        leave()
    _active = settings
    for watcher in watchers:
        watcher(settings)


@final
class Changed:
    """Settings that have changed; as a `with` statement ends they are as they were before."""

    __slots__ = ("_before",)

    def __init__(self, before: Config) -> None:
        self._before = before

    def __enter__(self) -> Config:
        return _active

    def __exit__(self, *raised: object) -> None:
        _put(self._before)


def config(**settings: object) -> Changed:
    """Change settings from now on or, in a `with` statement, up to the end of its block.

    Args:
        settings: as for `set_config`.

    Raises:
        ConfigError: as for `set_config`.

    >>> with config(numerics="exact") as settings:
    ...     settings.numerics
    'exact'
    >>> active().numerics
    'strict'
    """
    return Changed(set_config(**settings))
