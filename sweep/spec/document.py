"""A YAML text as plain data, with the line of each key.

YAML 1.2, so ``1e-3`` is a float and ``on`` a string. Dates are text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any

from sweep.errors import SpecError
from sweep.spec.problem import Path, Problem, dotted

if TYPE_CHECKING:
    from ruamel.yaml.nodes import MappingNode, Node, ScalarNode

_LARGEST = 100_000
"""So many values, and keys that are merged, make up a document at most."""

_DEEPEST = 100
"""So many levels of nesting and of merged mappings, since later readers recurse as well."""

_TAG = "tag:yaml.org,2002:"
_KINDS = {"int": "whole number", "float": "number", "str": "text"}
_BASES = {"0b": 2, "0o": 8, "0x": 16}


@dataclass
class Document:
    """The data of a spec and the places that it came from.

    ``source`` is what messages call it; ``lines`` counts from 1; ``spoken`` says how a path was
    given on the command line, where that overrides the file.
    """

    source: str
    data: Any
    lines: dict[Path, int] = field(default_factory=dict)
    spoken: dict[Path, str] = field(default_factory=dict)

    def place(self, path: Path) -> tuple[int | None, str]:
        """The line and the spelling of the nearest place to ``path``."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.spoken:
                return None, self.spoken[path[:length]]
            if path[:length] in self.lines:
                line = self.lines[path[:length]]
                return line, f"{self.source}:{line}"
        return 1, f"{self.source}:1"

    def error(self, problems: list[Problem]) -> SpecError:
        """All problems as one error, in the order of the file, then of the command line."""
        return SpecError("\n".join(self.told(problems)))

    def told(self, problems: list[Problem]) -> list[str]:
        """A line for each problem, in that order."""
        lines = []
        for problem in problems:
            line, place = self.place(problem.path)
            path = dotted(problem.path)
            text = f"{place}: {path}: {problem.message}" if path else f"{place}: {problem.message}"
            lines.append((line is None, line or 0, text))
        return list(dict.fromkeys(text for *_, text in sorted(lines, key=_order)))


def _order(line: tuple[bool, int, str]) -> tuple[bool, int]:
    return line[:2]


def read_text(path: FilePath) -> str:
    """The text of a spec file.

    Raises:
        SpecError: it cannot be read, or is not UTF-8.
    """
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise SpecError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise SpecError(f"{path}: is a directory; name a YAML file in it") from None
    except OSError as error:
        raise SpecError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise SpecError(f"{path}:{line}: not UTF-8 text") from None


def parse_document(text: str, source: str) -> Document:
    """Read YAML text whose top level is a mapping.

    Raises:
        SpecError: not valid YAML, empty, several documents, no mapping, or a key twice.
    """
    node: Any = compose(text, source)
    document = Document(source, None)
    if node is None:
        raise SpecError(f"{source}:1: is empty; `sweep init` writes an example")
    document.lines[()] = node.start_mark.line + 1
    if node.id != "mapping":
        raise document.error([Problem((), "must be a mapping of keys such as program and method")])
    reader = _Reader(document)
    document.data = reader.read(node, ())
    if reader.problems:
        raise document.error(reader.problems)
    return document


def parse_value(text: str, source: str) -> Any:
    """Read YAML text that is a single value; nothing is null.

    Raises:
        SpecError: as `parse_document`.
    """
    node = compose(text, source, numbered=False)
    document = Document(source, None, spoken={(): source})
    if node is None:
        return None
    reader = _Reader(document)
    value = reader.read(node, ())
    document.lines.clear()
    if reader.problems:
        raise document.error(reader.problems)
    return value


def compose(text: str, source: str, numbered: bool = True) -> Node | None:
    """The node tree of the single document in ``text``; errors give the line if ``numbered``."""
    from ruamel.yaml import YAML  # start-up: `sweep --help` reads no YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    def error(line: int, reason: str) -> SpecError:
        return SpecError(f"{source}:{line}: {reason}" if numbered else f"{source}: {reason}")

    try:
        node: Node | None = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as found:
        mark = found.problem_mark or found.context_mark
        line = mark.line + 1 if mark is not None else 1
        if found.problem and "another document" in found.problem:
            raise error(line, "a second document begins; write one file each") from None
        reason = ", ".join(part for part in (found.context, found.problem) if part)
        raise error(line, f"not valid YAML: {' '.join(reason.split())}") from None
    except RecursionError:
        raise error(1, "nested too deeply") from None
    except (YAMLError, ValueError) as found:
        raise error(1, f"not valid YAML: {' '.join(str(found).split())}") from None
    return node


class _Reader:
    """Turns nodes into data, and notes the line of each key and list item."""

    def __init__(self, document: Document) -> None:
        self.problems: list[Problem] = []
        self._lines = document.lines
        self._inside: set[int] = set()
        self._count = 0

    def read(self, node: Node, path: Path) -> Any:
        if id(node) in self._inside:
            return self._refuse(path, "an alias (*) stands for what it is part of")
        if not self._counted() or not self._within_depth(path):
            return None
        self._inside.add(id(node))
        try:
            return self._value(node, path)
        finally:
            self._inside.discard(id(node))

    def _counted(self) -> bool:
        """Count one more; False where that is too much, so that work grows no further."""
        self._count += 1
        if self._count == _LARGEST + 1:
            self._refuse((), f"has more than {_LARGEST} values")
        return self._count <= _LARGEST

    def _within_depth(self, path: Path) -> bool:
        if len(self._inside) < _DEEPEST:
            return True
        self._refuse(path[:1], "nested too deeply")
        return False

    def _value(self, node: Any, path: Path) -> Any:
        if node.id == "mapping":
            return {key: self.read(child, (*path, key)) for key, child in self._items(node, path)}
        if node.id == "sequence":
            for position, child in enumerate(node.value):
                self._lines.setdefault((*path, position), child.start_mark.line + 1)
            return [self.read(child, (*path, n)) for n, child in enumerate(node.value)]
        return self._scalar(node, path)

    def _items(self, node: MappingNode, path: Path) -> Iterator[tuple[str, Node]]:
        """The keys of a mapping once each, those merged with ``<<`` after its own."""
        seen: dict[str, int] = {}
        merged: list[Any] = []
        for key_node, child in node.value:
            line = key_node.start_mark.line + 1
            if str(key_node.tag) == _TAG + "merge":
                merged.append(child)
                continue
            key = _key(key_node)
            if key is None:
                text = ascii(key_node.value) if key_node.id == "scalar" else "this one"
                self._refuse(path, f"a key must be text: write {text} in quotes", line)
            elif key in seen:
                message = f"stands there twice; the first is in line {seen[key]}"
                self._refuse((*path, key), message, line)
            else:
                seen[key] = line
                self._lines.setdefault((*path, key), line)
                yield key, child
        for child in merged:
            for mapping in child.value if child.id == "sequence" else [child]:
                yield from self._merged(mapping, path, seen)

    def _merged(self, mapping: Any, path: Path, seen: dict[str, int]) -> Iterator[tuple[str, Node]]:
        """The keys of a merged mapping that are not ``seen`` yet; each of its keys counts."""
        if mapping.id != "mapping" or id(mapping) in self._inside:
            self._refuse(path, "<< must merge another mapping")
            return
        if not self._counted() or not self._within_depth(path):
            return
        self._inside.add(id(mapping))
        for key, child in self._items(mapping, path):
            if not self._counted():
                break
            if key not in seen:
                seen[key] = child.start_mark.line + 1
                yield key, child
        self._inside.discard(id(mapping))

    def _scalar(self, node: ScalarNode, path: Path) -> Any:
        kind = str(node.tag).removeprefix(_TAG)
        read = _SCALARS.get(kind)
        if read is None:
            return self._refuse(path, f"the tag {node.tag} means nothing here: remove it")
        try:
            return read(node.value)
        except ValueError:
            return self._refuse(path, f"{node.value!a} is no {_KINDS.get(kind, kind)}")

    def _refuse(self, path: Path, message: str, line: int | None = None) -> None:
        if line is not None:
            self._lines[path] = line
        self.problems.append(Problem(path, message))


def _key(node: Any) -> str | None:
    """The text of a key, None for one that is not text."""
    if node.id != "scalar" or str(node.tag) != _TAG + "str":
        return None
    try:
        return _text(node.value)
    except ValueError:
        return None


def _text(text: str) -> str:
    """``text`` with characters that JSON's escapes write in two halves made whole.

    Raises:
        UnicodeDecodeError: half a character, which no file could hold.
    """
    return text.encode("utf-16", "surrogatepass").decode("utf-16")


def _integer(text: str) -> int:
    text = text.replace("_", "").lower()
    sign = -1 if text.startswith("-") else 1
    digits = text.lstrip("+-")
    number = sign * int(digits, _BASES.get(digits[:2], 10))
    str(number)  # a ValueError where no message or table could hold it
    return number


def _float(text: str) -> float:
    text = text.replace("_", "").lower()
    return float(text.replace(".inf", "inf").replace(".nan", "nan"))


_SCALARS: dict[str, Callable[[str], Any]] = {
    "str": _text,
    "timestamp": str,
    "value": str,
    "int": _integer,
    "float": _float,
    "bool": lambda text: text.lower() == "true",
    "null": lambda text: None,
}
