"""What was asked of a study: YAML in, a validated and frozen `StudySpec` out."""

from sweep.spec.constraint import Constraint
from sweep.spec.difference import (
    ABSENT,
    Change,
    difference,
    inheriting,
    lasting,
    refused,
    successor,
)
from sweep.spec.distribution import Distribution
from sweep.spec.domain import Domain
from sweep.spec.dump import dump_spec
from sweep.spec.failure import Failing, MaxFailures
from sweep.spec.latent import Choice, Fixed, Integer, Latent, Real
from sweep.spec.load import load_spec, parse_spec
from sweep.spec.method import Crossover, Factory, Method, Pbt, Sampler
from sweep.spec.model import StudySpec
from sweep.spec.parameter import Parameter
from sweep.spec.schema import json_schema
from sweep.spec.section import (
    CheckpointSpec,
    Duplicates,
    Every,
    Goal,
    Keep,
    Metric,
    Resources,
)
from sweep.spec.space import Dimension, Space
from sweep.spec.termination import (
    AshaPruning,
    HyperbandPruning,
    MedianPruning,
    PatientPruning,
    PercentilePruning,
    PruningMode,
    Termination,
    ThresholdPruning,
    WilcoxonPruning,
)

__all__ = [
    "ABSENT",
    "AshaPruning",
    "Change",
    "CheckpointSpec",
    "Choice",
    "Constraint",
    "Crossover",
    "Dimension",
    "Distribution",
    "Domain",
    "Duplicates",
    "Every",
    "Factory",
    "Failing",
    "Fixed",
    "Goal",
    "HyperbandPruning",
    "Integer",
    "Keep",
    "Latent",
    "MaxFailures",
    "MedianPruning",
    "Method",
    "Metric",
    "Parameter",
    "PatientPruning",
    "Pbt",
    "PercentilePruning",
    "PruningMode",
    "Real",
    "Resources",
    "Sampler",
    "Space",
    "StudySpec",
    "Termination",
    "ThresholdPruning",
    "WilcoxonPruning",
    "difference",
    "dump_spec",
    "inheriting",
    "json_schema",
    "lasting",
    "load_spec",
    "parse_spec",
    "refused",
    "successor",
]
