"""Whatever is given, it is a spec or a SpecError."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from spec_strategy import calm, specs, values

from sweep.errors import SpecError
from sweep.spec import (
    StudySpec,
    parse_spec,
)


@calm
@given(specs())
def test_json_round_trip(written):
    """What the journal stores of a spec is read back as the same spec."""
    spec = StudySpec.model_validate(written)
    again = StudySpec.model_validate(spec.model_dump(mode="json"))
    assert again == spec
    assert again.model_dump(mode="json") == spec.model_dump(mode="json")


def answer(data: object) -> object:
    """The spec that ``data`` is, or the lines of the SpecError."""
    try:
        return parse_spec(json.dumps(data), "x.yaml")
    except SpecError as error:
        return str(error).splitlines()


odd = values | st.text(max_size=3) | st.dictionaries(st.text(max_size=3), values, max_size=2)


@calm
@given(st.dictionaries(st.sampled_from([*StudySpec.model_fields, "other"]), odd))
def test_any_data_is_a_spec_or_a_spec_error(data):
    """No data, however odd, leads to anything but a spec or a SpecError, a line per problem."""
    found = answer(data)
    assert isinstance(found, StudySpec) or all(line.startswith("x.yaml:1: ") for line in found)


@calm
@given(specs(), odd, st.data())
def test_a_changed_value_is_a_spec_or_a_spec_error(written, value, data):
    """A valid spec with one value replaced by anything is a spec or a SpecError."""
    changed = holder = json.loads(json.dumps(written))
    key = data.draw(st.sampled_from(sorted(holder)))
    while isinstance(holder[key], dict) and holder[key] and data.draw(st.booleans()):
        holder = holder[key]
        key = data.draw(st.sampled_from(sorted(holder)))
    holder[key] = value
    found = answer(changed)
    assert isinstance(found, StudySpec) or all(line.startswith("x.yaml:1: ") for line in found)
