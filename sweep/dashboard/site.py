"""All pages: the list of studies, their reports, and Optuna's dashboard with a link to these."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import bottle
import optuna_dashboard

from sweep.dashboard.index import index, report_link
from sweep.driver.glance import glance, summarised
from sweep.errors import StudyNotFoundError, SweepError
from sweep.journal.event import TrialState
from sweep.journal.listing import newest_event, studies
from sweep.journal.lock import holder
from sweep.journal.state import StudyState
from sweep.paths import StudyPaths
from sweep.report.page import page
from sweep.report.subject import Subject
from sweep.search.importance import importances_by_objective
from sweep.search.optuna_copy import StoreCopy

_REPORTS = 16
"""So many are kept in memory."""


def site(store: Path, notice: Callable[[str], None]) -> Any:
    """An application of Bottle's over the studies in ``store``; ``notice`` is told of damage.

    It writes nothing by itself; what is sent to it is refused by `sweep.dashboard.guard`.
    """
    copy = StoreCopy(store, notice)
    reports = Reports()

    def home() -> str:
        records = [
            glance(paths, lambda paths: copy.read(paths, summarised)) for paths in studies(store)
        ]
        return index(store, records, copy.id_of)

    def report(name: str) -> Any:
        found = next((paths for paths in studies(store) if paths.name == name), None)
        if found is None:
            return _said(404, f"{store}: no study {name!r}")
        try:
            return reports.page(found, copy.id_of(name))
        except SweepError as error:
            return _said(404 if isinstance(error, StudyNotFoundError) else 500, str(error))

    def report_by_id(study_id: int) -> Any:
        name = copy.name_of(study_id)
        return _said(404, "this study is gone") if name is None else _moved(report_link(name))

    def script() -> Any:
        body = (files("sweep.dashboard") / "link.js").read_text(encoding="utf-8")
        return bottle.HTTPResponse(body, 200, {"Content-Type": "text/javascript; charset=utf-8"})

    app = optuna_dashboard.wsgi(copy)
    _replace(app, "/api/studies/<study_id:int>/param_importances", Importances(copy))
    app.install(_Linked())
    app.route("/", callback=home)
    app.route("/report/<name>", callback=report)
    app.route("/sweep/report/<study_id:int>", callback=report_by_id)
    app.route("/sweep/link.js", callback=script)
    return app


class Reports:
    """Reports, each made again when its study has gone on."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # one at a time: of a large study it takes seconds
        self._made = lru_cache(maxsize=_REPORTS)(self._make)

    def page(self, paths: StudyPaths, study_id: int | None) -> str:
        """The report of a study as it is now. Another study of that name has another id.

        Raises:
            StudyNotFoundError, JournalError: it cannot be read.
        """
        with self._lock:
            running = holder(paths.lock) is not None
            return self._made(paths, study_id, newest_event(paths.journal), running)

    @staticmethod
    def _make(paths: StudyPaths, study_id: int | None, newest: int, running: bool) -> str:
        return page([Subject.read(paths)], home="/")


class Importances:
    """Those of the report, for the dashboard: from as many trials, with the same numbers."""

    def __init__(self, copy: StoreCopy) -> None:
        self._copy = copy
        self._made: dict[int, tuple[tuple[int, int], list[dict[str, float]]]] = {}

    def _shares(self, study_id: int) -> list[dict[str, float]]:
        """Computed anew where more trials are complete, or the study has begun another session."""

        def look(state: StudyState) -> list[dict[str, float]]:
            mark = state.counts[TrialState.COMPLETE], state.sessions
            known = self._made.get(study_id)
            if known is None or known[0] != mark:
                known = self._made[study_id] = mark, importances_by_objective(state)
            return known[1]

        return self._copy.read(self._copy.paths_of(study_id), look)

    def __call__(self, study_id: int) -> Any:
        """Of each objective the shares of the parameters; of none where they are not known."""
        name = self._copy.name_of(study_id)
        if name is None:
            return bottle.HTTPResponse({"reason": "No such study"}, 404)
        trials = self._copy.get_all_trials(study_id, deepcopy=False)
        kinds = {
            name: type(distribution).__name__
            for trial in trials
            for name, distribution in trial.distributions.items()
        }
        return {
            "param_importances": [
                [
                    {"name": name, "importance": share, "distribution": kinds.get(name, "")}
                    for name, share in each.items()
                ]
                for each in self._shares(study_id)
            ]
        }


def _replace(app: Any, rule: str, callback: Callable[..., Any]) -> None:
    """Have ``callback`` answer in place of the dashboard's own function."""
    (route,) = (route for route in app.routes if route.rule == rule)
    route.callback = callback
    route.reset()


class _Linked:
    """A plugin of Bottle's: the pages of the dashboard have links to ours."""

    name, api = "sweep", 2

    def apply(self, callback: Callable[..., Any], route: Any) -> Callable[..., Any]:
        if not route.rule.startswith("/dashboard"):
            return callback

        def linked(*arguments: Any, **named: Any) -> Any:
            for condition in ("HTTP_IF_MODIFIED_SINCE", "HTTP_IF_NONE_MATCH"):
                bottle.request.environ.pop(condition, None)  # the page without the links is older
            answer = callback(*arguments, **named)
            if not hasattr(answer.body, "read"):  # a question for the headers alone
                return answer
            with answer.body as file:
                body = file.read().replace(b"</body>", _links() + b"</body>")
            policy = answer.headers["Content-Security-Policy"]
            headers = {"Content-Type": answer.content_type, "Content-Security-Policy": policy}
            return bottle.HTTPResponse(body, answer.status, headers)

        return linked


def _links() -> bytes:
    return (files("sweep.dashboard") / "link.html").read_bytes()


def _said(status: int, text: str) -> Any:
    return bottle.HTTPResponse(f"{text}\n", status, {"Content-Type": "text/plain; charset=utf-8"})


def _moved(to: str) -> Any:
    return bottle.HTTPResponse("", 302, {"Location": to})
