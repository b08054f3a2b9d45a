"""Form bodies with brackets, as the SDK sends them: a[b][0][c]=d."""

import re
from typing import Any
from urllib.parse import parse_qsl

from commerce.standin.refusal import Refusal

KEY = re.compile(r"\A(\w+)((?:\[\w*\])*)\Z")


def decode(text: str) -> dict[str, Any]:
    """Return a form body as nested dicts and lists of strings.

    Raises Refusal for a key that is no path, or that is both a value and a path.
    """
    tree: dict[str, Any] = {}
    for key, value in parse_qsl(text, keep_blank_values=True):
        found = KEY.match(key)
        if not found:
            raise Refusal(f"Invalid parameter name: {key}", code="parameter_unknown", param=key)
        path = [found[1], *re.findall(r"\[(\w*)\]", found[2])]
        node = tree
        for step in path[:-1]:
            node = node.setdefault(step, {})
            if not isinstance(node, dict):
                raise Refusal(f"Invalid object: {key}", code="parameter_invalid_empty", param=key)
        node[path[-1] or str(len(node))] = value
    return {name: _lists(node) for name, node in tree.items()}


def _lists(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    values = {name: _lists(child) for name, child in node.items()}
    if values and all(name.isdigit() for name in values):
        return [values[name] for name in sorted(values, key=int)]
    return values
