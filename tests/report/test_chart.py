"""Tables of a page."""

from __future__ import annotations

from sweep.report.chart import table


def test_a_column_of_numbers_is_one_where_some_are_missing() -> None:
    """What stands for a missing number is to the right, too; names are not."""
    made = table("of trials", ["name", "loss"], [["a", ("0.5", 0.5)], ["b", "-"]])
    assert '<td>a</td><td class="number" data-value="0.5">0.5</td>' in made
    assert '<td>b</td><td class="number">-</td>' in made
    assert '<th scope="col" class="short">name</th>' in made
    assert '<th scope="col" class="number short">loss</th>' in made


def test_short_names_of_columns_are_not_broken() -> None:
    """A long one is, so that it does not widen its column."""
    made = table("of trials", ["weight_decay", "decay_of_weights"], [])
    assert '<th scope="col" class="short">weight_decay</th>' in made
    assert '<th scope="col">decay_of_weights</th>' in made
