"""A compilation that goes on behind the call that asked for it: planning and machine code.

Comes in: a job for the helper process (see `pipeline`), and how to do it here. Goes out: what looks
like the `Compilation` of `cpu`, with nothing done in this process but sending the job and taking in
what it made. What is made of a graph is kept on disk, and found there by the next process.
"""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from importlib import import_module
from typing import Any

from dualflow.base import config
from dualflow.base.counters import count
from dualflow.base.interrupts import interrupts, pass_on
from dualflow.base.records import entity
from dualflow.ir.graph import Graph
from dualflow.ir.kernel import Kernel
from dualflow.ir.program import Program
from dualflow.ir.text import KernelText

from . import builds, cache, helper, native, products, side_by_side, threads
from .compile import compile_text, fingerprint
from .cpu import Compilation


@entity
class Planned:
    """All that is made of a graph before there is machine code.

    Attributes:
        rolled: the graph, with loops of its repeated stretches; None where there are none.
        program, texts, reasons: as `cpu.prepare` takes them.
    """

    rolled: Graph | None
    program: Program
    texts: Mapping[Kernel, KernelText]
    reasons: tuple[str, ...]


#: by fingerprint of a text: its machine code, or what went wrong with it
Images = dict[str, bytes | str]
Prepare = Callable[[Planned, Images], Any]


class Unplanned(Exception):  # noqa: N818 - a verdict, not an error of the user
    """A graph is not planned, and it would not be in another process either: why, and a line."""


_machine: list[helper.Job] = []


def make_machine(given: bytes) -> bytes:
    """What the helper does once: the machine for replays that are one native call, to lie on disk
    before the first of them; `given` is the cache."""
    with config.config(cache=pickle.loads(given)):
        import_module("dualflow.runtime.native_call").works()
    return b""


def machine_under_way() -> bool:
    """Whether the helper is about to make the machine: who wants it waits, or compiles it too."""
    return bool(_machine) and not _machine[0].poll()


def answer(planned: Planned | Unplanned, name: str | None, device: str = "cpu") -> bytes:
    """What the helper sends: the plan, and of texts for the CPU not on disk the object bytes,
    or what went wrong. All of it is put there at once: the parent may end before it asks."""
    images: Images = {}
    if isinstance(planned, Planned) and device == "cpu":
        texts = [*products.texts_of(planned.program), *_longest_first(planned.texts.values())]
        wanted = {builds.key(text): text for text in texts}
        missing = [text for key, text in wanted.items() if not cache.holds(key)]
        tasks: list[side_by_side.Task] = [partial(_compiled, text) for text in missing]
        # native parts lie on disk before the parent looks for them
        found = side_by_side.results([*tasks, native.builtin_works, threads.step])
        for text, image in zip(missing, found, strict=False):
            told = f"{type(image).__name__}: {image}" if isinstance(image, Exception) else image
            images[fingerprint(text)] = told
    written = pickle.dumps(planned)
    if name is not None:
        cache.store(name, written, "", cache.PLAN)
    return pickle.dumps((written, images))


def _longest_first(texts: Iterable[KernelText]) -> list[KernelText]:
    return sorted(texts, key=lambda text: -len(text.source))


def _compiled(text: KernelText) -> bytes:
    image = compile_text(text)
    cache.store(builds.key(text), image, text.source)
    return image


def on_cpu(planned: Planned, images: Images) -> Compilation:
    """The compilation of a program for the CPU."""
    for text in planned.texts.values():
        builds.start(text, images.get(fingerprint(text)))
    compilation = Compilation(planned.program, planned.texts, planned.reasons)
    compilation.rolled = planned.rolled
    return compilation


class Behind:
    """See the module.

    Attributes:
        name: of the plan on disk; None where it is not kept.
    """

    def __init__(
        self, task: str, given: Callable[[], bytes], name: str | None, here: Callable[[], Planned],
        prepare: Prepare = on_cpu,
    ) -> None:  # fmt: skip
        """`prepare`: starts the compilation of what was planned, of which some texts may be machine
        code already."""
        self.name, self._here, self._prepare = name, here, prepare
        self._planned: Planned | None = None
        self._made: Any = None
        self._failure: BaseException | None = None
        self._lock = threading.Lock()
        self._job: helper.Job | None = None
        self._stored = name is not None and cache.holds(name, cache.PLAN)
        if not self._stored:
            self._job = helper.submit(task, given())
            if not _machine:
                cached = pickle.dumps(config.active().cache)
                job = helper.submit(f"{__name__}:{make_machine.__name__}", cached)
                _machine.extend([] if job is None else [job])

    @property
    def done(self) -> bool:
        """Whether `result()` will not have to wait."""
        if self._made is None and self._job is not None and not self._job.poll():
            return False
        try:
            return self._prepared().done
        except Exception:
            return True  # `result()` raises it again

    def result(self) -> Any:
        """The program ready to run; waits for it.

        Raises:
            CompileError: a kernel's text could not be compiled.
            Exception: whatever planning raises.
        """
        return self._prepared().result()

    @property
    def planned(self) -> Planned:
        """What was planned; waits for it."""
        self._prepared()
        assert self._planned is not None
        return self._planned

    @property
    def rolled(self) -> Graph | None:
        return self.planned.rolled

    @property
    def program(self) -> Program:
        return self.planned.program

    @property
    def texts(self) -> Mapping[Kernel, KernelText]:
        return self.planned.texts

    @property
    def reasons(self) -> tuple[str, ...]:
        """What was planned and why, as the compilation has it."""
        reasons: tuple[str, ...] = self._prepared().reasons
        return reasons

    def _prepared(self) -> Any:
        with self._lock:
            if self._failure is not None:
                raise self._failure
            if self._made is None:
                try:
                    planned, images = self._taken()
                except BaseException as error:
                    if interrupts(error):
                        self._job = None  # what the helper made may be lost
                    else:
                        self._failure = error
                    raise
                self._job = None
                self._made = self._prepare(planned, images)
                self._planned = planned
            return self._made

    def _taken(self) -> tuple[Planned, Images]:
        """The plan and what machine code came with it: from disk, from the helper, or made here."""
        if self._stored:
            assert self.name is not None
            kept = _read(self.name)
            if kept is None:
                kept = self._here()
                cache.store(self.name, pickle.dumps(kept), "", cache.PLAN)
            return _sound(kept), {}
        found = self._job.result() if self._job is not None else None
        if isinstance(found, bytes):
            planned, images = pickle.loads(found)
            if self.name is not None and not cache.holds(self.name, cache.PLAN):
                cache.store(self.name, planned, "", cache.PLAN)
            return _sound(pickle.loads(planned)), images
        if self._job is not None:
            count("helper_failures")
        return self._here(), {}


def kept(name: str | None, make: Callable[[], Planned]) -> Planned:
    """The plan that is kept on disk under `name`, or what `make` gives, kept from now on.

    Raises:
        Unplanned: it is not planned.
    """
    found = _read(name) if name is not None and cache.holds(name, cache.PLAN) else None
    if found is None:
        found = make()
        if name is not None:
            cache.store(name, pickle.dumps(found), "", cache.PLAN)
    return _sound(found)


def _sound(planned: Planned | Unplanned) -> Planned:
    if isinstance(planned, Unplanned):
        raise planned
    return planned


def _read(name: str) -> Planned | Unplanned | None:
    """The plan that is kept on disk; None if it cannot be read."""
    kept = cache.fetch(name, cache.PLAN)
    if kept is None:
        return None
    try:
        planned = pickle.loads(kept)
    except Exception as error:  # whatever pickle meets: written by something else under this name
        pass_on(error)
        count("cache_rebuilds")
        return None
    count("plans_loaded")
    return planned
