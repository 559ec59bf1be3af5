"""The command `oneshot-vos`: its commands under headings, messages for people, an orderly end."""

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from oneshot_vos.commands import own_videos, pipeline, tools, without_collecting
from oneshot_vos.errors import UserError, refusal

# The help lists the commands in this order.
GROUPS: dict[str, tuple[Callable[..., None], ...]] = {
    "Everyday": (
        *(own_videos.segment, own_videos.segment_all, own_videos.adapt, own_videos.suggest, own_videos.label),
        *(own_videos.import_videos, tools.check_data, own_videos.report_videos),
        *(tools.score, tools.compare, tools.export, tools.fetch),
    ),
    "Pipeline": pipeline.COMMANDS,
    "More": (tools.resize_youtube, tools.check_params, tools.check_server_zip, tools.pack, tools.cross_check),
}


class _Plain(logging.Handler):
    """Prints messages as they are; asks for standard output each time, since tests replace it."""

    def emit(self, record: logging.LogRecord) -> None:
        typer.echo(self.format(record))


def _plain_warning(message: Warning | str, *_place: Any, **_line: Any) -> str:
    """A warning for a person: what it says, not where in the code it was said."""
    return f"warning: {message}\n"


@contextmanager
def _messages_printed() -> Iterator[None]:
    """Print what the library logs at INFO and above, and warnings as plain lines, for the time of the block."""
    logger, handler = logging.getLogger("oneshot_vos"), _Plain()
    level, form = logger.level, warnings.formatwarning
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    warnings.formatwarning = _plain_warning
    try:
        yield
    finally:
        warnings.formatwarning = form
        logger.removeHandler(handler)
        logger.setLevel(level)


def _at_home(word: str) -> str:
    option, sign, value = word.partition("=") if word.startswith("--") else ("", "", word)
    return f"{option}{sign}{Path(value).expanduser()}" if value.startswith("~/") else word


class _Commands(TyperGroup):
    """Ends every command in an orderly way: 0 done, 2 something for the user to mend, 130 interrupted."""

    def get_help_option(self, ctx: Any) -> Any:
        """With a default: for a value of None, typer would import pydantic, half of the time that help takes."""
        option = super().get_help_option(ctx)
        if option is not None:
            option.default = False
        return option

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the headings with their commands, one column for all."""
        width = max(map(len, self.commands))
        for heading, functions in GROUPS.items():
            names = [function.__name__.replace("_", "-") for function in functions]
            helps = [self.commands[name].get_short_help_str(formatter.width - 6 - width) for name in names]
            with formatter.section(heading):
                formatter.write_dl([(f"{name:<{width}}", text) for name, text in zip(names, helps, strict=True)])

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """With the home directory in the place of `~`, which a shell leaves in `--out=~/results` and in quotes.

        Words that are no text end the command: they could not be written into any record.
        """
        odd = next((word for word in args if word != word.encode(errors="replace").decode()), None)
        if odd is not None:
            typer.echo(f"error: {odd!r}: not UTF-8; expected names that can be written into files. Rename it", err=True)
            raise typer.Exit(2)
        with without_collecting():  # it imports pydantic
            return super().parse_args(ctx, [_at_home(word) for word in args])

    def invoke(self, ctx: Any) -> Any:
        try:
            with _messages_printed():
                return super().invoke(ctx)
        except UserError as error:
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(2) from error
        except OSError as error:
            told = refusal(error)
            if told is None:
                raise
            typer.echo(f"error: {told}", err=True)
            raise typer.Exit(2) from error
        except KeyboardInterrupt as interrupt:
            typer.echo("interrupted; rerun to resume", err=True)
            raise typer.Exit(130) from interrupt


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"max_content_width": 100, "help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,  # importing Rich takes as long as all the rest of `--help`
    help="Train video object segmentation networks from one labelled frame per video.",
)
for _function in (each for group in GROUPS.values() for each in group):
    app.command()(_function)


def _print_version(wanted: bool) -> None:
    if wanted:
        from oneshot_vos import __version__  # looks through what is installed

        typer.echo(f"oneshot-vos {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version, and end.")
    ] = False,
) -> None:
    """What may stand before a command; `help` of the app describes it."""
