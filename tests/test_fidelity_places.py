"""Places in tensors that differ from call to call: `x[i]`, `x[i:i + n]`, rows chosen at random."""

import random

import pytest
from fidelity_runner import check, parameters, tensor

import dualflow as df

ROWS = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0], [0.5, 1.5, 2.5], [3.0, 1.0, 2.0]]


def rows(dtype=df.float64):
    return df.tensor(ROWS, dtype=dtype)


def numbers_as_places(compile, see):
    x = rows()

    @compile
    def f(x, i, j):
        return x[i] * 2, x[i, j] + 1, x[:, j] - x[-1, j], x[1:3, j].sum(), x[j][::-1] * x[2]

    for i, j in ((0, 0), (1, 1), (2, 0), (3, 1), (-1, 2), (4, -1), (0, 0), (5, 0), (-6, 0), (1, 3)):
        see(f, x, i, j)
    see(f, x, True, 1)
    see(f, x, 1.0, 1)
    see(f, x, None, 1)


def batches(compile, see):
    x = rows()

    @compile
    def f(x, i, size):
        part = x[i * size : (i + 1) * size]
        return part.sum(axis=0), part[0] * 2, part.shape, part[:, 1:] + x[i : i + 1, :2]

    @compile
    def ends(x, part):
        return x[part] * 2, x[:, part].mean(axis=1)

    for i in (0, 1, 0, 1, 2, 2, -1, 0, 7):
        see(f, x, i, 2)
    for part in (slice(0, 2), slice(1, 3), slice(2, 4), slice(None, 2), slice(-2, None), slice(3),
                 slice(1, 3), slice(3, 1), slice(0, 4, 2), slice(2, 4)):  # fmt: skip
        see(ends, x, part)


def stores_at_places(compile, see):
    @compile
    def f(x, i, j, v):
        x[i] = x[0] * 2
        x[:, j] = v
        x[i, 1:] = -1.0
        x[i : i + 2] += 1.0
        x[j] *= x[i]
        return x.sum(axis=0), x[i] + 1

    @compile
    def swap(x, i, j):
        x[i], x[j] = x[j] * 1, x[i] * 1
        row = x[i]
        row[0] = 9.0
        return x * 2

    @compile
    def whole_numbers(x, i, n):
        x[i] = n
        x[i - 1] += n
        return x * n

    @compile
    def one(x, i, v):
        x[i] = v
        return x[i] * x[-1]

    for i, j, v in ((0, 1, 1.0), (1, 2, 2.5), (2, 0, 3), (3, 1, -0.0), (1, 2, 4.5), (-2, -1, 5.0),
                    (4, 0, 6.0), (5, 1, 7.0), (0, 3, 1.0), (2, 2, 1.5)):  # fmt: skip
        x = rows()
        see(f, x, i, j, v)
        see.that(x)
        see(swap, x, i, j)
        see.that(x)
        numbers = df.tensor([1, 2, 3, 4], dtype=df.int32)
        see(whole_numbers, numbers, i, j + 2**30 * (i % 2))
        see.that(numbers)
        narrow = df.tensor([1.0, 2.0, 3.0, 4.0])
        see(one, narrow, i, v * 1.1)
        see.that(narrow)
    see(one, df.tensor([1, 2, 3]), 1, 2.5)
    see(one, df.tensor([1.0, 2.0]), 1, "text")


def a_ring_of_rows(compile, see):
    ring, at = df.zeros((4, 3)), [0]

    @compile
    def f(x):
        ring[at[0] % 4] = x
        at[0] += 1
        return ring.sum(axis=0), ring[(at[0] - 2) % 4] * 2, at[0]

    for i in range(9):
        see(f, tensor(i, 1.0, 2.0))
        see.that((ring, at))


def places_that_are_written(compile, see):
    @compile
    def later(x, i):
        row = x[i]
        x[0] = 5.0
        return row * 2, x

    @compile
    def through(x, i):
        row = x[i]
        part = row[1:]
        part *= 2
        return row + 1, x.sum()

    @compile
    def whole(x, i):
        seen = x[i] + 1
        x *= 2
        return seen, x[i] * 1

    @compile
    def other(x, y, i):
        row = y[i]
        x += 1
        return row * 1

    for i in (0, 1, 2, 3, 0, 1):
        for f in (later, through, whole):
            x = rows()
            see(f, x, i)
            see.that(x)
        x = rows()
        see(other, x, x, i)
        see(other, x, x[1:], i)
        see(other, x, rows(), i)


def rows_that_are_stored(compile, see):
    ring = rows()
    state = {"at": 0}

    @compile
    def push(row):
        ring[state["at"]] = row
        state["at"] = (state["at"] + 1) % 5
        return ring.sum(axis=0), ring[state["at"]] * 1

    @compile
    def add(x, i, part):
        x[i] += 2
        x[i, 1:] *= 3
        x[part] = x[part] - 1
        return x.sum()

    for k in range(12):
        see(push, tensor(float(k), 1.0, 2.0, dtype=df.float64))
        see.that([ring, state])
    for i in (0, 1, 2, 3, 4, -1, 0, 5, 2):
        x = rows()
        see(add, x, i, slice(i % 3, i % 3 + 2))
        see.that(x)


def places_that_leave(compile, see):
    kept = []

    @compile
    def f(x, i):
        return x[i], x[i][1:], x[i].sum()

    @compile
    def keeps(x, i):
        kept.append(x[i])
        return x[i] * 2

    @compile
    def holds(x, i):
        row = x[i]
        return [row, row * 2], row is x[i], lambda: row

    @compile
    def born(x, i):
        y = x * 2
        return y, y[i], y[i] + 1

    for i in (0, 1, 2, 0, 1, 2):
        x = rows()
        first = see(f, x, i)[0]
        see(keeps, x, i)
        see(holds, x, i)
        see(born, x, i)
        first += 1
        see.that([x, kept])


def places_of_other_handles(compile, see):
    @compile
    def f(x, row, i):
        y = x.detach()
        return x[i] * row, y[i] + 1, x.T[i] * 2, x[i].detach()[::2] * 2, x[3] - x[i]

    @compile
    def arrays(x, i):
        return x[i].numpy() * 2, x[i].tolist()

    x = rows()
    for i in (0, 1, 2, 0, 1, 2):
        see(f, x, x[1], i)
        see(arrays, x, i)
    see(f, x, rows()[1], 2)


def gradients_of_places(compile, see):
    def loss(w, x, i):
        return ((w * x[i]).sum() - 1) ** 2 + (w[i % 3] ** 2)

    @compile
    def f(w, x, i):
        return df.grad(loss)(w, x, i)

    @compile
    def taped(w, x, i):
        return (w[i % 3] * x[i]).sum()

    for i in (0, 1, 2, 3, 4, 0, 1):
        see(f, tensor(1.0, 2.0, 3.0, dtype=df.float64), rows(), i)
        w = tensor(1.0, 2.0, 3.0, dtype=df.float64).requires_grad_()
        out = see(taped, w, rows(), i)
        out.backward()
        see.that(w.grad)


def places_from_values(compile, see):
    @compile
    def f(x, scores):
        best = int(df.argmax(scores))
        return x[best] * 2, best, x[best : best + 2].sum(), x[int(scores.sum())] + 1

    for scores in ([1, 0, 2], [0, 0, 1], [1, 0, 0], [0, 1, 0], [2, 2, 0], [9, 9, 9], [0, 2, 2]):
        see(f, rows(), df.tensor(scores))


def rows_drawn(compile, see):
    rng = random.Random(4)

    @compile
    def f(x):
        return x[rng.randrange(5)] * rng.random(), x[rng.randint(0, 1)].sum()

    for _ in range(6):
        see(f, rows())
    see.that(rng.random())


def orders_drawn(compile, see):
    rng = random.Random(11)
    state = {"order": [3, 1, 2], "rates": (0.5, 0.25, 2.0)}

    @compile
    def f(x):
        order = list(range(x.shape[0]))
        rng.shuffle(order)
        batch = df.stack([x[i] for i in order[:3]])
        picked = rng.sample(range(5), 2)
        rate = rng.choices(state["rates"], weights=[1, 2, 1], k=2)
        return batch * rate[0], order, picked, rate, x[picked[0]] + rng.random()

    @compile
    def outside(x):
        rng.shuffle(state["order"])
        return x * state["order"][0], state["order"]

    @compile
    def seeded(x, seed):
        mine = random.Random(seed)
        order = [5, 7]
        mine.shuffle(order)
        return x * mine.random() + mine.randint(0, 9), order, mine.sample((1, 2, 3), 2)

    @compile
    def module(x):
        return x * random.choices([1, 2, 3])[0], random.sample([1.5, 2.5], k=2)

    random.seed(3)
    for k in range(8):
        see(f, rows())
        see(outside, tensor(*ROWS[0]))
        see(seeded, tensor(*ROWS[0]), k % 3)
        see(module, tensor(*ROWS[0]))
        if k == 3:
            state["rates"] = (0.5, 1.0, 4.0)
        if k == 5:
            state["order"] = [1, 2, 3, 4]
    see.that([rng.random(), random.random(), state])


def what_else_is_drawn(compile, see):
    rng = random.Random(1)

    class Own(random.Random):
        def random(self):
            return 0.5

    own = Own(2)

    @compile
    def f(x, items, count):
        try:
            return x * 2, rng.sample(items, count), rng.choices(items, k=count)
        except (ValueError, IndexError) as error:
            return x, str(error)

    @compile
    def shuffles(x, items):
        rng.shuffle(items)
        own.shuffle(items)
        return x * 2, items

    big, texts = [2**70, 1], ["a", "b"]
    for items in ([1, 2, 3], [1, 2, 3], texts, texts, [1, 2.0], [True, False], [], big, [[1], [2]]):
        for count in (2, 1, 2, 9):
            see(f, tensor(*ROWS[0]), items, count)
        see(shuffles, tensor(*ROWS[0]), list(items))
    see.that(rng.random())


def loops_over_places(compile, see):
    @compile
    def f(x, n, start):
        total = x[0] * 0
        for i in range(n):
            total = total + x[start + i] * i - x[i]
        return total

    for n, start in ((2, 0), (2, 1), (2, 2), (3, 1), (3, 2), (3, 0), (3, 3)):
        see(f, rows(), n, start)


def views_that_overlap(compile, see):
    @compile
    def f(a, b):
        a += b
        b[0] = 7.0
        return a - b, a.sum()

    @compile
    def three(a, b, c):
        c *= 2
        seen = a + b
        a[1:] = b[1:]
        return seen, c * 1, a

    @compile
    def read(a, b):
        return (a * b).sum()

    def pieces(i, j, size=4):
        base = df.tensor([float(k) for k in range(10)])
        return base, base[i : i + size], base[j : j + size]

    for i, j in ((0, 2), (0, 2), (0, 2), (2, 0), (2, 0), (0, 4), (0, 4), (0, 0), (3, 3), (0, 2)):
        base, a, b = pieces(i, j)
        see(f, a, b)
        see.that([base, a, b])
        base, a, b = pieces(i, j)
        see(three, a, b, base)
        see.that([base, a, b])
        base, a, b = pieces(i, j)
        see(three, a, b, base[1:5])
        see.that([base, a, b])
        see(read, a, b)
        _, a, b = pieces(i, j)[0], pieces(i, j)[1], pieces(i, j)[2]
        see(f, a, b)
        _, a, b = pieces(i, j)
        see(three, a, b, a)
    base, a, b = pieces(0, 2)
    see(f, a[1:], b[:3])
    see(f, df.reshape(base, (2, 5))[0], base[3:8])
    see.that(base)
    try:
        see(f, a, b[:2])
    finally:
        see.that(base)


def views_that_want_gradients(compile, see):
    @compile
    def f(a, b, x):
        a += x
        return (a * b).sum()

    for i in (0, 2, 2, 2, 0):
        base = df.tensor([1.0, 2.0, 3.0, 4.0, 5.0])
        x = tensor(1.0, 2.0, 3.0).requires_grad_()
        out = see(f, base[i : i + 3], base[1:4], x)
        out.backward()
        see.that([x.grad, base])


def views_of_a_recording_that_was_given_up(compile, see):
    grid = df.reshape(df.arange(12.0), (4, 3))

    def pick(k):
        row = grid[k]
        return row, id(row) > 0

    def use(row, k):
        grid[k] += 1
        return row * 2

    pick, use = compile(pick), compile(use)
    held = [see(pick, k)[0] for k in (0, 1, 2)]
    for row in held:
        for k in (0, 1, 2, 0):
            see(use, row, k)
            see.that((grid, held))


@pytest.mark.parametrize(("program", "way"), parameters(globals()))
def test_program(program, way):
    check(program, way)


def test_a_place_within_a_place_that_leaves():
    grid = df.reshape(df.arange(12.0), (4, 3))

    @df.compile(wait=True)
    def f(x, i):
        return grid[i][int(x.sum()) % 3]

    for i in (1, 2, -1, 2, 1, 1, -1, 3):
        for j in (1.0, 2.0, 1.0):
            assert f(df.tensor([j]), i).tolist() == grid[i][int(j)].tolist()
    assert f.stats()["replays"] >= 8


def test_one_recording_serves_all_places():
    @df.compile(wait=True)
    def f(x, i, part):
        return x[i] * 2 + x[part].sum(axis=0)

    x = rows()
    for i in range(20):
        found = f(x, i % 5, slice(i % 4, i % 4 + 2))
        assert found.tolist() == (x[i % 5] * 2 + x[i % 4 : i % 4 + 2].sum(axis=0)).tolist()
    assert f.stats()["recordings"] <= 3
    assert f.stats()["replays"] >= 17


def test_views_that_are_read_alone_are_one_recording():
    @df.compile(wait=True)
    def f(x, y):
        return (x * y).sum()

    data = df.arange(20.0)
    for i in range(10):
        assert f(data[i : i + 5], data[i + 1 : i + 6]).item() == sum(
            k * (k + 1) for k in range(i, i + 5)
        )
    assert f.stats()["recordings"] == 1
    assert f.stats()["replays"] == 9
