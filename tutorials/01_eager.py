"""Tutorial 1: eager mode. Run it: python tutorials/01_eager.py

By default dualflow behaves like NumPy and PyTorch: every line computes, every value can be
printed, and a debugger steps through your code.
"""

import numpy as np

import dualflow as df

# Tensors come from lists, from NumPy arrays, or from creation functions. Floats are float32
# unless you say otherwise; a Python number never widens a tensor.
x = df.asarray([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
print("x:", x)
print("x * 2 + 1:", x * 2 + 1)
print("dtype:", x.dtype, " shape:", x.shape)

# asarray of an ndarray shares its memory, as in PyTorch; copy=True does not.
array = np.arange(4.0)
shared = df.asarray(array)
array[0] = 100.0
print("shared with NumPy:", shared.tolist())
assert shared[0].item() == 100.0

# Views share memory too: a write through one is seen by the other.
row = x[0]
row += 10
print("x after a write through its first row:", x.tolist())
assert x[0, 0].item() == 11.0

# Gradients: ask for them, compute a scalar, walk back.
w = df.asarray([0.5, -1.0, 2.0]).requires_grad_()
loss = ((x @ w - 1.0) ** 2).mean()
loss.backward()
print("loss:", loss.item(), " gradient:", w.grad.tolist())

# Or as a function: df.grad gives the gradient of a function, of any order.
cube = lambda t: t * t * t  # noqa: E731
second = df.grad(df.grad(cube))
print("second derivative of t**3 at 2:", second(df.asarray(2.0)).item())
assert second(df.asarray(2.0)).item() == 12.0

# Random numbers come from a counter-based generator: the same bits in every mode and machine.
df.random.seed(7)
print("uniform:", df.random.uniform((3,)).tolist())

# Errors say what happened, where in your file, why, and what to write instead.
try:
    x + df.zeros((4,))
except df.errors.ShapeError as error:
    print("an error:", error)
