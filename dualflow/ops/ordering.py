"""In which order to multiply several tensors: the cheapest order of pairwise contractions.

Comes in: the labels of each tensor, the sizes of labels, the labels of the result. Goes out: pairs
of positions; both are taken out of the list and their product is put at its end.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

Labels = frozenset[int]
Order = tuple[tuple[int, int], ...]

#: up to so many tensors every order is looked at (through its subsets), beyond it greedily
MOST_EXACT = 8


def cheapest(terms: Sequence[Labels], result: Labels, sizes: Mapping[int, int]) -> Order:
    """The order with the fewest multiplications."""
    if len(terms) <= 2:
        return ((0, 1),) if len(terms) == 2 else ()
    exact = len(terms) <= MOST_EXACT
    tree = _best_tree(terms, result, sizes) if exact else _greedy_tree(terms, result, sizes)
    return _as_order(tree, len(terms))


def _volume(labels: Labels, sizes: Mapping[int, int]) -> int:
    return math.prod(sizes[label] for label in labels)


def _best_tree(terms: Sequence[Labels], result: Labels, sizes: Mapping[int, int]) -> object:
    """Nested pairs of positions, by the best tree of every subset of the terms."""
    everything = (1 << len(terms)) - 1
    inside: dict[int, Labels] = {}
    for subset in range(1, everything + 1):
        low = subset & -subset
        inside[subset] = inside.get(subset ^ low, frozenset()) | terms[low.bit_length() - 1]

    def left(subset: int) -> Labels:
        """The labels of the product of a subset that something else still needs."""
        others = inside.get(everything ^ subset, frozenset()) | result
        return inside[subset] & others

    best: dict[int, tuple[int, object]] = {1 << i: (0, i) for i in range(len(terms))}
    for subset in sorted(range(1, everything + 1), key=int.bit_count):
        if subset in best:
            continue
        part = (subset - 1) & subset
        found: tuple[int, object] | None = None
        while part:
            other = subset ^ part
            if part > other:
                cost = _volume(left(part) | left(other), sizes) + best[part][0] + best[other][0]
                if found is None or cost < found[0]:
                    found = (cost, (best[part][1], best[other][1]))
            part = (part - 1) & subset
        assert found is not None
        best[subset] = found
    return best[everything][1]


def _greedy_tree(terms: Sequence[Labels], result: Labels, sizes: Mapping[int, int]) -> object:
    """Again and again the pair whose product is smallest beside what it replaces."""
    alive: dict[object, Labels] = dict(enumerate(terms))

    def product(a: object, b: object) -> Labels:
        others = (labels for key, labels in alive.items() if key is not a and key is not b)
        return (alive[a] | alive[b]) & result.union(*others)

    def price(pair: tuple[object, object]) -> tuple[int, int]:
        a, b = pair
        saved = _volume(alive[a], sizes) + _volume(alive[b], sizes)
        return _volume(product(a, b), sizes) - saved, _volume(alive[a] | alive[b], sizes)

    while len(alive) > 1:
        a, b = min(itertools.combinations(alive, 2), key=price)
        labels = product(a, b)
        del alive[a], alive[b]
        alive[a, b] = labels
    (tree,) = alive
    return tree


def _as_order(tree: object, count: int) -> Order:
    places: list[object] = list(range(count))
    order: list[tuple[int, int]] = []

    def walk(node: object) -> object:
        if isinstance(node, tuple):
            a, b = map(walk, node)
            i, j = sorted((places.index(a), places.index(b)))
            order.append((i, j))
            places.pop(j)
            places.pop(i)
            places.append(node)
        return node

    walk(tree)
    return tuple(order)
