"""Labels of parameters: short, without what all begin with, and each another one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweep.report.naming import shared_beginning, short_names

NAMES = st.lists(st.text(alphabet="ab._", min_size=1, max_size=30), unique=True, max_size=12)


@given(NAMES, st.integers(4, 20))
def test_no_two_are_alike(names: list[str], width: int) -> None:
    """Each name has a label that no other has; one that is longer than allowed is the name."""
    labels = short_names(names, width)
    assert list(labels) == names
    assert len(set(labels.values())) == len(names)
    cut = len(shared_beginning(names))
    for name, label in labels.items():
        assert label
        assert len(label) <= width or label == name[cut:]


@given(NAMES)
def test_what_is_shared_is_shared(names: list[str]) -> None:
    """All names begin with it, it ends with a separator, and something is left of each."""
    shared = shared_beginning(names)
    assert all(name.startswith(shared) and name != shared for name in names)
    assert shared == "" or shared[-1] in "._"


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (["model.encoder.lr", "model.encoder.width"], ["lr", "width"]),
        (["model.lr", "opt.lr"], ["model.lr", "opt.lr"]),
        (["lr"], ["lr"]),
        (["net.lr"], ["net.lr"]),
        (["a.b", "a.b.c"], ["b", "b.c"]),
        (["transformer_encoder_dropout", "lr"], ["…encoder_dropout", "lr"]),
        (
            ["transformer_encoder_layer_width", "recurrent_encoder_layer_width", "lr"],
            ["t…er_layer_width", "r…er_layer_width", "lr"],
        ),
    ],
)
def test_examples(names: list[str], labels: list[str]) -> None:
    """Groups lose what they share, long names their beginning, and twins their middle."""
    assert list(short_names(names, 16).values()) == labels
