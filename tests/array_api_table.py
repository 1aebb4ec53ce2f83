"""The Array API 2024.12 as tables: signatures, dtype rules, a call of each function, special cases.

Written down from the text of the standard (data-apis.org/array-api/2024.12). `xp` in a call stands
for the namespace: NumPy's, which gives the expected values, or dualflow's.
"""

from math import inf, nan, pi

SIGNATURES = """
array.__abs__()
array.__add__(other, /)
array.__and__(other, /)
array.__array_namespace__(*, api_version=None)
array.__bool__()
array.__complex__()
array.__dlpack__(*, stream=None, max_version=None, dl_device=None, copy=None)
array.__dlpack_device__()
array.__eq__(other, /)
array.__float__()
array.__floordiv__(other, /)
array.__ge__(other, /)
array.__getitem__(key, /)
array.__gt__(other, /)
array.__index__()
array.__int__()
array.__invert__()
array.__le__(other, /)
array.__lshift__(other, /)
array.__lt__(other, /)
array.__matmul__(other, /)
array.__mod__(other, /)
array.__mul__(other, /)
array.__ne__(other, /)
array.__neg__()
array.__or__(other, /)
array.__pos__()
array.__pow__(other, /)
array.__rshift__(other, /)
array.__setitem__(key, value, /)
array.__sub__(other, /)
array.__truediv__(other, /)
array.__xor__(other, /)
array.to_device(device, /, *, stream=None)
arange(start, /, stop=None, step=1, *, dtype=None, device=None)
asarray(obj, /, *, dtype=None, device=None, copy=None)
empty(shape, *, dtype=None, device=None)
empty_like(x, /, *, dtype=None, device=None)
eye(n_rows, n_cols=None, /, *, k=0, dtype=None, device=None)
from_dlpack(x, /, *, device=None, copy=None)
full(shape, fill_value, *, dtype=None, device=None)
full_like(x, /, fill_value, *, dtype=None, device=None)
linspace(start, stop, /, num, *, dtype=None, device=None, endpoint=True)
meshgrid(*arrays, indexing="xy")
ones(shape, *, dtype=None, device=None)
ones_like(x, /, *, dtype=None, device=None)
tril(x, /, *, k=0)
triu(x, /, *, k=0)
zeros(shape, *, dtype=None, device=None)
zeros_like(x, /, *, dtype=None, device=None)
astype(x, dtype, /, *, copy=True, device=None)
can_cast(from_, to, /)
finfo(type, /)
iinfo(type, /)
isdtype(dtype, kind)
result_type(*arrays_and_dtypes)
abs(x, /)
acos(x, /)
acosh(x, /)
add(x1, x2, /)
asin(x, /)
asinh(x, /)
atan(x, /)
atan2(x1, x2, /)
atanh(x, /)
bitwise_and(x1, x2, /)
bitwise_left_shift(x1, x2, /)
bitwise_invert(x, /)
bitwise_or(x1, x2, /)
bitwise_right_shift(x1, x2, /)
bitwise_xor(x1, x2, /)
ceil(x, /)
clip(x, /, min=None, max=None)
conj(x, /)
copysign(x1, x2, /)
cos(x, /)
cosh(x, /)
divide(x1, x2, /)
equal(x1, x2, /)
exp(x, /)
expm1(x, /)
floor(x, /)
floor_divide(x1, x2, /)
greater(x1, x2, /)
greater_equal(x1, x2, /)
hypot(x1, x2, /)
imag(x, /)
isfinite(x, /)
isinf(x, /)
isnan(x, /)
less(x1, x2, /)
less_equal(x1, x2, /)
log(x, /)
log1p(x, /)
log2(x, /)
log10(x, /)
logaddexp(x1, x2, /)
logical_and(x1, x2, /)
logical_not(x, /)
logical_or(x1, x2, /)
logical_xor(x1, x2, /)
maximum(x1, x2, /)
minimum(x1, x2, /)
multiply(x1, x2, /)
negative(x, /)
nextafter(x1, x2, /)
not_equal(x1, x2, /)
positive(x, /)
pow(x1, x2, /)
real(x, /)
reciprocal(x, /)
remainder(x1, x2, /)
round(x, /)
sign(x, /)
signbit(x, /)
sin(x, /)
sinh(x, /)
square(x, /)
sqrt(x, /)
subtract(x1, x2, /)
tan(x, /)
tanh(x, /)
trunc(x, /)
fft.fft(x, /, *, n=None, axis=-1, norm="backward")
fft.ifft(x, /, *, n=None, axis=-1, norm="backward")
fft.fftn(x, /, *, s=None, axes=None, norm="backward")
fft.ifftn(x, /, *, s=None, axes=None, norm="backward")
fft.rfft(x, /, *, n=None, axis=-1, norm="backward")
fft.irfft(x, /, *, n=None, axis=-1, norm="backward")
fft.rfftn(x, /, *, s=None, axes=None, norm="backward")
fft.irfftn(x, /, *, s=None, axes=None, norm="backward")
fft.hfft(x, /, *, n=None, axis=-1, norm="backward")
fft.ihfft(x, /, *, n=None, axis=-1, norm="backward")
fft.fftfreq(n, /, *, d=1.0, dtype=None, device=None)
fft.rfftfreq(n, /, *, d=1.0, dtype=None, device=None)
fft.fftshift(x, /, *, axes=None)
fft.ifftshift(x, /, *, axes=None)
take(x, indices, /, *, axis=None)
take_along_axis(x, indices, /, *, axis=-1)
__array_namespace_info__()
info.capabilities()
info.default_device()
info.default_dtypes(*, device=None)
info.dtypes(*, device=None, kind=None)
info.devices()
linalg.cholesky(x, /, *, upper=False)
linalg.cross(x1, x2, /, *, axis=-1)
linalg.det(x, /)
linalg.diagonal(x, /, *, offset=0)
linalg.eigh(x, /)
linalg.eigvalsh(x, /)
linalg.inv(x, /)
linalg.matmul(x1, x2, /)
linalg.matrix_norm(x, /, *, keepdims=False, ord="fro")
linalg.matrix_power(x, n, /)
linalg.matrix_rank(x, /, *, rtol=None)
linalg.matrix_transpose(x, /)
linalg.outer(x1, x2, /)
linalg.pinv(x, /, *, rtol=None)
linalg.qr(x, /, *, mode="reduced")
linalg.slogdet(x, /)
linalg.solve(x1, x2, /)
linalg.svd(x, /, *, full_matrices=True)
linalg.svdvals(x, /)
linalg.tensordot(x1, x2, /, *, axes=2)
linalg.trace(x, /, *, offset=0, dtype=None)
linalg.vecdot(x1, x2, /, *, axis=-1)
linalg.vector_norm(x, /, *, axis=None, keepdims=False, ord=2)
matmul(x1, x2, /)
matrix_transpose(x, /)
tensordot(x1, x2, /, *, axes=2)
vecdot(x1, x2, /, *, axis=-1)
broadcast_arrays(*arrays)
broadcast_to(x, /, shape)
concat(arrays, /, *, axis=0)
expand_dims(x, /, axis)
flip(x, /, *, axis=None)
moveaxis(x, source, destination, /)
permute_dims(x, /, axes)
repeat(x, repeats, /, *, axis=None)
reshape(x, /, shape, *, copy=None)
roll(x, /, shift, *, axis=None)
squeeze(x, /, axis)
stack(arrays, /, *, axis=0)
tile(x, repetitions, /)
unstack(x, /, *, axis=0)
argmax(x, /, *, axis=None, keepdims=False)
argmin(x, /, *, axis=None, keepdims=False)
count_nonzero(x, /, *, axis=None, keepdims=False)
nonzero(x, /)
searchsorted(x1, x2, /, *, side="left", sorter=None)
where(condition, x1, x2, /)
unique_all(x, /)
unique_counts(x, /)
unique_inverse(x, /)
unique_values(x, /)
argsort(x, /, *, axis=-1, descending=False, stable=True)
sort(x, /, *, axis=-1, descending=False, stable=True)
cumulative_prod(x, /, *, axis=None, dtype=None, include_initial=False)
cumulative_sum(x, /, *, axis=None, dtype=None, include_initial=False)
max(x, /, *, axis=None, keepdims=False)
mean(x, /, *, axis=None, keepdims=False)
min(x, /, *, axis=None, keepdims=False)
prod(x, /, *, axis=None, dtype=None, keepdims=False)
std(x, /, *, axis=None, correction=0.0, keepdims=False)
sum(x, /, *, axis=None, dtype=None, keepdims=False)
var(x, /, *, axis=None, correction=0.0, keepdims=False)
all(x, /, *, axis=None, keepdims=False)
any(x, /, *, axis=None, keepdims=False)
diff(x, /, *, axis=-1, n=1, prepend=None, append=None)
"""

CONSTANTS = {"e": 2.718281828459045, "inf": inf, "nan": nan, "newaxis": None, "pi": pi}
DTYPES = [
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32",
    "float64", "complex64", "complex128",
]  # fmt: skip
PROPERTIES = ["dtype", "device", "mT", "ndim", "shape", "size", "T"]

#: (kinds of dtypes that are taken, of what dtype the result is, names of functions of one array)
UNARY = (
    ("iufc", "same", "negative positive square"),
    ("iufc", "real", "abs real imag"),
    ("iufc", "same", "conj sign round"),
    ("iuf", "same", "ceil floor trunc"),
    ("fc", "same", "acos acosh asin asinh atan atanh cos cosh exp expm1 log log10 log1p log2"),
    ("fc", "same", "reciprocal sin sinh sqrt tan tanh"),
    ("iufc", "bool", "isfinite isinf isnan"),
    ("f", "bool", "signbit"),
    ("b", "same", "logical_not"),
    ("biu", "same", "bitwise_invert"),
)
#: the same of functions of two arrays
BINARY = (
    ("iufc", "same", "add subtract multiply pow"),
    ("fc", "same", "divide"),
    ("f", "same", "atan2 copysign hypot logaddexp nextafter"),
    ("iuf", "same", "floor_divide remainder maximum minimum"),
    ("biufc", "bool", "equal not_equal"),
    ("iuf", "bool", "greater greater_equal less less_equal"),
    ("b", "same", "logical_and logical_or logical_xor"),
    ("biu", "same", "bitwise_and bitwise_or bitwise_xor"),
    ("iu", "same", "bitwise_left_shift bitwise_right_shift"),
)
#: names of arrays that the calls below are made with
ARRAYS = {
    "x": [[3.0, -1.5, 2.0, 0.5], [0.0, 4.0, -2.5, 1.0], [1.5, 2.5, 0.25, -3.0]],
    "y": [[1.0, 0.5, -2.0, 4.0], [2.0, -1.0, 0.5, 3.0], [0.25, 1.0, 1.5, -0.5]],
    "v": [0.5, 1.5, 2.5, 4.0],
    "n": [3, 1, 3, 0],
    "z": [1 + 2j, -0.5j, 3.0, 2 - 1j],
    "m": [True, False, True, True],
}
CALLS = """
xp.arange(2, 11, 3)
xp.asarray([[1, 2], [3, 4]])
xp.zeros_like(xp.empty((2, 3)))
xp.zeros_like(xp.empty_like(x))
xp.eye(3, 4, k=1)
xp.full((2, 2), 7)
xp.full_like(x, 2.5)
xp.linspace(0.0, 1.0, 5)
xp.linspace(0.0, 1.0, 4, endpoint=False)
xp.meshgrid(v, n)
xp.meshgrid(v, n, indexing="ij")
xp.ones((2, 3))
xp.ones_like(n)
xp.zeros((3,))
xp.zeros_like(z)
xp.tril(x, k=1)
xp.triu(x, k=-1)
xp.from_dlpack(x)
xp.astype(n, xp.float64)
xp.clip(x, -1.0, 2.0)
xp.clip(x, max=v)
xp.take(x, n, axis=1)
xp.take_along_axis(x, xp.argsort(x, axis=1), axis=1)
xp.matmul(x, xp.matrix_transpose(y))
xp.matmul(x, v)
xp.tensordot(x, y, axes=((0, 1), (0, 1)))
xp.vecdot(x, y)
xp.vecdot(z, z)
xp.broadcast_arrays(v, x)
xp.broadcast_to(v, (2, 4))
xp.concat([x, y], axis=1)
xp.concat([x, y], axis=None)
xp.expand_dims(x, axis=1)
xp.flip(x, axis=0)
xp.flip(x)
xp.moveaxis(xp.reshape(x, (3, 2, 2)), 0, -1)
xp.permute_dims(xp.reshape(x, (3, 2, 2)), (2, 0, 1))
xp.repeat(x, 2, axis=1)
xp.repeat(v, n)
xp.reshape(x, (2, -1))
xp.roll(x, (1, -2), axis=(0, 1))
xp.roll(x, 3)
xp.squeeze(xp.expand_dims(x, axis=0), axis=0)
xp.stack([x, y], axis=-1)
xp.tile(x, (2, 1, 2))
xp.unstack(x, axis=1)
xp.argmax(x, axis=0)
xp.argmin(x, axis=1, keepdims=True)
xp.count_nonzero(x, axis=1)
xp.nonzero(x > 1)
xp.searchsorted(v, x)
xp.searchsorted(v[::-1], x, side="right", sorter=xp.asarray([3, 2, 1, 0]))
xp.where(x > 0, x, y)
xp.where(m, n, 2.5)
xp.unique_all(n)
xp.unique_counts(n)
xp.unique_inverse(n)
xp.unique_values(n)
xp.argsort(x, axis=0)
xp.argsort(n, stable=True)
xp.sort(x)
xp.cumulative_prod(x, axis=1)
xp.cumulative_sum(x, axis=0)
xp.cumulative_sum(v, include_initial=True)
xp.max(x, axis=0)
xp.mean(x, axis=1, keepdims=True)
xp.mean(z)
xp.min(x)
xp.prod(x, axis=0)
xp.prod(n)
xp.std(x, axis=0, correction=1.0)
xp.sum(x, axis=(0, 1))
xp.sum(m)
xp.sum(z)
xp.var(x, axis=1, correction=1.0)
xp.all(m)
xp.any(x > 3.5, axis=1)
xp.diff(x, axis=0)
xp.diff(v, n=2, prepend=v[:1], append=v[-1:])
xp.fft.fft(z)
xp.fft.ifft(z, n=6, norm="ortho")
xp.fft.fftn(x)
xp.fft.ifftn(x, axes=(0,))
xp.fft.rfft(x)
xp.fft.irfft(z, n=7)
xp.fft.rfftn(x, s=(2, 4), axes=(0, 1))
xp.fft.irfftn(xp.fft.rfftn(x, axes=(0, 1)), axes=(0, 1))
xp.fft.hfft(z)
xp.fft.ihfft(v, norm="forward")
xp.fft.fftfreq(6, d=0.5)
xp.fft.rfftfreq(7)
xp.fft.fftshift(v)
xp.fft.ifftshift(x, axes=1)
xp.linalg.cholesky(xp.matmul(x, xp.matrix_transpose(x)))
xp.linalg.cross(x[:, :3], y[:, :3])
xp.linalg.det(x[:, :3])
xp.linalg.diagonal(x, offset=1)
xp.abs(xp.linalg.eigh(xp.matmul(x, xp.matrix_transpose(x)))[1])
xp.linalg.eigvalsh(xp.matmul(x, xp.matrix_transpose(x)))
xp.linalg.inv(x[:, :3])
xp.linalg.matmul(y, xp.linalg.matrix_transpose(x))
xp.linalg.matrix_norm(x)
xp.linalg.matrix_power(x[:, :3], 3)
xp.linalg.matrix_rank(x)
xp.linalg.outer(v, v)
xp.linalg.pinv(x)
xp.abs(xp.linalg.qr(x)[1])
xp.linalg.slogdet(x[:, :3])
xp.linalg.solve(x[:, :3], y)
xp.linalg.svd(x, full_matrices=False)[1]
xp.linalg.svdvals(x)
xp.linalg.tensordot(x, v, axes=1)
xp.linalg.trace(x, offset=1)
xp.linalg.vecdot(x, y, axis=0)
xp.linalg.vector_norm(x, axis=1, ord=inf)
""".strip().splitlines()
#: functions that hand memory out: they are co-executed, the others replayed (also those whose
#: shapes depend on values: small ones are branches)
EXPOSING = ("from_dlpack(",)
#: functions of the standard of which a test below says more
OTHERS = ["can_cast", "finfo", "iinfo", "isdtype", "result_type", "__array_namespace_info__"]

#: function, arguments, result: bit for bit but for the last place
SPECIAL = (
    ("abs", (-0.0,), 0.0),
    ("abs", (complex(-inf, nan),), inf),
    ("acosh", (0.5,), nan),
    ("atan2", (0.0, -0.0), pi),
    ("atan2", (-0.0, -1.0), -pi),
    ("ceil", (-0.5,), -0.0),
    ("copysign", (3.0, -0.0), -3.0),
    ("exp", (-inf,), 0.0),
    ("expm1", (-0.0,), -0.0),
    ("expm1", (complex(inf, nan),), complex(inf, nan)),
    ("expm1", (complex(-inf, inf),), -1 + 0j),
    ("expm1", (complex(inf, 0.0),), complex(inf, 0.0)),
    ("floor_divide", (1.0, -inf), -1.0),
    ("floor_divide", (0.0, -2.0), -0.0),
    ("hypot", (inf, nan), inf),
    ("hypot", (3e38, 4.0), 3e38),
    ("isinf", (complex(nan, -inf),), True),
    ("log1p", (-1.0,), -inf),
    ("logaddexp", (nan, 1.0), nan),
    ("logaddexp", (-inf, -inf), -inf),
    ("maximum", (nan, 1.0), nan),
    ("minimum", (1.0, nan), nan),
    ("nextafter", (1.0, 2.0), 1.0000001192092896),
    ("pow", (1.0, nan), 1.0),
    ("pow", (nan, 0.0), 1.0),
    ("pow", (-0.0, -1.0), -inf),
    ("pow", (-inf, 3.0), -inf),
    ("remainder", (-0.0, 3.0), 0.0),
    ("remainder", (3.0, -inf), -inf),
    ("round", (-0.4,), -0.0),
    ("round", (2.5,), 2.0),
    ("sign", (nan,), nan),
    ("sign", (3 - 4j,), 0.6 - 0.8j),
    ("signbit", (-0.0,), True),
    ("sqrt", (-0.0,), -0.0),
    ("tanh", (complex(inf, 2.0),), 1 + 0j),
    ("tanh", (-inf,), -1.0),
    ("trunc", (-0.7,), -0.0),
)
