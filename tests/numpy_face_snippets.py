"""Lines of NumPy, each run on ndarrays and on faces by `test_numpy_face_snippets.py`.

`a` and `b` broadcast, `v` and `w` have one axis, `q` is a square matrix, `m` a mask of the shape
of `a`, `i` indices into `v`; any of them may be empty, strided, transposed, and of any dtype. What
NumPy raises is a result like any other.
"""

OPERATORS = """
a + b; a - b; a * b; a / b; a // b; a % b; a ** 2; a ** 0.5; a ** -1; a ** b; divmod(a, b); -a; +a
abs(a); ~a; a & b; a | b; a ^ b; a << 1; a >> 1; a < b; a <= b; a > b; a >= b; a == b; a != b
a + 1; a + 1.5; 2 - a; 3 / a; 1 // a; a * True; a + np.float32(1.5); np.float64(2) * a
np.int8(3) - a; a == None; a == 'x'; a + 300; a < 300; a + 1j; 2 ** a; a @ a.T; v @ v; q @ q; q @ v
v @ q; a + [1]; [2] * a; a and 1; not a; a in [1]; 1 in a; a * None; a + (1, 2); a / 0; a % 0
a // 0; a.T + b.T; (a.T + b.T).T; a[::-1] + a; a.T ** 2; a.T.astype('f4') * 2
1 if a.size and a.flat[0] > 0 else 2; a.sum() + 1; a.sum() * b; 1 / (v.sum() + 1); v.sum() ** 2
v.sum() < 3
"""

UFUNCS = """
np.sin(a); np.exp(a); np.log1p(np.abs(a)); np.sqrt(np.abs(a)); np.floor(a); np.ceil(a); np.trunc(a)
np.rint(a); np.sign(a); np.isnan(a); np.isinf(a); np.isfinite(a); np.signbit(a)
np.logical_and(a, b); np.logical_not(a); np.logical_or(a, b); np.logical_xor(a, b)
np.maximum(a, b); np.minimum(a, b); np.fmax(a, b); np.fmin(a, b); np.hypot(a, b); np.arctan2(a, b)
np.copysign(a, b); np.fmod(a, b); np.power(a, 2); np.float_power(a, 2); np.square(a)
np.reciprocal(a); np.positive(a); np.conjugate(a); np.degrees(a); np.radians(a); np.deg2rad(a)
np.heaviside(a, b); np.heaviside(a, 0.5); np.modf(a); np.frexp(a); np.divmod(a, b); np.gcd(a, b)
np.lcm(a, b); np.nextafter(a, b); np.spacing(a); np.ldexp(a, 2); np.logaddexp(a, b); np.cbrt(a)
np.fabs(a); np.exp2(a); np.expm1(a); np.tan(a); np.arcsin(a); np.arccos(a); np.arctan(a)
np.sinh(a); np.cosh(a); np.tanh(a); np.arcsinh(a); np.log(a); np.log2(a); np.log10(a); np.invert(a)
np.left_shift(a, 1); np.right_shift(a, 1); np.bitwise_count(a); np.add(a, b, dtype='f8')
np.add(a, b, dtype=np.complex128); np.add(a, b, casting='no'); np.multiply(a, 2, order='F')
np.add(a, 1, where=m, out=np.ones(a.shape)); np.sin(a, where=m, out=a)
np.add(a, b, out=np.zeros((2, 2))); np.sqrt(a, dtype='f4'); np.clip(a, -1, 1); np.clip(a, None, 2)
np.clip(a, b, None); np.clip(a, 0, b); a.clip(-1, 1); a.clip(min=0); np.clip(a, -1.5, 2.5)
np.clip(a, 300, 500); np.add.outer(v, w); np.multiply.outer(v, w); np.subtract.outer(a, v)
np.add.reduce(a); np.multiply.reduce(a, axis=-1); np.maximum.reduce(a, axis=0)
np.logical_or.reduce(a); np.add.accumulate(a); np.maximum.accumulate(v); np.add.reduceat(v, [0])
np.bitwise_or.reduce(a); np.add.reduce(a, axis=None, keepdims=True); np.hypot.reduce(v)
np.minimum.reduce(a, axis=None, initial=5); np.add.reduce(a, initial=2); np.subtract.reduce(v)
np.equal(a, b); np.isneginf(a); np.isposinf(a); np.isclose(a, b); np.allclose(a, a)
np.array_equal(a, b); np.array_equiv(a, b); np.nan_to_num(a); np.sinc(v); np.i0(v); np.angle(a)
np.real(a); np.imag(a); np.real_if_close(a); np.iscomplexobj(a); np.isreal(a); np.iscomplex(a)
np.fix(a); np.unwrap(v); np.round(a, 2); np.around(a, -1); a.round(); a.round(1); np.greater(a, b)
np.matmul(q, q); np.vecdot(a, a); np.bitwise_invert(a); np.emath.sqrt(v)
"""

REDUCTIONS = """
a.sum(); a.sum(0); a.sum(axis=-1); a.sum(axis=(0, 1)); a.sum(axis=0, keepdims=True)
a.sum(dtype='f4'); np.sum(a); a.T.sum(axis=0); np.sum(a, where=m); np.sum(a, initial=3); a.prod()
a.prod(axis=0); a.max(); a.max(axis=0); a.min(1); a.max(initial=2); np.max(a, where=m, initial=0)
np.amin(a); a.mean(); a.mean(axis=0); a.mean(axis=(0, -1)); a.mean(dtype='f4')
a.mean(axis=0, keepdims=True); np.mean(a, where=m); a.std(); a.std(axis=0); a.var(ddof=1)
a.var(axis=-1, keepdims=True); np.std(a, axis=0, ddof=1); a.any(); a.all(); a.any(axis=0)
a.all(axis=-1, keepdims=True); a.argmax(); a.argmin(axis=0); a.argmax(axis=-1, keepdims=True)
a.cumsum(); a.cumsum(axis=0); a.cumprod(); np.cumsum(a, axis=-1, dtype='f8'); np.ptp(a)
np.ptp(a, axis=0); np.median(a); np.median(a, axis=0); np.percentile(a, 30)
np.percentile(a, [10, 50, 90], axis=0); np.quantile(a, 0.25, method='lower'); np.nansum(a)
np.nanmean(a); np.nanmax(a, axis=0); np.nanstd(a); np.nanmedian(v); np.nanpercentile(v, 40)
np.nanargmax(v); np.nancumsum(a); np.average(a); np.average(a, axis=0); np.average(v, weights=v)
np.count_nonzero(a); np.count_nonzero(a, axis=0); np.trace(q); q.trace(1); np.cov(q)
np.corrcoef(q); np.histogram(v); np.histogram(v, bins=3, range=(-2, 2)); np.bincount(np.abs(i))
np.digitize(v, [0.0, 1.0]); np.histogram2d(v, v, bins=2); np.trapezoid(v); np.diff(v)
np.diff(a, axis=0); np.ediff1d(v); np.gradient(v); np.gradient(q); np.cumulative_sum(v)
np.linalg.norm(a); np.linalg.norm(q, axis=0); np.linalg.norm(v, 1); np.linalg.norm(v, np.inf)
np.add.reduce(a, (0, 1)); a.sum(axis=5); a.max(axis=(0, 0)); a.sum(out=np.zeros(())); np.all(a > 0)
np.any(a != a); np.mean([v.sum(), 1.0]); np.sum([v, v]); np.max([v.sum(), 2]); sum(v)
max(v.tolist(), default=0); float(v.sum()); int(np.nan_to_num(v).sum() * 0)
"""

SHAPES = """
a.reshape(-1); a.reshape(a.shape + (1,)); a.reshape(7, 3); a.T; a.T.reshape(-1); a.ravel()
a.ravel(order='F'); a.ravel('K'); a.T.ravel('K'); a.T.ravel('A'); a.flatten(); a.flatten('F')
a.transpose(); a.transpose(*range(a.ndim)); a.swapaxes(0, -1); np.moveaxis(a, 0, -1)
np.rollaxis(a, -1); a.squeeze(); np.squeeze(a[None]); np.expand_dims(a, 0)
np.expand_dims(a, (0, -1)); a[None]; a[..., None]; np.broadcast_to(v, (2,) + v.shape)
np.broadcast_arrays(a, b); np.atleast_1d(a); np.atleast_2d(v); np.atleast_3d(v)
np.concatenate([a, a]); np.concatenate([v, w]); np.concatenate([a, a], axis=-1)
np.concatenate([v, w], axis=None); np.stack([a, a]); np.stack([v, v], axis=1); np.vstack([v, v])
np.hstack([v, w]); np.dstack([v, v]); np.column_stack([v, v]); np.block([[q, q], [q, q]])
np.split(v, [1]); np.array_split(v, 2); np.hsplit(v, 1); np.vsplit(q, 1); np.tile(v, 2)
np.tile(a, (2, 1)); np.repeat(v, 2); np.repeat(a, 2, axis=0); np.repeat(v, [1] * v.size)
np.flip(a); np.flip(a, 0); np.fliplr(q); np.flipud(q); np.rot90(q); np.roll(a, 1)
np.roll(a, 1, axis=0); np.roll(q, (1, -1), axis=(0, 1)); np.pad(v, 1); np.pad(a, 1, mode='edge')
np.pad(v, (1, 2), constant_values=3); np.pad(v, 1, mode='reflect'); np.pad(q, 1, mode='wrap')
np.tril(q); np.triu(q, 1); np.diag(v); np.diag(q); np.diagonal(q, 1); np.diagflat(v); np.eye(3)
np.identity(2); np.tri(3); np.vander(v, 3); np.meshgrid(v, w); np.meshgrid(v, w, indexing='ij')
np.ix_(v, w); np.indices((2, 2)); np.kron(q, q); np.outer(v, w); np.inner(v, v); np.dot(q, v)
np.dot(q, q); np.vdot(v, v); np.tensordot(q, q); np.tensordot(q, q, axes=1)
np.einsum('ij,jk->ik', q, q); np.einsum('i,i', v, v); np.einsum('ii', q); np.cross(v[:3], v[:3])
np.convolve(v, w); np.correlate(v, w); np.interp(v, np.arange(3.0), np.arange(3.0))
np.trim_zeros(v); np.resize(a, (2, 2)); np.append(v, 1); np.append(a, a, axis=0)
np.insert(v, 0, 5); np.delete(v, 0); np.copy(a); np.copy(a.T); a.copy(); a.T.copy(); a.copy('F')
a.T.copy('K'); np.array(a); np.array([v, v]); np.array([v.sum(), 1]); np.asarray(a)
np.asarray(a, 'f8'); np.ascontiguousarray(a.T); np.asfortranarray(a); np.zeros_like(a)
np.zeros_like(a.T); np.ones_like(a, dtype='f4'); np.full_like(a, 2); np.empty_like(a).shape
a.astype('f4'); a.astype(int); a.astype(bool); a.T.astype('f8'); a.astype('f8', copy=False)
a.astype('c16'); a.astype(str).shape; a.view(); a.tolist(); a.tobytes(); a.T.tobytes()
a.item() if a.size == 1 else 0; list(v); [float(x) for x in v]; len(a); a.ndim; a.size; a.nbytes
a.itemsize; a.dtype; a.strides if a.size else 0; a.flags.c_contiguous; a.T.flags.f_contiguous
a.shape; repr(a); str(a); f'{v.sum():.3f}' if v.dtype.kind == 'f' else 0; np.array2string(v)
hash(a); bool(a); float(a); int(v[0]); complex(v[0]); np.shape(a); np.ndim(a); np.size(a)
np.size(a, 0); np.result_type(a, b); np.can_cast(a, 'f4') if 0 else 0; np.isscalar(v.sum())
np.linspace(0, 1, 5); np.linspace(v.min(), v.max(), 4); np.logspace(0, 1, 3); np.geomspace(1, 8, 4)
np.arange(5); np.arange(0, 1, 0.1); np.apply_along_axis(np.sum, 0, a)
np.fromfunction(lambda x, y: x + y, (2, 2)); np.unravel_index(0, a.shape); np.array_repr(v)
np.may_share_memory(a, a); np.shares_memory(a, a.T); a.real; a.imag; a.conj(); np.iterable(a)
a.flat[0]; a.flat[:2]; list(a.flat); np.linalg.det(q); np.linalg.inv(q + 9 * np.eye(len(q)))
np.linalg.solve(q + 9 * np.eye(len(q)), q); np.linalg.eigvalsh(q); np.linalg.matrix_power(q, 2)
np.linalg.svd(q, compute_uv=False); np.linalg.qr(q)[1].shape; np.fft.fft(v); np.fft.ifft(v)
np.fft.rfft(v); np.fft.fftfreq(4); np.fft.fftshift(v); np.fft.fft2(q)
np.polyfit(v, v, 1) if v.size > 3 else 0; np.polyval([1, 2, 3], v); np.polyval(v, 2.0); np.sort(v)
np.sort(a, axis=0); np.argsort(v); np.argsort(v, kind='stable'); np.lexsort((v, v))
np.searchsorted(np.arange(3.0), v); np.unique(v); np.unique(v, return_counts=True)
np.isin(v, [0, 1]); np.intersect1d(v, w); np.union1d(v, w); np.setdiff1d(v, w); np.partition(v, 0)
np.argpartition(v, 0); np.select([m, ~m], [a, -a]); np.piecewise(v, [v < 0, v >= 0], [-1, 1])
np.nonzero(a); np.argwhere(a); np.flatnonzero(a); np.where(m, a, 0); np.where(m, a, b)
np.where(a > 0); np.where(a, 1.5, a); np.extract(m, a); np.choose(np.array([0, 1]), [v[:1], v[:1]])
np.take(v, [0]); np.take(a, [0], axis=0); np.take(v, 9, mode='wrap'); np.compress([True], v)
np.take_along_axis(v, np.argsort(v), 0); a.nonzero(); a.diagonal(); a.byteswap().shape
np.array([[v.sum(), 1], [2, 3]])
"""

INDEXING = """
a[0]; a[-1]; a[1:]; a[::-1]; a[::2]; a[..., 0]; a[0, 0]; a[:, 0]; a[0, ...]; a[()]; a[...]
a[None, :, None]; a[5]; v[0]; v[-1]; v[9]; a[m]; a[~m]; a[a > 0]; v[i]; v[[0, 0]]; v[[]]; a[[0]]
a[:, [0, 0]]; a[[0], [0]]; a[[0], :1]; q[:, [0, 1]]; q[[0, 1], :]; q[np.ix_([0, 1], [1, 0])]
q[[[0], [1]], [0, 1]]; q[m[:1]] if 0 else 0; a[np.array(0)]; v[np.int64(0)]; a[True]; a[False]
a['x']; v[1.0]; v[v.argmax()]; q.T[:, [0, 1]]; q[::-1, [1]]; q[[0, 1]][:, 0]; a[1:][:0]
v[i].reshape(-1); a[..., None, 0]; a[m].sum(); v[v > 0].mean() if v.size and (v > 0).any() else 0
q[0][1]; q[0, 1] + q[1, 0]; q[:, 0] @ q[0]; q[np.arange(2), np.arange(2)]; a.take(0)
a[0:1, ..., 0:1]; a[np.array([True] * len(a))]; a[:, None]; v[None] + v[:, None]; v[:-1] - v[1:]
a[[True, False]]
"""

WRITES = """
a[0] = 1; a[...] = b; a[:] = 2.5; a += 1; a -= b; a *= 2; a /= 2; a //= 2; a **= 2; a %= 3; a &= 1
a |= b; a <<= 1; a @= a; a[1:] += 1; a[::2] *= 3; a[m] = 0; a[m] += 1; a[m] = a[m] * 2
a[~m] = v[:1]; v[i] = 7; v[i] += 1; v[[0, 0]] = 3; v[:] = v[::-1]; v[1:] = v[:-1]; v[1:] += v[:-1]
q[0, 1] = 5; q[:, 0] = v; q[:, 0] = 9; q[0] = q[1]; q.T[0] = 4; a.T[...] = 0; np.add.at(v, i, 1)
np.add.at(v, [0, 0], 2); np.subtract.at(v, i, 1); np.maximum.at(v, i, 2); np.add(a, 1, out=a)
np.multiply(a, b, out=a); np.sqrt(np.abs(a), out=a); np.sin(a, out=a, where=m); np.copyto(a, b)
np.copyto(a, 3, where=m); np.putmask(a, m, 9); np.place(a, m, [1, 2]); np.put(v, [0], 5); v.fill(4)
v.sort(); a.sort(axis=0); a.sort(); np.fill_diagonal(q, 2); a.flat[0] = 3; a.flat = 2
a.flat[:2] = [1, 2]; a[0] = v[0]; a[...] = [1]; a[0, 0] = 300; a[0] = 'x'; a[0] = 1j; a[5] = 1
a[:, 9] = 1; v[:2] = [1, 2, 3]; a[...] = np.float64(2.7); a[0] += 1; q[0, 0] += q[1, 1]
v[v > 0] = 0; v[v < 0] *= -1; a[a == a] = 1; q[[0, 1], [1, 0]] = [5, 6]; q[[0, 1]] += 1
np.clip(a, 0, 1, out=a)
"""

#: one program a line
PROGRAMS = """
y = a[1:]; y += 1; y
y = a.T; y[...] = 3; y
y = a.reshape(-1); y[:1] = 5; y
y = a.ravel(); y[:1] = 6; y
y = v[::2]; y[0] = 8; y.base is v
y = (a.T + 1).reshape(-1); y[:1] = 5; y
z = a.T + 1; y = z.reshape(-1); y[:1] = 5; z
z = a + 1; y = z.reshape(-1); y[:1] = 5; z
z = a.T + 1; y = z.T.reshape(-1); y[:1] = 5; z
z = a.T.copy(); y = z.ravel(); y[:1] = 5; z
z = q[:, [0, 1]]; y = z.reshape(-1); y[0] = 5; z
z = a.squeeze(); z[...] = 1; z
z = np.atleast_2d(v); z[0] = 1; z
z = np.asarray(v); z[:1] = 3; z
z = np.array(v); z[:1] = 3; z
z = v.astype(v.dtype, copy=False); z[:1] = 3; z
s = v[0]; v[0] = 9; s
s = v.sum(); v[...] = 0; s
r = q[0]; q[0] = 0; r
x = v; x += 1; x is v
a.shape = (-1,); a
np.broadcast_to(v, (2,) + v.shape)[0] = 1
v.setflags(write=False); v.flags.writeable
y = v.copy(); y.resize(2, refcheck=False); y
z = np.zeros(3); z[1:] = 2; z += v[:1]; z
z = np.empty_like(v); z[:] = v; z
z = np.diag(q); z[0] = 1
np.einsum('i->i', v)[:1] = 3; v
for k in range(len(v)): v[k] += k
s = sum((x for x in v), 0.0); s
t = v.mean(); v -= t; v
z = [x for x in q]; z[0][0] = 7; q
a.real = 1; a
a.imag = 1; a
q[1:, 1:] -= q[:-1, :-1]; q
q *= q[0]; q
q -= q.mean(axis=0); q
x = np.zeros((3, 3)); x[1:-1, 1:-1] = v[0]; x
x = v.copy(); x[0], x[-1] = x[-1], x[0]; x
d = {v.sum(): 1}; list(d)
e = np.abs(v - v.mean()).max(); 'small' if e < 3 else 'large'
t = tuple(v.shape); np.ones(t) * v
x = q.copy(); x[np.tril_indices(2)] = 0; x
x = np.stack([v, v]); x[0] = 1; x, v
h, e = np.histogram(v, bins=4, range=(-4, 4)); h / (h.sum() + 1), e
u, s, t = np.linalg.svd(q.astype('f8')); s
x = v.reshape(1, -1); x -= 1; x.base is v, v
isinstance(a, np.ndarray), isinstance(v.sum(), np.generic), isinstance(v[0], np.number)
import copy; x = copy.deepcopy(v); x[:1] = 5; x, v
import pickle; pickle.loads(pickle.dumps(a))
x = np.where(v > 0, v, 0); x[:1] = 4; x, v
g = np.meshgrid(v, w); g[0][:1] = 1; g
w[...] = w[::-1].copy(); w
x = v[v > 0]; x += 1; x, v
x, y = np.split(v, 2) if v.size % 2 == 0 else (v, v); x += 1; y
m[...] = False; a[m]
m ^= True; a[m]; m
i += 1; i
"""
