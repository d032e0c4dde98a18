"""The spec, the versions, and how to do it again."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime

from sweep.quantity import duration_text
from sweep.report.chart import table
from sweep.report.element import NOTHING, Markup, element, join
from sweep.report.subject import Subject
from sweep.spec.dump import dump_spec

SESSIONS = 50
"""So many of the newest sessions are listed."""


def spec(subject: Subject) -> Markup:
    """The accepted spec as YAML, and what was changed on the way."""
    changes = [element("li", "; ".join(each)) for each in subject.chronicle.changes]
    return join(
        [
            element("pre", dump_spec(subject.spec), tabindex="0"),
            join([element("p", "Changed since it began:"), element("ul", *changes)])
            if changes
            else NOTHING,
        ]
    )


def versions(subject: Subject) -> Markup:
    """Of each session, what it ran with."""
    sessions = subject.chronicle.sessions
    if not sessions:
        return element("p", "No session has begun.")
    names = list(dict.fromkeys(name for each in sessions for name in each.versions))
    rows = [
        [
            str(each.number),
            f"{datetime.fromtimestamp(each.began, UTC):%Y-%m-%d %H:%M:%S}",
            duration_text(each.ended - each.began),
            each.host,
            each.reason or ("running" if subject.status == "running" else "killed"),
            *(each.versions.get(name, "-") for name in names),
        ]
        for each in sessions[-SESSIONS:]
    ]
    newest = f", the newest {SESSIONS} of {len(sessions)}" if len(sessions) > SESSIONS else ""
    return table(
        f"Sessions{newest} (UTC)", ["session", "began", "time", "host", "end", *names], rows
    )


def reproduction(subject: Subject) -> Markup:
    """Commands that run it again, check it, and go on with it."""
    file = shlex.quote(f"{subject.name}.yaml")
    name = shlex.quote(subject.name)
    commands = (
        f"sweep run {file}    # the YAML above in a file; where {subject.spec.program} is found\n"
        f"sweep replay {name}    # derives every suggestion again from the journal\n"
        f"sweep show {name}\n"
    )
    exact = (
        "Tables and weights are the same again on any number of slots (deterministic: true)."
        if subject.spec.deterministic
        else "With one slot (concurrency: 1, or --inline) tables and weights are the same again."
    )
    return join(
        [
            element("pre", commands, tabindex="0"),
            element("p", f"Seed {subject.spec.seed}. {exact}"),
        ]
    )
