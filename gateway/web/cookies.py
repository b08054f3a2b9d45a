"""Cookies: sessions, the page nonce that guards a button, and the way back from a payment page."""

import hashlib
import hmac
import re
import secrets

from fastapi import Request, Response

from gateway.settings import Settings

STAFF, OWNER, NONCE, BACK = "ww_staff", "ww_owner", "ww_page", "ww_back"
STRICT = {STAFF, NONCE}  # the others must survive the way back from a mail or a payment page


def name(settings: Settings, cookie: str) -> str:
    """Return the cookie's name: with `__Host-` where we are reached over TLS."""
    return f"__Host-{cookie}" if settings.secure else cookie


def read(request: Request, settings: Settings, cookie: str) -> str:
    return request.cookies.get(name(settings, cookie), "")


def write(response: Response, settings: Settings, cookie: str, value: str, seconds: int | None = None) -> None:
    """Set a cookie that scripts cannot read and other sites cannot send."""
    response.set_cookie(
        name(settings, cookie),
        value,
        max_age=seconds,
        path="/",
        secure=settings.secure,
        httponly=True,
        samesite="strict" if cookie in STRICT else "lax",
    )


def clear(response: Response, settings: Settings, cookie: str) -> None:
    write(response, settings, cookie, "", 0)


def nonce(request: Request, settings: Settings) -> str:
    """Return the browser's page nonce, or a new one for it; the page that shows a button sets it with `write`."""
    had = read(request, settings, NONCE)
    return had if re.fullmatch(r"[A-Za-z0-9_-]{32}", had) else secrets.token_urlsafe(24)


def field(nonce_value: str, base: str) -> str:
    """Return what the forms under `base` carry: it follows from the nonce and fits no other page."""
    return hmac.new(nonce_value.encode(), base.encode(), hashlib.sha256).hexdigest()


def pressed_here(request: Request, settings: Settings, base: str, given: str) -> bool:
    """Say whether a form was on a page that this browser was shown, and a person's gesture sent it.

    Chromium names itself in Sec-CH-UA and then marks gestures with Sec-Fetch-User; scripts' requests say `cors`.
    """
    had = read(request, settings, NONCE)
    if not had or not hmac.compare_digest(field(had, base), given):
        return False
    if request.headers.get("sec-fetch-mode", "navigate") != "navigate":
        return False
    chromium = "sec-ch-ua" in request.headers and "sec-fetch-site" in request.headers
    return not chromium or request.headers.get("sec-fetch-user") == "?1"
