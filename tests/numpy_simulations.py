# ruff: noqa: B007, B905, F841, N803, N806, RUF059 - programs as people write them
"""Further programs written with NumPy, entered into `numpy_programs.PROGRAMS`."""

from __future__ import annotations

import numpy as np
from numpy_programs import program, values


@program(lambda i: (1 + 0.01 * values(i, 9, 8, 6), 0.6, 3))
def lattice_boltzmann(F, tau, steps):
    cxs = np.array([0, 0, 1, 1, 1, 0, -1, -1, -1])
    cys = np.array([0, 1, 1, 0, -1, -1, -1, 0, 1])
    weights = np.array([4 / 9, 1 / 9, 1 / 36, 1 / 9, 1 / 36, 1 / 9, 1 / 36, 1 / 9, 1 / 36])
    for it in range(steps):
        for i, cx, cy in zip(range(9), cxs, cys):
            F[i] = np.roll(F[i], cx, axis=1)
            F[i] = np.roll(F[i], cy, axis=0)
        rho = np.sum(F, 0)
        ux = np.sum(F * cxs[:, None, None], 0) / rho
        uy = np.sum(F * cys[:, None, None], 0) / rho
        Feq = np.zeros(F.shape)
        for i, cx, cy, w in zip(range(9), cxs, cys, weights):
            Feq[i] = (
                rho
                * w
                * (
                    1
                    + 3 * (cx * ux + cy * uy)
                    + 9 * (cx * ux + cy * uy) ** 2 / 2
                    - 3 * (ux**2 + uy**2) / 2
                )
            )
        F += -(1.0 / tau) * (F - Feq)
    return rho, ux


@program(lambda i: (values(i, 10, 10), values(i + 1, 10, 10), values(i + 2, 10, 10), 4))
def fdtd(ez, hx, hy, steps):
    for t in range(steps):
        hx[:, :-1] -= 0.5 * (ez[:, 1:] - ez[:, :-1])
        hy[:-1, :] += 0.5 * (ez[1:, :] - ez[:-1, :])
        ez[1:, 1:] += 0.5 * (hy[1:, 1:] - hy[:-1, 1:] - hx[1:, 1:] + hx[1:, :-1])
        ez[5, 5] = np.sin(0.3 * t)
    return ez


class Kalman:
    def __init__(self, i):
        self.x = np.zeros(2)
        self.spread = np.eye(2)
        self.step = np.array([[1.0, 0.1], [0, 1]])
        self.see = np.array([[1.0, 0]])
        self.noise = 0.01 * np.eye(2)
        self.error = np.array([[0.1]])

    def predict(self):
        self.x = self.step @ self.x
        self.spread = self.step @ self.spread @ self.step.T + self.noise

    def update(self, z):
        y = z - self.see @ self.x
        S = self.see @ self.spread @ self.see.T + self.error
        K = self.spread @ self.see.T @ np.linalg.inv(S)
        self.x = self.x + K @ y
        self.spread = (np.eye(2) - K @ self.see) @ self.spread


@program(lambda i: (Kalman(i), values(i, 5)))
def kalman(f, zs):
    out = []
    for z in zs:
        f.predict()
        f.update(z)
        out.append(f.x.copy())
    return np.array(out)


@program(lambda i: (values(i, 20, 3), (values(i + 1, 20) > 0.5).astype(float), np.zeros(3), 0.1))
def logistic(X, y, w, lr):
    losses = []
    for _ in range(5):
        p = 1 / (1 + np.exp(-X.dot(w)))
        losses.append(-np.mean(y * np.log(p + 1e-9) + (1 - y) * np.log(1 - p + 1e-9)))
        w -= lr * X.T.dot(p - y) / len(y)
    return w, losses


@program(lambda i: (values(i, 6, 6) + 6 * np.eye(6),))
def lu(A):
    n = A.shape[0]
    L, U = np.eye(n), A.copy()
    for k in range(n - 1):
        L[k + 1 :, k] = U[k + 1 :, k] / U[k, k]
        U[k + 1 :, k:] -= np.outer(L[k + 1 :, k], U[k, k:])
    return L, U


@program(lambda i: (values(i, 16, 16), 0.01, 0.001, 3))
def spectral(w, dt, nu, steps):
    n = w.shape[0]
    k = np.fft.fftfreq(n, 1 / n)
    kx, ky = np.meshgrid(k, k)
    k2 = kx**2 + ky**2
    k2[0, 0] = 1
    wh = np.fft.fft2(w)
    for _ in range(steps):
        psi = wh / k2
        u = np.real(np.fft.ifft2(1j * ky * psi))
        v = np.real(np.fft.ifft2(-1j * kx * psi))
        wx = np.real(np.fft.ifft2(1j * kx * wh))
        wy = np.real(np.fft.ifft2(1j * ky * wh))
        wh = (wh - dt * np.fft.fft2(u * wx + v * wy)) / (1 + dt * nu * k2)
    return np.fft.ifft2(wh).real


@program(lambda i: (values(i, 4, 4), 20))
def qr_iteration(A, steps):
    A = A + A.T
    for _ in range(steps):
        Q, R = np.linalg.qr(A)
        A = R @ Q
    return np.sort(np.diag(A))


@program(lambda i: (values(i, 15, 5), values(i + 1, 15), 0.1, 1.0))
def admm_lasso(A, b, lam, rho):
    x = z = u = np.zeros(A.shape[1])
    AtA = A.T @ A + rho * np.eye(A.shape[1])
    Atb = A.T @ b
    for _ in range(8):
        x = np.linalg.solve(AtA, Atb + rho * (z - u))
        z = np.sign(x + u) * np.maximum(np.abs(x + u) - lam / rho, 0)
        u = u + x - z
    return z, 0.5 * np.sum((A @ z - b) ** 2) + lam * np.abs(z).sum()


@program(lambda i: (values(i, 1, 6, 6), values(i + 1, 2, 1, 3, 3)))
def conv_im2col(x, w):
    c, h, wd = x.shape
    oh, ow = h - 2, wd - 2
    cols = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(1, 2))
    return np.einsum("chwij,ocij->ohw", cols, w)


@program(lambda i: ((255 * values(i, 12, 12)).astype(np.uint8),))
def equalise(img):
    hist, bins = np.histogram(img.flatten(), 256, (0, 256))
    cdf = hist.cumsum()
    cdf = 255 * cdf / cdf[-1]
    return np.interp(img.flatten(), bins[:-1], cdf).reshape(img.shape)


@program(lambda i: (values(i, 10, 3), 5.0))
def tsne_affinity(X, perplexity):
    D = np.square(X[:, None] - X[None]).sum(-1)
    P = np.exp(-D / (2 * perplexity))
    np.fill_diagonal(P, 0)
    P /= P.sum(axis=1, keepdims=True)
    P = (P + P.T) / (2 * len(X))
    return P, -np.sum(P[P > 0] * np.log(P[P > 0]))


@program(lambda i: (values(i, 30), 5))
def moving_average(x, w):
    c = np.cumsum(np.insert(x, 0, 0))
    return (c[w:] - c[:-w]) / w


@program(lambda i: (values(i, 5, 5),))
def normalise_rows(m):
    for row in m:
        row /= row.sum()
    m[m < 0.1] = 0
    return m.T[::-1]


@program(lambda i: (values(i, 8), values(i + 1, 8), values(i + 2, 8)))
def thomas(a, b, c):
    n = len(b)
    d = b.copy()
    cp = np.zeros(n)
    cp[0] = c[0] / (b[0] + 3)
    for i in range(1, n):
        cp[i] = c[i] / (b[i] + 3 - a[i] * cp[i - 1])
    return cp, d


@program(
    lambda i: (values(i, 4, 5), [1, 3]),
)
def attention(x, heads):
    q, k, v = x @ np.eye(5), x * 2, x + 1
    s = q @ k.T / np.sqrt(x.shape[1])
    s = np.where(np.tril(np.ones_like(s)) > 0, s, -np.inf)
    s = s - s.max(-1, keepdims=True)
    e = np.exp(s)
    return (e / e.sum(-1, keepdims=True)) @ v


# Values decide shapes -----------------------------------------------------------------------


@program(lambda i: (values(i, 30), 0.3))
def outliers(x, width):
    """What is kept is of another length each time."""
    centred = (x - x.mean()) / x.std()
    kept = x[np.abs(centred) < 2 * width]
    return (x - kept.mean()) / kept.std(), kept, len(kept)


@program(lambda i: (values(i, 8, 8), 0.6))
def label_peaks(image, level):
    smooth = (image + np.roll(image, 1, 0) + np.roll(image, 1, 1)) / 3
    rows, columns = np.nonzero(smooth > level)
    found = np.stack([rows, columns], axis=1)
    weight = smooth[rows, columns]
    return found, (found * weight[:, None]).sum(axis=0) / max(weight.sum(), 1e-9)


@program(lambda i: ((9 * values(i, 40)).astype(int), values(i + 1, 40)))
def group_means(keys, x):
    groups, inverse, count = np.unique(keys, return_inverse=True, return_counts=True)
    totals = np.zeros(len(groups))
    np.add.at(totals, inverse, np.log1p(x))
    return groups, totals / count


@program(lambda i: (values(i, 6, 4),))
def gram_schmidt(a):
    q = np.zeros_like(a)
    for j in range(a.shape[1]):
        v = a[:, j].copy()
        for i in range(j):
            v -= (q[:, i] @ a[:, j]) * q[:, i]
        q[:, j] = v / np.linalg.norm(v)
    return q, q.T @ a


@program(lambda i: (np.random.default_rng(i), 200, 100.0, 0.02, 0.3))
def option_by_simulation(rng, n, strike, rate, volatility):
    z = rng.standard_normal((n, 8))
    growth = (rate - volatility**2 / 2) / 8 + volatility * np.sqrt(1 / 8) * z
    ends = 100.0 * np.exp(growth.sum(axis=1))
    paid = np.maximum(ends - strike, 0.0) * np.exp(-rate)
    return paid.mean(), paid.std() / np.sqrt(n)


@program(lambda i: (values(i, 14, 14), 2))
def median_filter(image, radius):
    size = 2 * radius + 1
    padded = np.pad(image, radius, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size))
    return np.median(windows, axis=(2, 3))


@program(lambda i: (values(i, 20) + 1j * 0, 0.05, 6))
def schroedinger(psi, dt, steps):
    """Split-step: half in space, half in frequency."""
    n = len(psi)
    potential = 0.5 * (np.linspace(-3, 3, n) ** 2)
    k = 2 * np.pi * np.fft.fftfreq(n, 6 / n)
    half, whole = np.exp(-0.5j * dt * potential), np.exp(-0.5j * dt * k**2)
    for _ in range(steps):
        psi = half * np.fft.ifft(whole * np.fft.fft(half * psi))
    return np.abs(psi) ** 2


@program(lambda i: (i, 12), verdict="co-execute")
def metropolis(seed, steps):
    """Values decide after draws."""
    rng = np.random.default_rng(seed)
    x, seen = np.zeros(3), []
    for _ in range(steps):
        trial = x + 0.5 * rng.standard_normal(3)
        if np.log(rng.random()) < 0.5 * (x @ x - trial @ trial):
            x = trial
        seen.append(x @ x)
    return np.array(seen), x
