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

import builtins
import sys
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any, ClassVar

__version__ = "0.1.0"
__array_api_version__ = "2024.12"

_NONE = object()
#: where names are that are not in `dualflow.api`: a module and its names on each line
_ELSEWHERE = """
dualflow.autograd.check            check_grads
dualflow.autograd.control          cond map scan while_loop
dualflow.autograd.custom           custom_gradient stop_gradient
dualflow.autograd.forward          hvp jvp linearize
dualflow.autograd.jacobians        hessian jacfwd jacobian jacrev
dualflow.autograd.mapping          vmap
dualflow.autograd.recompute        checkpoint
dualflow.base.narrow               bfloat16 float8_e4m3fn float8_e5m2
dualflow.capture                   compile pure
dualflow.inspect.compare           compare
dualflow.inspect.nonfinite         debug_nans
dualflow.interop.files             load save
dualflow.runtime.memory            release_memory
dualflow.array.cuda                memory_summary synchronize
dualflow.ops.autocast              autocast
dualflow.ops.devices               device
dualflow.ops.functions.attention   scaled_dot_product_attention
dualflow.ops.functions.packed_attention packed_attention
dualflow.ops.functions.contraction einsum
dualflow.ops.functions.convolution conv1d conv2d conv3d
dualflow.ops.functions.convolution conv_transpose1d conv_transpose2d conv_transpose3d
dualflow.ops.functions.differences diff interp
dualflow.ops.functions.information __array_namespace_info__
dualflow.ops.functions.information can_cast finfo iinfo isdtype result_type
dualflow.ops.functions.linalg      cross diagonal trace
dualflow.ops.functions.pooling     adaptive_avg_pool1d adaptive_avg_pool2d
dualflow.ops.functions.pooling     adaptive_max_pool1d adaptive_max_pool2d
dualflow.ops.functions.pooling     avg_pool1d avg_pool2d avg_pool3d
dualflow.ops.functions.pooling     max_pool1d max_pool2d max_pool3d
dualflow.ops.functions.statistics  average bincount corrcoef cov digitize histogram median
dualflow.ops.functions.statistics  nanmax nanmean nanmin nanstd nansum nanvar
dualflow.ops.functions.statistics  percentile ptp quantile
"""
_MODULES = {
    name: line.split()[0] for line in _ELSEWHERE.strip().split("\n") for name in line.split()[1:]
}
#: names that are modules
_ROOMS = {
    "cuda": "dualflow.array.cuda",
    "data": "dualflow.data",
    "fft": "dualflow.ops.functions.fft",
    "interop": "dualflow.interop",
    "linalg": "dualflow.ops.functions.linalg",
    "nn": "dualflow.nn",
    "optim": "dualflow.optim",
    "random": "dualflow.ops.random",
}


class _Finder(PathFinder):
    """Finds the modules of this package: to them built-in functions are what they are now,
    whatever a program puts into `builtins` later."""

    kept: ClassVar = dict(vars(builtins))

    @classmethod
    def find_spec(cls, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if not fullname.startswith("dualflow."):
            return None
        spec = super().find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader.create_module = cls._module  # type: ignore[method-assign]
        return spec

    @classmethod
    def _module(cls, spec: ModuleSpec) -> ModuleType:
        module = ModuleType(spec.name)
        vars(module)["__builtins__"] = cls.kept
        return module


if _Finder not in sys.meta_path:
    sys.meta_path.insert(0, _Finder)


def __getattr__(name: str) -> Any:
    if name == "__all__":
        return sorted({*import_module("dualflow.api").__all__, *_MODULES, *_ROOMS})
    if name in _ROOMS:
        import_module("dualflow.api")  # which tells the functions what a tensor is
        found = import_module(_ROOMS[name])
    elif name in _MODULES or not name.startswith("__"):
        api = import_module("dualflow.api")
        found = getattr(import_module(_MODULES[name]) if name in _MODULES else api, name, _NONE)
    else:
        found = _NONE
    if found is _NONE:
        instead = import_module("dualflow.base.synonyms").INSTEAD.get(name)
        what = f"module 'dualflow' has no attribute {name!r}"
        raise AttributeError(f"{what}; write {instead}" if instead else what)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return [*__getattr__("__all__"), "__version__"]
