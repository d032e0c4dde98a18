"""W&B's names for rungs, and what they come to."""

from __future__ import annotations

from typing import Any

import pytest
from test_termination import read

from sweep.errors import SpecError

FIELDS = ("min_resource", "max_resource", "reduction_factor", "brackets", "mode")


@pytest.mark.parametrize(
    ("written", "fields"),
    [
        # The two examples of W&B's documentation: rungs at 3, 9, 27, ..., and at 3 and 9.
        ("{type: hyperband, min_iter: 3}", (3, None, 3, 1, "pause")),
        ("{type: hyperband, max_iter: 27, s: 2}", (3, 27, 3, 1, "pause")),
        ("{type: hyperband, min_iter: 3, eta: 2, strict: true}", (3, None, 2, 1, "pause")),
        ("{type: hyperband, min_iter: 2, max_iter: 16, eta: 2}", (2, 16, 2, 1, "pause")),
        ("{type: hyperband, max_iter: 100, s: 2}", (11, 99, 3, 1, "pause")),
        ("{type: hyperband, max_iter: 27, s: 9, eta: 3.0}", (1, 27, 3, 1, "pause")),
        ("{type: hyperband, min_iter: 3, mode: stop}", (3, None, 3, 1, "stop")),
        ("{type: hyperband, max_resource: 27, eta: 2}", (1, 27, 2, None, "pause")),
    ],
)
def test_hyperband_of_wandb(written: str, fields: tuple[Any, ...]) -> None:
    """W&B's hyperband is one bracket here, with the rungs that W&B calls brackets."""
    found = read(written)
    assert tuple(getattr(found, name) for name in FIELDS) == fields


def test_asha_knows_the_names() -> None:
    """The names mean the same under asha."""
    assert read("{type: asha, min_iter: 3, eta: 2}") == read(
        "{type: asha, min_resource: 3, reduction_factor: 2}"
    )


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("{type: hyperband, max_iter: 27}", "s.yaml:1: early_terminate.s: is required with max_i"),
        ("{type: hyperband, s: 2}", "early_terminate.s: goes with max_iter alone"),
        ("{type: hyperband, min_iter: 1, max_iter: 9, s: 2}", "s: goes with max_iter alone"),
        ("{type: hyperband, max_iter: 2, s: 1}", "max_iter: must be 3 or more, not 2"),
        ("{type: hyperband, min_iter: 3, min_resource: 3}", "min_iter: means the same as min_re"),
        ("{type: hyperband, min_iter: three}", "min_iter: must be a whole number, not three"),
        ("{type: hyperband, min_iter: 0}", "early_terminate.min_iter: must be 1 or more, not 0"),
        ("{type: hyperband, min_iter: 3, eta: 1}", "early_terminate.eta: must be 2 or more, not 1"),
        ("{type: hyperband, min_iter: 3, strict: 1}", "strict: must be true or false, not 1"),
        ("{type: median, min_iter: 3}", "early_terminate.min_iter: unknown key"),
    ],
)
def test_mistakes(written: str, message: str) -> None:
    """Each is one line that names the key as it was written."""
    with pytest.raises(SpecError) as caught:
        read(written)
    assert message in str(caught.value)
    assert str(caught.value).count("\n") == 0
