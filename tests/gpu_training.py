"""Small networks that train on any device, in mixed precision or not; each gives its losses."""

from __future__ import annotations

from collections.abc import Callable

import dualflow as df
from dualflow import nn

#: words of the language model, width, heads, tokens
WORDS, WIDTH, HEADS, TOKENS = 8, 16, 1, 4
Loss = Callable[[df.Tensor, df.Tensor], df.Tensor]


def trained(
    device: str, loss_of: Loss, parameters: list[df.Tensor], x: df.Tensor, y: df.Tensor,
    steps: int, mixed: bool,
) -> list[float]:  # fmt: skip
    """The losses of compiled training steps; some of them have to be replays."""
    optimizer = df.optim.Adam(parameters, 0.02)
    scaler = df.optim.GradScaler(scale=256.0, device=device)

    @df.compile(wait=True)
    def step(x: df.Tensor, y: df.Tensor) -> df.Tensor:
        optimizer.zero_grad()
        if mixed:
            with df.autocast():
                loss = loss_of(x, y)
            scaler.scale(loss).backward()
            scaler.step(optimizer)
        else:
            loss = loss_of(x, y)
            loss.backward()
            optimizer.step()
        return loss.detach()

    losses = [step(x, y).item() for _ in range(steps)]
    assert step.stats()["replays"] >= max(1, steps - 3), step.report().reasons
    assert all(parameter.device.startswith(device) for parameter in parameters)
    return losses


def language_model(device: str, steps: int, mixed: bool = False) -> list[float]:
    """A transformer of one block that learns the next word of a fixed text."""
    df.random.seed(2)
    made = [nn.Embedding(WORDS, WIDTH), nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 3 * WIDTH),
            nn.Linear(WIDTH, WIDTH), nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 2 * WIDTH),
            nn.Linear(2 * WIDTH, WIDTH)]  # fmt: skip
    words, first, joined, out, second, wide, narrow = (layer.to(device) for layer in made)
    parameters = [p for layer in (words, first, joined, out, second, wide, narrow)
                  for p in layer.parameters()]  # fmt: skip
    text = df.random.integers(0, WORDS, (2, TOKENS + 1)).to(device)

    def heads_of(x: df.Tensor) -> df.Tensor:
        parted = df.reshape(x, (2, TOKENS, HEADS, WIDTH // HEADS))
        return df.permute_dims(parted, (0, 2, 1, 3))

    def loss_of(x: df.Tensor, y: df.Tensor) -> df.Tensor:
        h = words(x)
        every = joined(first(h))
        q, k, v = (heads_of(every[..., n * WIDTH : (n + 1) * WIDTH]) for n in range(3))
        seen = df.permute_dims(
            df.scaled_dot_product_attention(q, k, v, is_causal=True), (0, 2, 1, 3)
        )
        h = h + out(df.reshape(seen, (2, TOKENS, WIDTH)))
        h = h + narrow(df.gelu(wide(second(h))))
        scores = df.reshape(h, (2 * TOKENS, WIDTH)) @ words.weight.T
        return df.cross_entropy(scores, df.reshape(y, (2 * TOKENS,)))

    return trained(device, loss_of, parameters, text[:, :-1], text[:, 1:], steps, mixed)


def convolutional_network(device: str, steps: int, mixed: bool = False) -> list[float]:
    """Two convolutions, pooling and a linear layer that learn four images."""
    df.random.seed(1)
    kernels = [(df.random.normal(shape) * 0.3).to(device).requires_grad_()
               for shape in ((4, 1, 3, 3), (4, 4, 3, 3))]  # fmt: skip
    head = nn.Linear(4 * 4, 3).to(device)
    x = df.random.normal((4, 1, 8, 8)).to(device)
    y = df.asarray([0, 1, 2, 1]).to(device)

    def loss_of(x: df.Tensor, y: df.Tensor) -> df.Tensor:
        seen = df.relu(df.conv2d(x, kernels[0]))
        seen = df.relu(df.conv2d(seen, kernels[1], padding=1))
        pooled = df.mean(df.reshape(seen, (4, 4, 2, 3, 2, 3)), axis=(3, 5))
        return df.cross_entropy(head(df.reshape(pooled, (4, 16))), y)

    return trained(device, loss_of, [*kernels, *head.parameters()], x, y, steps, mixed)


NETWORKS = {"language model": language_model, "convolutions": convolutional_network}
