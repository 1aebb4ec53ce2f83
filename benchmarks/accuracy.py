"""How far results are from the truth, in ulp: compiled, and eager beside them.

python -m benchmarks.accuracy                    16 million patterns for each function and dtype
python -m benchmarks.accuracy --millions 64 --only sin --save

Patterns: random bits, so every exponent, NaN and denormals; random bits with everyday exponents;
places where a function is hard. The truth comes from the C library's `long double` functions (64
bits; `double` for float32), called in a loop by machine code, and mpmath confirms the worst.
"""

from __future__ import annotations

import argparse
import ctypes
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
import mpmath
import numpy as np

import dualflow as df
from benchmarks.keeping import machine

CHUNK = 1 << 20
FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
#: The type of the truth, for each dtype, in LLVM's words and NumPy's, and the letter that the C
#: library appends to names of functions of it.
WIDE = {FLOATS[0]: ("double", np.float64, ""), FLOATS[1]: ("x86_fp80", np.longdouble, "l")}
SPECIAL = (0.0, np.inf, np.nan, 1.0, 0.5, 2.0, 3.0, 1.5, 0.75, 10.0, 170.0, 1e5)


@dataclass(frozen=True)
class Function:
    """One function: its name in `df`, in the C library and in mpmath, and where it is hard."""

    name: str
    library: str | Callable[..., np.ndarray]
    exactly: Callable[..., Any]
    operands: int = 1
    hard: tuple[tuple[float, float], ...] = field(default=())


def _sigmoid(loop: Callable, x: np.ndarray) -> np.ndarray:
    return 1 / (1 + loop("exp", -x))


def _log_gamma(x: Any) -> Any:
    """log|gamma(x)|, infinite at its poles."""
    return mpmath.inf if x <= 0 and x == mpmath.floor(x) else mpmath.re(mpmath.loggamma(x))


def _cube_root(x: Any) -> Any:
    return mpmath.sign(x) * mpmath.cbrt(abs(x))


FUNCTIONS = (
    Function("exp", "exp", mpmath.exp, hard=((-746, 710), (-104, 89))),
    Function("exp2", "exp2", lambda x: mpmath.power(2, x), hard=((-1076, 1025), (-151, 129))),
    Function("expm1", "expm1", mpmath.expm1, hard=((-40, 710), (-1, 1))),
    Function("log", "log", mpmath.log, hard=((0.5, 2),)),
    Function("log1p", "log1p", mpmath.log1p, hard=((-1, 2),)),
    Function("log2", "log2", lambda x: mpmath.log(x, 2), hard=((0.5, 2),)),
    Function("log10", "log10", mpmath.log10, hard=((0.5, 2),)),
    Function("sqrt", "sqrt", mpmath.sqrt),
    Function("cbrt", "cbrt", _cube_root, hard=((-8, 8),)),
    Function("sin", "sin", mpmath.sin, hard=((-10, 10), (-1e5, 1e5), (-1e9, 1e9))),
    Function("cos", "cos", mpmath.cos, hard=((-10, 10), (-1e5, 1e5), (-1e9, 1e9))),
    Function("tan", "tan", mpmath.tan, hard=((-10, 10), (-1e5, 1e5), (-1e9, 1e9))),
    Function("asin", "asin", mpmath.asin, hard=((-1, 1),)),
    Function("acos", "acos", mpmath.acos, hard=((-1, 1),)),
    Function("atan", "atan", mpmath.atan, hard=((-3, 3),)),
    Function("sinh", "sinh", mpmath.sinh, hard=((-2, 2), (-710, 710), (-89, 89))),
    Function("cosh", "cosh", mpmath.cosh, hard=((-2, 2), (-710, 710), (-89, 89))),
    Function("tanh", "tanh", mpmath.tanh, hard=((-1, 1), (-20, 20))),
    Function("asinh", "asinh", mpmath.asinh, hard=((-3, 3),)),
    Function("acosh", "acosh", mpmath.acosh, hard=((1, 3),)),
    Function("atanh", "atanh", mpmath.atanh, hard=((-1, 1),)),
    Function("sigmoid", _sigmoid, lambda x: 1 / (1 + mpmath.exp(-x)), hard=((-746, 40), (-5, 5))),
    Function("erf", "erf", mpmath.erf, hard=((-6, 6),)),
    Function("erfc", "erfc", mpmath.erfc, hard=((-6, 10), (-6, 27))),
    Function("lgamma", "lgamma", _log_gamma, hard=((0.5, 2.5), (-40, 0), (-5, 40))),
    Function("atan2", "atan2", mpmath.atan2, 2, hard=((-3, 3),)),
    Function("hypot", "hypot", mpmath.hypot, 2, hard=((-3, 3),)),
    Function("power", "pow", mpmath.power, 2, hard=((0, 3), (0, 40), (0, 200))),
)


class Library:
    """The C library's functions on arrays of one wide type, each in a loop of machine code."""

    def __init__(self, dtype: np.dtype) -> None:
        self.kind, self.wide, self.letter = WIDE[dtype]
        self.loops: dict[str, Any] = {}

    def __call__(self, name: str, *arrays: np.ndarray) -> np.ndarray:
        """`name` of arrays of the wide type, element by element."""
        if name not in self.loops:
            self.loops[name] = self._loop(name + self.letter, len(arrays))
        out = np.empty_like(arrays[0])
        pointers = [ctypes.c_void_p(a.ctypes.data) for a in (*arrays, out)]
        self.loops[name][1](*pointers, ctypes.c_int64(out.size))
        return out

    def _loop(self, name: str, count: int) -> tuple[Any, Any]:
        kind, numbers = self.kind, range(count)
        places = [f"%p{n} = getelementptr {kind}, ptr %a{n}, i64 %i\n"
                  f"%v{n} = load {kind}, ptr %p{n}, align 16" for n in numbers]  # fmt: skip
        places = [text.replace("align 16", "align 8") for text in places]
        values = ", ".join(f"{kind} %v{n}" for n in numbers)
        text = f"""
            declare {kind} @{name}({", ".join([kind] * count)})
            define void @loop_{name}({", ".join(f"ptr %a{n}" for n in numbers)}, ptr %o, i64 %n) {{
            entry:
              br label %body
            body:
              %i = phi i64 [ 0, %entry ], [ %next, %body ]
              {chr(10).join(places)}
              %value = call {kind} @{name}({values})
              %to = getelementptr {kind}, ptr %o, i64 %i
              store {kind} %value, ptr %to, align 8
              %next = add i64 %i, 1
              %more = icmp slt i64 %next, %n
              br i1 %more, label %body, label %end
            end:
              ret void
            }}"""
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        machine = llvm.Target.from_default_triple().create_target_machine()
        engine = llvm.create_mcjit_compiler(llvm.parse_assembly(text), machine)
        engine.finalize_object()
        address = engine.get_function_address(f"loop_{name}")
        kinds = [ctypes.c_void_p] * (count + 1) + [ctypes.c_int64]
        return engine, ctypes.CFUNCTYPE(None, *kinds)(address)


def ulps(got: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The error of each element in ulp; infinite where NaN, infinity or a zero's sign is wrong."""
    right = truth.astype(got.dtype)
    spacing = np.spacing(np.minimum(np.abs(right), np.finfo(got.dtype).max))
    error = np.abs(got.astype(truth.dtype) - truth) / spacing.astype(truth.dtype)
    agree = (got == right) | (np.isnan(got) & np.isnan(right))
    error[agree & ~np.isfinite(right)] = 0
    # Where the truth lies between the largest number and what rounds to infinity.
    error[(got == right) & ~np.isfinite(truth.astype(got.dtype))] = 0
    wrong = (got == 0) & (right == 0) & (np.signbit(got) != np.signbit(right))
    error[wrong | np.isnan(error)] = np.inf
    return error


def special(dtype: np.dtype) -> np.ndarray:
    """The edges of the type and the numbers where functions turn, of both signs."""
    info = np.finfo(dtype)
    edges = (info.tiny, info.smallest_subnormal, info.max, 1 + info.eps, 1 - info.epsneg)
    edges += (info.tiny - info.smallest_subnormal, info.eps, np.pi, np.pi / 2, np.e)
    found = np.array([*SPECIAL, *edges, *np.arange(1, 40), *(2.0 ** np.arange(-60, 60, 7))], dtype)
    return np.concatenate([found, -found])


def patterns(f: Function, dtype: np.dtype, count: int, seed: int) -> Iterator[list[np.ndarray]]:
    """Chunks of operands: `count` in all, half of them random bits."""
    random = np.random.default_rng(seed)
    whole, bits = np.dtype(f"u{dtype.itemsize}"), np.finfo(dtype).nmant
    bias = np.finfo(dtype).maxexp - 1
    done = 0
    first = special(dtype)
    if f.operands == 2:
        yield [np.repeat(first, first.size), np.tile(first, first.size)]
    else:
        yield [first]
    while done < count:
        size = min(CHUNK, count - done)
        operands = []
        for _ in range(f.operands):
            values = random.integers(0, np.iinfo(whole).max, size, whole, endpoint=True)
            if done // CHUNK % 4 == 1:  # exponents of everyday numbers
                kept = values & whole.type(~np.uint64(0) >> np.uint64(64 - bits)) | (
                    values & whole.type(1 << (8 * dtype.itemsize - 1)))  # fmt: skip
                exponents = random.integers(bias - 40, bias + 14, size).astype(whole)
                values = kept | exponents << whole.type(bits)
            values = values.view(dtype)
            if done // CHUNK % 4 > 1 and f.hard:
                low, high = f.hard[(done // CHUNK // 2) % len(f.hard)]
                values = random.uniform(low, high, size).astype(dtype)
            operands.append(values)
        yield operands
        done += size


def truth(f: Function, library: Library, operands: list[np.ndarray]) -> np.ndarray:
    """The wide results."""
    wide = [x.astype(library.wide) for x in operands]
    if callable(f.library):
        return f.library(library, *wide)
    return library(f.library, *wide)


def confirmed(f: Function, got: Any, operands: tuple[Any, ...]) -> float:
    """The error in ulp of one result, by mpmath."""
    with mpmath.workprec(400):
        exact = f.exactly(*(mpmath.mpf(float(x)) for x in operands))
        if mpmath.isinf(exact) or mpmath.isnan(exact) or not np.isfinite(got):
            return float("nan")
        near = got.dtype.type(float(exact))
        return float(abs(mpmath.mpf(float(got)) - exact) / mpmath.mpf(float(np.spacing(abs(near)))))


@dataclass
class Worst:
    """The largest error so far, and where."""

    ulp: float = 0.0
    at: tuple[Any, ...] = ()

    def see(self, f: Function, got: np.ndarray, errors: np.ndarray, at: list[np.ndarray]) -> None:
        """Take in a chunk of results."""
        place = int(errors.argmax())
        if errors[place] > self.ulp:
            operands = tuple(x[place] for x in at)
            sure = confirmed(f, got[place], operands) if np.isfinite(errors[place]) else np.inf
            self.ulp = sure if sure == sure else float(errors[place])
            self.at = operands


def measure(f: Function, dtype: np.dtype, count: int, seed: int = 0) -> dict[str, Any]:
    """The worst errors of one function, compiled and eager."""
    function = getattr(df, f.name)
    compiled = df.compile(function, wait=True)
    library, worst = Library(dtype), {"compiled": Worst(), "eager": Worst()}
    seen: set[int] = set()
    with np.errstate(all="ignore"):
        for operands in patterns(f, dtype, count, seed):
            exact = truth(f, library, operands)
            tensors = [df.asarray(x) for x in operands]
            if operands[0].size not in seen:
                seen.add(operands[0].size)
                compiled(*tensors)  # records; what follows replays
            for name, call in (("compiled", compiled), ("eager", function)):
                got = call(*tensors).numpy()
                worst[name].see(f, got, ulps(got, exact), operands)
    ran = compiled.stats()
    assert ran["calls"] - len(seen) == ran["replays"], f"calls of {f.name} did not replay"
    return {"function": f.name, "dtype": dtype.name, "patterns": count} | {
        f"{name} {part}": value
        for name, found in worst.items()
        for part, value in (("ulp", found.ulp), ("at", found.at))
    }


def line(row: dict[str, Any]) -> str:
    """A row of the table as text."""
    at = [", ".join(repr(float(x)) for x in row[f"{name} at"]) for name in ("compiled", "eager")]
    return (
        f"{row['function']:8} {row['dtype']:8} {row['patterns']:>11,} {row['compiled ulp']:7.3f} "
        f"{row['eager ulp']:9.3f}   {at[0]} | {at[1]}"
    )


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy")
    parser.add_argument("--only", default="", help="functions, by commas")
    parser.add_argument("--millions", type=float, default=16, help="patterns for each row")
    parser.add_argument("--save", action="store_true", help="keep the table in benchmarks/results/")
    options = parser.parse_args()
    count = int(options.millions * 1e6)
    lines = [f"{machine()}; error in ulp, worst of all patterns; where",
             "function dtype       patterns  compiled  eager"]  # fmt: skip
    print("\n".join(lines), flush=True)
    chosen = [f for f in FUNCTIONS if not options.only or f.name in options.only.split(",")]
    for f in chosen:
        for dtype in FLOATS:
            lines.append(line(measure(f, dtype, count)))
            print(lines[-1], flush=True)
    if options.save:
        save(lines)


def save(lines: list[str]) -> None:
    """Keep the table of today; rows of other functions that are in it already stay."""
    folder = Path(__file__).parent / "results" / "accuracy"
    folder.mkdir(exist_ok=True)
    target = folder / f"{date.today()}.txt"
    before = target.read_text().splitlines()[2:] if target.exists() else []
    rows = {tuple(row.split()[:2]): row for row in (*before, *lines[2:])}
    order = [(f.name, dtype.name) for f in FUNCTIONS for dtype in FLOATS]
    kept = [rows[name] for name in order if name in rows]
    target.write_text("\n".join([*lines[:2], *kept]) + "\n")


if __name__ == "__main__":
    main()
