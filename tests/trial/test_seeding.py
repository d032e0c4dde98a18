"""Seeds follow from names, and reach libraries that are imported late."""

from __future__ import annotations

import json
import subprocess
import sys

from sweep.trial.seeding import derive, trial_seed


def test_seeds_are_stable() -> None:
    """Seeds are part of what a study is, so they are the same in every version."""
    assert derive("a", 1) == 2451243937432073812
    assert [trial_seed(0, number) for number in range(3)] == [3327490024, 1159996171, 641989794]


def test_seeds_differ() -> None:
    """No two trials or studies share a seed, nor do parts run into each other."""
    seeds = {trial_seed(study, number) for study in range(20) for number in range(50)}
    assert len(seeds) == 1000
    assert derive("ab", "c") != derive("a", "bc")
    assert derive("a", None) != derive("a", "None")


IMPORT = """
import json, sys
from sweep.checkpoint import rng
from sweep.trial.seeding import on_import
if {early}:
    import numpy.random, torch
told = []
def loaded(library):
    told.append(library)
    rng.seed(7, library)
with on_import(loaded):
    rng.seed(7)
    import torch
    import numpy as np
    drawn = [np.random.rand(), torch.rand(()).item()]
assert type(torch.__loader__) is type(torch.__spec__.loader) is type(json.__loader__)
assert not any(type(finder).__module__.startswith("sweep") for finder in sys.meta_path)
print(json.dumps([sorted(told), drawn]))
"""


def test_late_import_is_seeded() -> None:
    """A trial draws the same, whether it is the first in its process to import a library or not."""
    late, early = (
        json.loads(
            subprocess.run(
                [sys.executable, "-c", IMPORT.format(early=early)],
                check=True,
                capture_output=True,
                text=True,
            ).stdout
        )
        for early in (False, True)
    )
    assert late == [["numpy", "torch"], early[1]]
    assert early[0] == []


NO_MODULE = """
from sweep.trial.seeding import on_import
with on_import(lambda library: None):
    import sys
    sys.path[:] = []
    try:
        import torch
    except ModuleNotFoundError as error:
        print(error)
"""


def test_missing_library_is_missing() -> None:
    """Where a library is not installed its import fails as it always does."""
    run = subprocess.run(
        [sys.executable, "-c", NO_MODULE], check=True, capture_output=True, text=True
    )
    assert run.stdout == "No module named 'torch'\n"
