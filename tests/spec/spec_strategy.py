"""Specs and spaces for hypothesis, as the mappings that YAML would give."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from sweep.spec import Parameter

calm = settings(deadline=None, max_examples=50)
"""A first example may import scipy, which takes longer than a deadline."""

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.floats(allow_nan=False)
    | st.sampled_from([math.inf, -math.inf])
    | st.sampled_from(["sgd", "1e-3", "on", "null", "a: b", "#", "", "é\n x", "[1]", "0x1"])
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["k", "on", "1"]), inner)
    ),
    max_leaves=4,
)
bounds = st.tuples(st.floats(-10, 10), st.floats(-10, 10)).map(sorted)
positive = st.tuples(st.floats(1e-6, 1e3), st.floats(1e-6, 1e3)).map(sorted)
whole = st.tuples(st.integers(-3, 3), st.integers(-3, 3)).map(sorted)
steps = st.sampled_from([1, 2, 0.1, 0.25])


def _bounded(pair: list[float], **more: Any) -> dict[str, Any]:
    return {"min": pair[0], "max": pair[1], **more}


@st.composite
def choices(draw: st.DrawFn) -> dict[str, Any]:
    """A constant or a few different values."""
    kind = draw(st.sampled_from(["value", "values"]))
    if kind == "value":
        return {"value": draw(values)}
    members = draw(st.lists(values, min_size=1, max_size=4, unique_by=_key))
    return {"values": members}


def _key(value: Any) -> Any:
    from sweep.spec.value import identity

    return identity(value)


counted = choices() | whole.map(_bounded)
continuous = (
    bounds.map(lambda pair: _bounded(pair, distribution="uniform"))
    | positive.map(lambda pair: _bounded(pair, distribution="log_uniform_values"))
    | positive.map(lambda pair: _bounded(pair, distribution="inv_log_uniform_values"))
    | bounds.map(lambda p: _bounded([p[0] - 11, p[1]], distribution="log_uniform"))
    | bounds.map(lambda p: _bounded([p[0] - 11, p[1]], distribution="inv_log_uniform"))
    | st.builds(
        lambda mu, sigma, kind: {"distribution": kind, "mu": mu, "sigma": sigma},
        st.floats(-3, 3),
        st.floats(0.1, 3),
        st.sampled_from(["normal", "log_normal"]),
    )
    | st.builds(
        lambda a, b: {"distribution": "beta", "a": a, "b": b}, st.floats(0.2, 9), st.floats(0.2, 9)
    )
)
quantized = st.builds(
    lambda low, width, q: _bounded([low, low + width], distribution="q_uniform", q=q),
    st.floats(-5, 5),
    st.floats(4, 9),
    steps,
)


@st.composite
def parameter_sets(draw: st.DrawFn, finite: bool = False) -> dict[str, dict[str, Any]]:
    """Up to five valid parameters, some with conditions on those whose values can be counted."""
    kinds = counted if finite else counted | continuous | quantized
    chosen = draw(st.lists(kinds, min_size=1, max_size=5))
    parameters: dict[str, dict[str, Any]] = {}
    for number, parameter in enumerate(chosen):
        when = {}
        for parent, above in parameters.items():
            had = Parameter.model_validate(above).domain.values
            if had is not None and draw(st.integers(0, 3)) == 0:
                picked = draw(st.lists(st.sampled_from(list(had)), min_size=1, max_size=2))
                when[parent] = picked
        parameters[f"p{number}"] = {**parameter, "when": when} if when else parameter
    order = draw(st.permutations(list(parameters)))
    return {name: parameters[name] for name in order}


@st.composite
def specs(draw: st.DrawFn) -> dict[str, Any]:
    """Valid specs with any of their keys."""
    spec: dict[str, Any] = {
        "name": draw(st.sampled_from(["digits", "1e3", "on", "a-b.c"])),
        "program": "package.module:function",
        "method": draw(st.sampled_from(["bayes", "tpe", "random", "qmc"])),
        "metric": {"name": draw(st.sampled_from(["loss", "on", "val/acc: 1"]))},
        "parameters": draw(parameter_sets()),
        "trials": draw(st.integers(1, 50)),
    }
    more: dict[str, st.SearchStrategy[Any]] = {
        "description": st.text(min_size=1).filter(str.strip),
        "timeout": st.sampled_from([90, 0.1, "90s", "1h30m", "2d"]),
        "resources": st.fixed_dictionaries({}, optional={"cpu": st.floats(0.1, 8)}),
        "checkpoint": st.sampled_from(
            [{"every": {"steps": 5, "minutes": 0.5}}, {"keep": {"best": 0}}]
        ),
        "early_terminate": st.sampled_from(
            [
                {"type": "median"},
                {"type": "asha", "min_resource": 2},
                {"type": "asha", "mode": "stop"},
                {"type": "hyperband", "max_resource": 9},
                {"type": "hyperband", "max_iter": 27, "s": 2},
            ]
        ),
        "trackers": st.sampled_from(
            ["mlflow", ["tensorboard", {"wandb": {"mode": "online"}}], [{"mlflow": {"uri": "u"}}]]
        ),
        "retries": st.integers(0, 3),
        "strict_code": st.booleans(),
        "seed": st.integers(0, 2**63 - 1),
        "deterministic": st.booleans(),
        "window": st.integers(1, 64),
        "lookahead": st.sampled_from(["auto", True, False]),
        "constraints": st.sampled_from(
            [[], "val/acc <= 1", ["size >= -1e-3", "a b<=.5"], ["size <= 3.0"]]
        ),
    }
    for key in draw(st.lists(st.sampled_from(sorted(more)), unique=True)):
        spec[key] = draw(more[key])
    if "early_terminate" not in spec and draw(st.booleans()):
        spec["metric"] = [spec["metric"], {"name": "size", "goal": "maximize"}]
    if spec.get("early_terminate", {}).get("type") in ("asha", "hyperband"):
        spec.pop("deterministic", None)  # promotion has no order
    return spec
