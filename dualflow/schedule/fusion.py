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
from dualflow.ir.graph import Graph, Node, Value
from dualflow.ir.op import Kind
from dualflow.ir.types import View

from .facts import Facts
from .folding import Folding, adopt
from .loops import takes_as_it_lies
from .maps import Map, natural, points, through
from .operands import Operands
from .repeating import FREE, choose, is_repeated
from .units import (
    MOST_MEMBERS,
    Closing,
    Group,
    Library,
    Unit,
    current,
    fit_together,
    in_order,
    reaches,
)

#: With how many of the groups before it a reader of a value is compared, to merge them.
MOST_TRIES = 6

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
        repeated: why a value is computed anew where it is wanted, as text.
    """

    def __init__(
        self, graph: Graph, layouts: Sequence[View], backend: str, exact: bool, apart: bool = False
    ) -> None:
        self.graph, self.facts = graph, Facts(graph, layouts, backend, exact, apart)
        self.seen = Operands(self.facts)
        self.folding = Folding(self.facts, self.seen)
        self.stored: dict[Value, Unit] = {}
        self.copy_of: dict[Value, Value] = {}
        self.packed: dict[Value, Value] = {}
        self.reasons: dict[Value, str] = {}
        self.repeated: dict[Value, str] = {}
        self.outputs: list[Value] = []
        self._asks: dict[Value, Asks] = {}
        self._needed: dict[Value, set[Unit]] = {}
        self._all: list[Unit] = []
        self._rank: dict[Unit, int] = {}
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

    def _copy(self, value: Value, reason: str) -> Value:
        """A value that is a packed copy of another, stored by a unit of its own."""
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
        if role == "library":
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
        if not needed and not reason and len(asks) > 1 and self.facts.role[node] not in FREE:
            asks = self._merge_readers(value, asks)
            if len(asks) > 1:
                choice = choose(self.facts, value, len(asks))
                reason = "" if choice.anew else choice.reason
                if choice.anew and choice.reason:
                    self.repeated[value] = choice.reason
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
            if group.members + len(maps) > MOST_MEMBERS and self.facts.role[node] not in FREE:
                return "the kernel is full"
            if any(self.seen.operands(node, group, map_) is None for map_ in maps):
                return f"{node.op.name} has no affine index map here"
            if value in self.facts.folding and value not in group.cleared:
                way = self.folding.on_the_way(value, group, maps[0]) if len(maps) == 1 else None
                if way is None:
                    return "computed where the reductions that it needs are"
                if all(self.folding.fits(r, group, m) for r, m in way[0]):
                    group.cleared.update(way[1])
                elif value.type.size <= min(r.type.size for r, _ in way[0]):
                    return "computed where the reductions that it needs are"
            if is_repeated(self.facts, value, group, maps):
                return "dear, and wanted several times by one kernel"
        return ""

    def _visit_reduction(self, node: Node, asks: Asks, needed: bool) -> None:
        value = node.result
        fits = self.folding.fits
        fitting = {g: m for g, m in asks.items() if len(m) == 1 and fits(value, g, m[0])}
        if fitting:
            for group, (map_,) in fitting.items():
                if current(group) is group and fits(value, group, map_):
                    adopt(value, group, map_)
                    break
            asks = self._merge_readers(value, asks)
        (group, maps), *others = asks.items() if asks else [(None, [])]
        if needed or others or len(maps) != 1 or not fits(value, group, maps[0]):
            self._store(node, asks, f"{node.op.name} over other axes than its reader's")
        else:
            self._evaluate(node, group, maps[0])  # type: ignore[arg-type]

    # Decisions ---------------------------------------------------------------------------------

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
                adopt(value, group, map_)
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
            if not self.folding.may_store(value, group, map_):
                continue
            if self.seen.operands(value.node, group, map_) is not None:  # type: ignore[arg-type]
                return group, map_
        return None

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
                if (dense or folded) and fit_together(other, group):
                    self._merge(other, group)
                    break
            else:
                merged.append(group)
        return {group: asks[group] for group in merged if current(group) is group}

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


def packed_domain(value: Value) -> tuple[int, ...]:
    """The axes over which a value is computed: its own, but for those of size 1."""
    return tuple(n for n in value.shape if n != 1)


def natural_map(value: Value) -> Map:
    """Each point of `packed_domain(value)` sees its own element."""
    return natural(packed_domain(value))
