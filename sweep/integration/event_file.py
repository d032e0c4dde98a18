"""TensorBoard: one event file a trial, which holds what the journal says to the byte.

What is told of a trial is turned into bytes that depend on nothing else. How long each file was
after the last commit is noted; the next one cuts it back to that and writes on. So a kill between
writing and noting, or a torn write, leaves nothing twice and nothing out, and a TensorBoard that
has read on meanwhile finds the same bytes in the same place.

Steps that are made again with other values follow a `SessionLog.START`, on which TensorBoard drops
what it had from that step on.
"""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tensorboardX.crc32c import crc32c
from tensorboardX.proto.api_pb2 import STATUS_FAILURE, STATUS_SUCCESS
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.plugin_hparams_pb2 import (
    HParamsPluginData,
    SessionEndInfo,
    SessionStartInfo,
)
from tensorboardX.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboardX.summary import text

from sweep import fsio
from sweep.integration.account import Begun, Measured, Moved, Saved, Told
from sweep.integration.readable import readable
from sweep.integration.tracker import Forgotten, Marks, Subject
from sweep.journal.event import TrialState
from sweep.journal.state import Trial
from sweep.quantity import bytes_text, printable
from sweep.spec.tracker import TensorBoard


class EventFileSink:
    """Writes ``<trial>/events.out.tfevents.<started>.sweep`` below a directory of the study."""

    def __init__(self, options: TensorBoard, study: Subject, marks: Marks) -> None:
        """``marks`` has the lengths of the files of unfinished trials; without it all is new.

        Raises:
            Forgotten: the directory was removed since.
            OSError: what is there of another time cannot be removed.
        """
        self._root, self._study = study.paths.tensorboard, study
        if options.directory is not None:
            self._root = Path(options.directory).expanduser().absolute() / study.name
        self.to = str(self._root)
        self._lengths: dict[int, int] = {
            int(number): length for number, length in marks.get("lengths", {}).items()
        }
        self._bytes: dict[int, bytearray] = {}
        self._trials: dict[int, Trial] = {}
        if marks and not self._root.is_dir():
            raise Forgotten
        if not marks:
            for path in self._root.glob("*/events.out.tfevents.*.sweep"):
                path.unlink()

    def take(self, told: Told) -> None:
        if told.trial.state.finished and not isinstance(told, Moved | Measured):
            return  # its file was closed with its end
        self._trials[told.trial.number] = told.trial
        data = self._bytes.setdefault(told.trial.number, bytearray())
        for event in _events(told, self._study.name):
            data += _framed(event)

    def commit(self) -> Marks:
        lengths = dict(self._lengths)
        for number, data in self._bytes.items():
            lengths[number] = self._append(self._trials[number], data, lengths.get(number, 0))
            if self._trials[number].closed:
                del lengths[number]
        self._lengths = lengths
        self._bytes, self._trials = {}, {}
        return {"lengths": {str(number): length for number, length in lengths.items()}}

    def _append(self, trial: Trial, data: bytes | bytearray, length: int) -> int:
        """Make a file hold ``data`` behind its first ``length`` bytes; how long it is then."""
        path = self._root / str(trial.number) / f"events.out.tfevents.{int(trial.started)}.sweep"
        if not length and trial.retried and path.exists():
            raise Forgotten  # an older sweep did not note how long it was
        if not length:
            data = _framed(Event(wall_time=trial.started, file_version="brain.Event:2")) + data
            fsio.make_directory(path.parent)
        try:
            descriptor = os.open(path, os.O_RDWR | (0 if length else os.O_CREAT), 0o644)
        except FileNotFoundError:
            raise Forgotten from None
        with os.fdopen(descriptor, "r+b") as file:
            if os.fstat(file.fileno()).st_size < length:
                raise Forgotten
            file.truncate(length)
            file.seek(length)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if not length:
            fsio.sync_directory(path.parent)
        return length + len(data)


def _events(told: Told, study: str) -> Iterator[Any]:
    """What is written of it, as protocol buffers."""
    trial, step = told.trial, told.trial.step or 0
    match told:
        case Begun():
            yield _summary(told, 0, _hparams(session_start_info=_session(trial, study)))
            fork = trial.fork
            if fork is not None:
                yield _summary(told, 0, text("sweep/fork", f"of {study}/{fork.source}"))
        case Measured() as measured:
            if measured.again:
                start = SessionLog(status=SessionLog.START)
                yield Event(wall_time=told.time, step=measured.step, session_log=start)
            values = [
                Summary.Value(tag=printable(name), simple_value=value)
                for name, value in measured.metrics.items()
            ]
            yield _summary(told, measured.step, Summary(value=values))
        case Saved(checkpoint=id):
            record = trial.checkpoints[id].record
            said = f"{id}: {record['kind']}, {bytes_text(record['bytes'])}"
            yield _summary(told, step, text("sweep/checkpoint", said))
        case Moved():
            said = str(trial.state) + (f": {trial.reason}" if trial.reason else "")
            yield _summary(told, step, text("sweep/state", printable(said)))
            if trial.state.finished:
                failed = trial.state is TrialState.FAILED
                end = SessionEndInfo(
                    status=STATUS_FAILURE if failed else STATUS_SUCCESS, end_time_secs=told.time
                )
                yield _summary(told, step, _hparams(session_end_info=end))


def _summary(told: Told, step: int, summary: Any) -> Any:
    return Event(wall_time=told.time, step=step, summary=summary)


def _session(trial: Trial, study: str) -> Any:
    info = SessionStartInfo(group_name=f"{study}/{trial.number}", start_time_secs=trial.started)
    for name, value in readable(trial.params).items():
        match value:
            case bool():
                info.hparams[name].bool_value = value
            case int() | float() if abs(value) <= sys.float_info.max or value != value:
                info.hparams[name].number_value = value
            case _:
                info.hparams[name].string_value = str(value)
    return info


def _hparams(**part: Any) -> Any:
    """A summary of TensorBoard's plugin for hyperparameters, tagged as its own API does."""
    (name,) = part
    content = HParamsPluginData(version=0, **part).SerializeToString()
    plugin = SummaryMetadata.PluginData(plugin_name="hparams", content=content)
    metadata = SummaryMetadata(plugin_data=plugin)
    return Summary(value=[Summary.Value(tag=f"_hparams_/{name}", metadata=metadata)])


def _framed(event: Any) -> bytes:
    """An event as a TFRecord: length, data, and a masked CRC-32C of each."""
    data = event.SerializeToString(deterministic=True)
    length = struct.pack("<Q", len(data))
    return bytes(length + _checksum(length) + data + _checksum(data))


def _checksum(data: bytes) -> bytes:
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
