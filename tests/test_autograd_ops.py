"""The gradient of every op in the catalogue, to order 2, held against central differences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from dualflow.array import Tensor
from dualflow.autograd.check import check_grads
from dualflow.ir.op import CATALOGUE, Kind, Op
from dualflow.ops import door
from dualflow.ops.domains import LINE, Domain

F8 = np.dtype(np.float64)


def draw(rng, domain: Domain, operand: int, shape: tuple[int, ...]) -> np.ndarray:
    """Floats in the domain, away from where the op bends."""
    low, high = domain.interval(operand)
    values = np.array(rng.uniform(low, high, shape))
    while domain.gap:
        period = domain.period
        nearest = np.round(values / period) * period if period else np.zeros(shape)
        bad = np.abs(values - nearest) < domain.gap
        if not bad.any():
            break
        values[bad] = rng.uniform(low, high, int(bad.sum()))
    return values


def floats(*shape: int, low: float = -2.0, high: float = 2.0) -> Tensor:
    """All at least 0.05 apart, so that small steps keep their order."""
    size = int(np.prod(shape))
    values = np.linspace(low, high, size) if size > 1 else np.full(size, high)
    return Tensor._wrap(np.random.default_rng(size).permutation(values).reshape(shape))


def integers(*values) -> Tensor:
    return Tensor._wrap(np.array(values, np.int64))


#: for each op that is not elementwise: (inputs, attributes), several times
CASES: dict[str, list[tuple[tuple, dict]]] = {
    "cast": [((floats(2, 3),), {"dtype": F8})],
    "reshape": [((floats(2, 3),), {"shape": (3, 2)}), ((floats(2, 3),), {"shape": (6,)})],
    "polygamma": [((floats(3, low=0.5, high=4.0),), {"order": 1})],
    "permute": [((floats(2, 3, 2),), {"axes": (2, 0, 1)})],
    "expand": [
        ((floats(3, 1),), {"shape": (2, 3, 4)}),
        ((floats(2),), {"shape": (2,)}),
        ((floats(),), {"shape": (2, 2)}),
    ],
    "slice": [
        ((floats(4, 5),), {"starts": (0, 1), "stops": (4, 5), "steps": (2, 2)}),
        ((floats(4, 3),), {"starts": (3, 2), "stops": (-1, 0), "steps": (-2, -1)}),
    ],
    "select": [
        ((floats(4, 3),), {"axis": 0, "index": 2}),
        ((floats(2, 3),), {"axis": 1, "index": 0}),
    ],
    "slice_update": [
        (
            (floats(4, 5), floats(2, 2)),
            {"starts": (0, 1), "stops": (4, 5), "steps": (2, 2)},
        )
    ],
    "pad": [((floats(2, 3),), {"widths": ((1, 0), (2, 1)), "fill": 3.0})],
    "concat": [
        ((floats(2, 3), floats(2, 1), floats(2, 2)), {"axis": 1}),
        ((floats(2),), {"axis": 0}),
    ],
    "sum": [((floats(2, 3),), {"axes": (0,)}), ((floats(2, 3),), {"axes": (0, 1)})],
    "prod": [
        ((floats(2, 3),), {"axes": (1,)}),
        ((floats(2, 2, 2),), {"axes": (0, 2)}),
        ((Tensor._wrap(np.array([[0.0, 2.0, 3.0], [0.0, 0.0, 5.0]])),), {"axes": (1,)}),
    ],
    "max": [((floats(2, 3),), {"axes": (1,)}), ((floats(2, 3),), {"axes": (0, 1)})],
    "min": [((floats(2, 3),), {"axes": (0,)}), ((floats(2, 3),), {"axes": (0, 1)})],
    "cumsum": [((floats(2, 3),), {"axis": 0}), ((floats(2, 3),), {"axis": 1})],
    "cummax": [((floats(2, 3),), {"axis": 0}), ((floats(2, 5),), {"axis": 1})],
    "cummin": [((floats(2, 5),), {"axis": 1})],
    "logcumsumexp": [((floats(2, 5),), {"axis": 1}), ((floats(3, 2),), {"axis": 0})],
    "cumprod": [
        ((floats(2, 3),), {"axis": 1}),
        ((Tensor._wrap(np.array([2.0, 0.0, 3.0, 0.0])),), {"axis": 0}),
    ],
    "matmul": [
        ((floats(2, 3), floats(3, 4)), {}),
        ((floats(2, 2, 3), floats(2, 3, 1)), {}),
    ],
    "take": [
        ((floats(4, 2), integers(1, 3, 1, -1)), {"axis": 0}),
        ((floats(2, 3), integers([0, 2], [2, 2])), {"axis": 1}),
    ],
    "gather": [((floats(3, 2), integers([0, 2], [2, 2])), {"axis": 0})],
    "scatter_add": [((floats(3, 2), integers([0, 2], [0, -1]), floats(2, 2)), {"axis": 0})],
    "put": [((floats(3, 2), integers([0, 2], [0, 1]), floats(2, 2)), {"axis": 0})],
    "sort": [((floats(2, 4),), {"axis": 1}), ((floats(4, 2),), {"axis": 0})],
}

#: ops that need matrices or functions of a kind, and where their gradients are checked
ELSEWHERE = dict.fromkeys(
    ("inv", "solve", "solve_triangular", "pinv", "det", "adjugate", "slogdet", "expm", "cholesky",
     "qr", "eigh", "eigvalsh", "eig", "eigvals", "svd", "svdvals"), "test_linalg.py",
) | dict.fromkeys(("fft", "ifft", "rfft", "irfft"), "test_fft.py") | dict.fromkeys(
    ("convolve", "spread", "correlate"), "test_convolution.py")  # fmt: skip
ELSEWHERE |= dict.fromkeys(
    ("attention", "attention_queries", "attention_keys"), "test_attention_primitive.py"
)

DIFFERENTIABLE = [op for op in CATALOGUE.values() if op.gradient is not None]
ELEMENTWISE = [op for op in DIFFERENTIABLE if op.kind is Kind.ELEMENTWISE and op.name != "cast"]
REAL = [op for op in ELEMENTWISE if "f" in op.rule.accepts]
COMPLEX = [op for op in ELEMENTWISE if "c" in op.rule.accepts]
OTHERS = [op for op in DIFFERENTIABLE if op not in ELEMENTWISE]


def arity(op: Op) -> int:
    return op.gradient.__code__.co_argcount - 2


SEVERAL = [op for op in REAL if arity(op) > 1]
TWO = [op for op in REAL if arity(op) == 2]


def check(op: Op, inputs: Sequence, attributes: dict) -> None:
    check_grads(lambda *xs: door.apply(op, *xs, **attributes), *inputs, order=2, rtol=1e-4)


@pytest.mark.parametrize("op", REAL, ids=lambda op: op.name)
@pytest.mark.parametrize("shape", [(2, 3), (), (0, 2)], ids=str)
def test_elementwise(op: Op, shape: tuple[int, ...]):
    check(op, _operands(op, [shape, shape]), {})


@pytest.mark.parametrize("op", COMPLEX, ids=lambda op: op.name)
def test_elementwise_of_complex_numbers(op: Op):
    operands = _operands(op, [(3,), (3,)])
    rng = np.random.default_rng(len(op.name))
    parts = [x if x.dtype == bool else _complex(rng, x.array) for x in operands]
    check(op, parts, {})


def _complex(rng, real: np.ndarray) -> Tensor:
    """Away from the cuts of the plane, which lie on the axes."""
    return Tensor._wrap(real + 1j * rng.uniform(0.2, 0.8, real.shape))


@pytest.mark.parametrize("op", [op for op in COMPLEX if arity(op) > 1], ids=lambda op: op.name)
def test_elementwise_of_a_real_and_a_complex_operand(op: Op):
    operands = _operands(op, [(2, 1), (3,)])
    operands[-1] = _complex(np.random.default_rng(1), operands[-1].array)
    check_grads(lambda *xs: door.elementwise(op, *xs), *operands, order=2, rtol=1e-4)


@pytest.mark.parametrize("op", SEVERAL, ids=lambda op: op.name)
def test_elementwise_of_broadcast_operands(op: Op):
    operands = _operands(op, [(2, 1), (3,)])
    check_grads(lambda *xs: door.elementwise(op, *xs), *operands, order=2, rtol=1e-4)


@pytest.mark.parametrize("op", TWO, ids=lambda op: op.name)
@pytest.mark.parametrize("scalar", [0, 1])
def test_elementwise_with_a_python_scalar(op: Op, scalar: int):
    operands: list = _operands(op, [(3,), (3,)])
    operands[scalar] = float(operands[scalar].array[0])
    check_grads(lambda *xs: door.elementwise(op, *xs), *operands, order=2, rtol=1e-4)


def _operands(op: Op, shapes: list[tuple[int, ...]]) -> list[Tensor]:
    rng = np.random.default_rng(list(op.name.encode()))
    domain = op.domain or LINE
    numbers = arity(op) - op.rule.condition
    arrays = [draw(rng, domain, i, shapes[i]) for i in range(numbers)]
    if op.rule.condition:
        arrays.insert(0, np.array(rng.integers(0, 2, shapes[0]), bool))
    return [Tensor._wrap(array) for array in arrays]


@pytest.mark.parametrize(
    ("op", "case"),
    [(op, case) for op in OTHERS for case in range(len(CASES.get(op.name, ())))],
    ids=lambda value: value.name if isinstance(value, Op) else str(value),
)
def test_the_other_kinds(op: Op, case: int):
    inputs, attributes = CASES[op.name][case]
    check(op, inputs, attributes)


def test_every_gradient_is_checked():
    assert {op.name for op in OTHERS} == set(CASES) | set(ELSEWHERE)
    assert len(ELEMENTWISE) > 40


def test_every_op_has_a_gradient_or_a_reason_for_none():
    for op in CATALOGUE.values():
        assert (op.gradient is None) == bool(op.no_gradient), op


def test_of_values_put_into_one_place_only_the_last_counts():
    x, values = floats(2), Tensor._wrap(np.array([5.0, 7.0, 9.0]))
    indices = integers(0, 1, 0)
    check(CATALOGUE["put"], (x, indices, values), {"axis": 0})


def test_equal_extremes_share_the_gradient():
    x = Tensor._wrap(np.array([3.0, 3.0, 1.0]))
    x.requires_grad_()
    door.apply(CATALOGUE["max"], x, axes=(0,)).backward()
    np.testing.assert_array_equal(x.grad.numpy(), [0.5, 0.5, 0.0])
