"""Random functions of NumPy as source text, and arguments for calls of them that change.

A function takes arrays a, b, c, a matrix q, positions i, whole numbers k and n, a float s, and uses
globals; later calls come with other dtypes, shapes, layouts, overlaps and subclasses.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

#: {A}, {B}, {C}: variables; a statement each is `t = EXPRESSION` or one of the statements
EXPRESSIONS = """
{A} + {B}; {A} - {k}; {A} * {s}; {A} / ({B} + 2); {A} // 2; {A} % 3; {A} ** 2; {A} ** 0.5
2 ** {A}; {A} ** {B}; -{A}; +{A}; abs({A}); ~{A}; {A} & {B}; {A} | 1; {A} ^ {B}; {A} << 1
{A} >> 1; {A} < {B}; {A} >= {s}; {A} == {B}; {A} != {k}; {A} @ {B}; {A} @ {A}.T; divmod({A}, 2)
{A} == None; {A} == 'x'; np.exp({A} * 0.1); np.sin({A}); np.sqrt({A}); np.log({A}); np.tanh({A})
np.arctan2({A}, {B}); np.hypot({A}, {s}); np.maximum({A}, {B}); np.fmin({A}, {k}); np.sign({A})
np.floor({A}); np.rint({A}); np.isnan({A}); np.isfinite({A}); np.logical_and({A}, {B})
np.modf({A}); np.frexp({A}); np.divmod({A}, 3); np.clip({A}, 0, 2); np.clip({A}, None, {s})
np.where({A} > {s}, {A}, {B}); np.where({A} > 0, 1, 0); np.copysign({A}, {B})
np.nextafter({A}, {B}); np.gcd({A}, 4); np.heaviside({A}, 0.5); np.float_power({A}, 2)
np.conj({A}); np.spacing({A}); np.ldexp({A}, 2); np.cbrt({A}); np.exp2({A}); np.square({A})
np.negative({A}); np.positive({A}); np.add({A}, {B}, out={A}); np.multiply({A}, 2, out={B})
np.add({A}, 1, where={A} > 0, out={B}); np.add({A}, {B}, dtype=np.float32)
np.add({A}, {B}, dtype='f8', casting='unsafe'); np.add.outer({A}, {B}); np.add.reduce({A})
np.add.reduce({A}, axis=-1, keepdims=True); np.multiply.accumulate({A})
np.maximum.reduce({A}, axis=None); np.add.at({A}, 0, 1); np.add.at({A}, [0, 0, 1], {s})
np.subtract.at({A}, ({k},), 2); np.add.reduceat({A}, [0, 1]); np.logical_or.reduce({A})
np.minimum.accumulate({A}, axis=-1); np.add.reduce({A}, where={A} > 0)
np.maximum.at({A}, {I}, {k}); np.subtract({A}, {B}, {C}); np.add(1, {A}, order='F')
np.equal({A}, {B}, dtype=object); np.matmul({A}, {B}); np.vecdot({A}, {B}); {A}.sum(); {A}.sum(0)
{A}.sum(axis=-1, keepdims=True); {A}.mean(); {A}.mean(axis=0); {A}.std(); {A}.var(ddof=1)
{A}.max(); {A}.min(axis=-1); {A}.argmax(); {A}.argmin(0); {A}.prod(); {A}.any(); {A}.all(axis=0)
{A}.cumsum(); {A}.cumprod(-1); np.ptp({A}); {A}.trace(); {A}.sum(dtype='f4')
{A}.sum(where={A} > 0); np.sum({A}, out=np.zeros(())); {A}.round(1); np.median({A})
np.percentile({A}, 30); np.quantile({A}, [0.2, 0.5], axis=0); np.average({A})
np.average({A}, weights={A}); np.count_nonzero({A}); np.count_nonzero({A}, axis=0)
np.histogram({A}, bins=3); np.histogram({A}, bins=[0, 1, 2]); np.bincount({I})
np.bincount({I}, minlength=9); np.digitize({A}, [0, 1])
np.histogram2d({A}.ravel(), {A}.ravel(), bins=2); np.nanargmax({A}); np.nancumsum({A})
{A}[{A} > 0]; {A}[{A} > {s}] * 2; {A}[{A} > 0].max(); np.sort({A}[{A} < 1])
{A}[{A} > 0] - {A}[{A} > 0].mean(); {A}[np.flatnonzero({A} > 0)]; {B}[{A} > 0]
np.flatnonzero({A} > 0)[0]; {A}[{A} > 0][:2]; {A}[np.argmax({A})]; len({A}[{A} > 0])
{A}[{A} > 0].size; np.unique({A})[0]; np.concatenate([{A}.ravel(), {A}[{A} > 0]])
{A} / {A}[{A} > 0].sum(); {A}[0][{A}[0] > 0]; {A}[{A} > 0].shape; {A}[{A} > 0].T
np.repeat({A}, 2); {A}[np.nonzero({A})]; {A}[{A} > 0].astype(int); np.add.reduce({A}[{A} > 0])
np.bincount({A}.astype(int).ravel() * 0 + 1); {A}[~({A} > 0)]; np.sort({A}); np.sort({A}, axis=0)
np.argsort({A}); np.argsort({A}, kind='stable'); np.partition({A}, 1); np.argpartition({A}, 1)
np.searchsorted({A}.ravel(), 0.5); np.unique({A}); np.unique({A}, return_counts=True)
np.nonzero({A}); np.argwhere({A} > 0); np.flatnonzero({A}); np.where({A}); {A}.nonzero()
np.isin({A}, [0, 1]); np.union1d({A}, {B}); np.intersect1d({A}, {B}); np.setdiff1d({A}, {B})
np.extract({A} > 0, {A}); np.compress([True, False], {A}); np.lexsort(({A},))
np.sort_complex({A}); np.trim_zeros({A}); np.linalg.norm({A}); np.linalg.norm({A}, axis=0)
np.linalg.det({Q}); np.linalg.inv({Q} + 3 * np.eye(3))
np.linalg.solve({Q} + 4 * np.eye(3), {Q}[0]); np.linalg.eigvalsh({Q} + {Q}.T)
np.linalg.svd({Q}, compute_uv=False); np.linalg.qr({Q})[1].shape; np.linalg.matrix_power({Q}, 2)
np.linalg.lstsq({Q}, {Q}[0], rcond=None)[2]; np.linalg.pinv({Q}).shape; np.linalg.matrix_rank({Q})
np.linalg.slogdet({Q}); np.linalg.cholesky({Q} @ {Q}.T + np.eye(3)); np.linalg.inv({A})
np.linalg.multi_dot([{Q}, {Q}, {Q}]); np.linalg.cond({Q}); np.linalg.vector_norm({A})
np.fft.fft({A}); np.fft.ifft({A}); np.fft.rfft({A}); np.fft.irfft({A}); np.fft.fft2({Q})
np.fft.fftshift({A}); np.fft.fftfreq({n}); np.fft.fft({A}, {n}); np.fft.fft({A}, norm='ortho')
np.fft.rfft({A}, axis=0); np.fft.fftn({Q}); np.einsum('ij->i', {Q}); np.einsum('ij,jk', {Q}, {Q})
np.einsum('...i,...i', {A}, {A}); np.tensordot({Q}, {Q}, 1); np.outer({A}, {B})
np.inner({A}, {A}); np.kron({Q}, {A}); np.dot({A}, {B}); np.vdot({A}, {A}); np.cross({Q}, {Q})
np.trace({Q}); np.einsum('ii->i', {Q}); np.einsum('ij->ji', {Q}); {A}[0]; {A}[-1]; {A}[1:]
{A}[::-1]; {A}[..., 0]; {A}[:, None]; {A}[None]; {A}[{k}]; {A}[{I}]; {A}[[0, 1]]; {A}[{A} > 0]
{A}[..., ::2]; {A}[()]; {A}[{A} > {s}].sum(); {A}[[True, False]]; {A}[{I}, {I}]; {A}[:, [0, 1]]
{A}[{k}:{n}]; {A}[...]; {A}[np.array(0)]; {A}[np.int64(1)]; {A}[{n}]; {A}[1, 1]; {A}.flat[2]
{A}.flat[:]; {A}.item(0); {A}.take([0, 1]); np.take({A}, {I}, axis=0, mode='clip')
np.take_along_axis({A}, np.argsort({A}), -1); np.choose({I} % 2, [1, 2])
np.select([{A} > 0, {A} < -1], [{A}, 2 * {A}], 5); np.ix_([0, 1], [0]); {A}[np.ix_([0, 1], [1])]
{A}[{I}[0]]; np.diag({A}); np.diagonal({Q}); {A}[True]; {A}[False]; {A}[0, ..., 0]; {A}.T
{A}.reshape(-1); {A}.ravel(); {A}.ravel('F'); {A}.reshape(-1, order='F'); {A}.flatten()
{A}.swapaxes(0, -1); {A}.squeeze(); np.expand_dims({A}, 0); np.moveaxis({A}, 0, -1)
np.atleast_2d({A}); np.atleast_1d({A}, {B}); np.broadcast_to({A}, (2,) + {A}.shape)
np.concatenate([{A}, {B}]); np.stack([{A}, {A}]); np.vstack([{A}, {A}]); np.hstack([{A}, {B}])
np.column_stack([{A}, {A}]); np.block([[{Q}, {Q}]]); np.split({A}, 2); np.array_split({A}, 2)
np.tile({A}, 2); np.tile({A}, (2, 1)); np.repeat({A}, 2); np.repeat({A}, 2, axis=0)
np.repeat({A}, {I}); np.roll({A}, 1); np.roll({A}, {k}, axis=0); np.flip({A}); np.fliplr({Q})
np.rot90({Q}); np.pad({A}, 1); np.pad({A}, 1, mode='edge'); np.pad({A}, (0, 1), mode='reflect')
np.pad({A}, 1, constant_values={s}); np.tril({Q}); np.triu({A}, 1); np.append({A}, 1)
np.insert({A}, 1, 5); np.delete({A}, 0); np.rollaxis({Q}, 1); np.transpose({A})
np.permute_dims({Q}, (1, 0)); np.require({A}, requirements='C'); np.ravel({A}); np.dsplit({A}, 1)
np.zeros({A}.shape); np.zeros_like({A}); np.ones_like({A}); np.full_like({A}, {k})
np.full_like({A}, {s}); np.zeros_like({A}, dtype=float); np.ones_like({A}, shape=(2,))
np.full_like({A}, {B}); np.zeros({n}); np.arange({n}); np.arange(0, {s}, 0.3)
np.linspace(0, {s}, 4); np.linspace({k}, {n}, {n}); np.eye({n}); np.identity(2); np.full(2, {s})
np.full((2, {n}), {k}); np.mgrid[0:{n}, 0:2]; np.ogrid[0:2, 0:3]; np.r_[{A}, 1]; np.c_[{A}, {A}]
np.indices((2, {n})); np.array([{s}, 1]); np.array([{A}, {A}]); np.array({A}); np.asarray({A})
np.asarray({A}, dtype='f4'); np.copy({A}); np.array({A}, copy=False); np.ascontiguousarray({A})
np.asfortranarray({A}); np.array({k}); np.array([[1, {k}], [{n}, 2]]); np.meshgrid({A}, {A})
np.meshgrid({A}, {B}, indexing='ij', sparse=True); np.tri({n}); np.geomspace(1, 8, 4)
np.logspace(0, 1, 3); np.fromiter(range({n}), float); np.array([]); np.array({A}.tolist())
np.array({A}, ndmin=3); np.array({A}, order='F'); np.tri(2, {n}); np.hanning({n})
np.asanyarray({A}); np.diag_indices({n}); np.tril_indices({n}); np.array([{A}[0], {A}[1]])
np.array({A}[0]); np.array([np.float32(1), {A}.max()]); np.interp({A}, [0, 1], [2, 3])
np.interp({s}, [0, 1], [2, 3]); np.convolve({A}, [1, 2]); np.correlate({A}, {B}); np.gradient({A})
np.gradient({A}, 0.5); np.diff({A}); np.diff({A}, axis=0); np.diff({A}, prepend=0)
np.ediff1d({A}); np.trapezoid({A}); np.polyval([1, 2], {A}); np.polyfit([0, 1, 2], [1, 2, {s}], 1)
np.unwrap({A}); np.apply_along_axis(np.sum, 0, {A}); np.vectorize(lambda v: v + 1)({A})
np.piecewise({A}, [{A} > 0], [1, 2]); np.nan_to_num({A}); np.real({A}); np.imag({A}); {A}.real
{A}.imag; np.angle({A}); np.isclose({A}, {B}); np.allclose({A}, {A}); np.array_equal({A}, {B})
np.cumsum({A}, axis=0); np.around({A}, 1); np.fix({A}); np.sinc({A}); np.i0({A}); np.i0({s})
np.round({s}, 1); np.sum([1, {s}]); np.max([{k}, 2]); np.prod({A}, axis=())
np.unravel_index({k}, (3, 3)); np.ravel_multi_index(([0], [1]), (2, 2)); np.packbits({A})
{A}.astype('f4'); {A}.astype(int); {A}.astype(bool); {A}.astype(complex)
{A}.astype({A}.dtype, copy=False); {A}.view(); {A}.view('u1'); {A}.copy(); {A}.copy('F')
{A}.byteswap(); {A}.tolist(); {A}.astype('U'); {A}.astype(object); {A}.astype('>f8')
{A}.astype(np.float16); {A}.astype('f8', order='F'); {A}.astype('i4', casting='safe'); {A}.shape
{A}.dtype; {A}.ndim; {A}.size; {A}.strides; {A}.nbytes; len({A}); {A}.flags.writeable
{A}.flags.c_contiguous; {A}.base is None; type({A}); isinstance({A}, np.ndarray); {A} is {B}
np.shape({A}); np.ndim({A}); np.result_type({A}, {B}); np.may_share_memory({A}, {B})
np.can_cast({A}.dtype, 'f4'); np.isscalar({A}); np.iscomplexobj({A}); np.size({A})
np.shares_memory({A}, {B}); np.issubdtype({A}.dtype, np.floating); np.finfo({A}.dtype).eps
np.iinfo({A}.dtype).max; float({A}.sum()); int({A}.max()); bool({A}.any()); f'{{{A}.shape}}'
{A}.sum().item(); round(float({A}.mean()), 2); sum({A}); max({A}); [v for v in {A}]; list({A})
sorted({A}); min({k}, {A}.sum()); any({A}); [i for i, v in enumerate({A})]; {k} in {A}; tuple({A})
dict(enumerate({A})); list(zip({A}, {B})); list(map(float, {A}.ravel()))
'y' if {A}.sum() > {s} else 'n'; {A}.sum() + {s}; {A}.sum() * {A}; {A}.max() - {k}
np.float32({s}) * {A}; np.int8({k}) + {A}; {A} * True; {A} + 1j; {A} + 2**40; {A}.mean() ** 2
np.exp({A}.mean()); {A}.sum().dtype; np.sqrt({s}); np.exp({k}); type({A}.sum())
type(np.sqrt({s})); np.float64({s}) / 3; np.int64({k}) // 2; {A}.max() > {A}.min(); abs({A}.sum())
-{A}.max(); {A}.sum() // 2; {A}.sum().astype('f4'); np.add({s}, 1); np.random.rand(3)
np.random.randn({n}); rng.random(3); rng.normal(size={A}.shape); rng.integers(0, 5, 4)
np.random.random(); rng.permutation(4); rng.choice(5, 2); np.random.uniform({s}, 2, 3)
rng.random(); np.random.shuffle({A}); rng.shuffle({A}); np.random.default_rng({k}).random(2)
rng.standard_normal({A}.shape) + {A}; np.matrix({Q}); np.matrix({Q}) * 2
np.datetime64('2020-01-01'); np.array(['a', 'b']); np.array([None, 1]); np.zeros(2, dtype='i4,f8')
np.array([1, 2], dtype='m8[s]'); np.nditer({A}).nop; list(np.ndenumerate({Q}))[0]
list(np.ndindex(2))[0]; np.lib.stride_tricks.sliding_window_view({A}, 2)
np.errstate(all='ignore'); {A}.__array_interface__['shape']; {A}.ctypes.shape[0]
np.asarray([{A}, {B}]); {A}.data.nbytes; np.broadcast({A}, {B}).shape
"""
STATEMENTS = """
{A}[0] = {s}; {A}[...] = {k}; {A}[1:] = {A}[:-1]; {A}[::2] *= 2; {A} += {B}; {A} -= {s}
{A} *= {k}; {A} /= 2; {A} //= 2; {A} **= 2; {A} %= 3; {A} |= {B}; {A} @= {Q}; {A} <<= 1
{A}[{A} > 0] = 0; {A}[{A} > 0] = {A}[{A} > 0][::-1]; {A}[np.flatnonzero({A} > 0)] += 1
np.add.at({A}, np.flatnonzero({A} > 0), 1); {A}[{A} > 0] = np.sort({A}[{A} > 0])
{A}[{A} < 0] = {A}[{A} < 0] ** 2; {A}[np.nonzero({A})] = {k}; {A} *= {A}[{A} > 0].max()
{A}[{I}] = 1; {A}[{I}] += 1; {A}[:, 0] = {s}; {A}[..., -1] += 1; {A}.fill({s}); {A}.sort()
{A}.sort(axis=0); {A}[[0, 1]] = {A}[[1, 0]]; {A}[0], {A}[1] = {A}[1].copy(), {A}[0].copy()
{A}.flat = {k}; {A}.flat[1] = {s}; np.copyto({A}, {s}); np.copyto({A}, {B}, where={A} > 0)
np.put({A}, [0], 5); np.place({A}, {A} > 1, [7]); np.putmask({A}, {A} < 0, 0)
np.fill_diagonal({A}, 1); {A}.put([1], 2); {A}.partition(1)
np.put_along_axis({A}, np.argmax({A}, axis=-1, keepdims=True), 9, -1); {A}.shape = (-1,)
{A}.setflags(write=False); {A}.real = 1; {A}.imag = 2; {A}.itemset(0, 1); np.random.seed({k})
{A}[{A} > {s}] += 1; {A}[{A} > 0] = {A}[{A} > 0] * 2; {A}[()] = {s}; {A}[0] += {A}[1]
{A}[::-1] += {A}; {A}[:] = {A}[::-1]; {A}.T[0] = 1; {A}.ravel()[0] = 3; {A}.reshape(-1)[:2] = 4
{A}[np.argsort({A}.ravel())[0]] = 1; {A}[None][0] = {k}; {A}[{k}] = {B}; {A}[{n}] = 1
{A}[:2] = [{s}, 1]; {A}.dtype = 'u1'; np.negative({A}, out={A}); {A}[...] += 1
np.nan_to_num({A}, copy=False); np.add({A}[1:], {A}[:-1], out={A}[1:]); {A}[{I}, 0] = 2
{A}.byteswap(inplace=True); np.clip({A}, 0, 1, out={A}); {A}.clip(0, 1, out={A})
np.cumsum({A}, out={A}); np.subtract({A}, {B}, where=[True, False, True], out={A})
np.add.at({A}, {I}, {s}); np.maximum({A}, {B}, {A})
"""
FLOWS = """
if {A}.sum() > {s}:
    {T} = {A} * 2
else:
    {T} = {A} - 1
---
for i in range({n}):
    {A}[i] = {A}[i] + i
{T} = {A}
---
for row in {A}:
    row += 1
{T} = {A}
---
with np.errstate(all='ignore'):
    {T} = {A} / 0
---
with np.errstate(divide='raise'):
    {T} = {A} / 0
---
try:
    {T} = {A} @ {B}
except ValueError as error:
    {T} = str(error)
---
try:
    {T} = np.linalg.inv({Q} * 0)
except np.linalg.LinAlgError:
    {T} = {Q}
---
{T} = 0
for v in {A}.ravel()[:3]:
    {T} += v
---
{T} = {A}
for _ in range(30):
    if not np.abs({T}).max() > {s}:
        break
    {T} = {T} / 2
---
{T} = [{A}[i] for i in range(2)]
---
{T} = {{'a': {A} + 1, 'b': {A}}}
---
G['last'] = {A} * 2
{T} = G['last']
---
G['list'].append({A}.sum())
{T} = len(G['list'])
---
{T} = helper({A}, {B})
---
{T} = (lambda v: v * 2 + GLOBAL)({A})
---
GLOBAL[0] += 1
{T} = GLOBAL * {s}
---
{T} = obj.w @ {Q}
obj.w = obj.w * 0.9
---
{T} = {A}.copy()
for i in range(1, {T}.shape[0]):
    {T}[i] = {T}[i - 1] * 0.5 + {T}[i]
---
for i, j in np.ndindex(2, 2):
    {Q}[i, j] += i * j
{T} = {Q}
---
{T} = {A}
if {A}.size and {A}.flat[0] > 0:
    {T} = -{A}
---
{T} = np.zeros(({n}, 2))
for i in range({n}):
    {T}[i] = {A}.sum() + i, {s}
---
assert {A}.max() < 1e9
{T} = {A}
---
{T} = sum(v * v for v in {A})
---
idx = np.argmax({A})
{T} = {A}.ravel()[idx]
---
m = {A} > {s}
{T} = {A}[m].mean() if m.any() else {s}
"""
HEAD = """
import numpy as np

class Thing:
    pass

G = {}
obj = Thing()

def helper(u, v):
    return u * 2 + v, u

def reset():
    global GLOBAL, rng
    G.clear()
    G["list"] = []
    obj.w = np.arange(9.0).reshape(3, 3) / 7
    GLOBAL = np.array([0.5, 1.5, 2.5])
    rng = np.random.default_rng(7)

def state():
    return [G, obj.w, GLOBAL, rng.bit_generator.state]

reset()
"""
SHAPES = (
    ((3, 3), (3, 3)), ((3, 3), (3,)), ((4,), (4,)), ((3,), (1,)), ((), (3,)), ((0,), (1,)),
    ((2, 3, 2), (3, 2)), ((0, 3), (3,)), ((3, 4), (3, 1)), ((6,), ()),
)  # fmt: skip
DTYPES = ("f8", "f8", "f8", "f4", "i8", "i4", "u1", "?", "c16", "i1", ">f8", "O", "U2", "M8[s]")
SPECIAL = (
    *[""] * 8, "same", "view", "part", "readonly", "matrix", "masked", "list", "scalar", "subclass",
)  # fmt: skip


class Subclass(np.ndarray):
    """An array of the user's own kind."""


def split(text: str, by: str) -> list[str]:
    whole = text.strip().replace("\n", by) if by == "; " else text
    return [part.strip("\n") for part in whole.split(by)]


def source(draw: np.random.Generator, length: int) -> str:
    """The text of a function f."""
    expressions, statements = split(EXPRESSIONS, "; "), split(STATEMENTS, "; ")
    flows = split(FLOWS, "\n---\n")
    lines: list[str] = []
    names = ["a", "b", "c"]

    def filled(choices: list[str], target: str) -> str:
        a, b, c = (str(draw.choice(names[-5:])) for _ in range(3))
        text = choices[int(draw.integers(len(choices)))]
        return text.format(A=a, B=b, C=c, Q="q", I="i", k="k", n="n", s="s", T=target)

    for number in range(length):
        target, which = f"t{number}", draw.random()
        if which < 0.62:
            lines.append(f"{target} = {filled(expressions, target)}")
        elif which < 0.85:
            lines.append(filled(statements, target))
            continue
        else:
            lines += filled(flows, target).splitlines()
        names.append(target)
    body = "\n".join("    " + line for line in lines)
    return f"def f(a, b, c, q, i, k, n, s):\n{body}\n    return [a, {', '.join(names[3:])}]\n"


def array(draw: np.random.Generator, dtype: str, shape: tuple[int, ...], lie: int) -> np.ndarray:
    """An array that lies by rows, by columns, with gaps, or backwards."""
    wide = (*shape[:-1], 2 * shape[-1]) if lie > 1 and shape else shape
    wide = tuple(reversed(shape)) if lie == 1 else wide
    kind = np.dtype(dtype).kind
    made = np.asarray(draw.integers(0 if kind == "u" else -3, 5, wide))
    if kind in "fc":
        made = np.asarray(np.round(2 * draw.normal(size=wide), 2))
    made = made.astype(dtype)
    if lie == 1:
        return made.T
    return made[..., :: 2 if lie == 2 else -2] if lie > 1 and shape else made


def kind_of_call(draw: np.random.Generator) -> tuple[Any, ...]:
    """Dtypes, shapes, layout and what is special of the arguments of a call."""
    shapes = SHAPES[int(draw.integers(len(SHAPES)))]
    dtypes = str(draw.choice(DTYPES)), str(draw.choice(DTYPES[:11]))
    return dtypes, shapes, int(draw.integers(4)), str(draw.choice(SPECIAL))


def arguments(seed: int, kind: tuple[Any, ...]) -> list[Any]:
    """The arguments of one call."""
    draw = np.random.default_rng(seed)
    (first, second), (shape, other), lie, special = kind
    a, b = array(draw, first, shape, lie), array(draw, second, other, 0)
    c = {"same": a, "view": a[...], "part": a[1:] if a.ndim else a}.get(special)
    c = array(draw, first, shape, 0) if c is None else c
    if special == "readonly":
        a.flags.writeable = False
    wrapped: dict[str, Any] = {
        "matrix": lambda: np.matrix(a) if a.ndim == 2 else a,
        "masked": lambda: np.ma.array(a, mask=np.zeros(a.shape, bool)),
        "list": a.tolist,
        "scalar": lambda: np.float64(1.5),
        "subclass": lambda: a.view(Subclass),
    }
    given = wrapped.get(special, lambda: a)()
    q, i = np.round(draw.normal(size=(3, 3)), 2), draw.integers(0, 2, 3)
    return [given, b, c, q, i, int(draw.integers(0, 3)), 3, float(np.round(draw.random(), 2))]


def load(text: str, folder: Path, name: str) -> ModuleType:
    """A module with f, its globals and `state`."""
    path = folder / f"{name}.py"
    path.write_text(HEAD + text)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
