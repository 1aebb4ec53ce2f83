"""The tile form: a map some of whose accesses lie across its lanes, in square tiles.

Comes in: a Kernel without loops and totals. Goes out: its KernelText. What lies across is turned
beside, tile by tile; what tiles further on read is asked for ahead, for no line of memory goes on
long; and large results are written past the caches.
"""

from __future__ import annotations

from dualflow.ir.kernel import Access, Kernel

from .numba_maps import MapEmitter
from .numba_rows import FAR, LINE
from .numba_values import stored_as

#: Side of a tile.
TILE = 16
#: Tiles that are walked beside each other, near and far. More read what is turned in longer pieces;
#: where sizes are powers of two, their lines meet in few sets of the near caches.
TILES = (2, 4)


class TileEmitter(MapEmitter):
    """The tile form."""

    def __init__(self, kernel: Kernel) -> None:
        super().__init__(kernel)
        self.outer = crossed(kernel)[0]
        self.laid = [access for access in kernel.accesses if self._is_laid(access)]

    def _strided(self) -> list[Access]:
        return self._across()

    def _prologue(self) -> None:
        super()._prologue()
        self._beside(self.laid, TILE * TILE)
        widest = max(stored_as(access.dtype).itemsize for access in self.kernel.accesses)
        self.put(f"far = {self._points_of_grid()} > {FAR // widest}")
        self.put(f"asked = {TILE} if far else 0")
        self.put(f"wide = {TILES[1] * TILE} if far else {TILES[0] * TILE}")

    def _epilogue(self) -> None:
        super()._epilogue()
        if self.laid:
            with self.block("if far:"):
                self.put("fence()")

    def _lane_block(self) -> int:
        return TILE * TILE

    def _grid(self) -> None:
        i, j = self.axes[self.outer], self.axes[self.kernel.lanes]
        b, c, d = f"b{i[1:]}", f"b{j[1:]}", f"d{i[1:]}"
        hi = self.integers[f"hi_{self.outer}"]
        fixed = (self.outer, self.kernel.lanes)
        with self.block(*(self._walk(axis) for axis in self.kernel.grid if axis not in fixed)):
            self._count_asked()
            with self.block(
                f"for {d} in range({self._range(self.outer)}, wide):",
                f"for {c} in range({self._range(self.kernel.lanes)}, {TILE}):",
                f"for {b} in range({d}, min({d} + wide, {hi}), {TILE}):",
            ):
                self._tile(b, c, d)

    def _tile(self, b: str, c: str, d: str) -> None:
        """The tile from `b` and `c` on, in the strip from `d` on."""
        n, m = b[1:], c[1:]
        hi, end = self.integers[f"hi_{self.outer}"], self.integers[f"hi_{self.kernel.lanes}"]
        place = f"(i{n} - {b}) * {TILE} + i{m} - {c}"
        whole = [f"for t{n} in range({TILE}):", f"i{n} = {b} + t{n}",
                 f"for t{m} in range({TILE}):", f"i{m} = {c} + t{m}"]  # fmt: skip
        part = [f"for i{n} in range({b}, min({b} + {TILE}, {hi})):",
                f"for i{m} in range({c}, min({c} + {TILE}, {end})):"]  # fmt: skip
        for test, inside, beside, calls in (
            (f"if {b} + {TILE} <= {hi} and {c} + {TILE} <= {end}:", whole,
             [*self.strided, *self.laid], self._calls(b, c)),
            ("else:", part, self.strided, {}),
        ):  # fmt: skip
            with self.block(test):
                if calls:
                    self._ask_ahead(b, c, d)
                with self._copied(beside, place, inside, calls), self.block(*inside):
                    self._stages()
                    self.put("whole_vectors()")

    def _count_asked(self) -> None:
        """How many lines of a tile are asked for, by access: of results those of tiles that do not
        begin with a line of the cache, for they cannot go past the caches."""
        first = {a: self.integers[f"lo_{a}"] for a in (self.outer, self.kernel.lanes)}
        for access in self.laid:
            where = ", ".join(self._place(access, {**self.axes, **first}))
            step = self.integers[f"{access.name}_{self.outer}"]
            crooked = f"ahead({where}) + {step} % {_per_line(access)} > 0"
            self.put(f"n{self.pointers[access.name]} = {TILE} if far and {crooked} else 0")

    def _ask_ahead(self, b: str, c: str, d: str) -> None:
        """Ask for the lines of a tile that is walked later."""
        i, j = f"a{b[1:]}", f"a{c[1:]}"
        self.put(f"{i} = {b} + {(TILES[1] - 1) * TILE} if {b} == {d} else {b} - {TILE}")
        self.put(f"{j} = {c} if {b} == {d} else {c} + {TILE}")
        t = f"t{b[1:]}"
        for access in self.kernel.accesses:
            steps = self._steps(access)
            if 1 not in steps or 0 in steps or not (access.mode == "in" or access in self.laid):
                continue
            ends = [*range(_per_line(access) - 1, TILE, _per_line(access))]
            if steps[1] == 1:  # the line of the first element was asked for one tile before
                places = [(f"({i} + {t})", f"({j} + {end})") for end in ends]
            else:
                places = [(f"({i} + {end})", f"({j} + {t})") for end in (0, *ends)]
            count = f"n{self.pointers[access.name]}" if access in self.laid else "asked"
            with self.block(f"for {t} in range({count}):"):
                for point in places:
                    axes = dict(zip((self.outer, self.kernel.lanes), point, strict=True))
                    self.put(f"ask({', '.join(self._place(access, {**self.places[0], **axes}))})")

    def _calls(self, b: str, c: str) -> dict[str, str]:
        """The calls that copy whole tiles: of lines that lie along their outer axis, and results
        that lie along the lanes."""
        found = {}
        corner = {**self.axes, self.outer: b, self.kernel.lanes: c}
        for access in (*self.strided, *self.laid):
            beside = f"beside_{self.pointers[access.name]}"
            where = ", ".join(self._place(access, corner))
            if access in self.laid:
                step = self.integers[f"{access.name}_{self.outer}"]
                found[access.name] = f"laid({where}, {step}, {beside}, far)"
            elif access.mode == "in" and self._steps(access)[0] == 1 and access.dtype.kind != "c":
                step = self.integers[f"{access.name}_{self.kernel.lanes}"]
                found[access.name] = f"turned({beside}, {where}, {step})"
        return found

    def _is_laid(self, access: Access) -> bool:
        """Whether it is a result whose lines lie along the lanes."""
        plain = access.mode == "out" and access.dtype.kind != "c"
        return plain and self._steps(access) == ("s", 1) and access.name not in self.differing

    def _steps(self, access: Access) -> tuple[int | str, int | str]:
        """Its strides along the outer axis of tiles and along the lanes."""
        grid = self.kernel.grid
        places = grid.index(self.outer), grid.index(self.kernel.lanes)
        return access.strides[places[0]], access.strides[places[1]]


def crossed(kernel: Kernel) -> tuple[str, ...]:
    """The grid axes to walk in tiles: the last that another access walks by 1, and the lanes."""
    lane = kernel.grid.index(kernel.lanes)
    crossing = {
        axis.name
        for access in kernel.accesses
        for axis, stride in zip(kernel.axes, access.strides, strict=True)
        if stride in (1, -1) and axis.name != kernel.lanes and axis.role != "short"
        and access.strides[lane] == "s"
    }  # fmt: skip
    found = [a for a in kernel.grid if a in crossing or (crossing and a == kernel.lanes)]
    return tuple(found[-2:])


def _per_line(access: Access) -> int:
    """Elements of a tile's row that lie in one line of the cache."""
    return min(LINE // stored_as(access.dtype).itemsize, TILE)
