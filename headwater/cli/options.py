"""Commands whose options are a value class: one parameter, however many options a command has."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Callable
from typing import Any

import typer

__all__ = ["add"]


def add(app: typer.Typer, run: Callable[[typer.Context, Any], None]) -> None:
    """Add a command: its options are the fields of the dataclass that `run` takes beside the context.

    Fields are annotated as a typer function's parameters are; the command's name and help are those of `run`.
    """
    options = typing.get_type_hints(run)["options"]
    hints = typing.get_type_hints(options, include_extras=True)

    def called(context: typer.Context, **given: Any) -> None:
        run(context, options(**given))

    fields = dataclasses.fields(options)
    parameters = [_parameter(field, hints[field.name]) for field in fields]
    context = inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    # What typer reads in place of the parameters that are written down.
    called.__dict__["__signature__"] = inspect.Signature([context, *parameters])
    called.__annotations__ = {"context": typer.Context, **{field.name: hints[field.name] for field in fields}}
    called.__name__, called.__doc__ = run.__name__, run.__doc__
    app.command()(called)


def _parameter(field: dataclasses.Field[Any], hint: Any) -> inspect.Parameter:
    default = inspect.Parameter.empty if field.default is dataclasses.MISSING else field.default
    return inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hint)
