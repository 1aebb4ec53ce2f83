"""Random Python functions with state, branches, loops, views, exceptions, closures and aliases.

`Program` writes the text of a module: classes, globals, helpers, and a function `f` with a random
body. `session` calls `f` again and again with changing inputs, while the world around it changes,
and notes all that can be seen (`fidelity_runner.See`).
"""

from __future__ import annotations

import contextlib
import functools
import linecache
import types
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from types import CodeType
from typing import Any
from zlib import crc32

import random_arrays_words
import random_python_words

import dualflow as df

#: what programs are made of: Python's objects and statements, or arrays
WORDS: dict[str, Any] = {"python": random_python_words, "arrays": random_arrays_words}

Choose = Callable[[Sequence[Any]], Any]


class Program:
    """A random module.

    Attributes:
        made_of: the name of its words.
        words: what it is made of, and the module around it.
        text: its source, without that of the module around it.
        plan: of each call: what changes before it, and which arguments it gets.
    """

    def __init__(
        self, choose: Choose, length: int = 9, calls: int = 8, words: str = "python"
    ) -> None:
        self.choose, self.lines = choose, []
        self.made_of, self.words = words, WORDS[words]
        self.depth = 2
        self.scopes: list[list[tuple[str, str]]] = [[]]
        self.names = count()
        self.left = length
        while self.left > 0:
            self.statement()
        self.line(
            "return {}".format(
                ", ".join(self.expression(choose(self.words.KINDS), 1) for _ in range(3))
            )
        )
        self.text = self.words.MAKE + "\n".join(self.lines) + self.words.EPILOGUE
        changes, ks = self.words.CHANGES, self.words.KS
        inputs = [choose(range(self.words.INPUTS)) for _ in range(4)]
        self.plan = [(choose(changes), choose(ks), choose((False, False, True)), choose(inputs))
                     for _ in range(calls)]  # fmt: skip
        self.plan = [pair for call in self.plan for pair in (call, ("None", *call[1:]))]

    @classmethod
    def of(cls, words: str, lines: str, plan: list[tuple[Any, ...]]) -> Program:
        """The program of these statements, called as `plan` says."""
        program = cls(lambda options: options[0], 0, 0, words)
        program.text = program.words.MAKE + lines + program.words.EPILOGUE
        program.plan = plan
        return program

    def line(self, text: str) -> None:
        self.lines.append("    " * self.depth + text)

    # Expressions ----------------------------------------------------------------------------

    def known(self, kind: str) -> list[str]:
        return [name for scope in self.scopes for name, of in scope if of == kind]

    def expression(self, kind: str, depth: int = 2) -> str:
        if kind.endswith("0"):  # within text
            kind, depth = kind[0], 0
        if kind == "?":
            kind = self.choose(self.words.KINDS)
        if kind == "tv":
            return self.choose([*self.known("t"), "x", "y"])
        names = self.known(kind)
        if depth <= 0 or (names and self.choose((True, False))):
            return self.choose([*names, *self.words.LEAVES[kind]])
        return f"({self.fill(self.choose(self.words.EXPRESSIONS[kind]), depth - 1)})"

    def fill(self, template: str, depth: int) -> str:
        found, rest = "", template
        while rest:  # fields one after the other: each has an expression of its own
            plain, brace, rest = rest.partition("{")
            found += plain.replace("}}", "}")
            if brace and rest.startswith("{"):
                found, rest = found + "{", rest[1:]
            elif brace:
                kind, _, rest = rest.partition("}")
                found += self.expression(kind, depth)
        return found

    # Statements -----------------------------------------------------------------------------

    def statement(self, inside: bool = False) -> None:
        self.left -= 1
        how = self.choose(("simple", "simple", "assign", "assign", "block"))
        if how == "block" and self.depth < 5:
            self.block(self.choose(self.words.BLOCKS))
        elif how == "assign":
            kind = self.choose(self.words.KINDS)
            name = f"v{next(self.names)}"
            text = self.expression(kind)
            self.line(f"{name} = ({text}) % 1009" if kind == "i" else f"{name} = {text}")
            self.scopes[-1].append((name, kind))
        else:
            self.line(self.fill(self.choose(self.words.SIMPLE), 1))

    def body(self, *names: tuple[str, str]) -> None:
        self.depth += 1
        self.scopes.append(list(names))
        for _ in range(self.choose((1, 2, 3))):
            self.statement(True)
        leaked = self.scopes.pop()[len(names) :]
        if self.choose((False, False, False, True)):  # perhaps not bound afterwards
            self.scopes[-1] += leaked
        self.depth -= 1

    def block(self, head: str) -> None:
        loop = head.startswith("for")
        q = {"for q in walk": "t", "for q in que": "i", "for q in list(q": "i",
             "for q in iter": "t", "for q in sorted(c": "s", "for q in range": "i",
             "for q in {N}": "i", "for q in {L}": "t", "for q in num": "i", "for q in sorte": "s",
             "for q in upto": "i", "with {o} as q:": "o", "with swap": "o",
             "for q in list(x": "t", "for q in rows": "t", "for q in (grid": "t"}  # fmt: skip
        names = [("q", kind) for start, kind in q.items() if head.startswith(start)]
        if head == "forever":
            n = f"n{next(self.names)}"
            self.line(f"{n} = 0")
            self.line("while True:")
            self.line(f"    {n} += 1")
            self.line(f"    if {n} > 2 or {self.expression('b', 1)}: break")
            self.body((n, "i"))
        elif head == "chain":
            self.line("try:")
            self.body()
            self.line(f"except {self.choose(self.words.ERRORS)} as error:")
            cause = self.choose(("error", "None", "error.__cause__"))
            kind = self.choose(self.words.ERRORS[:3])
            self.line(f"    raise {kind}({self.expression('s', 1)}) from {cause}")
        elif head == "while":
            n = f"n{next(self.names)}"
            self.line(f"{n} = 0")
            self.line(f"while {n} < 3 and {self.expression('b')}:")
            self.line(f"    {n} += 1")
            self.body((n, "i"))
        elif head == "match":
            self.match()
        elif head == "finally":
            self.line("try:")
            self.body()
            self.line("finally:")
            self.body()
        elif head == "try:":
            self.line(head)
            self.body()
            self.line(f"except {self.choose(self.words.ERRORS)} as error:")
            self.line("    log.append(str(error))" if self.choose((True, False)) else "    pass")
            self.body()
            if self.choose((True, False)):
                self.line("else:")
                self.body()
        elif head == "taken up again":
            n = f"n{next(self.names)}"
            self.line(f"{n} = iter({self.fill('upto({i})', 1)})")
            self.line(f"for q in {n}:")
            self.body(("q", "i"))
            self.line("    break")
            self.line(f"log.append(list({n}))")
        elif head == "decorated":
            self.line("@doubled")
            self.line(self.fill("def inner(a, b={r}):", 1))
            self.line(f"    return {self.expression('t', 1)} * b + a")
            self.line(f"y = inner({self.expression('t', 1)})")
        elif head.startswith("def"):
            self.line(self.fill(head, 1))
            self.line("    global COUNT")
            self.line("    nonlocal total, nums")
            self.body(("a", "t"), ("b", "r"))
            self.line(f"    return {self.expression('t')}")
            name = f"v{next(self.names)}"
            self.line(f"{name} = inner({self.expression('t', 1)})")
            self.scopes[-1].append((name, "t"))
        else:
            self.line(self.fill(head, 1))
            if head == "for q in nums:":
                self.line("    if len(nums) > 9: break")
            self.body(*names)
            if loop and self.choose((True, False)):
                self.line(f"    if {self.expression('b', 1)}: {self.choose(('break', 'continue'))}")
            if self.choose((True, False, False)) and not head.startswith("with"):
                self.line("else:")
                self.body()

    def match(self) -> None:
        self.line(f"match {self.expression(self.choose('iNDos'))}:")
        cases = ("1 | 2", "[a, b]", "[a, *_]", "{{'a': a}}", "{{'b': int() as a, **rest}}", "None",
                 "'a'", "Child(n=a)", "Box(v=float() as a)", "int(a) if {b}", "str()",
                 "-1")  # fmt: skip
        for _ in range(self.choose((1, 2, 3))):
            self.depth += 1
            self.line(f"case {self.fill(self.choose(cases), 1)}:")
            self.body()
            self.depth -= 1
        self.line("    case _:")
        self.depth += 1
        self.body()
        self.depth -= 1


@functools.cache
def _around(words: str) -> CodeType:
    """The module around all programs that are made of these."""
    text = WORDS[words].IMPORTS + WORDS[words].PROLOGUE
    file = f"<random {words}>"
    linecache.cache[file] = (len(text), None, text.splitlines(True), file)
    return compile(text, file, "exec", dont_inherit=True)


@functools.lru_cache(maxsize=2)
def _code(text: str, file: str) -> CodeType:
    """That of a program, which runs eagerly and compiled."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        return compile(text, file, "exec", dont_inherit=True)


@contextmanager
def loaded(program: Program) -> Iterator[types.ModuleType]:
    """A module with this program, whose source can be found."""
    text = program.words.IMPORTS + program.text
    file = f"<random {crc32(text.encode())}>"
    linecache.cache[file] = (len(text), None, text.splitlines(True), file)
    module = types.ModuleType("random_program")
    try:
        exec(_around(program.made_of), vars(module))
        exec(_code(text, file), vars(module))
        yield module
    finally:
        del linecache.cache[file]


def session(
    program: Program, code: types.ModuleType, compile: Callable[..., Any], see: Any
) -> None:
    """All calls of a program, with everything that can be seen."""
    f, state, inside = code.make(compile)
    kept = df.tensor([1.0, 2.0, 3.0])
    for change, k, flag, kind in program.plan:
        with df.no_grad():
            exec(change, {"g": vars(code), "s": inside, "df": df, "contextlib": contextlib})
        args, kwargs = program.words.arguments(k, flag, kind, kept)
        see(f, *args, **kwargs)
        see.that(state())
    see.that(kept)
