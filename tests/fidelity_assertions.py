"""A function with assertions, in a module whose assertions pytest leaves as they are."""


def asserting(x, n):
    found = []
    try:
        assert n > 5, f"bad {n}"
    except AssertionError as error:
        found += [str(error), error.args]
    try:
        assert x[0] > n, n * 2
    except AssertionError as error:
        found.append(error.args[0])
    return x * n, found
