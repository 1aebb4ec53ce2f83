"""Tutorial 4: NumPy programs. Run it: python tutorials/04_numpy.py

A function written with NumPy is compiled as it is: it takes ndarrays, gives ndarrays, and writes
into the caller's arrays where it did before. Only the decorator is new.
"""

import numpy as np

import dualflow as df


# Heat spreads over a plate: the program writes into its argument, in place.
def heat(plate, steps):
    for _ in range(steps):
        middle = plate[1:-1, 1:-1]
        around = plate[2:, 1:-1] + plate[:-2, 1:-1] + plate[1:-1, 2:] + plate[1:-1, :-2]
        middle += 0.2 * (around - 4.0 * middle)
    return plate.max()


compiled_heat = df.compile(heat, wait=True)

first, second = np.zeros((2, 128, 128))
first[64, 64] = second[64, 64] = 100.0
for _ in range(3):
    plain, compiled = heat(first, 10), compiled_heat(second, 10)
print("hottest:", plain, compiled, " type:", type(compiled).__name__)
assert np.array_equal(first, second)
assert plain == compiled
assert type(compiled) is type(plain)
print("how the calls ran:", compiled_heat.stats())
assert compiled_heat.stats()["replays"] == 2


# Arrays that the function makes itself, dtypes, branches on values: all as in NumPy.
@df.compile(wait=True)
def largest_eigenvalue(matrix, tolerance=1e-10):
    vector = np.ones(len(matrix)) / np.sqrt(len(matrix))
    value = 0.0
    for count in range(100):
        image = matrix @ vector
        before, value = value, vector @ image
        if abs(value - before) < tolerance:
            return value, count
        vector = image / np.linalg.norm(image)
    return value, count


generator = np.random.default_rng(7)
for size in (20, 20, 30):
    matrix = generator.random((size, size))
    matrix += matrix.T
    value, count = largest_eigenvalue(matrix)
    print(f"{size} x {size}: {value:.6f} after {count} steps")
    assert np.isclose(value, np.linalg.eigvalsh(matrix)[-1])


# What dualflow has no operation for is computed by NumPy, and counted: slower, never wrong.
@df.compile(wait=True)
def smoothed(text, width):
    heights = np.array([len(word) for word in text.split()], float)
    return np.convolve(heights, np.ones(width) / width, mode="valid")


before = df.stats()["numpy_fallbacks"]
for _ in range(3):
    result = smoothed("what is shown here is how long the words of a text are", 3)
left = df.stats()["numpy_fallbacks"] - before
print("smoothed:", result.round(2), " functions left to NumPy:", left)
assert np.allclose(result[:3], [11 / 3, 11 / 3, 11 / 3])

# explain() says how a call runs, and names the line that keeps it from being skipped, if any.
print(smoothed.explain("one two three four", 2).splitlines()[0])
