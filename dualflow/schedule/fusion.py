"""Which nodes share a kernel, and which values lie in memory.

Comes in: a graph. Goes out: `Fusion`: units of work, what each stores and reads, and why.
Nodes are visited from outputs to inputs, so a value is decided when all that want it are known:

    every group that wants a value has *asked* for it under a map from its domain;
    one asker: the node is evaluated there, and asks for its operands in turn;
    several: askers with one domain merge; else the value is recomputed if cheap, else stored.

A reduction is folded inside the group that asks for it where that group's domain splits into grid
axes (which see each result once) and loop axes (the reduced ones); else it gets its own group.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from dualflow.base.dtypes import is_complex
from dualflow.base.shapes import size_of
from dualflow.ir.backend import BY_NAME
from dualflow.ir.graph import Graph, Node, Value
from dualflow.ir.op import Kind
from dualflow.ir.types import View
from dualflow.ops import primitives as p

from .facts import Facts, is_exact
from .loops import takes_as_it_lies
from .maps import Map, is_onto, natural, points, positions, still_axes, through
from .operands import Operands, axis_runs, folded_shape
from .units import Closing, Group, Library, Unit, current, in_order, reaches

#: A group with more members takes no further ones: registers and compile time are finite.
MOST_MEMBERS = 100
#: With how many of the groups before it a reader of a value is compared, to merge them.
MOST_TRIES = 6
#: Scalar operations that may be repeated for each asker rather than stored and read.
CHEAP = 12

#: Roles of nodes that cost nothing to see through.
MOVING = ("view", "constant", "identity", "position")

Asks = dict[Group, list[Map]]


class Fusion:
    """The decisions for one graph.

    Attributes:
        units: the units of work, in the order they run.
        stored: for each value in memory that a unit writes, the unit.
        copy_of: values made here: each is a packed copy of another value.
        packed: for each input that lies as no library takes it, its packed copy.
        outputs: the value whose memory is that output of the graph.
        into: outputs that may take the memory of an input: every reader of the input runs before.
        reasons: why a value is stored, as text.
    """

    def __init__(self, graph: Graph, layouts: Sequence[View], backend: str, exact: bool) -> None:
        self.graph, self.facts = graph, Facts(graph, layouts, backend, exact)
        self.seen = Operands(self.facts)
        self.stored: dict[Value, Unit] = {}
        self.copy_of: dict[Value, Value] = {}
        self.packed: dict[Value, Value] = {}
        self.reasons: dict[Value, str] = {}
        self.outputs: list[Value] = []
        self._asks: dict[Value, Asks] = {}
        self._needed: dict[Value, set[Unit]] = {}
        self._all: list[Unit] = []
        self._rank: dict[Unit, int] = {}
        self._seen: set[Value] = set()
        self._place: dict[Node, int] = {node: i for i, node in enumerate(graph.nodes)}
        self._want_outputs()
        for node in reversed(graph.nodes):
            self._visit(node)
        for value in graph.inputs:
            self._read(value)
        self.into: dict[Value, Value] = {}
        self.units: list[Unit] = []

    def finish(self, layouts: Sequence[View], into: Mapping[int, int]) -> None:
        """Choose what is stored in place of an input, and put the units into order."""
        for output, input_ in into.items():
            given = self.graph.inputs[input_]
            self._store_into(self.outputs[output], given, layouts[input_])
        self.units = in_order(self._all, self._rank)

    def alive(self) -> Iterator[Unit]:
        """The units from first to last; one may take over another's work meanwhile."""
        for unit in sorted(self._all, key=self._rank.__getitem__):
            if current(unit) is unit:
                yield unit

    def close(self, group: Group, after: Group, links: Mapping[Value, Map]) -> None:
        """`after`, which folds the values `links` of `group`, becomes a part of it."""
        group.closing.append(Closing(after, links))
        group.loaded.update(dict.fromkeys(v for v in after.loaded if v not in group.stores))
        group.members += after.members
        group.readers |= after.readers
        group.may_raise |= after.may_raise
        after.into = group
        readers = {current(unit) for unit in group.readers} - {group}
        wanted = {v for unit in readers if isinstance(unit, Group) for v in unit.loaded}
        for value in links.keys() - wanted - self._needed.keys():
            group.roots = [(root, map_) for root, map_ in group.roots if root is not value]
            self.stored.pop(value, None)

    def _want_outputs(self) -> None:
        """Ask for the outputs of the graph; each gets memory of its own, but for plain inputs."""
        taken = set()
        for value in self.graph.outputs:
            if value.node is None:
                self.outputs.append(value)
            elif value in taken:
                self.outputs.append(self._copy(value, "returned twice"))
            else:
                self.outputs.append(value)
                self._needed.setdefault(value, set())
                self.reasons[value] = "an output of this part"
            taken.add(value)

    # What groups ask for -----------------------------------------------------------------------

    def _ask(self, value: Value, group: Group, map_: Map) -> None:
        if not value.type.size:
            return
        maps = self._asks.setdefault(value, {}).setdefault(group, [])
        if map_ not in maps:
            maps.append(map_)

    def _need(self, value: Value, unit: Unit) -> None:
        """`unit` reads `value` through memory."""
        base = self.facts.base[value] if self.readable(value, unit) else value
        if base is value and value.node is None and not self.readable(value, unit):
            base = self.packed[value] = self._copy(value, "an input packed for a library")
            self._rank[self.stored[base]] = -1
            self.stored[base].readers.add(unit)
        self._needed.setdefault(base, set()).add(unit)
        self.reasons.setdefault(base, "read as a whole by a library")

    def readable(self, value: Value, unit: Unit) -> bool:
        """Whether `unit` can take `value` as a view of what it is a view of."""
        if value in self.copy_of or value not in self.facts.base:
            return False
        if not isinstance(unit, Library):
            return True
        if unit.node.op.kind is Kind.LOOP:
            return takes_as_it_lies(unit.node, value, self.facts.lies[value])
        if unit.node.op.kind is not Kind.CONTRACTION:
            return True
        if is_complex(value.dtype):  # which NumPy multiplies, however it lies
            return True
        view = self.facts.lies[value]
        assert view is not None
        (rows, columns), (down, across) = view.shape[-2:], view.strides[-2:]
        return (across == 1 and down >= columns) or (down == 1 and across >= rows)

    def _by_library(self, value: Value) -> bool:
        """Whether only a library can move the value: kernels do not hold its dtype."""
        return is_complex(value.dtype) and not BY_NAME[self.facts.backend].complex

    def _copy(self, value: Value, reason: str) -> Value:
        """A value that is a packed copy of another, stored by a unit of its own."""
        if self._by_library(value):
            attributes = {"shape": value.shape}
            node = Node(p.reshape.op, (value,), attributes, (value.type,), None)
            self._place[node] = len(self.graph.nodes)
            self._visit_library(node)
            return node.result
        copy = Value(value.type)
        self.copy_of[copy] = value
        self._ask(value, self._new_group(copy, reason, len(self.graph.nodes)), natural_map(value))
        return copy

    def _new_group(self, value: Value, reason: str, rank: int) -> Group:
        group = Group(packed_domain(value))
        group.roots.append((value, natural_map(value)))
        self._all.append(group)
        self._rank[group] = rank
        self.stored[value] = group
        self.reasons.setdefault(value, reason)
        return group

    # Visiting a node ---------------------------------------------------------------------------

    def _visit(self, node: Node) -> None:
        needed = any(value in self._needed for value in node.results)
        if not any(value in self._asks for value in node.results):
            if not needed and not node.may_raise:
                return
            needed = True  # an op that may raise runs though nobody wants its result
        role = self.facts.role[node]
        if role == "library" or self._by_library(node.result):
            self._visit_library(node)
            return
        asks = self._asks.pop(node.result, {})
        if not node.result.type.size:
            self._new_group(node.result, "empty", self._place[node])
        elif role == "reduction":
            self._visit_reduction(node, asks, needed)
        else:
            self._visit_pointwise(node, asks, needed)

    def _visit_library(self, node: Node) -> None:
        unit = Library(node)
        self._all.append(unit)
        self._rank[unit] = self._place[node]
        for value in node.results:
            self.stored[value] = unit
            self.reasons[value] = f"{node.op.name} is run by a library"
            asks = self._merge_readers(value, self._asks.pop(value, {}))
            self._load(value, asks, unit)
        for value in node.operands:
            self._need(value, unit)

    def _visit_pointwise(self, node: Node, asks: Asks, needed: bool) -> None:
        """A node whose elements each come from some elements of its operands."""
        value = node.result
        reason = self._why_stored(node, asks)
        if not needed and not reason and len(asks) > 1:
            asks = self._merge_readers(value, asks)
            if len(asks) > 1 and not self._is_cheap(value, len(asks)):
                reason = "wanted by several kernels and dear to recompute"
        if needed or reason:
            self._store(node, asks, reason or "an output or read as a whole")
            return
        for group, maps in asks.items():
            for map_ in maps:
                self._evaluate(node, group, map_)

    def _why_stored(self, node: Node, asks: Asks) -> str:
        """Why the value cannot or should not be computed where it is asked for; else ""."""
        value = node.result
        for group, maps in asks.items():
            if group.members + len(maps) > MOST_MEMBERS:
                return "the kernel is full"
            if any(self.seen.operands(node, group, map_) is None for map_ in maps):
                return f"{node.op.name} has no affine index map here"
            if value in self.facts.folding and value not in group.cleared:
                found = self._foldings(value, group, maps[0]) if len(maps) == 1 else None
                if found is None or not all(self._fits(r, group, m) for r, m in found):
                    smallest = min((r.type.size for r, _ in found or ()), default=0)
                    if found is None or value.type.size <= smallest:
                        return "computed where the reductions that it needs are"
                else:
                    group.cleared.update(self._seen)
            if self._is_repeated(value, group, maps):
                return "dear, and wanted several times by one kernel"
        return ""

    def _visit_reduction(self, node: Node, asks: Asks, needed: bool) -> None:
        value = node.result
        fitting = {g: m for g, m in asks.items() if len(m) == 1 and self._fits(value, g, m[0])}
        if fitting:
            for group, (map_,) in fitting.items():
                if current(group) is group and self._fits(value, group, map_):
                    self._adopt(value, group, map_)
                    break
            asks = self._merge_readers(value, asks)
        (group, maps), *others = asks.items() if asks else [(None, [])]
        if needed or others or len(maps) != 1 or not self._fits(value, group, maps[0]):
            self._store(node, asks, f"{node.op.name} over other axes than its reader's")
        else:
            self._evaluate(node, group, maps[0])  # type: ignore[arg-type]

    # Decisions ---------------------------------------------------------------------------------

    def _is_cheap(self, value: Value, askers: int) -> bool:
        """Whether recomputing `value` for each asker moves no more bytes than storing it."""
        if value.node is not None and self.facts.role[value.node] in MOVING:
            return True
        sources = self.facts.sources[value]
        if sources is None or self.facts.work[value] > CHEAP:
            return False
        weight = sum(
            min(1.0, s.type.nbytes / max(value.type.nbytes, 1))
            for s in sources
        )  # fmt: skip
        return weight * (askers - 1) <= askers + 0.5

    def _is_repeated(self, value: Value, group: Group, maps: list[Map]) -> bool:
        """Whether elements of a value that is dear to compute would be computed several times."""
        node = value.node
        assert node is not None
        if self.facts.role[node] in MOVING:
            return False
        if len(maps) > 1 and self.facts.work[value] * (len(maps) - 1) > CHEAP:
            return True
        if node.op.kind is not Kind.RANDOM and (
            is_exact(node) or node.op.kind is not Kind.ELEMENTWISE
        ):
            return False
        folding = group.loops is None and value in self.facts.folding
        times = sum(evaluations(map_, group, folding) for map_ in maps)
        return times > value.type.size or any(map_.box for map_ in maps)

    def _foldings(self, value: Value, group: Group, map_: Map) -> list[tuple[Value, Map]] | None:
        """The reductions on the way from memory to the value, and the maps under which the group
        would see them; None if there is no map. `_seen` are the values on the way."""
        found: list[tuple[Value, Map]] = []
        self._seen = {value}
        todo = [(value, map_)]
        while todo:
            value, map_ = todo.pop()
            node = value.node
            if node is None or value not in self.facts.folding:
                continue
            if self.facts.role[node] == "reduction":
                found.append((value, map_))
                continue
            operands = self.seen.operands(node, group, map_)
            if operands is None:
                return None
            for operand, seen in operands:
                if operand in self.facts.folding and operand not in self._seen:
                    self._seen.add(operand)
                    todo.append((operand, seen))
        return found

    def _fits(self, reduced: Value, group: Group | None, map_: Map) -> bool:
        """Whether the points of the grid see each result once and the loops walk what it folds."""
        if group is None or map_.box or map_.picks:
            return False
        still = still_axes(map_, group.domain)
        moving = tuple(k for k in range(len(group.domain)) if k not in still)
        if not is_onto(map_, group.domain, moving, reduced.type.size):
            return False
        loops = still if group.loops is None else group.loops
        if tuple(k for k in loops if group.domain[k] != 1) != still:
            return False
        kept = tuple(n for n, folded in axis_runs(reduced.node) if not folded)  # type: ignore[arg-type]
        if positions(map_, group.domain, kept) is None:
            return False
        if group.loops is None and not still:
            return True
        return self.seen.walk(reduced, group, loops) is not None

    def _adopt(self, reduced: Value, group: Group, map_: Map) -> None:
        """Make the axes that `reduced` folds the loops of the group."""
        if group.loops is not None:
            return
        still = still_axes(map_, group.domain)
        if still:
            group.loops = still
            return
        rank = len(group.domain)
        group.domain += folded_shape(reduced)
        group.loops = tuple(range(rank, len(group.domain)))

    # Storing and reading -------------------------------------------------------------------------

    def _store(self, node: Node, asks: Asks, reason: str) -> None:
        """Let one of the askers, or a new group, compute the value and store it."""
        value = node.result
        self.reasons.setdefault(value, reason)
        asks = self._merge_readers(value, asks)
        host = self._host(value, asks)
        if host is None:
            group, map_ = self._new_group(value, reason, self._place[node]), natural_map(value)
            if self.facts.role[node] == "reduction":
                self._adopt(value, group, map_)
        else:
            group, map_ = host
            group.roots.append((value, map_))
            self.stored[value] = group
            asks = {g: maps for g, maps in asks.items() if g is not group}
        self._load(value, asks, group)
        self._evaluate(node, group, map_)

    def _host(self, value: Value, asks: Asks) -> tuple[Group, Map] | None:
        """An asker that sees each element once, and that no other reader has to precede."""
        needed = {current(unit) for unit in self._needed.get(value, ())}
        for group, maps in asks.items():
            if len(maps) > 1 or group.members >= MOST_MEMBERS or group in needed:
                continue
            map_ = maps[0]
            others = {*needed, *asks} - {group}
            if any(reaches(other, (group,)) for other in others):
                continue
            if not self._may_store(value, group, map_):
                continue
            if self.seen.operands(value.node, group, map_) is not None:  # type: ignore[arg-type]
                return group, map_
        return None

    def _may_store(self, value: Value, group: Group, map_: Map) -> bool:
        """Whether the group sees each element once, at every point or once for each grid point,
        and can fold all that the value needs."""
        if map_.box or map_.picks or not self.seen.sees_all(value, group, map_):
            return False
        found: list[tuple[Value, Map]] | None = []
        if value in self.facts.folding:
            found = self._foldings(value, group, map_)
            if found is None or not all(self._fits(r, group, m) for r, m in found):
                return False
        still = still_axes(map_, group.domain)
        if (value, map_) in found:
            self._adopt(value, group, map_)
        if group.loops is None:
            if not still:
                return True
            alike = [r for r, m in found if still_axes(m, group.domain) == still]
            if alike:
                self._adopt(alike[0], group, map_)
            return bool(alike)
        return not still or still == tuple(k for k in group.loops if group.domain[k] != 1)

    def _load(self, value: Value, asks: Asks, writer: Unit) -> None:
        """The askers, and units that need it whole, read `value` where `writer` stored it."""
        for group in asks:
            group.loaded[value] = None
            writer.readers.add(group)
        writer.readers.update(self._needed.get(value, ()))

    def _read(self, value: Value) -> None:
        """An input of the graph: read where it lies, or through a packed copy."""
        asks = self._merge_readers(value, self._asks.pop(value, {}))
        layout = self.facts.lies[value]
        assert layout is not None
        strange = {
            group: maps for group, maps in asks.items()
            if any(through(m, group.domain, value.shape, layout.strides, layout.offset) is None
                   for m in maps)
        }  # fmt: skip
        for group in asks:
            group.loaded[value] = None
        if not strange:
            return
        copy = Value(value.type)
        self.copy_of[copy] = value
        packer = self._new_group(copy, "an input that is not packed, read in another order", -1)
        packer.loaded[value] = None
        for group in strange:
            del group.loaded[value]
            group.loaded[copy] = None
            group.instead[value] = copy
            packer.readers.add(group)

    def _store_into(self, value: Value, given: Value, layout: View) -> None:
        """Let `value` take the memory of the input `given`, if what has to run first can: whoever
        reads the input, and whatever may raise (the input is then as before)."""
        if value.node is None or value in self.into or given in self.into.values():
            return
        if given in self.outputs or not layout.is_contiguous:
            return
        writer = current(self.stored[value])
        before = {unit for unit in map(current, self._all) if self._precedes(unit, given)}
        if writer in before and (isinstance(writer, Library) or writer.may_raise):
            return
        before.discard(writer)
        if before and reaches(writer, before):
            return
        for unit in before:
            unit.readers.add(writer)
        self.into[value] = given

    def _precedes(self, unit: Unit, given: Value) -> bool:
        """Whether the unit reads the input or may raise."""
        if isinstance(unit, Group):
            return unit.may_raise or given in unit.loaded
        if unit.node.may_raise:
            return True
        operands = unit.node.operands
        return any(self.facts.base.get(v, v) is given or v is given for v in operands)

    def _merge_readers(self, value: Value, asks: Asks) -> Asks:
        """Merge askers that see `value` alike from one domain; it is then read only once."""
        merged: list[Group] = []
        for group, maps in asks.items():
            for other in merged[-MOST_TRIES:]:
                if asks[other] != maps or len(maps) != 1:
                    continue
                dense = points(group.domain) <= 2 * value.type.size
                folded = value.node is not None and self.facts.role[value.node] == "reduction"
                if (dense or folded) and self._may_merge(other, group):
                    self._merge(other, group)
                    break
            else:
                merged.append(group)
        return {group: asks[group] for group in merged if current(group) is group}

    def _may_merge(self, one: Group, two: Group) -> bool:
        """Whether two groups fit into one loop nest and neither has to run before the other."""
        large, small = (one, two) if len(one.domain) >= len(two.domain) else (two, one)
        rank = len(small.domain)
        if large.domain[:rank] != small.domain or one.members + two.members > MOST_MEMBERS:
            return False
        if rank < len(large.domain) and large.loops != tuple(range(rank, len(large.domain))):
            return False
        if None not in (large.loops, small.loops) and large.loops != small.loops:
            return False
        if large.loops is None and small.loops is not None and rank != len(large.domain):
            return False
        return not reaches(one, (two,)) and not reaches(two, (one,))

    def _merge(self, one: Group, two: Group) -> None:
        """Give the work of `two` to `one`."""
        if len(two.domain) > len(one.domain):
            one.domain = two.domain
        one.loops = one.loops if two.loops is None else two.loops
        one.roots += two.roots
        one.loaded.update(two.loaded)
        one.instead.update(two.instead)
        one.cleared &= two.cleared
        one.members += two.members
        one.readers |= two.readers
        one.may_raise |= two.may_raise
        self._rank[one] = max(self._rank[one], self._rank[two])
        two.into = one
        for value, _ in two.roots:
            self.stored[value] = one
        for asks in self._asks.values():
            maps = asks.pop(two, None)
            for map_ in maps or ():
                known = asks.setdefault(one, [])
                if map_ not in known:
                    known.append(map_)

    # Evaluating ----------------------------------------------------------------------------------

    def _evaluate(self, node: Node, group: Group, map_: Map) -> None:
        """`group` computes the node under `map_`: ask for its operands."""
        group.members += 1
        group.may_raise |= node.may_raise
        found = self.seen.operands(node, group, map_)
        assert found is not None, f"{node} has no index map in its own group"
        for value, operand_map in found:
            self._ask(value, group, operand_map)


def evaluations(map_: Map, group: Group, folding: bool) -> int:
    """How often a group computes a value under a map: not again along loops that do not move it.
    If it is `folding`, the axes that do not move it will be the loops."""
    still = set(still_axes(map_, group.domain))
    if not folding:
        still.intersection_update(group.loops or ())
    return size_of(tuple(n for k, n in enumerate(group.domain) if k not in still))


def packed_domain(value: Value) -> tuple[int, ...]:
    """The axes over which a value is computed: its own, but for those of size 1."""
    return tuple(n for n in value.shape if n != 1)


def natural_map(value: Value) -> Map:
    """Each point of `packed_domain(value)` sees its own element."""
    return natural(packed_domain(value))
