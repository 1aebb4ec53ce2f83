"""Tutorial 5: derivatives of any kind. Run it: python tutorials/05_derivatives.py

Each tool takes a function and gives a function; they go into each other in any order, and all of
them work inside a compiled function.
"""

import dualflow as df


def energy(x):
    """A small chain of springs: x (n,) are places, the result is one number."""
    stretch = x[1:] - x[:-1]
    return (stretch**2).sum() / 2 + (1 - df.cos(x)).sum()


x = df.asarray([0.1, 0.5, -0.3, 0.2])

# Reverse mode: the whole gradient for the price of a few calls, however long x is.
value, force = df.value_and_grad(energy)(x)
print("energy:", round(value.item(), 4), " gradient:", force.tolist())

# Forward mode: how the value changes along one direction, without storing anything.
direction = df.ones(4)
value, slope = df.jvp(energy, (x,), (direction,))
print("slope along", direction.tolist(), ":", round(slope.item(), 4))
assert abs(slope.item() - force.sum().item()) < 1e-6

# Second derivatives: the whole matrix, or its product with a vector, which costs far less.
matrix = df.hessian(energy)(x)
product = df.jvp(df.grad(energy), (x,), (direction,))[1]
print("hessian:", matrix.tolist())
assert df.allclose(matrix @ direction, product, atol=1e-5)

# vmap: write the function for one example, run it for a batch, as fast as if written for it.
batch = df.random.normal((256, 4))
energies = df.vmap(energy)(batch)
forces = df.vmap(df.grad(energy))(batch)
print("a batch:", energies.shape, forces.shape)
assert df.allclose(forces[5], df.grad(energy)(batch[5]), atol=1e-5)

# checkpoint: keep only the inputs of a part for the backward pass and compute it again there.
# Less memory, the same gradient, the same random numbers.
weights = df.random.normal((4, 4))


def deep(x, layer):
    for _ in range(20):
        x = layer(x)
    return (x * x).sum()


layer = lambda x: df.tanh(x @ weights)  # noqa: E731
kept = df.grad(lambda x: deep(x, layer))(x)
again = df.grad(lambda x: deep(x, df.checkpoint(layer)))(x)
assert df.allclose(kept, again)


# A derivative of your own: the root of a sum of squares has none at 0, and 0 is what you want.
@df.custom_gradient
def length(x):
    value = df.sqrt((x * x).sum())
    return value, lambda g: g * x / df.maximum(value, 1e-30)


print("the gradient of a length at 0:", df.grad(length)(df.zeros(2)).tolist())
assert df.grad(length)(df.zeros(2)).tolist() == [0.0, 0.0]
assert df.allclose(df.grad(length)(df.asarray([3.0, 4.0])), df.asarray([0.6, 0.8]))


# All of it compiles: one step of Newton's method is a gradient, a hessian and a solution.
@df.compile(wait=True)
def newton(x):
    gradient, curvature = df.grad(energy)(x), df.hessian(energy)(x)
    return x - df.linalg.solve(curvature, gradient)


for _ in range(5):
    x = newton(x)
print("at rest:", [round(place, 6) for place in x.tolist()], newton.stats())
assert abs(df.grad(energy)(x)).max().item() < 1e-6
assert newton.stats()["replays"] == 4
