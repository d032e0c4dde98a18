"""Trackers in a spec: names, options, and what is wrong with them."""

from __future__ import annotations

import pytest
from spec_text import BASE, SPACE

from sweep.errors import SpecError
from sweep.spec import StudySpec, difference, dump_spec, parse_spec, refused
from sweep.spec.load import parse_tracker
from sweep.spec.tracker import Mlflow, TensorBoard


def spec_with(trackers: str) -> StudySpec:
    return parse_spec(f"{BASE}{SPACE}trackers: {trackers}\n", "digits.yaml")


@pytest.mark.parametrize(
    ("written", "names"),
    [
        ("[tensorboard, mlflow, wandb]", ["tensorboard", "mlflow", "wandb"]),
        ("mlflow", ["mlflow"]),
        ("{wandb: {mode: online, project: p}}", ["wandb"]),
        ("\n  - mlflow:\n      uri: http://there\n  - tensorboard:", ["mlflow", "tensorboard"]),
        ("[]", []),
    ],
)
def test_spellings(written: str, names: list[str]) -> None:
    """A name, a name over options, one or several; read back from the copy in YAML, and JSON."""
    spec = spec_with(written)
    assert [tracker.name for tracker in spec.trackers] == names
    assert parse_spec(dump_spec(spec), "digits.yaml") == spec
    assert StudySpec.model_validate(spec.model_dump(mode="json")) == spec


def test_options() -> None:
    first, second = spec_with("[{mlflow: {uri: u, experiment: e}}, tensorboard]").trackers
    assert (first.options, second.options) == (Mlflow(uri="u", experiment="e"), TensorBoard())
    assert (first.short, second.short) == ({"mlflow": {"uri": "u", "experiment": "e"}}, second.name)
    assert parse_tracker("{mlflow: {uri: u, experiment: e}}", "--to") == first


@pytest.mark.parametrize(
    ("written", "line"),
    [
        ("mlfow", "trackers[0]: there is no mlfow; did you mean mlflow?"),
        ("3", "trackers: must be a list such as [tensorboard, {mlflow: {uri: ...}}], not 3"),
        ("[3]", "trackers[0]: must be a mapping, not 3"),
        ("", "trackers: is empty: fill it in or remove it"),
        ("[{}]", "trackers[0]: needs tensorboard, mlflow or wandb"),
        ("[mlflow, mlflow]", "trackers[1]: mlflow stands there twice: keep one"),
        ("[{mlflow: {url: u}}]", "trackers[0].mlflow.url: unknown key; did you mean uri?"),
        ("[{mlflow: {}, wandb: {}}]", "trackers[0].wandb: is another tracker: write - before each"),
        ("[{wandb: {mode: on}}]", "trackers[0].wandb.mode: there is no on; did you mean online?"),
    ],
)
def test_what_is_wrong_is_said_in_its_place(written: str, line: str) -> None:
    with pytest.raises(SpecError) as caught:
        spec_with(written)
    assert str(caught.value) == f"digits.yaml:6: {line}"


def test_a_line_of_its_own() -> None:
    """The line is that of the option."""
    with pytest.raises(SpecError, match=r"^digits.yaml:8: trackers\[0\].mlflow.uri: must be text"):
        spec_with("\n  - mlflow:\n      uri: 3")


def test_a_study_may_change_its_trackers() -> None:
    """Trackers only look on: nobody has to accept other ones."""
    changes = difference(spec_with("[]"), spec_with("[mlflow]"))
    assert list(map(str, changes)) == ["trackers: [] -> [{mlflow: {}}]"]
    assert refused(changes) == []
