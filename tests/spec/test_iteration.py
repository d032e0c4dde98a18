"""W&B's names for rungs, and what they come to."""

from __future__ import annotations

import json
import warnings
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jsonschema import ValidationError
from test_termination import read

from sweep.errors import SpecError
from sweep.search.ladder import Ladder

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it was written for pydantic 1 and an older jsonref
    from sweeps.hyperband_stopping import hyperband_stop_runs
    from sweeps.run import RunState, SweepRun

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
        ("{type: hyperband, min_iter: 5, s: 2}", (5, None, 3, 1, "pause")),
        ("{type: hyperband, min_iter: 4, max_iter: 27, s: 2}", (3, 27, 3, 1, "pause")),
    ],
)
def test_hyperband_of_wandb(written: str, fields: tuple[Any, ...]) -> None:
    """W&B's hyperband is one bracket here, with the rungs that W&B calls brackets."""
    found = read(written)
    assert tuple(getattr(found, name) for name in FIELDS) == fields


def theirs(options: dict[str, Any]) -> list[int] | None:
    """The rungs that W&B's own package makes of ``options``, up to 1,000; None if it refuses."""
    config = {
        "method": "random",
        "metric": {"name": "loss", "goal": "minimize"},
        "parameters": {"lr": {"values": [1]}},
        "early_terminate": {"type": "hyperband", **options},
    }
    run = SweepRun(name="a", state=RunState.running, history=[{"loss": 1.0}])
    try:
        hyperband_stop_runs([run], config, validate=True)
    except (ValueError, KeyError, TypeError, ValidationError):
        return None
    assert run.early_terminate_info is not None
    return [rung for rung in run.early_terminate_info["bands"] if rung < 1000]


def ours(options: dict[str, Any]) -> list[int] | None:
    """The same of ours."""
    try:
        found = read(json.dumps({"type": "hyperband", **options}))
    except SpecError:
        return None
    ladder = Ladder.of(found)
    assert ladder is not None
    return [rung for rung in ladder.rungs(0, 20) if rung < 1000]


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "min_iter": st.integers(1, 40),
            "max_iter": st.sampled_from([1, 2, 8, 9, 16, 27, 64, 81, 256, 729]),
            "s": st.integers(0, 6),
            "eta": st.sampled_from([2, 3, 4]),
        },
    )
)
@example({"min_iter": 5, "s": 2})
@example({"min_iter": 5, "s": 2, "eta": 2})
@example({"min_iter": 50, "max_iter": 27, "s": 2})
@settings(deadline=None, max_examples=150)
def test_what_wandb_takes_is_taken_and_means_the_same(options: dict[str, int]) -> None:
    """Whichever keys stand together; but each rung is here a multiple of the lowest one."""
    wanted = theirs(options)
    if wanted is None:
        return  # what it breaks off with, as min_iter beside max_iter alone, may mean something
    found, factor = ours(options), options.get("eta", 3)
    assert found is not None
    assert len(found) == len(wanted)
    assert found[0] == wanted[0]
    assert all(
        0 <= other - one < factor ** len(wanted) for one, other in zip(found, wanted, strict=True)
    )
    if "max_iter" not in options or options["max_iter"] % factor ** len(wanted) == 0:
        assert found == wanted


def test_asha_knows_the_names() -> None:
    """The names mean the same under asha."""
    assert read("{type: asha, min_iter: 3, eta: 2}") == read(
        "{type: asha, min_resource: 3, reduction_factor: 2}"
    )


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("{type: hyperband, max_iter: 27}", "s.yaml:1: early_terminate.s: is required with max_i"),
        ("{type: hyperband, s: 2}", "early_terminate.s: needs max_iter, below which so many rungs"),
        ("{type: hyperband, max_iter: 9, s: 0}", "s: must be 1 or more with max_iter, not 0"),
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
