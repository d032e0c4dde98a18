"""YAML texts as data with places, and files that are none."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spec_strategy import calm

from sweep.errors import SpecError
from sweep.spec import load_spec
from sweep.spec.document import parse_document


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3),
        ("1E5", 1e5),
        ("1_000", 1000),
        ("0x1F", 31),
        ("0o17", 15),
        ("-0b11", -3),
        ("010", 10),
        ("+.5", 0.5),
        ("-.inf", -math.inf),
        ("on", "on"),
        ("yes", "yes"),
        ("True", True),
        ("~", None),
        ("", None),
        ("2020-01-01", "2020-01-01"),
        ("1:30", "1:30"),
        ("'1'", "1"),
        ('"\\ud83d\\ude00"', "\U0001f600"),
        ("=", "="),
        ("[1, {a: b}]", [1, {"a": "b"}]),
    ],
)
def test_scalar(text, value):
    """Scalars are those of YAML 1.2; what has no JSON type is text."""
    read = parse_document(f"a: {text}", "x.yaml").data["a"]
    assert read == value
    assert type(read) is type(value)


def test_places():
    """Each key and list item has the line it stands in, what is missing that of its parent."""
    document = parse_document("# top\na:\n  b: 1\n  c:\n  - x\n  - {d: 2}\n", "x.yaml")
    places = {
        ("a",): 2,
        ("a", "b"): 3,
        ("a", "c", 0): 5,
        ("a", "c", 1, "d"): 6,
        ("a", "missing"): 2,
        ("missing",): 2,
    }
    assert {path: document.place(path)[0] for path in places} == places


def test_merge_and_alias():
    """Aliases and merged mappings are as in YAML 1.1, which W&B reads; own keys come first."""
    document = parse_document("a: &x {b: 1, c: 2}\nd:\n  <<: *x\n  c: 3\ne: *x\n", "x.yaml")
    assert document.data == {"a": {"b": 1, "c": 2}, "d": {"c": 3, "b": 1}, "e": {"b": 1, "c": 2}}
    assert document.place(("d", "c"))[0] == 4


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "1: is empty; `sweep init` writes an example"),
        ("# only a comment\n", "1: is empty; `sweep init` writes an example"),
        ("- a\n", "1: must be a mapping of keys such as program and method"),
        ("\njust text\n", "2: must be a mapping of keys such as program and method"),
        (
            "a: 1\nb: [1,\n",
            "3: not valid YAML: while parsing a flow node, "
            "expected the node content, but found '<stream end>'",
        ),
        (
            "a: 1\n\tb: 2\n",
            "2: not valid YAML: while scanning for the next token, "
            "found character '\\t' that cannot start any token",
        ),
        ("a: *b\n", "1: not valid YAML: found undefined alias 'b'"),
        ("a: 1\n---\nb: 2\n", "2: a second document begins; write one file each"),
        ("a: 1\nb: 2\na: 3\n", "3: a: stands there twice; the first is in line 1"),
        ("a:\n  b: 1\n  b: 2\n", "3: a.b: stands there twice; the first is in line 2"),
        ("1: 2\n", "1: a key must be text: write '1' in quotes"),
        ("a: !!set {b}\n", None),
        ('"\\ud800": b\n', "1: a key must be text: write '\\ud800' in quotes"),
        ('a: "\\ud800"\n', "1: a: '\\ud800' is no text"),
        ("a: 0b_\n", "1: a: '0b_' is no whole number"),
        ("a: !x b\n", "1: a: the tag !x means nothing here: remove it"),
        ("a: &x [*x]\n", "1: a[0]: an alias (*) stands for what it is part of"),
        ("a: &x {<<: *x}\n", "1: a: << must merge another mapping"),
        ("<<: 3\n", "1: << must merge another mapping"),
        ("[" * 5000, "1: nested too deeply"),
    ],
)
def test_bad_text(text, problem):
    """What is no single YAML mapping is refused with file and line."""
    if problem is None:
        assert parse_document(text, "digits.yaml")
        return
    with pytest.raises(SpecError) as error:
        parse_document(text, "digits.yaml")
    assert str(error.value) == f"digits.yaml:{problem}"


def test_aliases_cannot_grow_without_end():
    """A few lines of aliases on aliases do not fill the memory."""
    text = "a0: &a0 [1, 2, 3, 4, 5, 6, 7, 8, 9]\n"
    for n in range(1, 12):
        text += f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n"
    with pytest.raises(SpecError, match="more than 100000 values"):
        parse_document(text, "x.yaml")


def _merging(merge: str, levels: int, keys: int = 9) -> str:
    """Mappings of which each merges the one before as ``merge`` says, the first with ``keys``."""
    text = "a0: &a0 {" + ", ".join(f"k{n}: {n}" for n in range(keys)) + "}\n"
    for n in range(1, levels + 1):
        text += f"a{n}: &a{n} {{b{n}: 1, {merge.format(f'*a{n - 1}')}}}\n"
    return text


@pytest.mark.parametrize(
    "text",
    [
        _merging("<<: [{0}, {0}, {0}, {0}, {0}, {0}, {0}, {0}, {0}]", 5),
        _merging("<<: {0}, <<: {0}, <<: {0}, <<: {0}, <<: {0}, <<: {0}, <<: {0}", 6),
        _merging("<<: [{0}, {0}], <<: {0}", 11, keys=1),
        "a: &a {}\nb: &b [" + "*a, " * 400 + "]\nc: {" + "<<: *b, " * 400 + "}\n",
        "a: &a {" + ", ".join(f"k{n}: 1" for n in range(400)) + "}\n"
        "b: {<<: [" + "*a, " * 400 + "]}\n",
    ],
    ids=["list", "keys", "nested", "empty", "wide"],
)
def test_merged_mappings_cannot_grow_without_end(text):
    """A few lines of mappings that are merged again and again are refused, as aliases are."""
    with pytest.raises(SpecError) as error:
        parse_document(text, "x.yaml")
    assert str(error.value) == "x.yaml:1: has more than 100000 values"


def test_merged_mappings_of_a_usual_size():
    """Merging is no growth by itself: fifty mappings, each with the keys of all before it."""
    data = parse_document(_merging("<<: {0}", 50), "x.yaml").data
    assert len(data["a50"]) == 59


@pytest.mark.parametrize("form", ["{{<<: {}}}", "{{a: {}}}", "[{}]"], ids=["merge", "key", "list"])
def test_chains_of_aliases_are_not_too_deep(form):
    """A chain of aliases nests as deeply as brackets do, though no line of it does."""
    lines = ["a0: &a0 {b: 1}"]
    lines += [f"a{n}: &a{n} {form.format(f'*a{n - 1}')}" for n in range(1, 980)]
    assert "a89" in parse_document("\n".join(lines[:90]), "x.yaml").data
    with pytest.raises(SpecError) as error:
        parse_document("\n".join(lines), "x.yaml")
    problems = str(error.value).splitlines()
    assert problems[-1] == "x.yaml:980: a979: nested too deeply"
    assert all(problem.endswith(": nested too deeply") for problem in problems)


def test_every_problem_of_the_text():
    """All keys that stand twice are named, not only the first."""
    with pytest.raises(SpecError) as error:
        parse_document("a: 1\na: 2\nb: 1\nb: 2\n", "x.yaml")
    assert str(error.value).splitlines() == [
        "x.yaml:2: a: stands there twice; the first is in line 1",
        "x.yaml:4: b: stands there twice; the first is in line 3",
    ]


@calm
@given(st.text(alphabet="ab:-[]{}&*!|>'\"#,?%@` \n\t01.~<", max_size=40))
def test_any_text_is_data_or_a_spec_error(text):
    """No text leads to anything but data or a SpecError that names the file."""
    try:
        outcome: object = parse_document(text, "x.yaml").data
    except SpecError as error:
        outcome = str(error).startswith("x.yaml:")
    assert outcome is True or isinstance(outcome, dict)


def test_unreadable_files(tmp_path):
    """A file that is not there, no file or no text is refused by name."""
    missing, folder, binary = tmp_path / "no.yaml", tmp_path / "dir.yaml", tmp_path / "bin.yaml"
    folder.mkdir()
    binary.write_bytes(b"a: 1\nb: \xff\xfe\n")
    with pytest.raises(SpecError, match=r"no\.yaml: no such file"):
        load_spec(missing)
    with pytest.raises(SpecError, match=r"dir\.yaml: is a directory"):
        load_spec(folder)
    with pytest.raises(SpecError, match=r"bin\.yaml:2: not UTF-8 text"):
        load_spec(binary)
    with pytest.raises(SpecError, match=r"a\.yaml: cannot be read: Not a directory"):
        load_spec(binary / "a.yaml")
    with pytest.raises(SpecError, match="cannot be read: File name too long"):
        load_spec(tmp_path / ("x" * 300))


def test_byte_order_mark(tmp_path):
    """A byte order mark, as some editors write it, is no part of the first key."""
    path = tmp_path / "a.yaml"
    path.write_bytes(b"\xef\xbb\xbfnmae: 1\n")
    with pytest.raises(SpecError, match=r"a\.yaml:1: nmae: unknown key; did you mean name\?"):
        load_spec(path)
