"""The examples of docs/spaces.md are what the spec takes and what a search asks."""

from __future__ import annotations

import re
import sys
import textwrap
from pathlib import Path

import pytest
from test_search import Study

from sweep.spec import Distribution, StudySpec, parse_spec

PAGE = (Path(__file__).parents[2] / "docs" / "spaces.md").read_text()
BASE = "name: s\nprogram: m:f\nmethod: random\nmetric: {name: loss}\ntrials: 9\n"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def spec_of(block: str) -> StudySpec:
    if not block.startswith(("parameters:", "space:")):
        others = "optimizer: {values: [sgd, adam, adamw]}\n  schedule: {values: [cosine, none]}\n"
        block = f"parameters:\n  {others}{block}"
    return parse_spec(BASE + block)


@pytest.mark.parametrize("block", blocks("yaml"), ids=lambda block: block.split(":")[0])
def test_examples_are_taken(block: str) -> None:
    assert spec_of(block).name == "s"


def test_the_example_of_a_function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (source,) = blocks("python")
    (tmp_path / "spaces.py").write_text(textwrap.dedent(source))
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setitem(sys.modules, "spaces", sys)
    del sys.modules["spaces"]  # so that none is left behind
    (spec,) = (spec_of(block) for block in blocks("yaml") if block.startswith("space:"))
    study = Study(spec)
    asked = [study.state.trials[study.ask()].params for _ in range(9)]
    assert {params["classes"] for params in asked} == {10}
    assert {"optimizer.momentum" in params for params in asked} == {True, False}


def test_every_form_is_in_the_table() -> None:
    assert [each for each in Distribution if f"`{each.value}`" not in PAGE] == []
