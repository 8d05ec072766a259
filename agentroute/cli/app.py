"""The commands, gathered; and what every one of them does when it fails.

Exit codes: 0 done; 2 something given cannot be used; 10 a degraded answer under ``--strict``; 20 nobody
answered; 21 the budget and 22 the time ran out first; 23 something could not be written; 130 interrupted.
"""

from __future__ import annotations

import errno
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from agentroute.cli.asking import ask, check, route
from agentroute.cli.effort_collecting import collect as effort_collect
from agentroute.cli.effort_learning import evaluate as effort_evaluate
from agentroute.cli.effort_learning import train as effort_train
from agentroute.cli.explaining import explain
from agentroute.cli.judging import evaluate
from agentroute.cli.learning import collect, train
from agentroute.cli.onboarding import onboard
from agentroute.cli.output import plain
from agentroute.cli.runs import runs
from agentroute.errors import AgentRouteError, StorageError

INTERRUPTED = 130


class _Commands(TyperGroup):
    """Ends every command that fails with one message and an exit code, never a traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except AgentRouteError as error:
            _end(str(error), error.exit_code)
        except OSError as error:
            if error.errno == errno.EPIPE:  # whoever read our output has seen enough
                raise
            where = f"{error.filename}: " if error.filename else ""
            _end(f"{where}{error.strerror or error}", StorageError.exit_code)
        except KeyboardInterrupt as interrupt:
            _end(str(interrupt) or "interrupted; nothing was saved", INTERRUPTED)


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from agentroute import __version__

        typer.echo(f"agentroute {__version__}")
        raise typer.Exit


@app.callback()
def agentroute(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Several agents, one good answer at a known price."""


app.add_typer(runs, name="runs")
for command in (check, ask, route, explain, collect, train, evaluate, onboard):
    app.command()(command)

effort = typer.Typer(no_args_is_help=True, context_settings=app.info.context_settings)
effort.command("collect")(effort_collect)
effort.command("train")(effort_train)
effort.command("evaluate")(effort_evaluate)
app.add_typer(effort, name="effort", help="How hard agents think, step by step.")


def _end(message: str, code: int) -> None:
    typer.secho(plain(message), fg="red", err=True)
    sys.exit(code)
