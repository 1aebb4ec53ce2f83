"""Splitting and batching of tensors whose first axis counts examples."""

from __future__ import annotations

from collections.abc import Iterator
from typing import final

from dualflow import api as df
from dualflow.base.errors import ArgumentError, ShapeError
from dualflow.ops import draws
from dualflow.ops.generator import Generator


def train_test_split(
    *tensors: df.Tensor, held_out: float = 0.2, seed: int = 0
) -> tuple[tuple[df.Tensor, ...], tuple[df.Tensor, ...]]:
    """Part the examples at random, the same way for all tensors.

    Args:
        tensors: of equal first sizes.
        held_out: which part of the examples goes into the second result.
        seed: equal seeds give equal parts.

    Returns:
        The tensors of the examples to train with, and those of the examples held out.

    >>> train, test = train_test_split(df.arange(10), df.zeros((10, 2)), held_out=0.2)
    >>> [x.shape for x in train], [x.shape for x in test]
    ([(8,), (8, 2)], [(2,), (2, 2)])
    """
    if not 0.0 < held_out < 1.0:
        raise ArgumentError(f"held_out={held_out}", instead="a part between 0 and 1")
    count = _count(tensors)
    order = Generator(seed).permutation(count)
    border = count - round(count * held_out)
    first, second = order[:border], order[border:]
    return (
        tuple([df.take(x, first, axis=0) for x in tensors]),
        tuple([df.take(x, second, axis=0) for x in tensors]),
    )


@final
class Batches:
    """The examples of tensors, some at a time; each iteration is one pass.

    Args:
        tensors: of equal first sizes.
        size: how many examples at a time.
        shuffle: whether each pass takes them in a new random order.
        generator: of the order; by default that of the process.
        drop_last: whether a smaller last batch is left out.

    >>> for x, y in Batches(df.arange(5), df.arange(5) * 10, size=2, shuffle=False):
    ...     print(x.tolist(), y.tolist())
    [0, 1] [0, 10]
    [2, 3] [20, 30]
    [4] [40]
    """

    def __init__(
        self,
        *tensors: df.Tensor,
        size: int,
        shuffle: bool = True,
        generator: Generator | None = None,
        drop_last: bool = False,
    ) -> None:
        if size < 1:
            raise ArgumentError(f"batches of {size} examples", instead="at least 1")
        self.count = _count(tensors)
        self.tensors, self.size, self.shuffle = tensors, size, shuffle
        self.generator, self.drop_last = generator, drop_last

    def __len__(self) -> int:
        whole, rest = divmod(self.count, self.size)
        return whole + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[tuple[df.Tensor, ...]]:
        order = draws.permutation(self.count, self.generator) if self.shuffle else None
        for i in range(len(self)):
            part = slice(i * self.size, min((i + 1) * self.size, self.count))
            if order is None:
                yield tuple([x[part] for x in self.tensors])
            else:
                yield tuple([df.take(x, order[part].to(x.device), axis=0) for x in self.tensors])


def _count(tensors: tuple[df.Tensor, ...]) -> int:
    if not tensors:
        raise ArgumentError("no tensors", instead="at least one")
    for x in tensors:
        if type(x) is not df.Tensor or not x.shape:
            raise ArgumentError("examples that are no tensor with a first axis",
                                instead="df.asarray(...)")  # fmt: skip
    sizes = {x.shape[0] for x in tensors}
    if len(sizes) > 1:
        raise ShapeError(f"tensors of {sorted(sizes)} examples",
                         why="all tensors must have the same number")  # fmt: skip
    return sizes.pop()
