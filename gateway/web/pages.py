"""Pages: templates with everything escaped, and the short page that says one thing."""

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from gateway import clock
from gateway.web import words

STATIC = {"wearwell.css": "text/css; charset=utf-8", "icon.svg": "image/svg+xml"}


@cache
def static(name: str) -> bytes:
    """Return one of our few static files; raises KeyError for a name that is none."""
    if name not in STATIC:
        raise KeyError(name)
    return (resources.files("gateway.web") / "static" / name).read_bytes()


def asset(name: str) -> str:
    """Return a static file's address with its digest, so that it may be cached for ever."""
    return f"/static/{name}?v={hashlib.sha256(static(name)).hexdigest()[:12]}"


def _environment() -> Environment:
    env = Environment(
        loader=PackageLoader("gateway.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.globals.update(asset=asset, now=clock.now)
    env.filters.update(
        day=words.date,
        moment=words.moment,
        ago=lambda at: words.ago(clock.now(), at),
        count=lambda n: f"{n:,}",
    )
    return env


_env = _environment()


def render(template: str, context: Mapping[str, Any]) -> str:
    return _env.get_template(template).render(context)


def page(request: Request, template: str, status: int = 200, **context: Any) -> HTMLResponse:
    """Answer with a template; each knows whether this is the demo."""
    demo = request.app.state.services.demo
    return HTMLResponse(render(template, {"demo": demo, **context}), status)


def message(status: int, title: str, *sentences: str, href: str = "", label: str = "") -> HTMLResponse:
    """Answer with a page that says one thing, and perhaps where to go on."""
    context = {"demo": False, "title": title, "sentences": sentences, "href": href, "label": label}
    return HTMLResponse(render("message.html", context), status)


def wait(seconds: int) -> HTMLResponse:
    """Answer that this was tried too often."""
    minutes = max(1, round(seconds / 60))
    answer = message(
        429,
        "A little patience",
        f"This was tried many times in a short while. Please try again in {words.count(minutes, 'minute')}.",
    )
    answer.headers["retry-after"] = str(seconds)
    return answer
