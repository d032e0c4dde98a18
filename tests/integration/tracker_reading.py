"""What a study has reported, and what trackers have of it, in one form: to be held side by side."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.tracking import MlflowClient
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from wandb.proto.wandb_internal_pb2 import Record

import sweep

Points = list[tuple[int, str, int, float]]
"""Trial, metric, step and value: all of them, in order; one that is there twice is in it twice."""


def reported(root: Path) -> Points:
    """What the journal of a study says."""
    reports = sweep.open_study(root).reports
    names = [name for name in reports.columns if name.startswith("metrics.")]
    return sorted(
        (row["trial"], name.removeprefix("metrics."), row["step"], row[name])
        for row in reports.to_dict("records")
        for name in names
        if not pd.isna(row[name])
    )


def rounded(points: Points) -> Points:
    """With values of the precision that TensorBoard has."""
    return [(trial, name, step, float(np.float32(value))) for trial, name, step, value in points]


def mlflow_runs(uri: str, experiment: str) -> list[Any]:
    client = MlflowClient(tracking_uri=uri)
    there = client.get_experiment_by_name(experiment)
    assert there is not None
    return sorted(
        client.search_runs([there.experiment_id]), key=lambda run: int(run.data.tags["sweep.trial"])
    )


def mlflow_points(uri: str, experiment: str) -> Points:
    client = MlflowClient(tracking_uri=uri)
    return sorted(
        (int(run.data.tags["sweep.trial"]), name, point.step, point.value)
        for run in mlflow_runs(uri, experiment)
        for name in run.data.metrics
        for point in client.get_metric_history(run.info.run_id, name)
    )


def event_files(directory: Path) -> dict[int, EventAccumulator]:
    """TensorBoard's own readers of the event files below ``directory``, by trial."""
    found = {}
    for each in directory.iterdir():
        found[int(each.name)] = EventAccumulator(str(each), size_guidance={"scalars": 0}).Reload()
    return found


def tensorboard_points(directory: Path) -> Points:
    return sorted(
        (trial, name, point.step, point.value)
        for trial, events in event_files(directory).items()
        for name in events.Tags()["scalars"]
        for point in events.Scalars(name)
    )


def wandb_runs(directory: Path) -> list[list[Record]]:
    """The records of each run that lies in ``directory`` to be synced."""
    return [
        list(_records(path.read_bytes())) for path in directory.glob("offline-run-*/run-*.wandb")
    ]


def wandb_points(directory: Path) -> Points:
    points = []
    for records in wandb_runs(directory):
        (run,) = (record.run for record in records if record.HasField("run"))
        config = {item.key: json.loads(item.value_json) for item in run.config.update}
        for record in records:
            row = {"/".join(item.nested_key): item.value_json for item in record.history.item}
            points += [
                (config["sweep"]["trial"], name, int(row["_step"]), float(value))
                for name, value in row.items()
                if not name.startswith("_")
            ]
    return sorted(points)


def _records(data: bytes) -> Iterator[Record]:
    """LevelDB's log format, in blocks of 32 kB, behind a header of 7 bytes."""
    position, whole = 7, b""
    while position + 7 <= len(data):
        left = 32768 - position % 32768
        if left < 7:
            position += left
            continue
        _, length, kind = struct.unpack("<IHB", data[position : position + 7])
        whole += data[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield Record.FromString(whole)
            whole = b""
