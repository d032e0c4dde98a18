"""A small character-level transformer on real text that every machine has: Python's own library.

Cosine schedule with warm-up, gradient accumulation, and a held-out loss in nats per character.
"""

from __future__ import annotations

import math
import sysconfig
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint
from torch.utils.data import Dataset

import sweep

CONTEXT = 64
"""Characters that the model sees before the one it predicts."""


def text(megabytes: float) -> torch.Tensor:
    """Bytes of the standard library's source files, in the order of their names."""
    root = Path(sysconfig.get_paths()["stdlib"])
    wanted = int(megabytes * 1e6)
    parts: list[bytes] = []
    for path in sorted(root.glob("*.py")):
        parts.append(path.read_bytes())
        if sum(map(len, parts)) >= wanted:
            break
    characters = bytearray(b"".join(parts)[:wanted])
    return torch.frombuffer(characters, dtype=torch.uint8).clone().clamp_(max=127)


class Windows(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Stretches of `CONTEXT` characters, each with the same one shifted by one."""

    def __init__(self, characters: torch.Tensor) -> None:
        self.characters = characters

    def __len__(self) -> int:
        return (len(self.characters) - 1) // CONTEXT

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        window = self.characters[index * CONTEXT : (index + 1) * CONTEXT + 1].long()
        return window[:-1], window[1:]


class Block(nn.Module):
    """Causal self-attention and a feed-forward layer, each after a norm and added on."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm_attention, self.norm_forward = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = nn.Linear(width, 3 * width)
        self.projection = nn.Linear(width, width)
        self.forward_layers = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, length, width = x.shape
        heads = self.attention(self.norm_attention(x)).view(batch, length, 3, self.heads, -1)
        query, key, value = heads.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        mixed = mixed.transpose(1, 2).reshape(batch, length, width)
        x = x + self.dropout(self.projection(mixed))
        return x + self.dropout(self.forward_layers(self.norm_forward(x)))


class Transformer(nn.Module):
    """Predicts the next of 128 characters at each place. Takes (batch, length) of integers."""

    def __init__(
        self, width: int, heads: int, layers: int, dropout: float, *, recompute: bool = False
    ) -> None:
        """``recompute``: keep no activations inside of blocks, but compute them again for the
        gradients ("gradient checkpointing"): less memory for more time, the same result."""
        super().__init__()
        self.recompute = recompute
        self.embedding = nn.Embedding(128, width)
        self.position = nn.Parameter(torch.zeros(CONTEXT, width))
        self.blocks = nn.Sequential(*(Block(width, heads, dropout) for _ in range(layers)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 128, bias=False)
        self.head.weight = self.embedding.weight  # tied, as usual for language models

    def forward(self, characters: torch.Tensor) -> torch.Tensor:
        x = self.embedding(characters) + self.position[: characters.shape[1]]
        for block in self.blocks:
            recompute = self.recompute and self.training
            x = checkpoint(block, x, use_reentrant=False) if recompute else block(x)
        return self.head(self.norm(x))


def cosine(step: int, warmup: int, total: int) -> float:
    """Factor of the learning rate: a linear rise, then half a cosine down to a tenth."""
    if step < warmup:
        return (step + 1) / warmup
    done = min(1.0, (step - warmup) / max(1, total - warmup))
    return 0.1 + 0.45 * (1 + math.cos(math.pi * done))


@torch.no_grad()
def held_out_loss(model: nn.Module, windows: Windows) -> float:
    """Mean loss in nats per character."""
    model.eval()
    losses = []
    for start in range(0, len(windows), 128):
        pairs = [windows[i] for i in range(start, min(start + 128, len(windows)))]
        inputs, targets = (torch.stack(column) for column in zip(*pairs, strict=True))
        losses.append(functional.cross_entropy(model(inputs).flatten(0, 1), targets.flatten()))
    model.train()
    return float(torch.stack(losses).mean())


def train(trial: sweep.Trial) -> None:
    params = trial.params
    characters = trial.once("text", text, params.megabytes, scope="study")  # read by one for all
    split = int(0.9 * len(characters))
    training, validation = Windows(characters[:split]), Windows(characters[split:])

    model = Transformer(
        params.width,
        params.heads,
        params.layers,
        params.dropout,
        recompute=params.get("recompute", False),
    )
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=params.lr, weight_decay=params.weight_decay, betas=(0.9, 0.95)
    )
    loader = trial.loader(training, batch_size=params.batch_size, shuffle=True, drop_last=True)
    updates = len(loader) // params.accumulate
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: cosine(step, params.warmup, params.epochs * updates)
    )
    trial.track(model=model, optimizer=optimizer, schedule=schedule)

    for _ in trial.epochs(params.epochs):
        for index, (inputs, targets) in enumerate(loader, start=trial.state.get("batch", 0)):
            loss = functional.cross_entropy(model(inputs).flatten(0, 1), targets.flatten())
            (loss / params.accumulate).backward()
            if (index + 1) % params.accumulate == 0:
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                schedule.step()
                optimizer.zero_grad()
                # Only here is there no gradient that a checkpoint would have to hold.
                trial.state["batch"] = index + 1
                trial.step()
        trial.state["batch"] = 0
        optimizer.zero_grad()
        trial.report(loss=held_out_loss(model, validation), learning_rate=schedule.get_last_lr()[0])
