"""dualflow: array code that runs eagerly, and fast when decorated.

    import dualflow as df

    @df.compile
    def step(x, w):
        return df.softmax(x @ w)

The rooms, in the order in which an operation passes through them:

    ops/        what exists: one record an op, public functions, the one door
    array/      Tensor and the eager mode
    autograd/   gradients
    capture/    compiled functions: recording, guards, replay, co-execution
    ir/         Graph, Kernel, Program
    passes/     Graph -> simpler Graph
    schedule/   Graph -> Kernels and a memory plan
    codegen/    Kernel -> text for Numba or Triton
    runtime/    text -> machine code, launched
    nn/ optim/ data/     models, optimizers, built-in data
    interop/    files, and other libraries that ask for more than the Array API
    explain/ inspect/    what happened, in plain text; compare

Attributes are loaded when they are first used, so that importing the package costs little.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"
__array_api_version__ = "2024.12"

#: where a name is that is not in `dualflow.api`: "module:attribute", or a module
_ELSEWHERE = {
    "__array_namespace_info__": "dualflow.ops.functions.information:__array_namespace_info__",
    "compile": "dualflow.capture:compile",
    "pure": "dualflow.capture:pure",
    "checkpoint": "dualflow.autograd.recompute:checkpoint",
    "compare": "dualflow.inspect.compare:compare",
    "cond": "dualflow.autograd.control:cond",
    "custom_gradient": "dualflow.autograd.custom:custom_gradient",
    "data": "dualflow.data",
    "cross": "dualflow.ops.functions.linalg:cross",
    "diagonal": "dualflow.ops.functions.linalg:diagonal",
    "fft": "dualflow.ops.functions.fft",
    "linalg": "dualflow.ops.functions.linalg",
    "hessian": "dualflow.autograd.jacobians:hessian",
    "hvp": "dualflow.autograd.forward:hvp",
    "jacfwd": "dualflow.autograd.jacobians:jacfwd",
    "jacobian": "dualflow.autograd.jacobians:jacobian",
    "interop": "dualflow.interop",
    "jacrev": "dualflow.autograd.jacobians:jacrev",
    "jvp": "dualflow.autograd.forward:jvp",
    "linearize": "dualflow.autograd.forward:linearize",
    "load": "dualflow.interop.files:load",
    "map": "dualflow.autograd.control:map",
    "nn": "dualflow.nn",
    "optim": "dualflow.optim",
    "save": "dualflow.interop.files:save",
    "scan": "dualflow.autograd.control:scan",
    "trace": "dualflow.ops.functions.linalg:trace",
    "stop_gradient": "dualflow.autograd.custom:stop_gradient",
    "vmap": "dualflow.autograd.mapping:vmap",
    "while_loop": "dualflow.autograd.control:while_loop",
}
_STATISTICS = """
average bincount corrcoef cov digitize histogram median nanmax nanmean nanmin nanstd nansum nanvar
percentile ptp quantile
"""
_ELSEWHERE |= {name: f"dualflow.ops.functions.statistics:{name}" for name in _STATISTICS.split()}
_INFORMATION = "can_cast finfo iinfo isdtype result_type"
_ELSEWHERE |= {name: f"dualflow.ops.functions.information:{name}" for name in _INFORMATION.split()}


def __getattr__(name: str) -> Any:
    if name == "__all__":
        return sorted({*import_module("dualflow.api").__all__, *_ELSEWHERE})
    api = "" if name.startswith("__") else "dualflow.api"
    module, _, attribute = _ELSEWHERE.get(name, f"{api}:{name}").partition(":")
    if module.startswith("dualflow.ops"):
        import_module("dualflow.api")  # which tells the functions what a tensor is
    found = import_module(module) if module else None
    if attribute and not hasattr(found, attribute):
        raise AttributeError(f"module 'dualflow' has no attribute {name!r}")
    found = getattr(found, attribute) if attribute else found
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return [*__getattr__("__all__"), "__version__"]
