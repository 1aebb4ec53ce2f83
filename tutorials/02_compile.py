"""Tutorial 2: @df.compile. Run it: python tutorials/02_compile.py

Decorating a function changes its speed and nothing else. The first call runs eagerly and takes
notes; from then on the array operations run as fused machine code.
"""

import dualflow as df


# wait=True: be ready before the first call returns. Without it the function runs eagerly while
# a helper process compiles.
@df.compile(wait=True)
def normalize(x, scale):
    mean = x.mean(axis=-1, keepdims=True)
    spread = df.sqrt(((x - mean) ** 2).mean(axis=-1, keepdims=True) + 1e-5)
    return (x - mean) / spread * scale


x = df.random.normal((256, 512))
for _ in range(3):
    y = normalize(x, 2.0)
print("how the calls ran:", normalize.stats())
assert normalize.stats()["replays"] == 2


# Python around the arrays keeps its meaning: a branch on a value...
@df.compile(wait=True)
def step(x):
    if (x * x).sum() > 100.0:
        return x / 2
    return x * 2


small, large = df.ones((4,)), df.full((4,), 50.0)
assert step(small).tolist() == [2.0] * 4
assert step(large).tolist() == [25.0] * 4
assert step(small).tolist() == [2.0] * 4

# ... a counter, a list outside, a global: all as if the decorator were not there.
history = []
rate = 0.5


@df.compile(wait=True)
def update(w):
    history.append(len(history))
    return w - rate * w


w = df.ones((3,))
for _ in range(3):
    w = update(w)
rate = 0.0
w = update(w)
print("history:", history, " w:", w.tolist())
assert history == [0, 1, 2, 3]
assert w.tolist() == [0.125] * 3


# A whole training step compiles: forward, backward, optimizer.
model = df.nn.Sequential(df.nn.Linear(8, 16), df.nn.ReLU(), df.nn.Linear(16, 1))
optimizer = df.optim.Adam(model.parameters(), lr=0.01)


@df.compile(wait=True)
def train(inputs, targets):
    optimizer.zero_grad()
    loss = ((model(inputs) - targets) ** 2).mean()
    loss.backward()
    optimizer.step()
    return loss.detach()


inputs = df.random.normal((64, 8))
targets = inputs.sum(axis=1, keepdims=True)
losses = [train(inputs, targets).item() for _ in range(50)]
print(f"loss: {losses[0]:.3f} to {losses[-1]:.3f}; runs: {train.stats()}")
assert losses[-1] < losses[0]

# What was compiled, and why: the graph with your lines, the kernels, their buffers.
print(normalize.explain(x, 2.0)[:1500])
