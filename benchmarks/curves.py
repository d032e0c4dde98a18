"""Learning curves of every configuration of a small space: trained once, then read from a file.

``python benchmarks/curves.py [FILE]`` trains them, in minutes on one core: 4,896 networks with two
hidden layers on scikit-learn's digits, at a constant learning rate. A curve is the validation loss
after each of 27 epochs, on the last 450 images, which other people wrote than the first. Networks
of one shape are trained side by side, each with initial weights and dropout of its own; they see
the images in the same order.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor
from torch.nn import functional

EPOCHS = 27
SPACE: Mapping[str, Sequence[Any]] = {
    "lr": [float(f"{10 ** (place / 4 - 4):.2g}") for place in range(17)],
    "batch_size": [32, 64, 128, 256],
    "width": [8, 16, 32],
    "dropout": [0.0, 0.15, 0.3, 0.45],
    "weight_decay": [1e-5, 1e-3, 1e-1],
    "optimizer": ["sgd", "adamw"],
}
SHARED = ("batch_size", "width", "optimizer")
"""What is the same for networks that are trained side by side."""
VALIDATION = 450

Configuration = Mapping[str, Any]


def configurations() -> list[dict[str, Any]]:
    """All of them, in the order of the curves."""
    return [dict(zip(SPACE, values, strict=True)) for values in itertools.product(*SPACE.values())]


def default_file() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "sweep" / "digits_curves.npz"


def read(file: Path) -> np.ndarray:
    """The curves, (configurations, epochs).

    Raises:
        ValueError: they are of another space.
    """
    with np.load(file) as found:
        if str(found["space"]) != json.dumps(SPACE):
            raise ValueError(f"{file}: has curves of another space: delete it")
        return np.asarray(found["curves"], dtype=np.float64)


def make(file: Path) -> None:
    """Train everything, and write it to ``file``."""
    began = time.process_time()
    curves = train_all()
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as out:
        np.savez_compressed(out, space=json.dumps(SPACE), curves=curves)
    print(f"{file}: {len(curves)} curves, {time.process_time() - began:.0f} s of one core")


def train_all() -> np.ndarray:
    """Float32 (configurations, epochs); NaN and infinities where a training diverges."""
    torch.set_num_threads(1)
    wanted = configurations()
    curves = np.empty((len(wanted), EPOCHS), dtype=np.float32)
    groups: dict[tuple[Any, ...], list[int]] = {}
    for number, each in enumerate(wanted):
        groups.setdefault(tuple(each[name] for name in SHARED), []).append(number)
    for seed, numbers in enumerate(groups.values()):
        curves[numbers] = train([wanted[number] for number in numbers], seed)
        print(f"{seed + 1} of {len(groups)} shapes trained", flush=True)
    return curves


def data() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Images (n, 64) and labels (n,) to train on, and those to validate on."""
    digits = load_digits()
    images = torch.tensor(digits.data, dtype=torch.float32) / 16.0
    labels = torch.tensor(digits.target)
    return images[:-VALIDATION], labels[:-VALIDATION], images[-VALIDATION:], labels[-VALIDATION:]


def train(group: Sequence[Configuration], seed: int) -> np.ndarray:
    """The curves of networks of one shape, (networks, epochs)."""
    images, labels, held_out, truth = data()
    generator = torch.Generator().manual_seed(seed)
    layers = initial(len(group), group[0]["width"], generator)
    optimizer = (AdamW if group[0]["optimizer"] == "adamw" else SGD)(layers, group)
    dropout, width, size = of_each(group, "dropout"), group[0]["width"], group[0]["batch_size"]
    curves = np.empty((len(group), EPOCHS), dtype=np.float32)
    for epoch in range(EPOCHS):
        order = torch.randperm(len(images), generator=generator)
        for batch in (order[begin : begin + size] for begin in range(0, len(order), size)):
            draws = torch.rand(2, len(group), len(batch), width, generator=generator)
            kept = (draws >= dropout) / (1.0 - dropout)
            found = losses(layers, images[batch], labels[batch], [*kept]).sum()
            optimizer.step(torch.autograd.grad(found, layers))
        with torch.no_grad():
            curves[:, epoch] = losses(layers, held_out, truth).numpy()
    return curves


def of_each(group: Sequence[Configuration], name: str) -> Tensor:
    """(networks, 1, 1)"""
    return torch.tensor([each[name] for each in group], dtype=torch.float32).view(-1, 1, 1)


def initial(count: int, width: int, generator: torch.Generator) -> list[Tensor]:
    """Weights (count, inputs, outputs) and biases (count, 1, outputs) by turns."""
    layers = []
    for inputs, outputs in itertools.pairwise((64, width, width, 10)):
        for rows in (inputs, 1):
            tensor = torch.empty(count, rows, outputs)
            tensor.uniform_(-(inputs**-0.5), inputs**-0.5, generator=generator)
            layers.append(tensor.requires_grad_())
    return layers


def losses(
    layers: Sequence[Tensor], images: Tensor, labels: Tensor, kept: Sequence[Tensor] = ()
) -> Tensor:
    """The mean cross-entropy of each network, (networks,). ``kept`` are masks of dropout."""
    count = len(layers[0])
    values = images.expand(count, -1, -1)
    for depth, (weights, biases) in enumerate(zip(layers[::2], layers[1::2], strict=True)):
        values = torch.baddbmm(biases, values, weights)
        if depth < 2:
            values = values.relu() * kept[depth] if kept else values.relu()
    each = functional.cross_entropy(values.flatten(0, 1), labels.repeat(count), reduction="none")
    return each.view(count, -1).mean(1)


class SGD:
    """`torch.optim.SGD` with Nesterov's momentum, where each network has a rate of its own."""

    MOMENTUM = 0.9

    def __init__(self, layers: Sequence[Tensor], group: Sequence[Configuration]) -> None:
        self.layers = layers
        self.lr, self.decay = of_each(group, "lr"), of_each(group, "weight_decay")
        self.velocity = [torch.zeros_like(layer) for layer in layers]

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor]) -> None:
        for layer, gradient, velocity in zip(self.layers, gradients, self.velocity, strict=True):
            decayed = gradient + self.decay * layer
            velocity.mul_(self.MOMENTUM).add_(decayed)
            layer.sub_(self.lr * (decayed + self.MOMENTUM * velocity))


class AdamW:
    """`torch.optim.AdamW`, where each network has a rate of its own."""

    BETAS = (0.9, 0.999)
    EPSILON = 1e-8

    def __init__(self, layers: Sequence[Tensor], group: Sequence[Configuration]) -> None:
        self.layers, self.steps = layers, 0
        self.lr, self.decay = of_each(group, "lr"), of_each(group, "weight_decay")
        self.first = [torch.zeros_like(layer) for layer in layers]
        self.second = [torch.zeros_like(layer) for layer in layers]

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor]) -> None:
        self.steps += 1
        one, two = (1.0 - beta**self.steps for beta in self.BETAS)
        for layer, gradient, first, second in zip(
            self.layers, gradients, self.first, self.second, strict=True
        ):
            first.lerp_(gradient, 1.0 - self.BETAS[0])
            second.mul_(self.BETAS[1]).addcmul_(gradient, gradient, value=1.0 - self.BETAS[1])
            layer.mul_(1.0 - self.lr * self.decay)
            layer.sub_(self.lr / one * first / ((second / two).sqrt() + self.EPSILON))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", nargs="?", type=Path, default=default_file())
    make(parser.parse_args().file)


if __name__ == "__main__":
    main()
