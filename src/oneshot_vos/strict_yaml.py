"""Reading YAML strictly: no surprises of the format, and every finding in the words of the file."""

import re
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from oneshot_vos.errors import UserError
from oneshot_vos.registry import suggest


class _Loader(yaml.SafeLoader):
    """Safe YAML in which a key stands once and no tag changes what a value is."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()
        if getattr(event, "tag", None) is not None:
            raise yaml.composer.ComposerError(
                None, None, f"tags such as {event.tag} are not used here", event.start_mark
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key '{key.value}' stands twice", key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


def read_yaml(path: Path) -> Any:
    """What the file holds; `UserError` if it is missing, not YAML, or names a key twice."""
    try:
        with path.open(encoding="utf-8") as stream:
            return yaml.load(stream, Loader=_Loader)  # noqa: S506 - a subclass of SafeLoader
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror or error}); expected the parameters of the project. Run the "
            "command from the repository's root, or name the file with --params"
        ) from error
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    except (ValueError, RecursionError) as error:  # not UTF-8, numbers without digits, lists in lists in lists …
        raise UserError(f"{path}: not readable as YAML parameters: {error}") from error


def explain(error: ValidationError, root: type[BaseModel]) -> list[str]:
    """One line per finding of pydantic about a document that should be a `root`."""
    return [_explain(detail, root) for detail in error.errors(include_url=False)]


def _explain(detail: Any, root: type[BaseModel]) -> str:
    location = tuple(detail["loc"])
    path, known, admitted = _walk(location, root)
    kind, given = detail["type"], detail["input"]
    if kind == "extra_forbidden":
        return f"{path}: unknown key; {suggest(str(location[-1]), known)}"
    if kind == "missing":
        return f"{path}: missing"
    if kind == "value_error":
        return f"{path or 'the file'}: {detail['ctx']['error']}"
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        return f"{path}.kind: must be {_kinds(admitted)}"
    message = str(detail["msg"]).removeprefix("Input ")
    hint = ""
    if isinstance(given, str) and re.fullmatch(r"[-+]?[0-9.]+[eE][-+]?[0-9]+", given):
        hint = " (YAML reads numbers in this form as text: write a point and a sign, as in 1.0e-5)"
    return f"{path or 'the file'}: {message}, not {_shorten(given)}{hint}"


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


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _shorten(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
