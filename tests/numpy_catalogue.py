"""What scientific programs call of NumPy, a line each.

Arguments by name: a matrix x, vectors v and w, integers i, a mask m, a square matrix s, complex z.
"""

from __future__ import annotations

import numpy as np

#: functions of fixed result shape: they replay
REPLAYED = [
    lambda x: (np.exp(x), np.log(x + 1), np.log1p(x), np.expm1(x), np.log2(x + 1)),
    lambda x: (np.sin(x), np.cos(x), np.tan(x), np.tanh(x), np.arctan2(x, x + 1)),
    lambda x: (np.arcsin(x / 9), np.sinh(x), np.arccosh(x + 1), np.cbrt(x)),
    lambda x: (np.hypot(x, 2), np.deg2rad(x), np.sinc(x), np.heaviside(x - 1, 0.5)),
    lambda x: (np.floor(x), np.ceil(x), np.trunc(x), np.rint(x), np.round(x, 2)),
    lambda x: (np.sign(x), np.abs(-x), np.fabs(x), np.square(x), np.reciprocal(x + 1)),
    lambda x: (np.maximum(x, 1), np.fmin(x, 1), np.clip(x, 0.2, 0.8), x.clip(min=0.5)),
    lambda x, v: (x // 0.3, x % 0.3, divmod(v, 0.3), np.fmod(x, 0.3), np.power(x, 3)),
    lambda x: (np.logaddexp(x, 1), np.modf(x), np.frexp(x), np.ldexp(x, 2)),
    lambda i: (i & 3, i | 8, i ^ 5, ~i, i << 1, i >> 1, np.gcd(i, 6), np.lcm(i, 4)),
    lambda x, v, m: (x > 0.5, m & ~m, m | (v > 0), np.logical_xor(m, v > 1), np.isclose(x, x)),
    lambda z: (z * z, z.conj(), np.abs(z), np.angle(z), z.real, z.imag, np.exp(z), z / 2j),
    lambda x: (x.sum(), x.sum(0), x.sum(axis=1, keepdims=True), x.sum(axis=(0, 1))),
    lambda x: (x.prod(), x.mean(), x.mean(axis=0), x.var(), x.std(axis=1, ddof=1)),
    lambda x: (x.max(), x.min(axis=0), x.argmax(), x.argmin(axis=1), np.ptp(x, axis=0)),
    lambda x, m: (m.any(), m.all(), np.count_nonzero(m), np.any(x > 0.5, axis=0), m.sum()),
    lambda x, v: (np.cumsum(x), np.cumsum(x, axis=1), v.cumprod(), np.diff(v), np.diff(x, 2, 0)),
    lambda x, v: (np.median(x), np.median(x, axis=0), np.percentile(v, [25, 75])),
    lambda x, v, w: (np.quantile(x, 0.3, axis=0), np.average(v, weights=w), np.nanmean(x)),
    lambda x, v, w: (np.cov(x), np.corrcoef(v, w), np.histogram(v, bins=4, range=(0, 1))),
    lambda x, v, i: (np.sort(x), np.sort(x, axis=0), np.argsort(v), np.lexsort((i, v))),
    lambda v, w: (np.searchsorted(np.sort(v), 0.5), np.digitize(v, [0.2, 0.6]), v[np.argmax(w)]),
    lambda x, v, w: (x @ x.T, np.dot(v, w), np.inner(v, w), np.outer(v, w), np.vdot(v, w)),
    lambda x, s: (np.tensordot(x, x, axes=([1], [1])), np.kron(s, s), np.cross(x, x[::-1])),
    lambda x, v, w, s: (np.einsum("ij,kj->ik", x, x), np.einsum("ii", s), np.trace(s),
        np.einsum("i,i", v, w)),
    lambda x, s: (np.linalg.inv(s), np.linalg.det(s), np.linalg.solve(s, s[0]), np.linalg.norm(x)),
    lambda x, s: (np.linalg.eigvalsh(s + s.T), np.linalg.svd(x, compute_uv=False),
        np.linalg.cond(s)),
    lambda s: (np.linalg.cholesky(s @ s.T), np.linalg.matrix_rank(s), np.linalg.slogdet(s)),
    lambda x, v, s: (np.linalg.norm(x, axis=1), np.linalg.norm(v, 1), np.linalg.matrix_power(s, 3)),
    lambda x, s: (np.linalg.qr(s), np.linalg.pinv(x), np.linalg.eigh(s + s.T)),
    lambda x, v, z: (np.fft.fft(v), np.fft.ifft(z), np.fft.rfft(v), np.fft.irfft(z),
        np.fft.fft2(x)),
    lambda v: (np.fft.fftshift(v), np.fft.fftfreq(8), np.real(np.fft.ifft(np.fft.fft(v) * 2))),
    lambda x: (x.reshape(-1), x.ravel(), x.T, x.flatten(), x.swapaxes(0, 1), x[None], x[..., 0]),
    lambda x, v: (np.expand_dims(v, 1), np.squeeze(x[:1]), np.moveaxis(x, 0, 1), np.atleast_2d(v)),
    lambda x, v, w: (np.concatenate([x, x]), np.stack([v, w]), np.vstack([v, w]),
        np.hstack([v, w])),
    lambda v, w, s: (np.column_stack([v, w]), np.dstack([v, w]), np.block([[s, s], [s, s]])),
    lambda v: (np.split(v, 2), np.array_split(v, 3), np.tile(v, 2), np.repeat(v, 2),
        np.append(v, 1)),
    lambda x, v: (np.roll(v, 2), np.roll(x, 1, axis=1), np.flip(x), np.fliplr(x), v[::-1]),
    lambda x, v: (np.pad(x, 1), np.pad(x, ((0, 1), (2, 0)), mode="edge"),
        np.pad(v, 2, mode="wrap")),
    lambda v, s: (np.tril(s), np.triu(s, 1), np.diag(v), np.diag(s), np.eye(3), np.diagonal(s)),
    lambda x, v, w, i: (np.where(x > 0.5, x, -x), np.select([v < 0.3, v < 0.6], [v, w], 9),
        np.choose(i % 2, [v, w])),
    lambda x, v, i: (np.take(v, i), v[i], x[:, [2, 0]], x[[1, 1], [0, 2]],
        np.take_along_axis(v, i, 0)),
    lambda v, w: (np.interp(v, [0, 0.5, 1], [0, 2, 1]), np.convolve(v, w[:3]),
        np.correlate(v, w, "same")),
    lambda x, v: (np.gradient(v), np.gradient(x), np.gradient(v, 0.5), np.trapezoid(v, dx=0.1)),
    lambda v, w: (np.meshgrid(v, w), np.broadcast_to(v, (2, 8))),
    lambda x, v, i: (np.zeros_like(x), np.ones_like(i), np.full_like(v, 2),
        np.empty_like(x) * 0, np.arange(5.0)),
    lambda v: (np.linspace(0, 1, 5), np.logspace(0, 1, 3), np.geomspace(1, 8, 4), np.identity(2)),
    lambda v, w: (np.mgrid[0:2, 0:3], np.ogrid[0:2, 0:3], np.indices((2, 2)),
        np.r_[v, 1, 2], np.c_[v, w]),
    lambda v: (np.polyval([1, 2, 3], v), np.polyfit(np.arange(8), v, 1), np.vander(v[:3], 3)),
    lambda x, v, w: (np.add.reduce(x), np.add.accumulate(v), np.multiply.outer(v, w),
        np.maximum.reduce(x, axis=1)),
    lambda x, v, i: (np.allclose(x, x + 1e-12), np.array_equal(v, v), np.isin(i, [1, 2]),
        np.ndim(x), np.shape(x)),
    lambda x: (np.nansum(x), np.nanmax(x), np.nan_to_num(x), np.isnan(x).any(), np.nanstd(x)),
    lambda x, i, m: (x.astype(np.float32), x.astype(int), i.astype(float),
        m.astype(np.int8), x.astype(complex)),
    lambda x, v, w: (np.array([v[0], v[1]]), np.array([v, w]), np.asarray(x), np.copy(x),
        np.array(v, ndmin=2)),
    lambda x, v, i: (v[2], v[-1] + 1, x[1, 2] * 2, float(v[0]), int(i[1]), v[0].item(),
        round(float(v[1]), 3)),
    lambda v, w: (sum(v), min(v[0], 0.5), max(float(w[0]), 1.0), abs(v[0] - 1), [a + 1 for a in v]),
    lambda v: (np.hanning(5), np.unravel_index(5, (2, 3)), np.triu_indices(3), np.bartlett(4)),
    lambda x, v: (np.cumulative_sum(v), np.matrix_transpose(x), np.permute_dims(x),
        np.vecdot(x, x)),
    lambda v: (np.insert(v, 1, 9.0), np.delete(v, 0), np.ediff1d(v), np.unwrap(v * 9), np.i0(v)),
]  # fmt: skip

#: results whose shape depends on values: NumPy makes them between programs
BY_VALUE = [
    lambda m: np.nonzero(m),
    lambda i: np.unique(i),
    lambda v, m: v[m],
    lambda m: np.where(m),
    lambda v: np.flatnonzero(v > 0.5),
    lambda i: np.bincount(i),
    lambda m: np.argwhere(m),
    lambda v, i: np.repeat(v, i),
    lambda v, m: np.compress(m, v),
    lambda i: np.intersect1d(i, i + 1),
    lambda x, v: (v / v[v > 0.2].std(), np.sort(x[x > 0.5])[:2], np.unique(v).size),
    lambda x, v, m: (v[m] - v[m].mean(), np.linalg.norm(x[x[:, 0] > 0.5], axis=1)),
    lambda v, i: (v[np.flatnonzero(v > 0.1)[0]], len(i[i > 3]), np.histogram(v[v > 0.2], 3)),
    lambda v, w, m: (np.add.at(v, np.flatnonzero(m), 1), np.copyto(w, v[v > -9]), v, w),
    lambda i: np.unique(i, return_counts=True),
    lambda v: np.extract(v > 0.5, v),
]
#: results that show memory of an argument as no view of ours does: Python runs
SHOWING = [lambda x: np.rot90(x), lambda s: np.einsum("ii->i", s)]


def arguments(k: int) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(k)
    z = draw.random(8) + 1j * draw.random(8)
    s = draw.random((3, 3)) + 3 * np.eye(3)
    mask = draw.random(8) > 0.4
    return {
        "x": draw.random((4, 3)), "v": draw.random(8), "w": draw.random(8),
        "i": draw.integers(0, 8, 8), "m": mask, "s": s, "z": z,
    }  # fmt: skip
