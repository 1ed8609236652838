"""Lets in who has logged in, and tells browsers what a page may do."""

from __future__ import annotations

import secrets
import time
from urllib.parse import parse_qs

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core_messaging_dashboard.access import LoginLimit, is_same
from core_messaging_dashboard.options import DashboardOptions

OPEN = ("/login", "/static/")  # what needs no login
LARGEST_FORM = 64 * 1024  # bytes
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class SafeHeaders:
    """Adds the headers that keep a page from loading or running what is not ours."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await self._app(scope, receive, send_safely)


class Gate:
    """Lets a request in if its session has a user. Everybody else is sent to the login."""

    def __init__(self, app: ASGIApp, options: DashboardOptions) -> None:
        self._app = app
        self._options = options

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http" or self._is_open(scope):
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        if (refused := self._refused(request)) is not None:
            await refused(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _is_open(self, scope: Scope) -> bool:
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        return any(path == each or (each.endswith("/") and path.startswith(each)) for each in OPEN)

    def _refused(self, request: Request) -> Response | None:
        if self._options.user_header is not None:
            named = request.headers.get(self._options.user_header, "")
            request.session["user"] = named[:100]
        if request.session.get("user"):
            return None
        if self._options.user_header is not None:
            return Response("the proxy has not said who you are", 403)
        return RedirectResponse(f"{request.scope.get('root_path', '')}/login", 303)


class Login:
    """Checks the token or the password, a few times a minute."""

    def __init__(self, options: DashboardOptions) -> None:
        self._secret = options.password or options.token or ""
        self._user = "password" if options.password else "token"
        self._limit = LoginLimit()

    def enter(self, request: Request, given: str) -> bool:
        """Begin a session if *given* is the secret. Raises HTTPException after too many wrong ones."""
        now = time.monotonic()
        if not self._limit.allows(now):
            raise HTTPException(429, "Too many wrong logins. Try again in a minute.")
        if not self._secret or not is_same(given, self._secret):
            self._limit.failed(now)
            return False
        request.session.clear()
        request.session["user"] = self._user
        return True


def csrf_of(request: Request) -> str:
    """The word that every form of this session has."""
    if "csrf" not in request.session:
        request.session["csrf"] = secrets.token_urlsafe(24)
    return str(request.session["csrf"])


async def form_of(request: Request) -> dict[str, str]:
    """The fields of a form. Raises HTTPException if it is too large."""
    if int(request.headers.get("content-length") or LARGEST_FORM + 1) > LARGEST_FORM:
        raise HTTPException(413, "The form is too large. Nothing was done.")
    text = (await request.body()).decode(errors="replace")
    return {name: values[-1] for name, values in parse_qs(text, max_num_fields=100).items()}


async def order_of(request: Request, options: DashboardOptions) -> dict[str, str]:
    """The fields of a form that changes something. Raises HTTPException unless it comes from a page of this session."""
    form = await form_of(request)
    if options.read_only:
        raise HTTPException(403, "This dashboard is read only. Nothing was done.")
    wanted = request.session.get("csrf")
    if not wanted or not is_same(form.get("csrf", ""), str(wanted)):
        raise HTTPException(403, "This page is too old. Go back, reload it, and try again. Nothing was done.")
    return form
