"""Program -> the Forms of its steps: what a template computes in one launch.

Products with the maps around them, scans, scatters, attention, and small kernels side by side. The
runtime measures whether a form or its steps are faster, where a form does not say it itself.
"""

from __future__ import annotations

from collections.abc import Callable

from dualflow.ir.form import Form
from dualflow.ir.op import Kind
from dualflow.ir.program import Call, Program

from .triton_attention import attention_form
from .triton_convolutions import convolution_form
from .triton_fusing import product_form
from .triton_groups import group_forms
from .triton_scans import scan_form
from .triton_scatters import scatter_form

Template = Callable[[int, Call], "Form | None"]
#: by the word that an op's record says for this backend's templates
TEMPLATES: dict[str, Template] = {
    "attention": attention_form,
    "convolution": convolution_form,
}


def forms(program: Program) -> dict[int, Form]:
    """The forms of steps of `program` (not of the bodies of its loops), by the last step that each
    stands for; no step is part of two."""
    found: dict[int, Form] = {}
    taken: set[int] = set()
    for number, step in enumerate(program.steps):
        if not isinstance(step, Call) or (step.exact and step.op.scatter is None):
            continue  # scatters are templates in eager mode, too
        word = step.op.spelling.get("templates")
        if word is not None:
            form = TEMPLATES[word](number, step)
        elif step.op.kind is Kind.SCAN:
            form = scan_form(number, step)
        elif step.op.scatter is not None:
            form = scatter_form(program, number, step, taken)
        elif step.op.kind is Kind.CONTRACTION and len(step.operands) == 2:
            form = product_form(program, number, step, taken)
        else:
            form = None
        if form is not None:
            found[max(form.covers)] = form
            taken.update(form.covers)
    found |= {max(form.covers): form for form in group_forms(program, taken)}
    return found
