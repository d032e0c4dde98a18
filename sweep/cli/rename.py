"""`sweep rename`: give a study another name."""

from __future__ import annotations

from pathlib import Path

from sweep.cli.output import Output, error, store_option
from sweep.cli.place import find_begun, read_study
from sweep.driver.renaming import bring_mirror_up, rename_study


def rename(store: Path, old: str, new: str, out: Output) -> None:
    """Rename a study that nobody runs, and say what else has its name.

    Raises:
        SweepError: as `rename_study`.
    """
    before = find_begun(store, old)
    paths = rename_study(before, new)
    spec, _ = read_study(paths)
    behind = bring_mirror_up(paths)
    if out.as_json:
        out.data(
            {"study": paths.name, "was": before.name, "path": str(paths.root), "behind": behind}
        )
    else:
        out.line(f"{before.name}: is called {paths.name} now; in its YAML: name: {paths.name}")
        if spec.trackers:
            track = f"sweep track {paths.name}{store_option(store)}"
            out.line(f"{paths.name}: to have its trackers follow: {track}")
    if behind is not None:
        resume = f"sweep resume {paths.name}{store_option(store)}"
        error(f"warning: {paths.name}: mirror {behind}; to copy the rest: {resume}")
