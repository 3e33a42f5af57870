"""OpenAPI files (3.x, and Swagger 2.0): each operation is a document of its own, as people look for one at a time."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from runllm.operations import Frozen
from worker.answering.blocks import Block, Draft, Heading, Unreadable
from worker.answering.markdown import fenced, parse_markdown, table_of

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")

_DEEPEST = 4
_MOST_FIELDS = 80
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Operation(Frozen):
    """One operation: where it is in the file, and what it says."""

    path: str
    anchor: str
    draft: Draft


def parse_openapi(source: str) -> list[Operation]:
    """The operations of a file, the introduction first.

    Raises:
        Unreadable: It is not a valid description of an API.
    """
    spec = _load(source)
    version = spec.get("openapi", spec.get("swagger"))
    if not isinstance(version, str | float | int):
        raise Unreadable("is no OpenAPI file: it has no field `openapi` or `swagger` at its top")
    if not str(version).startswith(("2", "3")):
        raise Unreadable(f"is of OpenAPI {str(version)[:20]}; versions 2.0 and 3.x are read")
    paths = spec.get("paths", {})
    if not isinstance(paths, dict):
        raise Unreadable("is no valid OpenAPI file: `paths` has to be an object")
    info = spec.get("info")
    if not isinstance(info, dict) or not isinstance(info.get("title"), str):
        raise Unreadable("is no valid OpenAPI file: `info` has no `title`")
    found = [_introduction(spec, info), *_Spec(spec, str(info["title"])).operations(paths)]
    return [one for one in found if any(isinstance(part, Block) for part in one.draft.parts)]


def _load(source: str) -> dict[str, Any]:
    try:
        spec = json.loads(source) if source.lstrip()[:1] == "{" else yaml.load(source, Loader=_LOADER)
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        where = getattr(error, "problem_mark", None)
        line = where.line + 1 if where is not None else getattr(error, "lineno", None)
        raise Unreadable(f"is neither JSON nor YAML{f' (line {line})' if line else ''}") from None
    if not isinstance(spec, dict):
        raise Unreadable("is no OpenAPI file: it is not an object")
    return spec


def _introduction(spec: Mapping[str, Any], info: Mapping[str, Any]) -> Operation:
    parts: list[Heading | Block] = list(_markdown(info.get("description")))
    servers = [one.get("url") for one in _list(spec.get("servers")) if isinstance(one, dict)]
    if servers:
        parts.append(Block(kind="text", text="Servers: " + ", ".join(f"`{one}`" for one in servers)))
    for name, scheme in _dict(_dict(spec.get("components")).get("securitySchemes")).items():
        about = _dict(scheme)
        text = " ".join(filter(None, [f"Authentication `{name}`: {about.get('type', '')}", _line(about)]))
        parts.append(Block(kind="text", text=text))
    return Operation(path="", anchor="", draft=Draft(title=str(info["title"]), parts=parts))


class _Spec:
    """A file whose references are followed as far as people read."""

    def __init__(self, spec: Mapping[str, Any], title: str) -> None:
        self._spec = spec
        self._title = title

    def operations(self, paths: Mapping[str, Any]) -> Iterator[Operation]:
        for path, item in paths.items():
            shared = self._resolved(item)
            for method in METHODS:
                operation = shared.get(method)
                if isinstance(operation, dict):
                    yield self._operation(str(path), method, operation, _list(shared.get("parameters")))

    def _operation(self, path: str, method: str, operation: Mapping[str, Any], shared: list[Any]) -> Operation:
        name = f"{method.upper()} {path}"
        summary = str(operation.get("summary") or operation.get("operationId") or "")
        parts: list[Heading | Block] = [Block(kind="code", text=fenced(name, "http"))]
        if operation.get("deprecated"):
            parts.append(Block(kind="text", text="This operation is deprecated."))
        if summary:
            parts.append(Block(kind="text", text=summary))
        parts += _markdown(operation.get("description"))
        parts += self._parameters([*shared, *_list(operation.get("parameters"))])
        parts += self._body(operation.get("requestBody"), "Request body")
        parts += self._responses(_dict(operation.get("responses")))
        tag = next((str(one) for one in _list(operation.get("tags"))), "")
        titled = " › ".join(filter(None, [self._title, tag, f"{summary} ({name})" if summary else name]))
        anchor = str(operation.get("operationId") or "")
        return Operation(path=name, anchor=anchor, draft=Draft(title=titled, parts=parts))

    def _parameters(self, parameters: list[Any]) -> Iterator[Heading | Block]:
        rows = [
            [
                f"`{one.get('name', '')}`",
                f"{one.get('in', '')}{', required' if one.get('required') else ''}",
                self._type(one.get("schema") or one),
                _line(one),
            ]
            for one in map(self._resolved, parameters)
        ]
        if rows:
            yield Heading(level=3, text="Parameters")
            yield table_of([["Name", "In", "Type", "Description"], *rows])

    def _body(self, body: Any, title: str) -> Iterator[Heading | Block]:
        found = self._resolved(body)
        media = _dict(found.get("content"))
        schema = next((_dict(one).get("schema") for one in media.values()), found.get("schema"))
        rows = list(self._fields(schema))[:_MOST_FIELDS]
        if rows or found.get("description"):
            yield Heading(level=3, text=title)
            if line := _line(found):
                yield Block(kind="text", text=line)
            if rows:
                yield table_of([["Field", "Type", "Description"], *rows])

    def _responses(self, responses: Mapping[str, Any]) -> Iterator[Heading | Block]:
        rows = [[f"`{status}`", _line(self._resolved(one))] for status, one in responses.items()]
        if rows:
            yield Heading(level=3, text="Responses")
            yield table_of([["Status", "Description"], *rows])
        first = next((one for status, one in responses.items() if str(status).startswith("2")), None)
        schema = next((_dict(one).get("schema") for one in _dict(self._resolved(first).get("content")).values()), None)
        fields = list(self._fields(schema))[:_MOST_FIELDS]
        if fields:
            yield Heading(level=3, text="Response fields")
            yield table_of([["Field", "Type", "Description"], *fields])

    def _fields(self, schema: Any, above: str = "", depth: int = 0) -> Iterator[list[str]]:
        """The fields of an object and of the objects in it, as rows."""
        found = self._resolved(schema)
        if depth > _DEEPEST:
            return
        for part in _list(found.get("allOf")):
            yield from self._fields(part, above, depth + 1)
        if found.get("items") is not None:
            yield from self._fields(found["items"], f"{above}[]", depth + 1)
        required = _list(found.get("required"))
        for name, about in _dict(found.get("properties")).items():
            field = self._resolved(about)
            path = f"{above}.{name}" if above else str(name)
            kind = self._type(field) + (", required" if name in required else "")
            yield [f"`{path}`", kind, _line(field)]
            if depth < 1:
                yield from self._fields(field, path, depth + 1)

    def _type(self, schema: Any) -> str:
        found = self._resolved(schema)
        kind = found.get("type") or ("object" if found.get("properties") else "")
        kind = " or ".join(map(str, kind)) if isinstance(kind, list) else str(kind)
        if kind == "array":
            kind = f"array of {self._resolved(found.get('items')).get('type', 'objects')}"
        values = _list(found.get("enum"))[:12]
        return f"{kind}: {', '.join(f'`{one}`' for one in values)}" if values else kind

    def _resolved(self, value: Any) -> dict[str, Any]:
        """An object, or the one in the same file that it refers to."""
        for _ in range(10):
            reference = _dict(value).get("$ref")
            if not isinstance(reference, str):
                return _dict(value)
            if not reference.startswith("#/"):
                return {"description": f"See {reference}"}
            value = self._spec
            for step in reference[2:].split("/"):
                value = _dict(value).get(step.replace("~1", "/").replace("~0", "~"))
        return {}


def _markdown(text: Any) -> Iterator[Heading | Block]:
    if isinstance(text, str):
        for part in parse_markdown(text).parts:
            yield part.model_copy(update={"level": min(part.level + 2, 6)}) if isinstance(part, Heading) else part


def _line(about: Mapping[str, Any]) -> str:
    """A description that fits a table's cell."""
    return " ".join(str(about.get("description") or "").split())[:600].replace("|", "\\|")


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
