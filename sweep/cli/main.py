"""The command `sweep`.

Commands import what they need when they run, so that `sweep --help` is there at once.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Annotated

import typer

from sweep.cli import output
from sweep.cli.output import RUNS
from sweep.errors import StoreError, SweepError, UsageError

EXIT_CODES = (
    "Exit codes: 0 complete; 1 complete, but trials failed; 2 usage or spec; 3 store; "
    "4 what trials run on died (Ray, a cluster's head), resumable; "
    "5 halted, since trials fail, resumable; 124 its timeout is reached; "
    "130 or 143 interrupted (129, 138, 140: by SIGHUP, SIGUSR1, SIGUSR2), and resumable."
)

app = typer.Typer(
    name="sweep",
    help="Hyperparameter sweeps whose trials resume.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

StoreOption = Annotated[
    Path, typer.Option("--store", help="Directory of the studies.", envvar="SWEEP_STORE")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
InlineOption = Annotated[
    bool, typer.Option("--inline", help="Run in this process, one trial at a time (for pdb).")
]
AddressOption = Annotated[
    str | None, typer.Option("--address", help="Use the Ray cluster at this address.")
]
GraceOption = Annotated[
    float,
    typer.Option("--grace", min=0.0, help="Seconds that running trials get to save when stopped."),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override, such as parameters.lr.max=0.1."),
]
AcceptOption = Annotated[
    bool,
    typer.Option(
        "--accept-changes", help="Go on with a study whose space, method or seed changed."
    ),
]
WaitOption = Annotated[
    float, typer.Option("--wait", help="Seconds to wait for the driver of a running study.")
]
StudyArgument = Annotated[
    str, typer.Argument(metavar="STUDY", help="Name or directory of a study.")
]
TrialArgument = Annotated[
    str, typer.Argument(metavar="STUDY[/TRIAL]", help="A study, or one of its trials.")
]
CheckpointArgument = Annotated[
    str,
    typer.Argument(
        metavar="STUDY/TRIAL[@WHICH]", help="WHICH: latest (default), best, a step, or an id."
    ),
]


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        from sweep import __version__

        output.Output(False).line(f"sweep {__version__}")
        raise typer.Exit


@app.command(epilog=EXIT_CODES)
def run(
    specs: Annotated[list[Path], typer.Argument(metavar="SPEC.yaml", help="Sweeps to run.")],
    overrides: SetOption = None,
    accept_changes: AcceptOption = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only check that they could run, as sweep check.")
    ] = False,
    store: StoreOption = RUNS,
    inline: InlineOption = False,
    address: AddressOption = None,
    grace: GraceOption = 10.0,
    as_json: JsonOption = False,
) -> None:
    """Run sweeps, or go on with them exactly where they were."""
    if dry_run:
        check(specs, overrides, True, accept_changes, store, as_json)
    from sweep.cli import run as command

    options = command.Options(
        store=store,
        inline=inline,
        address=address,
        grace=grace,
        accept_changes=accept_changes,
    )
    raise typer.Exit(command.run(specs, overrides or [], options, output.Output(as_json)))


@app.command()
def check(
    specs: Annotated[list[Path], typer.Argument(metavar="SPEC.yaml", help="Sweeps to check.")],
    overrides: SetOption = None,
    imports: Annotated[
        bool, typer.Option("--import/--no-import", help="Import the program, too.")
    ] = True,
    accept_changes: AcceptOption = False,
    store: StoreOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """Check that sweeps could run. Nothing is run or written."""
    from sweep.cli import check as command

    out = output.Output(as_json)
    code = command.check(specs, overrides or [], store, out, imports=imports, accept=accept_changes)
    raise typer.Exit(code)


@app.command(epilog=EXIT_CODES)
def resume(
    studies: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="STUDY", help="Default: all that can go on, and mirrors that are behind."
        ),
    ] = None,
    overrides: SetOption = None,
    accept_changes: AcceptOption = False,
    store: StoreOption = RUNS,
    inline: InlineOption = False,
    address: AddressOption = None,
    grace: GraceOption = 10.0,
    as_json: JsonOption = False,
) -> None:
    """Go on with interrupted studies. Needs no YAML."""
    from sweep.cli import run as command

    options = command.Options(
        store=store, inline=inline, address=address, grace=grace, accept_changes=accept_changes
    )
    out = output.Output(as_json)
    raise typer.Exit(command.resume(studies or [], options, out, overrides or []))


@app.command(epilog=EXIT_CODES)
def retry(
    study: TrialArgument,
    trials: Annotated[
        list[int] | None,
        typer.Argument(metavar="[TRIAL...]", min=0, help="Default: all that failed."),
    ] = None,
    from_scratch: Annotated[
        bool, typer.Option("--from-scratch", help="Not from their last checkpoints.")
    ] = False,
    overrides: SetOption = None,
    accept_changes: AcceptOption = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say which would run, and from where.")
    ] = False,
    wait: WaitOption = 60.0,
    store: StoreOption = RUNS,
    inline: InlineOption = False,
    address: AddressOption = None,
    grace: GraceOption = 10.0,
    as_json: JsonOption = False,
) -> None:
    """Run failed trials again. From their last checkpoints, with the code as it is now."""
    from sweep.cli import retry as command
    from sweep.cli.run import Options

    options = Options(
        store=store, inline=inline, address=address, grace=grace, accept_changes=accept_changes
    )
    wanted = command.Wanted(study, trials or (), overrides or (), from_scratch=from_scratch)
    out = output.Output(as_json)
    raise typer.Exit(command.retry(wanted, options, out, dry_run=dry_run, wait=wait))


@app.command("ls")
def list_studies(store: StoreOption = RUNS, as_json: JsonOption = False) -> None:
    """List the studies of the store."""
    from sweep.cli import overview as command

    command.list_studies(store, output.Output(as_json))


@app.command()
def top(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[STORE] [STUDY]", help="Default: all studies of the store, as they run."
        ),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Print one picture, and end.")] = False,
    store: StoreOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """Follow studies that other processes run. Shows progress, slots and failures; q ends it."""
    from sweep.cli import top as command

    raise typer.Exit(command.top(store, names or [], output.Output(as_json), once=once))


@app.command()
def show(
    study: TrialArgument,
    page: Annotated[
        int | None,
        typer.Option("--page", min=1, help="Of a long table, from 1. Default: the last page."),
    ] = None,
    store: StoreOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """Show a study or one of its trials. With reports, checkpoints and errors."""
    from sweep.cli import show as command

    command.show(store, study, output.Output(as_json), page)


@app.command()
def best(
    study: StudyArgument,
    count: Annotated[
        int | None, typer.Option("-n", min=1, help="How many: 5, or all of a Pareto front.")
    ] = None,
    form: Annotated[
        str | None,
        typer.Option(
            "--as", metavar="yaml|json|args", help="Only its parameters, for other programs."
        ),
    ] = None,
    store: StoreOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """Show the best trials of a study. The incumbent first; of several metrics the Pareto front."""
    from sweep.cli import listing as command

    out = output.Output(as_json)
    if form is None:
        command.best(store, study, count, out)
        return
    if form not in list(command.Form):
        raise UsageError(f"--as {form}: must be yaml, json or args")
    command.best_parameters(store, study, count, command.Form(form), out)


@app.command()
def logs(
    study: TrialArgument,
    follow: Annotated[
        bool, typer.Option("-f", "--follow", help="Go on as it comes, until the trial is over.")
    ] = False,
    lines: Annotated[
        int | None, typer.Option("-n", "--lines", min=0, help="Only so many of the last.")
    ] = None,
    store: StoreOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """Print what trials printed. All attempts of one, or all trials of a study."""
    from sweep.cli import logs as command

    out = output.Output(as_json)
    raise typer.Exit(command.logs(store, study, out, follow=follow, lines=lines))


@app.command("rm")
def remove(
    studies: Annotated[
        list[str], typer.Argument(metavar="STUDY...", help="Names or directories of studies.")
    ],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing.")] = False,
    store: StoreOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """Remove studies with their checkpoints. A mirror stays."""
    from sweep.cli import remove as command

    raise typer.Exit(command.remove(store, studies, output.Output(as_json), yes=yes))


@app.command()
def rename(
    study: StudyArgument,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The new one.")],
    store: StoreOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """Give a study another name. In its journal, its directory and its mirror."""
    from sweep.cli import rename as command

    command.rename(store, study, name, output.Output(as_json))


@app.command()
def report(
    studies: Annotated[
        list[str], typer.Argument(metavar="STUDY...", help="Names or directories of studies.")
    ],
    to: Annotated[
        Path | None,
        typer.Option(
            "--to", metavar="FILE", help="Default: report.html in the study, or in the store."
        ),
    ] = None,
    look: Annotated[bool, typer.Option("--open", help="Show it in the browser.")] = False,
    store: StoreOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """Write studies as one HTML page. It works offline: charts, failures, spec, versions."""
    from sweep.cli import report as command

    command.report(store, studies, to, output.Output(as_json), look=look)


@app.command()
def dashboard(
    place: Annotated[
        Path | None, typer.Argument(metavar="STORE", help="Default: that of --store.")
    ] = None,
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="0: any that is free.")
    ] = 8080,
    host: Annotated[
        str, typer.Option("--host", help="Another than this machine's own needs a token.")
    ] = "127.0.0.1",
    token: Annotated[
        str | None,
        typer.Option(
            "--token",
            envvar="SWEEP_DASHBOARD_TOKEN",
            show_envvar=True,
            help="What a visitor must know; made up where one is needed.",
        ),
    ] = None,
    look: Annotated[bool, typer.Option("--open", help="Show it in the browser.")] = False,
    store: StoreOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """Serve a store as Optuna's dashboard. Live and read-only, with the report of each study."""
    from sweep.cli import dashboard as command

    options = command.Options(host=host, port=port, token=token, look=look)
    command.dashboard(place or store, options, output.Output(as_json))


@app.command()
def stop(
    study: TrialArgument,
    store: StoreOption = RUNS,
    wait: Annotated[float, typer.Option("--wait", help="Seconds to wait for the end.")] = 60.0,
    as_json: JsonOption = False,
) -> None:
    """Let a running study, or one trial, save and end. From anywhere that sees its store."""
    from sweep.cli import stop as command

    raise typer.Exit(command.stop(store, study, wait, output.Output(as_json)))


@app.command()
def pull(
    mirror: Annotated[
        str,
        typer.Argument(
            metavar="MIRROR[/STUDY]",
            help="s3://bucket/prefix/STUDY, or a path. Without STUDY: list what is there.",
        ),
    ],
    store: StoreOption = RUNS,
    aside: Annotated[
        bool, typer.Option("--aside", help="Move a study of that name away first; it is kept.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Fetch a study out of its mirror, to go on with it here."""
    from sweep.cli import pull as command

    raise typer.Exit(command.pull(mirror, store, output.Output(as_json), aside=aside))


@app.command()
def track(
    study: StudyArgument,
    to: Annotated[
        list[str] | None,
        typer.Option(
            "--to",
            metavar="TRACKER",
            help="tensorboard, mlflow or wandb, or as in YAML: '{mlflow: {uri: ...}}'. "
            "Default: those of the study.",
        ),
    ] = None,
    store: StoreOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """Send trackers what they lack of a study. With --to all of it, to one that knows nothing."""
    from sweep.cli import track as command

    raise typer.Exit(command.track(store, study, to or [], output.Output(as_json)))


@app.command()
def replay(study: StudyArgument, store: StoreOption = RUNS, as_json: JsonOption = False) -> None:
    """Derive every suggestion again from the journal, and compare."""
    from sweep.cli import replay as command

    raise typer.Exit(command.replay(store, study, output.Output(as_json)))


@app.command()
def gc(
    study: StudyArgument,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be removed.")
    ] = False,
    wait: WaitOption = 60.0,
    store: StoreOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """Let go checkpoints that are not kept. Files that nothing refers to are removed, too."""
    from sweep.cli import gc as command

    out = output.Output(as_json)
    raise typer.Exit(command.gc(store, study, out, dry_run=dry_run, wait=wait))


@app.command()
def verify(
    study: StudyArgument,
    repair: Annotated[
        bool, typer.Option("--repair", help="Mend what can be, set aside what cannot.")
    ] = False,
    store: StoreOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """Read every byte of a study. Says what is damaged and who needs it."""
    from sweep.cli import verify as command

    raise typer.Exit(command.verify(store, study, output.Output(as_json), repair=repair))


@app.command()
def fork(
    checkpoint: CheckpointArgument,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A parameter that differs."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Take values that lie outside of the space.")
    ] = False,
    store: StoreOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """Add a trial that goes on from another's checkpoint. With other parameters."""
    from sweep.cli import fork as command

    command.fork(store, checkpoint, changes or [], force, output.Output(as_json))


@app.command()
def export(
    name: Annotated[
        str,
        typer.Argument(
            metavar="STUDY[/TRIAL[@WHICH]]",
            help="A study, for its trials; or a checkpoint: latest (default), best, a step, an id.",
        ),
    ],
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="FILE",
            help="Trials: trials.csv, .parquet, .xlsx, or sqlite:///optuna.db for Optuna. "
            "A checkpoint: model.safetensors, or model.pt.",
        ),
    ],
    components: Annotated[
        list[str] | None,
        typer.Option("--components", help="What was tracked, or patterns. Default: model."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace the file, or the study in a database.")
    ] = False,
    store: StoreOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """Write a study or a checkpoint for use elsewhere. Its trials, or its tensors."""
    from sweep.cli import export as command

    command.export(store, name, to, components, force, output.Output(as_json))


@app.command("import")
def import_study(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="A database of Optuna's, sqlite:///optuna.db; or a directory of Ray Tune's.",
        ),
    ],
    name: Annotated[
        str | None, typer.Option("--name", help="Of the new study. Default: as there.")
    ] = None,
    study: Annotated[
        str | None, typer.Option("--study", help="Of Optuna: which one, where there are several.")
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(
            "--metric", help="What is optimised; of several metrics of Optuna's: NAME,NAME."
        ),
    ] = None,
    goal: Annotated[
        str | None, typer.Option("--goal", help="Of Ray Tune: minimize or maximize.")
    ] = None,
    space: Annotated[
        Path | None,
        typer.Option("--space", metavar="FILE.yaml", help="Go on in the parameters of this sweep."),
    ] = None,
    program: Annotated[
        str | None,
        typer.Option("--program", metavar="MODULE:FUNCTION", help="What goes on with it."),
    ] = None,
    store: StoreOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """Make a study of one of Optuna's or Ray Tune's. With its trials, and the YAML to go on."""
    from sweep.analysis.importing import Wanted
    from sweep.cli import importing as command

    origin = command.Origin(source=source, study=study, metric=metric, goal=goal)
    wanted = Wanted(name=name, program=program, space=space)
    command.import_study(store, origin, wanted, output.Output(as_json))


@app.command()
def migrate(
    study: StudyArgument,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done.")] = False,
    store: StoreOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """Rewrite a study's checkpoints of older formats in the newest."""
    from sweep.cli import migrate as command

    command.migrate(store, study, dry_run, output.Output(as_json))


@app.command()
def schema() -> None:
    """Print the JSON Schema of the YAML, for editors."""
    import json

    from sweep.spec import json_schema

    output.Output(True).line(json.dumps(json_schema(), indent=2))


@app.command()
def init(
    directory: Annotated[Path, typer.Argument(help="Where to write.")] = Path(),
    as_json: JsonOption = False,
) -> None:
    """Write a first trial and its YAML."""
    from sweep.cli import starter as command

    command.init(directory, output.Output(as_json))


def main() -> None:
    """Entry point: errors of ours become one line and their exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr: a text never ends a command
    try:
        app(standalone_mode=True)
    except SweepError as error:
        output.error(str(error))
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of a pipe has left, which is its right
        sys.exit(141)
    except OSError as error:  # of a place that no layer below has asked for by name
        if error.filename is None:
            raise
        output.error(f"{error.filename}: {error.strerror}")
        sys.exit(StoreError.exit_code)
    except KeyboardInterrupt:
        output.error("interrupted before anything was begun; run the same command again")
        sys.exit(130)
