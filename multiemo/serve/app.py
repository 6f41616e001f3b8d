"""The service: a page, the model's description, and a prediction for each upload.

An upload is held in a temporary file while it is predicted. Nothing else of a caller is written anywhere.
"""

from __future__ import annotations

import json
import secrets
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from multiemo.errors import DefectError, MultiemoError
from multiemo.pages import page_template
from multiemo.predict.prediction import Prediction
from multiemo.predict.sources import Item, file_item
from multiemo.serve.limit import BodyLimit

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.datastructures import FormData, UploadFile
    from starlette.exceptions import HTTPException
    from starlette.requests import Request
    from starlette.responses import Response

    from multiemo.predict import Predictor

#: Names by which a browser on this machine addresses it.
LOOPBACK = frozenset(("localhost", "127.0.0.1", "::1"))
#: Longest text in a request, bytes; as a part of a form it is held in memory.
_MOST_TEXT = 1_000_000
#: Requests that may wait for their turn, for each that is predicted.
_WAITING = 8
_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def create_app(
    predictor: Predictor, *, local_only: bool = True, most_mb: float = 500.0, at_once: int = 2, notice: str = ""
) -> Starlette:
    """Make the service of a loaded model: ``GET /``, ``GET /health``, ``GET /model`` and ``POST /predict``.

    Args:
        predictor: the model, from :func:`multiemo.load`.
        local_only: refuse requests that were addressed to another machine than this one. A page of another site could
            otherwise send them through a name that it points here.
        most_mb: size of the largest request, 10**6 bytes.
        at_once: number of requests that are predicted at the same time; further ones wait.
        notice: text that the page shows.

    Example::

        import multiemo
        from multiemo.serve import create_app

        app = create_app(multiemo.load("runs/demo"))  # uvicorn module:app
    """
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.middleware import Middleware
    from starlette.middleware.base import BaseHTTPMiddleware
    from starlette.responses import HTMLResponse
    from starlette.routing import Route

    turns = _Turns(at_once)
    description = predictor.describe()
    page = page_template(Path(__file__).with_name("page.html"))

    async def guard(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
        refusal = _refusal(request.headers, local_only)
        response = _error(403, refusal) if refusal else await answer(request)
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    async def refuse(_: Request, error: Any) -> Response:
        return _error(error.status_code, str(error.detail), error.headers)

    async def index(_: Request) -> Response:
        nonce = secrets.token_urlsafe(16)
        policy = (
            f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        content = page.render(model=description, notice=notice, nonce=nonce)
        return HTMLResponse(content, headers={"Content-Security-Policy": policy})

    async def health(_: Request) -> Response:
        return _json({"status": "ok"})

    async def model(_: Request) -> Response:
        return _json(description)

    async def predict(request: Request) -> Response:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "application/json":
            return await _predicted(predictor, turns, await _json_text(request), None)
        if kind == "multipart/form-data":
            async with request.form(max_files=1, max_fields=2, max_part_size=_MOST_TEXT) as form:
                return await _predicted(predictor, turns, *_form_parts(form))
        raise _http(415, 'send multipart/form-data with "file", "text" or both, or JSON: {"text": "..."}')

    return Starlette(
        routes=[
            Route("/", index),
            Route("/health", health),
            Route("/model", model),
            Route("/predict", predict, methods=["POST"]),
        ],
        middleware=[Middleware(BaseHTTPMiddleware, dispatch=guard), Middleware(BodyLimit, most=int(most_mb * 1e6))],
        exception_handlers={HTTPException: refuse},
    )


class _Turns:
    """Lets a number of requests run, and a larger number wait.

    Args:
        at_once: number of requests that run.
    """

    def __init__(self, at_once: int) -> None:
        import anyio

        self.limiter = anyio.CapacityLimiter(at_once)
        self.most, self.here = at_once * (1 + _WAITING), 0

    def __enter__(self) -> None:
        if self.here >= self.most:
            raise _http(503, "too many requests are waiting; try again later", {"Retry-After": "5"})
        self.here += 1

    def __exit__(self, *_: object) -> None:
        self.here -= 1


async def _predicted(predictor: Predictor, turns: _Turns, text: str | None, file: UploadFile | None) -> Response:
    import anyio

    def work() -> Response:
        if file is None:
            return _answer(predictor, Item("text", text=text))
        name = _base_name(file.filename or "")
        with tempfile.TemporaryDirectory(prefix="multiemo-serve-") as folder:
            path = Path(folder, f"upload{_ending(name)}")
            with path.open("wb") as copy:
                shutil.copyfileobj(file.file, copy)
            return _answer(predictor, replace(file_item(path, text), name=name))

    with turns:
        return await anyio.to_thread.run_sync(work, limiter=turns.limiter)


def _answer(predictor: Predictor, item: Item) -> Response:
    try:
        return _json(Prediction(inputs=[predictor.predict_item(item)], model=predictor.describe()))
    except MultiemoError as error:
        message = str(error)
        if item.path is not None:
            message = message.replace(str(item.path), item.name)
        return _error(500 if isinstance(error, DefectError) else 422, message)


async def _json_text(request: Request) -> str:
    """The text of a JSON request, its only member."""
    try:
        given = json.loads(await request.body())
    except (ValueError, RecursionError):
        raise _http(400, "the body is not JSON") from None
    if not isinstance(given, dict) or set(given) != {"text"} or not isinstance(given["text"], str):
        raise _http(400, 'JSON: send {"text": "..."} and nothing else; files need multipart/form-data')
    if len(given["text"]) > _MOST_TEXT:
        raise _http(413, f"the text is longer than {_MOST_TEXT} characters")
    return given["text"]


def _form_parts(form: FormData) -> tuple[str | None, UploadFile | None]:
    """``text`` and ``file`` of a form, of which one may be missing."""
    unknown = sorted(set(form) - {"text", "file"})
    if unknown:
        raise _http(400, f"unknown parts of the form: {', '.join(unknown)}; known are file and text")
    text, file = form.get("text"), form.get("file")
    if file == "" or (not isinstance(file, str | None) and not file.filename and not file.size):
        file = None  # a form of a browser without a chosen file
    if isinstance(file, str) or not isinstance(text, str | None):
        raise _http(400, 'send "file" as a file and "text" as text')
    if file is None and not text:
        raise _http(400, 'nothing to predict: send "file", "text" or both')
    return text or None, file


def _refusal(headers: Mapping[str, str], local_only: bool) -> str | None:
    """Why a request is not answered: it comes from a page of another site, or by a foreign name."""
    host = headers.get("host", "")
    try:
        name, origin = urlsplit(f"//{host}").hostname, urlsplit(headers.get("origin", f"//{host}")).netloc
    except ValueError:
        return "the host or origin of the request cannot be read"
    if local_only and name not in LOOPBACK:
        return f"this service answers on this machine only, and the request was addressed to {host!r}"
    return None if origin == host else "requests of pages of other sites are not answered"


def _base_name(name: str) -> str:
    """The file's name without folders of the caller's machine."""
    return PurePosixPath(PureWindowsPath(name).name).name or "upload"


def _ending(name: str) -> str:
    """The file's ending, if it is an ordinary one."""
    ending = PurePosixPath(name).suffix
    return ending if ending[1:].isascii() and ending[1:].isalnum() and len(ending) <= 8 else ""


def _http(status: int, message: str, headers: Mapping[str, str] | None = None) -> HTTPException:
    from starlette.exceptions import HTTPException

    return HTTPException(status, message, headers)


def _json(value: Mapping[str, Any]) -> Response:
    from starlette.responses import Response

    return Response(json.dumps(value, ensure_ascii=True, allow_nan=False), media_type="application/json")


def _error(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    from starlette.responses import JSONResponse

    return JSONResponse({"error": message}, status, headers)
