"""Which ops have no reverse, forward or batching rule: CONTRIBUTING.md lists them, with reasons."""

from __future__ import annotations

from pathlib import Path

import dualflow as df
from dualflow.autograd.batching import RULES
from dualflow.ir.op import CATALOGUE, Kind

df.asarray(0.0)  # the whole catalogue is there
PAGE = Path(__file__).parent.parent / "CONTRIBUTING.md"
#: kinds of which the forward rule follows: see `autograd/tangents.py`
DERIVED = {Kind.ELEMENTWISE, Kind.MOVEMENT, Kind.INDEXING, Kind.CONTRACTION}
NO_BATCH = {
    Kind.CREATION: "nothing comes in that could be a batch",
    Kind.RANDOM: "`vmap(randomness=...)` says what a draw means for a batch; the mode does it",
    Kind.LOOP: "made by passes, after `vmap`",
    Kind.BRANCH: "made by passes, after `vmap`",
}


def table() -> str:
    """The rows, from the records."""
    rows = ["| without | ops | why |", "|---|---|---|"]
    without: dict[str, list[str]] = {}
    for op in CATALOGUE.values():
        if op.gradient is None:
            without.setdefault(op.no_gradient, []).append(op.name)
    rows += [
        f"| reverse and forward | {' '.join(sorted(names))} | {why} |"
        for why, names in sorted(without.items())
    ]
    for kind, why in NO_BATCH.items():
        names = " ".join(sorted(op.name for op in CATALOGUE.values() if op.kind is kind))
        rows.append(f"| batching | {names} | {why} |")
    return "\n".join(rows) + "\n"


def test_the_table_is_that_of_the_records():
    assert table() in PAGE.read_text(), f"CONTRIBUTING.md, 'Ops without a rule':\n{table()}"


def test_every_op_with_a_gradient_has_a_forward_rule():
    for op in CATALOGUE.values():
        has = op.forward is not None or (op.kind in DERIVED and op.gradient is not None)
        assert has == (op.gradient is not None), op


def test_every_kind_has_a_batching_rule_or_a_reason_for_none():
    assert set(RULES) | set(NO_BATCH) == set(Kind)
    assert not set(RULES) & set(NO_BATCH)
