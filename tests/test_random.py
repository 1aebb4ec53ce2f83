"""Random numbers: moments and distributions against NumPy's, the same bits in every mode."""

import math
import pickle

import numpy as np
import pytest

import dualflow as df
from dualflow.ops import quantiles

COUNT = 20_000
R = df.random
NP = np.random.default_rng(5)

# name: (ours, NumPy's sample, mean, variance; None where there is none)
DISTRIBUTIONS = {
    "uniform": (lambda g: R.uniform((COUNT,), -1.0, 3.0, generator=g),
                lambda: NP.uniform(-1, 3, COUNT), 1.0, 16 / 12),
    "normal": (lambda g: R.normal((COUNT,), 2.0, 3.0, generator=g),
               lambda: NP.normal(2, 3, COUNT), 2.0, 9.0),
    "exponential": (lambda g: R.exponential((COUNT,), 2.0, generator=g),
                    lambda: NP.exponential(2, COUNT), 2.0, 4.0),
    "laplace": (lambda g: R.laplace((COUNT,), 1.0, 2.0, generator=g),
                lambda: NP.laplace(1, 2, COUNT), 1.0, 8.0),
    "logistic": (lambda g: R.logistic((COUNT,), 1.0, 2.0, generator=g),
                 lambda: NP.logistic(1, 2, COUNT), 1.0, (2 * math.pi) ** 2 / 3),
    "gumbel": (lambda g: R.gumbel((COUNT,), 1.0, 2.0, generator=g),
               lambda: NP.gumbel(1, 2, COUNT), 1 + 2 * 0.5772156649, (2 * math.pi) ** 2 / 6),
    "cauchy": (lambda g: R.cauchy((COUNT,), 1.0, 2.0, generator=g),
               lambda: 1 + 2 * NP.standard_cauchy(COUNT), None, None),
    "rayleigh": (lambda g: R.rayleigh((COUNT,), 2.0, generator=g),
                 lambda: NP.rayleigh(2, COUNT), 2 * math.sqrt(math.pi / 2), (4 - math.pi) / 2 * 4),
    "lognormal": (lambda g: R.lognormal((COUNT,), 0.5, 0.25, generator=g),
                  lambda: NP.lognormal(0.5, 0.25, COUNT), math.exp(0.5 + 0.25**2 / 2), None),
    "triangular": (lambda g: R.triangular(-1.0, 0.5, 2.0, (COUNT,), generator=g),
                   lambda: NP.triangular(-1, 0.5, 2, COUNT), 0.5, 9 / 24),
    "truncated_normal": (lambda g: R.truncated_normal(0.5, 2.0, (COUNT,), generator=g),
                         lambda: _truncated(0.5, 2.0), None, None),
    "weibull": (lambda g: R.weibull(1.7, 2.0, (COUNT,), generator=g),
                lambda: 2 * NP.weibull(1.7, COUNT), 2 * math.gamma(1 + 1 / 1.7), None),
    "pareto": (lambda g: R.pareto(5.0, 2.0, (COUNT,), generator=g),
               lambda: 2 * (1 + NP.pareto(5, COUNT)), 2.5, None),
    "gamma": (lambda g: R.gamma(3.5, 2.0, (COUNT,), generator=g),
              lambda: NP.gamma(3.5, 2, COUNT), 7.0, 14.0),
    "gamma below 1": (lambda g: R.gamma(0.3, 2.0, (COUNT,), generator=g),
                      lambda: NP.gamma(0.3, 2, COUNT), 0.6, 1.2),
    "chisquare": (lambda g: R.chisquare(3.0, (COUNT,), generator=g),
                  lambda: NP.chisquare(3, COUNT), 3.0, 6.0),
    "standard_t": (lambda g: R.standard_t(7.0, (COUNT,), generator=g),
                   lambda: NP.standard_t(7, COUNT), 0.0, 7 / 5),
    "beta": (lambda g: R.beta(2.0, 0.5, (COUNT,), generator=g),
             lambda: NP.beta(2, 0.5, COUNT), 0.8, 0.16 / 3.5),
    "dirichlet": (lambda g: R.dirichlet(df.asarray([1.0, 2.0, 3.0]), (COUNT,), generator=g)[:, 1],
                  lambda: NP.dirichlet([1, 2, 3], COUNT)[:, 1], 1 / 3, (2 / 9) / 7),
    "integers": (lambda g: R.integers(-3, 12, (COUNT,), generator=g),
                 lambda: NP.integers(-3, 12, COUNT), 4.0, (15**2 - 1) / 12),
    "rademacher": (lambda g: R.rademacher((COUNT,), generator=g),
                   lambda: 2 * NP.integers(0, 2, COUNT) - 1, 0.0, 1.0),
    "bernoulli": (lambda g: R.bernoulli(0.3, (COUNT,), generator=g),
                  lambda: NP.random(COUNT) < 0.3, 0.3, 0.21),
    "geometric": (lambda g: R.geometric(0.2, (COUNT,), generator=g),
                  lambda: NP.geometric(0.2, COUNT), 5.0, 20.0),
    "poisson of few": (lambda g: R.poisson(3.5, (COUNT,), generator=g),
                       lambda: NP.poisson(3.5, COUNT), 3.5, 3.5),
    "poisson of many": (lambda g: R.poisson(42.0, (COUNT,), generator=g),
                        lambda: NP.poisson(42, COUNT), 42.0, 42.0),
    "binomial of few": (lambda g: R.binomial(20, 0.2, (COUNT,), generator=g),
                        lambda: NP.binomial(20, 0.2, COUNT), 4.0, 3.2),
    "binomial of many": (lambda g: R.binomial(100, 0.7, (COUNT,), generator=g),
                         lambda: NP.binomial(100, 0.7, COUNT), 70.0, 21.0),
    "multinomial": (lambda g: R.multinomial(50, df.asarray([0.2, 0.5, 0.3]), (COUNT,),
                                            generator=g)[:, 2],
                    lambda: NP.multinomial(50, [0.2, 0.5, 0.3], COUNT)[:, 2], 15.0, 10.5),
    "categorical": (lambda g: R.categorical(df.log(df.asarray([0.2, 0.5, 0.3])), (COUNT,),
                                            generator=g),
                    lambda: NP.choice(3, COUNT, p=[0.2, 0.5, 0.3]), 1.1, 0.49),
    "choice": (lambda g: R.choice(df.asarray([5.0, 1.0, 2.0]), (COUNT,),
                                  probabilities=df.asarray([0.2, 0.5, 0.3]), generator=g),
               lambda: NP.choice([5.0, 1.0, 2.0], COUNT, p=[0.2, 0.5, 0.3]), 2.1, 2.29),
    "multivariate_normal": (
        lambda g: df.sum(R.multivariate_normal(
            df.asarray([1.0, 2.0]), df.asarray([[2.0, 0.5], [0.5, 1.0]]), (COUNT,),
            generator=g), axis=1),
        lambda: NP.normal(3.0, 2.0, COUNT), 3.0, 4.0),
}  # fmt: skip


def _truncated(low: float, high: float) -> np.ndarray:
    z = NP.standard_normal(60 * COUNT // 10)
    return z[(z > low) & (z < high)][:COUNT]


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """Kolmogorov and Smirnov's: the largest difference of two empirical distributions."""
    a, b = np.sort(a), np.sort(b)
    at = np.concatenate([a, b])
    return float(np.abs(np.searchsorted(a, at, "right") / a.size
                        - np.searchsorted(b, at, "right") / b.size).max())  # fmt: skip


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_moments_and_distribution(name: str):
    ours, theirs, mean, variance = DISTRIBUTIONS[name]
    x = ours(R.Generator(3)).numpy().astype(np.float64)
    assert x.shape == (COUNT,)
    reference = np.asarray(theirs(), np.float64)
    n = x.size * reference.size / (x.size + reference.size)
    assert distance(x, reference) < math.sqrt(math.log(2 / 1e-5) / (2 * n))
    if mean is not None:
        assert abs(x.mean() - mean) < 5 * x.std() / math.sqrt(COUNT)
    if variance is not None:
        spread = ((x - x.mean()) ** 2).std() / math.sqrt(COUNT)
        assert abs(x.var() - variance) < 5 * spread + 1e-6
        near = np.corrcoef(x[:-1], x[1:])[0, 1]
        assert abs(near) < 5 / math.sqrt(COUNT)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_the_same_bits_compiled_and_after_restoring(name: str):
    ours = DISTRIBUTIONS[name][0]
    generator = R.Generator(11)
    compiled = df.compile(lambda: ours(generator), wait=True)
    saved = generator.state
    eager = [ours(generator).numpy() for _ in range(3)]
    after = generator.state
    for _ in range(2):  # how often a loop goes round depends on the numbers: branches
        generator.state = saved
        launched, stats = df.stats()["kernel_launches"], compiled.stats()
        for wanted in eager:
            assert np.array_equal(compiled().numpy(), wanted)
        assert generator.state == after
    assert compiled.stats()["replays"] >= stats["replays"] + 3
    assert df.stats()["kernel_launches"] >= launched + 3


def test_streams_are_uncorrelated():
    streams = [*R.Generator(1).spawn(3), R.Generator(1), R.Generator(2)]
    rows = np.stack([g.uniform((COUNT,), dtype=df.float64).numpy() for g in streams])
    rows = np.concatenate([rows, streams[0].uniform((1, COUNT), dtype=df.float64).numpy()])
    correlation = np.corrcoef(rows) - np.eye(len(rows))
    assert np.abs(correlation).max() < 5 / math.sqrt(COUNT)


def test_bits_are_balanced_and_pairs_fill_the_square():
    bits = R.Generator(9).bits((COUNT,)).numpy()
    ones = ((bits[:, None] >> np.arange(32)) & 1).mean(axis=0)
    assert np.abs(ones - 0.5).max() < 5 * 0.5 / math.sqrt(COUNT)
    u = R.Generator(4).uniform((COUNT, 2), dtype=df.float64).numpy()
    counts = np.histogram2d(u[:, 0], u[:, 1], bins=10, range=((0, 1), (0, 1)))[0]
    chi = ((counts - COUNT / 100) ** 2 / (COUNT / 100)).sum()
    assert 50 < chi < 160


def test_state_is_saved_copied_and_pickled():
    g = R.Generator(3)
    g.uniform((5,))
    g.spawn(1)
    again = pickle.loads(pickle.dumps(g))
    assert again.state == g.state
    assert again.uniform((4,)).tolist() == g.uniform((4,)).tolist()
    R.seed(4)
    saved = R.get_state()
    first = R.gamma(2.0, shape=(4,)).tolist()
    R.set_state(saved)
    assert R.gamma(2.0, shape=(4,)).tolist() == first
    with pytest.raises(df.errors.ArgumentError, match="state"):
        R.set_state("elsewhere")


def _again(g):
    saved = g.state
    first = g.normal((2,))
    g.state = saved
    return first - g.normal((2,)), g.counter


def _all_again(g):
    saved = R.get_state()
    first = R.normal((2,))
    R.set_state(saved)
    return first - R.normal((2,)), R.get_state()


def _moved(g):
    g.counter += 3
    g.uniform(())
    return g.uniform((2,)), g.counter


def _spawned(g):
    g.spawn(2)
    return g.uniform((2,)), g.key


def _two(x, seed):
    first, second = R.Generator(5), R.Generator(seed=5)
    return R.normal((2,), generator=first), second.uniform((2,)) + x, first.bits((1,)), second


def _by_seed(x, seed):
    g = R.Generator(seed + 1)
    if g.uniform(()) > 0.5:
        return g.uniform((2,)) * x, R.permutation(5, generator=g)
    return -g.uniform((2,)), R.uniform((2,))


@pytest.mark.parametrize("function", [_two, _by_seed])
def test_generators_made_within_a_compiled_function(function):
    def six(fn):
        R.seed(3)
        made = [fn(df.ones(2) * k, k * 7) for k in range(6)]
        values = [[v.state if type(v) is R.Generator else v.tolist() for v in m] for m in made]
        return values, R.get_state()

    f = df.compile(function, wait=True)
    assert six(f) == six(function)
    assert f.stats()["replays"] >= 4, f.report().reasons


@pytest.mark.parametrize("function", [_again, _all_again, _moved, _spawned])
def test_states_read_and_set_within_a_compiled_function(function):
    def four(fn):
        g = R.Generator(5)
        R.seed(3)
        made = [fn(g) for _ in range(4)]
        return [(x.tolist(), rest) for x, rest in made], g.state, R.get_state()

    f = df.compile(function, wait=True)
    assert four(f) == four(function)
    assert f.stats()["co_executions"] == 3


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_exact_functions_are_within_an_ulp(dtype):
    x = np.exp(np.random.default_rng(1).uniform(-80, 80, 20_000)).astype(dtype)
    log = quantiles.log(df.asarray(x)).numpy().astype(np.longdouble)
    true = np.log(x.astype(np.longdouble))
    assert (np.abs(log - true) / np.spacing(np.abs(true.astype(dtype)))).max() < 1.0
    limit = 87.0 if dtype == np.float32 else 700.0
    x = np.random.default_rng(2).uniform(-limit, limit, 20_000).astype(dtype)
    exp = quantiles.exp(df.asarray(x)).numpy().astype(np.longdouble)
    true = np.exp(x.astype(np.longdouble))
    assert (np.abs(exp - true) / np.spacing(true.astype(dtype))).max() < 1.0
    ends = quantiles.exp(df.asarray(np.array([800.0, -800.0, 0.0, -np.inf, np.inf], dtype)))
    assert ends.tolist() == [math.inf, 0.0, 1.0, 0.0, math.inf]


def test_log_factorial():
    k = np.array([0.0, 1, 2, 5, 9, 10, 25, 1000])
    wanted = [math.lgamma(x + 1) for x in k]
    np.testing.assert_allclose(quantiles.log_factorial(df.asarray(k)).numpy(), wanted, 1e-11, 1e-12)


def test_parameters_broadcast_and_bad_elements_are_marked():
    rates = df.asarray(np.array([0.0, 5.0, 50.0, -1.0, np.nan]))
    drawn = R.poisson(rates, (1000, 5), generator=R.Generator(1)).numpy()
    assert (drawn[:, 0] == 0).all()
    assert abs(drawn[:, 1].mean() - 5) < 0.5
    assert abs(drawn[:, 2].mean() - 50) < 1.5
    assert (drawn[:, 3:] == -1).all()
    a = df.asarray(np.array([0.01, 2.0, -1.0, np.nan]))
    drawn = R.gamma(a, shape=(1000, 4), dtype=df.float64, generator=R.Generator(1)).numpy()
    assert (drawn[:, :2] >= 0).all()
    assert np.isnan(drawn[:, 2:]).all()
    trials, chance = df.asarray([10, 1000, -1]), df.asarray(np.array([0.5, 0.25, 0.5]))
    drawn = R.binomial(trials, chance, (1000, 3), generator=R.Generator(1)).numpy()
    assert abs(drawn[:, 0].mean() - 5) < 0.3
    assert abs(drawn[:, 1].mean() - 250) < 3
    assert (drawn[:, 2] == -1).all()


def test_choice_without_replacement_and_shuffle():
    x = df.arange(6)
    drawn = R.choice(x, (2, 3), replace=False, generator=R.Generator(2)).numpy()
    assert sorted(drawn.reshape(-1).tolist()) == [0, 1, 2, 3, 4, 5]
    p = df.asarray([0.5, 0.0, 0.25, 0.25])
    firsts = [R.choice(4, (3,), False, p, R.Generator(k)).tolist() for k in range(300)]
    assert all(sorted(row) == [0, 2, 3] for row in firsts)
    assert abs(np.mean([row[0] == 0 for row in firsts]) - 0.5) < 0.15
    rows = df.reshape(df.arange(12), (6, 2))
    R.shuffle(rows, R.Generator(1))
    assert sorted(rows.numpy()[:, 0].tolist()) == [0, 2, 4, 6, 8, 10]
    assert (rows.numpy()[:, 1] == rows.numpy()[:, 0] + 1).all()


def test_gradients_flow_through_location_and_scale():
    z = R.normal((5,), generator=R.Generator(1))
    scale = df.asarray(2.0).requires_grad_()
    R.laplace((5,), 0.0, scale, generator=R.Generator(1)).sum().backward()
    unit = R.laplace((5,), generator=R.Generator(1))
    np.testing.assert_allclose(scale.grad.item(), unit.sum().item(), 1e-6)
    assert not z.requires_grad


ERRORS = {
    "gamma": (lambda: R.gamma(-1.0), "concentration"),
    "beta": (lambda: R.beta(0.0, 1.0), "parameter of beta"),
    "poisson": (lambda: R.poisson(-1.0), "rate"),
    "binomial": (lambda: R.binomial(3, 1.5), "probability"),
    "geometric": (lambda: R.geometric(0.0), "probability"),
    "triangular": (lambda: R.triangular(0.0, 2.0, 1.0), "triangular"),
    "truncated": (lambda: R.truncated_normal(2.0, 1.0), "truncated_normal"),
    "choice": (lambda: R.choice(3, (4,), replace=False), "4 choices of 3"),
    "shape": (lambda: R.gamma(df.ones(3), shape=(2,)), "shape"),
    "shares": (lambda: R.choice(3, (2,), probabilities=df.ones(2)), "probabilities"),
    "list": (lambda: R.gamma([1.0, 2.0]), "a parameter of type list"),
    "array": (lambda: R.poisson(np.ones(2)), "a parameter of type ndarray"),
    "nothing": (lambda: R.binomial(None, 0.5), "a parameter of type NoneType"),
    "order": (lambda: R.uniform(0, 1, (3,)), "uniform.. with a tuple"),
    "numpy's order": (lambda: R.normal(0, 1), "normal.. of shape 0 with parameters"),
    "low and high": (lambda: R.uniform(0, 10), "uniform.. of shape 0 with parameters"),
    "size": (lambda: R.normal(0.0, [1.0], 3.0), "normal.. with a list"),
    "scale": (lambda: R.exponential((2,), -1.0), "a scale of -1.0"),
    "deviation": (lambda: R.normal((2,), 0.0, -1.0), "a deviation of -1.0"),
    "dirichlet": (lambda: R.dirichlet(df.asarray(1.0)), "dirichlet"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_bad_parameters(name: str):
    call, text = ERRORS[name]
    with pytest.raises(df.errors.DualflowError, match=text) as caught:
        call()
    assert caught.value.where is not None
    assert caught.value.where.file == __file__
