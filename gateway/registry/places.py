"""Where each key of a declaration stands in its file: lines, for messages that a person can go to.

A path is what leads to a value: ("models", 0, "slots", 1, "life_h"). What has no line of its own, a key of an inline
table or one that is missing, is told by the line of what it is in.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

Path = tuple[str | int, ...]
Places = dict[Path, int]
LONGEST = 1_000_000  # characters: a declaration is written by people


class Unreadable(ValueError):
    """A file is neither TOML nor YAML as it claims; the message names the line."""


def toml(text: str) -> tuple[dict[str, Any], Places]:
    """Return a TOML file and the line of each of its keys. Raises Unreadable."""
    _short(text)
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Unreadable(f"the declaration is not TOML: {error}") from None
    places: Places = {(): 1}
    inside: Path = ()
    counts: dict[Path, int] = {}
    for line, statement in _statements(text):
        bare = statement.strip()
        if bare.startswith("["):
            inside = _header(tomllib.loads(bare), counts, is_array=bare.startswith("[["))
            places.setdefault(inside, line)
            if inside and isinstance(inside[-1], int):
                places.setdefault(inside[:-1], line)
        else:
            _mark(places, inside, tomllib.loads(statement), line)
    return data, places


def yaml_of(text: str) -> tuple[dict[str, Any], Places]:
    """Return a YAML file and the line of each of its keys. Raises Unreadable, also for anchors and repeated keys."""
    _short(text)
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):
                raise Unreadable(f"line {event.start_mark.line + 1}: anchors are not taken here; write the value again")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = f" at line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise Unreadable(f"the declaration is not YAML: {error.problem or error.context}{line}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise Unreadable(f"the declaration is not YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(data, dict):
        raise Unreadable("the declaration is not YAML with keys; it begins with tenant: and name:")
    places: Places = {(): 1}
    _walk(places, (), node)
    return data, places


def line_of(places: Places, path: Sequence[str | int]) -> int:
    """Return the line of a path, or of the nearest that it is in."""
    at = tuple(path)
    while at and at not in places:
        at = at[:-1]
    return places.get(at, 1)


def _short(text: str) -> None:
    if len(text) > LONGEST:
        raise Unreadable(f"the declaration has {len(text):,} characters; {LONGEST:,} are taken")


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Yield each header or key with its value, however many lines it has, with its first line."""
    lines = text.splitlines(keepends=True)
    at = 0
    while at < len(lines):
        if not lines[at].strip() or lines[at].lstrip().startswith("#"):
            at += 1
            continue
        end = next((e for e in range(at + 1, len(lines) + 1) if _whole("".join(lines[at:e]))), len(lines))
        yield at + 1, "".join(lines[at:end])
        at = end


def _whole(statement: str) -> bool:
    try:
        tomllib.loads(statement)
    except tomllib.TOMLDecodeError:
        return False
    return True


def _header(parsed: Mapping[str, Any], counts: dict[Path, int], *, is_array: bool) -> Path:
    """Return the path of a header, with the index of each array of tables on the way."""
    names: list[str] = []
    within: Any = parsed
    while within:
        within = within[0] if isinstance(within, list) else within
        if not within:
            break
        name = next(iter(within))
        names.append(name)
        within = within[name]
    path: Path = ()
    for i, name in enumerate(names):
        path = (*path, name)
        if is_array and i == len(names) - 1:
            counts[path] = counts.get(path, -1) + 1
        if path in counts:
            path = (*path, counts[path])
    return path


def _mark(places: Places, inside: Path, value: Any, line: int) -> None:
    pairs = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for key, each in pairs:
        path = (*inside, key)
        places.setdefault(path, line)
        _mark(places, path, each, line)


def _walk(places: Places, path: Path, node: yaml.Node) -> None:
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.value in seen:
                raise Unreadable(f"line {line}: {key.value!r} stands twice; keep one")
            seen.add(key.value)
            places[(*path, key.value)] = line
            _walk(places, (*path, key.value), value)
    elif isinstance(node, yaml.SequenceNode):
        for i, each in enumerate(node.value):
            places[(*path, i)] = each.start_mark.line + 1
            _walk(places, (*path, i), each)
