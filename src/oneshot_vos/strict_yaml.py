"""Reading YAML strictly: no surprises of the format, and every finding in the words of the file."""

from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import YAMLError
from ruamel.yaml.tokens import DirectiveToken, TagToken

from oneshot_vos.errors import UserError
from oneshot_vos.registry import suggest


def read_yaml(path: Path) -> Any:
    """What the file holds; `UserError` if it is missing, not YAML 1.2, names a key twice or has tags."""
    try:
        text = path.read_text(encoding="utf-8")
        if any(mark in text for mark in "!%") and any(_changes_values(token) for token in _yaml().scan(text)):
            raise UserError(f"{path}: tags such as !!str, and directives such as %YAML, are not used here; remove them")
        return _yaml().load(text)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror or error}); expected the parameters of the project. Run the "
            "command from the repository's root, or name the file with --params"
        ) from error
    except DuplicateKeyError as error:
        raise UserError(f"{path}: a key stands twice: {_problem(error)}; expected each once") from error
    except YAMLError as error:
        raise UserError(f"{path}: not valid YAML: {_problem(error)}") from error
    except (ValueError, LookupError, RecursionError) as error:  # not UTF-8, numbers without digits, lists in lists …
        raise UserError(f"{path}: not readable as YAML parameters: {error}") from error


def _yaml() -> YAML:
    return YAML(typ="safe", pure=True)


def _problem(error: YAMLError) -> str:
    """What is wrong and in which line, without the library's advice to programmers."""
    mark = getattr(error, "problem_mark", None)
    text = getattr(error, "problem", None) or str(error)
    return " ".join(text.split()) + (f" (line {mark.line + 1})" if mark else "")


def _changes_values(token: object) -> bool:
    return isinstance(token, TagToken | DirectiveToken)


def explain(error: ValidationError, root: type[BaseModel]) -> list[tuple[str, str]]:
    """Dotted path and message of every finding of pydantic about a document that should be a `root`.

    Where a place admits several things, pydantic says of each why it is none; these are one finding.
    """
    found: list[tuple[str, str, str]] = []
    for detail in error.errors(include_url=False):
        path, message, value = _explain(detail, root)
        if found and value and (found[-1][0], found[-1][2]) == (path, value):
            message = f"{found.pop()[1]}, or {message.removeprefix('should be ')}"
        found.append((path, message, value))
    return [(path, message + value) for path, message, value in found]


def _explain(detail: Any, root: type[BaseModel]) -> tuple[str, str, str]:
    """Dotted path, message, and the value that stands there where the message alone does not say what is wrong."""
    location = tuple(detail["loc"])
    path, known, admitted = _walk(location, root)
    kind = detail["type"]
    if kind == "extra_forbidden":
        return path, f"unknown key; {suggest(str(location[-1]), known)}", ""
    if kind == "missing":
        return path, "missing", ""
    if kind == "value_error":
        return path, str(detail["ctx"]["error"]), ""
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        return f"{path}.kind", f"must be {_kinds(admitted)}", ""
    entries = kind in ("dict_type", "mapping_type", "model_type")  # in words of Python: "instance of Choices"
    message = "should be entries `name: value`" if entries else str(detail["msg"]).removeprefix("Input ")
    return path, message, f", not {_shorten(detail['input'])}"


def _kinds(models: list[Any]) -> str:
    """The values that `kind` may have, each of which stands for one of the models."""
    kinds = [f"'{kind}'" for model in models for kind in get_args(model.model_fields["kind"].annotation)]
    return f"{', '.join(kinds[:-1])} or {kinds[-1]}"


def _walk(location: tuple[int | str, ...], root: type[BaseModel]) -> tuple[str, list[str], list[Any]]:
    """The dotted path that `location` means in the file, the keys known where its last part stands, and the types that
    the place admits.
    """
    parts: list[str] = []
    known: list[str] = []
    candidates: list[Any] = [root]
    for part in location:
        models = [candidate for candidate in candidates if _is_model(candidate)]
        if part == "[key]":
            continue
        if len(models) > 1:  # pydantic names the chosen member of a union; the file does not
            candidates = [model for model in models if part in get_args(model.model_fields["kind"].annotation)]
            continue
        if candidates and not models and not any(_holds_more(candidate) for candidate in candidates):
            continue  # the same of a union of plain values
        parts.append(str(part))
        if models:
            fields = {field.alias or name: field for name, field in models[0].model_fields.items()}
            known = list(fields)
            candidates = _members(fields[part].annotation) if part in fields else []
        else:  # a mapping or a list: go on with the type of its values
            candidates = [
                member for candidate in candidates for value in get_args(candidate)[1:] for member in _members(value)
            ]
    return ".".join(parts), known, candidates


def _members(annotation: Any) -> list[Any]:
    """What an annotation admits, without metadata and unions."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _members(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return [member for argument in get_args(annotation) for member in _members(argument)]
    return [annotation]


def _holds_more(annotation: Any) -> bool:
    """Whether something stands below it: values of a mapping or a list."""
    return get_origin(annotation) not in (None, Literal)


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _shorten(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
