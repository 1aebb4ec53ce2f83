"""Calls of libraries: of the C library for the few elements that a polynomial does not serve, of
NumPy's functions of vectors where they are faster than ours.

In: the arguments; a condition and the value for the usual case. Out: a `Scalar`. The surrounding
loop still vectorises: LLVM is told of vector variants of the call, written here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llvmlite import ir

from ..loader import vector_bytes
from .builder import Scalar

#: Makes, once in a module, a function of doubles or floats.
Maker = Callable[[ir.Module], ir.Function]


def rarely(condition: Scalar, name: str | Maker, usual: Scalar, *arguments: Scalar) -> Scalar:
    """The C library's `name(*arguments)` where the condition holds, else `usual`.

    A loop with this call still vectorises: the call goes through a function that announces masked
    vector variants (LLVM's vector-function-abi-variant), and these return at once when no lane
    needs them. `name` is the double function; the float one has an "f" appended. In place of a
    name may stand what makes the function.
    """
    builder = usual.builder
    if isinstance(name, str):
        name = name if usual.width == 64 else name + "f"
        library = _declared(builder.module, name, usual.type, len(arguments))
    else:
        library = name(builder.module)
    function = _scalar_call(builder.module, library, usual.type, len(arguments))
    start = builder.basic_block
    with builder.if_then(condition.value, likely=False):
        exact = builder.call(function, [argument.value for argument in arguments])
        called = builder.basic_block
    result = builder.phi(usual.type)
    result.add_incoming(usual.value, start)
    result.add_incoming(exact, called)
    return usual.wrap(result)


def of_vectors(name: str, lanes: int, *arguments: Scalar) -> Scalar:
    """The library's `name(*arguments)`, a function of vectors of so many lanes, which are called by
    loops. Lanes that nobody asked for are 1: for huge and tiny results such a function computes
    lane by lane, which takes 16 times as long for 16 of them."""
    first = arguments[0]
    module, kind, count = first.builder.module, first.type, len(arguments)
    caller = f"dualflow_{name}"
    if caller not in module.globals:
        vector = ir.VectorType(kind, lanes)
        library = ir.Function(module, ir.FunctionType(vector, [vector] * count), name)
        _pure(library)
        parts = [_part_call(module, library, w) for w in (lanes // 4, lanes // 2)]
        function = ir.Function(module, ir.FunctionType(kind, [kind] * count), caller)
        _mark(function, _variants("N", caller, [*parts, library], count))
        builder = ir.IRBuilder(function.append_basic_block("entry"))
        ones = ir.Constant(vector, [1.0] * lanes)
        whole = [builder.insert_element(ones, x, ir.IntType(32)(0)) for x in function.args]
        builder.ret(builder.extract_element(builder.call(library, whole), ir.IntType(32)(0)))
        _keep(module, [*parts, library])
    called = first.builder.call(module.globals[caller], [each.value for each in arguments])
    return first.wrap(called)


def _part_call(module: ir.Module, library: ir.Function, width: int) -> ir.Function:
    """A function of shorter vectors, with lanes of 1 behind theirs."""
    whole = library.function_type.return_type
    vector, number = ir.VectorType(whole.element, width), ir.IntType(32)
    kind = ir.FunctionType(vector, [vector] * len(library.args))
    function = ir.Function(module, kind, f"dualflow_{library.name}_{width}")
    _mark(function)
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    wider, lanes = (
        ir.Constant(ir.VectorType(number, count), [min(n, width) for n in range(count)])
        for count in (whole.count, width)
    )
    ones = ir.Constant(vector, [1.0] * width)
    longer = [builder.shuffle_vector(each, ones, wider) for each in function.args]
    found = builder.call(library, longer)
    builder.ret(builder.shuffle_vector(found, found, lanes))
    return function


def _variants(masked: str, name: str, functions: Sequence[ir.Function], count: int) -> str:
    """What tells the vectoriser of the vector variants of a function of that name."""
    each = [
        f"_ZGV_LLVM_{masked}{f.function_type.return_type.count}{'v' * count}_{name}({f.name})"
        for f in functions
    ]
    return f'"vector-function-abi-variant"="{",".join(each)}"'


def _declared(module: ir.Module, name: str, kind: ir.Type, count: int) -> ir.Function:
    """A function of the C library."""
    signature = ir.FunctionType(kind, [kind] * count)
    return module.globals.get(name) or ir.Function(module, signature, name)


def pure(module: ir.Module, name: str, kind: ir.Type, count: int) -> ir.Function:
    """A private function, to be given blocks where it has none yet."""
    if name in module.globals:
        return module.globals[name]
    function = _declared(module, name, kind, count)
    _mark(function)
    return function


def _scalar_call(module: ir.Module, library: ir.Function, kind: ir.Type, count: int) -> ir.Function:
    """A function around `library`, with masked vector variants beside it."""
    wrapper_name = f"dualflow_{library.name}"
    if wrapper_name in module.globals:
        return module.globals[wrapper_name]
    signature = ir.FunctionType(kind, [kind] * count)
    # The lengths that the vectoriser chooses: whole vectors, and parts of them for what is left.
    lanes = vector_bytes() // (4 if isinstance(kind, ir.FloatType) else 8)
    widths = [width for width in (lanes // 4, lanes // 2, lanes) if width > 1]
    variants = [_vector_call(module, library, wrapper_name, kind, count, w) for w in widths]
    wrapper = ir.Function(module, signature, wrapper_name)
    _mark(wrapper, _variants("M", wrapper_name, variants, count))
    builder = ir.IRBuilder(wrapper.append_basic_block("entry"))
    builder.ret(builder.call(library, wrapper.args))
    _keep(module, variants)
    return wrapper


def _mark(function: ir.Function, *attributes: str) -> None:
    """Make the function private, pure and never inlined."""
    function.linkage = "internal"
    function.attributes.add("noinline")
    _pure(function, *attributes)


def _pure(function: ir.Function, *attributes: str) -> None:
    """Say that nothing but the result depends on a call."""
    for attribute in ("nounwind", "readnone"):
        function.attributes.add(attribute)
    for attribute in ("willreturn", *attributes):
        # llvmlite's own `add` refuses attributes that its list lacks; LLVM knows these.
        set.add(function.attributes, attribute)


def _vector_call(
    module: ir.Module, library: ir.Function, name: str, kind: ir.Type, count: int, width: int
) -> ir.Function:
    """A function of `count` vectors and a mask that calls `library` for each lane in the mask."""
    vector = ir.VectorType(kind, width)
    mask_type = ir.VectorType(ir.IntType(1), width)
    signature = ir.FunctionType(vector, [vector] * count + [mask_type])
    function = ir.Function(module, signature, f"{name}_{width}")
    _mark(function)
    *arguments, mask = function.args
    blocks = [
        function.append_basic_block(text) for text in ("entry", "lane", "call", "next", "end")
    ]
    entry, lane, call, following, end = blocks
    index_type = ir.IntType(32)
    zero = ir.Constant(vector, [0.0] * width)

    builder = ir.IRBuilder(entry)
    packed = builder.bitcast(mask, ir.IntType(width))
    builder.cbranch(builder.icmp_unsigned("==", packed, packed.type(0)), end, lane)

    builder.position_at_end(lane)
    index = builder.phi(index_type)
    result = builder.phi(vector)
    builder.cbranch(builder.extract_element(mask, index), call, following)

    builder.position_at_end(call)
    lanes = [builder.extract_element(argument, index) for argument in arguments]
    filled = builder.insert_element(result, builder.call(library, lanes), index)
    builder.branch(following)

    builder.position_at_end(following)
    merged = builder.phi(vector)
    merged.add_incoming(result, lane)
    merged.add_incoming(filled, call)
    advanced = builder.add(index, index_type(1))
    builder.cbranch(builder.icmp_unsigned("<", advanced, index_type(width)), lane, end)
    for phi, first, then in ((index, index_type(0), advanced), (result, zero, merged)):
        phi.add_incoming(first, entry)
        phi.add_incoming(then, following)

    builder.position_at_end(end)
    returned = builder.phi(vector)
    returned.add_incoming(zero, entry)
    returned.add_incoming(merged, following)
    builder.ret(returned)
    return function


def _keep(module: ir.Module, functions: list[ir.Function]) -> None:
    """List the functions in `llvm.compiler.used`: nothing calls them until the vectoriser does."""
    name = "llvm.compiler.used"
    pointer = ir.IntType(8).as_pointer()
    kept = [function.bitcast(pointer) for function in functions]
    used = module.globals.get(name)
    if used is not None:
        kept = [*used.initializer.constant, *kept]
    array = ir.ArrayType(pointer, len(kept))
    if used is None:
        used = ir.GlobalVariable(module, array, name)
        used.linkage = "appending"
        used.section = "llvm.metadata"
    used.type, used.value_type = array.as_pointer(), array  # a module's names are never free again
    used.initializer = ir.Constant(array, kept)
