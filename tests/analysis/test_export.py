"""What an exported file holds, for states that are no plain module's."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from sweep.analysis.export import export
from sweep.analysis.loading import Loaded
from sweep.checkpoint.codec import decode, encode
from sweep.errors import UsageError


def loaded(**tracked: Any) -> Loaded:
    """States as they come out of a checkpoint."""
    manifest = SimpleNamespace(id="1@1.0", trial=1, step=1, metrics={"loss": float("nan")})
    states = decode(encode(tracked))
    return Loaded(SimpleNamespace(tree={"tracked": states}, manifest=manifest), {"lr": 1})  # type: ignore[arg-type]


def test_schedule_comes_back(tmp_path: Path) -> None:
    """A schedule with milestones, which are a Counter, loads from a .pt as it was."""
    optimizer = torch.optim.SGD(torch.nn.Linear(1, 1).parameters(), lr=1.0)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [2, 2, 5])
    path = tmp_path / "all.pt"
    export(loaded(x={"w": torch.ones(1)}, schedule=schedule.state_dict()), path, study="s")
    back = torch.load(path, weights_only=True)["schedule"]
    assert back["milestones"] == Counter({2: 2, 5: 1})
    assert back == schedule.state_dict()


def test_what_the_format_lacks_is_left_out(tmp_path: Path) -> None:
    """Dtypes that a format does not know are named, and all others are there, to the bit."""
    state = {
        "half": torch.ones(3, dtype=torch.bfloat16),
        "eighth": torch.ones(3).to(torch.float8_e4m3fn),
        "complex": torch.ones(3, dtype=torch.complex64),
        "wide": torch.ones(3, dtype=torch.complex128),
        "big": np.arange(3, dtype=">f4"),
        "long": np.ones(2, dtype="g"),
    }
    written = export(loaded(x=state), tmp_path / "x.safetensors", study="s")
    assert written.left_out == ("long", "wide")
    back = load_file(tmp_path / "x.safetensors")
    assert back.keys() == {"half", "eighth", "complex", "big"}
    assert all(back[name].dtype == state[name].dtype for name in ("half", "eighth", "complex"))
    assert back["big"].tolist() == [0.0, 1.0, 2.0]

    assert export(loaded(x=state), tmp_path / "x.pt", study="s").left_out == ("long",)
    wide = torch.load(tmp_path / "x.pt", weights_only=True)["wide"]
    assert torch.equal(wide, torch.as_tensor(state["wide"]))


def test_two_tensors_of_one_path_are_refused(tmp_path: Path) -> None:
    """No tensor takes the place of another one unsaid; a .pt holds both."""
    both = loaded(x={"a.b": torch.ones(1), "a": {"b": torch.zeros(1)}})
    with pytest.raises(UsageError, match=r"two tensors would be called a\.b; export to \.pt"):
        export(both, tmp_path / "x.safetensors", study="s")
    assert list(tmp_path.iterdir()) == []
    export(both, tmp_path / "x.pt", study="s")
    back = torch.load(tmp_path / "x.pt", weights_only=True)
    assert (back["a.b"].item(), back["a"]["b"].item()) == (1.0, 0.0)
