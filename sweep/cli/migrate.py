"""`sweep migrate`: checkpoints of older formats become ones of the newest."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from sweep.analysis.migration import migrate_study, outdated
from sweep.cli.output import Output
from sweep.cli.place import find_begun
from sweep.quantity import counted


def migrate(store: Path, name: str, dry_run: bool, out: Output) -> None:
    """Migrate a study, or say what would be done.

    Raises:
        SweepError: as `sweep.analysis.migration.migrate_study`.
    """
    paths = find_begun(store, name)
    done = outdated(paths) if dry_run else migrate_study(paths)
    changed = [each for each in done if each.changed]
    if out.as_json:
        out.data({"study": paths.name, "dry_run": dry_run, "checkpoints": [*map(asdict, done)]})
        return
    for each in done:
        if each.damaged is not None:
            out.line(f"{paths.name}: {each.checkpoint} is left as it is: {each.damaged}")
    if not changed and not any(each.damaged for each in done):
        out.line(f"{paths.name}: there is nothing to rewrite: all is of the newest format")
        return
    verb = "to be rewritten" if dry_run else "rewritten"
    out.line(f"{paths.name}: {len(changed)} of {counted(len(done), 'checkpoint')} {verb}")
