"""Containers that are others from call to call: logs that grow, counts, indices and keys."""

from __future__ import annotations

import statistics
from collections import Counter

import pytest
from fidelity_runner import check, parameters, tensor

import dualflow as df

X = (1.0, 2.0, 3.0)


def a_log_as_a_whole(compile, see):
    log = []

    @compile
    def f(x):
        log.append(round(float(x.max()), 2))
        middle = sorted(log)[len(log) // 2]
        kept = list(log)
        kept.append(0.5)
        return x * middle, kept, tuple(log), log[:], log[1:], log.copy(), str(log), max(log)

    for i in range(8):
        made = see(f, tensor(*X) * (i % 3 + 1))
        made[1].append(1.0)
        made[3].append(2.0)
        see.that((log, made))


def copies_of_a_log_are_others(compile, see):
    log = [1, 2]

    @compile
    def f(x, n):
        log.append(n)
        one, two = list(log), list(log)
        one.append(3)
        two.extend([n, 5])
        return one, two, one is two, x * len(one), [one, one, list(one)]

    for i in range(7):
        see(f, tensor(*X), i)
        see.that(log)


def logs_of_several_kinds(compile, see):
    log = []

    @compile
    def f(x, item):
        log.append(item)
        return x * 2, list(log), f"{log}", 2 in log, len(log)

    for item in (1, 2.5, "a", 2, True, "b", -0.0, 1, 2, 2.5, "c", tensor(*X), 3, 4):
        see(f, tensor(*X), item)


def names_as_a_whole(compile, see):
    @compile
    def f(x, seen=[], names={}):  # noqa: B006
        seen.append(x * 2)
        names[f"call{len(seen)}"] = len(names)
        return seen[0] + x, len(seen), dict(names), sorted(names), list(names.values()), len(names)

    for i in range(8):
        see(f, tensor(*X) + i)


def counts_as_a_whole(compile, see):
    total, table = Counter(), {"a": 0, "b": 1}

    @compile
    def f(x, key):
        total[key] += 1
        table[key] = table.get(key, 0) + 2
        most = total.most_common(1)
        return x * len(total), most, sum(table.values()), dict(table), table.copy(), str(table)

    for key in ("a", "b", "a", "a", "b", "b", "c", "c", "a"):
        see(f, tensor(*X), key)
        see.that((total, table))


def a_memo_by_a_step(compile, see):
    memo, met = {}, set()
    state = {"step": 0}

    def weight(n):
        if n not in memo:
            memo[n] = n * 10
        return memo[n]

    @compile
    def f(x):
        state["step"] += 1
        n = state["step"] % 6
        new = n not in met
        met.add(n)
        return x * weight(n), len(memo), new, len(met)

    for _ in range(9):
        see(f, tensor(*X))
        see.that((memo, met))


def items_by_a_counter(compile, see):
    rates, words = [0.5, 0.25, 2.0, 4.0, 8.0, 1.0], ("a", "b", "c", "d", "e", "f")
    table, at = {i: i * i for i in range(6)}, [0]

    @compile
    def f(x):
        i = at[0]
        at[0] += 1
        return x * rates[i], words[i], rates[i - 6], table[i], table.get(i + 3, "none"), i in table

    for i in range(8):
        see(f, tensor(*X))
        if i == 3:
            rates[5] = 16.0


def items_by_a_value(compile, see):
    words, rates = {0: "zero", 1: "one", 2: "two"}, [1.0, 2.0, 4.0]

    @compile
    def f(x):
        i = int(x[0])
        out = x * rates[i % 3]
        return words.get(i, "other"), out, rates[i % 3], words[i % 2]

    for i in (0, 1, 2, 5, 1, 0, 7, 4):
        see(f, tensor(i, 2.0))


def keys_that_were_stored_are_listed(compile, see):
    table, other = {}, {}

    @compile
    def f(x, key):
        table[int(x[0])] = key
        other[key] = 1
        return list(table), [*other.items()], x * len(table)

    for i, key in enumerate("abcaabcd"):
        see(f, tensor(i % 3, 2.0), key)
        if i == 4:
            table.clear()
            other.clear()


def what_may_be_otherwise(compile, see):
    """A dict that holds other kinds in between, keys that are equal, logs that shrink."""
    log, table = [], {}
    state = [0]

    @compile
    def f(x, key, item):
        state[0] += 1
        table[key] = item
        log.append(state[0])
        found = sorted(log), dict(table), table[key]
        if state[0] % 4 == 0:
            log.clear()
        return x * len(table), found, len(log)

    for key, item in ((1, 2), (2, 2), (True, 3), (1.0, 4), (2.5, "x"), (7, x := tensor(*X)), (8, 5),
                      (9, x), (10, 6), (11, 7)):  # fmt: skip
        see(f, tensor(*X), key, item)
        see.that((table, log))
    table.clear()
    for key in range(8):
        see(f, tensor(*X), key, key)


def statistics_of_a_log(compile, see):
    log, words = [1.0], ["{a}"]

    @compile
    def f(x):
        log.append(float(x.sum()))
        words.append("{a}")
        return (
            x - statistics.mean(log),
            statistics.median(log),
            log.index(1.0),
            3.0 in log,
            words.count("{a}"),
        )

    for i in range(6):
        see(f, tensor(*X) + i % 2)


def test_a_path_is_found_behind_one_that_fits_and_leads_nowhere():
    log = []

    @df.compile(wait=True)
    def f(x):
        log.append(round(float(x.max()), 2))
        return x * (max(log) - min(log)), sorted(log)[len(log) // 2]

    for i in range(9):
        made, middle = f(tensor(i, 5.0))
        assert middle == sorted(log)[len(log) // 2]
        assert made.tolist() == [i * (max(log) - min(log)), 5 * (max(log) - min(log))]
    assert counts(f) == (3, 6)  # of one item, and of numbers that were not yet met


def counts(fast):
    stats = fast.stats()
    return stats["recordings"], stats["replays"]


@pytest.mark.parametrize(("program", "way"), parameters(globals()))
def test_program(program, way):
    check(program, way)
