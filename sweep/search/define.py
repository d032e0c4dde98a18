"""Define-by-run: a function of the user's that suggests the parameters of a trial, one by one."""

from __future__ import annotations

import inspect
import math
import operator
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from sweep import reference
from sweep.errors import ProgramError
from sweep.spec import Dimension, Space, StudySpec
from sweep.spec.domain import Categorical, Constant, Continuous, Domain, Stepped, Whole
from sweep.spec.rule import wrong_name
from sweep.spec.suggestion import plain
from sweep.spec.value import identity

_EXACT = 2**53


class SpaceTrial:
    """What a space function is given. Methods and arguments are as Optuna's ``Trial`` has them.

    Each suggestion may depend on those before it, and on nothing else: the function is called again
    by a replay, and wherever a fork's parameters are held against the space.
    """

    def __init__(self, choose: Callable[[Dimension], Any]) -> None:
        self.failure: Exception | None = None
        """What a suggestion raised that is not the function's fault."""
        self._choose = choose
        self._domains: dict[str, Domain] = {}
        self._params: dict[str, Any] = {}

    @property
    def params(self) -> dict[str, Any]:
        """What was suggested so far, in order."""
        return dict(self._params)

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """A number from ``low`` to ``high``, both included, in steps from ``low`` on if need be.

        Raises:
            ValueError: bounds or a step that make no range.
        """
        low, high = _number(name, "low", low), _number(name, "high", high)
        _in_order(name, low, high, log)
        if step is None:
            continuous: float = self._suggested(name, Continuous(low, high, log))
            return continuous
        step = _number(name, "step", step)
        _by_steps(name, step, log)
        stepped: float = self._suggested(name, Stepped(low, high, step))
        return stepped

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        """A whole number from ``low`` to ``high``, both included, in steps from ``low`` on.

        Raises:
            ValueError: bounds or a step that make no range, or are no whole numbers.
        """
        low, high = _whole(name, "low", low), _whole(name, "high", high)
        step = _whole(name, "step", step)
        _in_order(name, low, high, log)
        _by_steps(name, step, log and step != 1)
        whole: int = self._suggested(name, Whole(low, high, log, step))
        return whole

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """One of ``choices``, which may be anything that JSON can hold.

        Raises:
            ValueError: there is none, one twice, or one that JSON cannot hold.
        """
        if isinstance(choices, str) or not isinstance(choices, Sequence) or not choices:
            _refuse(name, f"choices must be a list of one or more, not {plain(choices)}")
        try:
            different = {identity(choice) for choice in choices}
        except (TypeError, ValueError) as error:
            _refuse(name, f"choices must be plain data, not {error}")
        if len(different) < len(choices):
            _refuse(name, f"a choice stands there twice: {plain(choices)}")
        return self._suggested(name, Categorical(tuple(choices)))

    def _suggested(self, name: str, domain: Domain) -> Any:
        if name in self._params:
            if self._domains[name] != domain:
                _refuse(name, "is suggested twice, with different ranges")
            return self._params[name]
        wrong = wrong_name(name)
        if wrong is not None:
            _refuse(name, wrong)
        self._domains[name] = domain
        try:
            self._params[name] = self._choose(Dimension(name, domain))
        except Exception as error:
            self.failure = error
            raise
        return self._params[name]


class DefinedSpace:
    """The space that ``space: module:function`` names, beside `sweep.spec.Space`."""

    def __init__(self, name: str, project: str) -> None:
        """``project`` is where the function is imported from.

        Raises:
            ProgramError: it cannot be had, or does not take one argument.
        """
        self._what = f"space {name!r}"
        self._function = _checked(self._what, reference.load(name, project, self._what)[1])

    def complete(self, choose: Callable[[Dimension], Any]) -> dict[str, Any]:
        """Parameters in the order suggested, with the values that ``choose`` gives for each.

        A mapping that the function returns adds constants.

        Raises:
            ProgramError: the function raised, or asked for or returned what makes no sense.
        """
        trial = SpaceTrial(choose)
        try:
            returned = self._function(trial)
        except Exception as error:
            if error is trial.failure:
                raise
            raise ProgramError(f"{self._what}: {_reason(error)}{_where(error)}") from error
        if returned is None:
            return trial.params
        if not isinstance(returned, Mapping):
            kind = type(returned).__name__
            raise ProgramError(f"{self._what}: returned {kind}, not a mapping of constants or None")
        return {**trial.params, **self._constants(trial.params, returned, choose)}

    def _constants(
        self,
        params: Mapping[str, Any],
        returned: Mapping[Any, Any],
        choose: Callable[[Dimension], Any],
    ) -> dict[str, Any]:
        constants = {}
        for name, value in returned.items():
            wrong = wrong_name(name) if isinstance(name, str) else "a name must be text"
            if name in params and identity(params[name]) == identity(value):
                continue  # what was suggested, handed back
            if name in params:
                wrong = f"is suggested to be {plain(params[name])}, and returned as a constant"
            try:
                identity(value)
            except (TypeError, ValueError) as error:
                wrong = f"must be plain data, not {error}"
            if wrong is not None:
                raise ProgramError(f"{self._what}: {name}: {wrong}")
            constants[name] = choose(Dimension(name, Constant(value)))
        return constants


def space_of(spec: StudySpec, project: str) -> Space | DefinedSpace:
    """The space of a study, written out or defined by a function in ``project``.

    Raises:
        ProgramError: that function cannot be had.
    """
    if spec.space_function is None:
        return spec.space
    return DefinedSpace(spec.space_function, project)


class _WrongRangeError(ValueError):
    """A suggestion that makes no sense; the message says all."""


def _refuse(name: Any, message: str) -> NoReturn:
    raise _WrongRangeError(f"{name}: {message}")


def _number(name: str, what: str, given: Any) -> float:
    try:
        number = math.nan if isinstance(given, bool | str) else float(given)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        _refuse(name, f"{what} must be a finite number, not {plain(given)}")
    return number


def _whole(name: str, what: str, given: Any) -> int:
    if isinstance(given, float) and given.is_integer():
        given = int(given)
    try:
        number = operator.index(given)
    except TypeError:
        _refuse(name, f"{what} must be a whole number, not {plain(given)}")
    if abs(number) > _EXACT:
        _refuse(name, f"{what} is beyond 2 ** 53, where whole numbers are not exact")
    return number


def _in_order(name: str, low: float, high: float, log: bool) -> None:
    if low > high:
        _refuse(name, f"low {plain(low)} is above high {plain(high)}")
    if log and low <= 0:
        _refuse(name, f"low must be above 0 for log, not {plain(low)}")
    if not math.isfinite(float(high) - float(low)):
        _refuse(name, "the range is wider than a float can tell")


def _by_steps(name: str, step: float, log: bool) -> None:
    if step <= 0:
        _refuse(name, f"step must be above 0, not {plain(step)}")
    if log:
        _refuse(name, "step and log cannot stand together")


def _checked(what: str, found: Any) -> Callable[[SpaceTrial], Any]:
    if not callable(found):
        raise ProgramError(f"{what}: is {type(found).__name__}, not a function that takes a trial")
    function: Callable[[SpaceTrial], Any] = found
    try:
        inspect.signature(function).bind(None)
    except TypeError as error:
        raise ProgramError(
            f"{what}: its parameters are {inspect.signature(function)}; it must take one argument, "
            "the trial"
        ) from error
    return function


def _reason(error: Exception) -> str:
    lines = str(error).splitlines() or [""]
    if isinstance(error, _WrongRangeError):
        return lines[0]
    return f"raised {type(error).__name__}: {lines[0]}".rstrip(": ")


def _where(error: Exception) -> str:
    """The user's line: the last one that is not of this file."""
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__
    ]
    return f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
