"""The page on which a person logs in with a key. Plain HTML: no script ever sees the key."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

from starlette.responses import HTMLResponse

if TYPE_CHECKING:
    from selfright.server.problem import Problem

_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'"
    ),
    # With `no-referrer`, as elsewhere, browsers send `Origin: null` with a form.
    "Referrer-Policy": "same-origin",
}


def login_page(problem: Problem | None = None, *, keyed: bool = True) -> HTMLResponse:
    """Return the page; ``problem`` says why it is shown, ``keyed`` whether there is a need."""
    said = ""
    if problem is not None and problem.kind != "key-needed":
        said = f'<p role="alert">{escape(_sentence(problem.detail))}</p>'
    body = _FORM if keyed else '<p>No key is needed here: <a href="/">to the fleet</a>.</p>'
    page = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<title>Log in · Selfright</title>\n"
        '<link rel="stylesheet" href="/static/style.css">\n'
        '<link rel="icon" href="/static/icon.svg">\n</head>\n<body>\n'
        f"<header><h1>Selfright</h1></header>\n<main>{said}{body}</main>\n</body>\n</html>\n"
    )
    headers = {} if problem is None else problem.headers
    status = 200 if problem is None else problem.status
    return HTMLResponse(page, status, headers={**headers, **_HEADERS})


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


_FORM: Final = (
    "<h2>Log in</h2><p>With a key, as <code>selfright keys create</code> shows it.</p>"
    '<form class="try" method="post" action="/login">'
    '<label>key <input type="password" name="key" required autofocus '
    'autocomplete="current-password" spellcheck="false"></label>'
    '<button type="submit">Log in</button></form>'
)
