"""A limit of the size of requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


class BodyLimit:
    """Refuses requests with a large body: at once if they state its size, else when it has arrived.

    Args:
        app: what answers other requests.
        most: size of the largest body, bytes.
    """

    def __init__(self, app: ASGIApp, *, most: int) -> None:
        self.app, self.most = app, most
        self.why = f"the request is larger than {most / 1e6:g} MB"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        stated = dict(scope["headers"]).get(b"content-length", b"0")
        if not stated.isdigit() or int(stated) > self.most:
            from starlette.responses import JSONResponse

            await JSONResponse({"error": self.why}, 413)(scope, receive, send)
            return
        arrived = 0

        async def counted() -> Message:
            nonlocal arrived
            message = await receive()
            arrived += len(message.get("body", b""))
            if arrived > self.most:
                from starlette.exceptions import HTTPException

                raise HTTPException(413, self.why)
            return message

        await self.app(scope, counted, send)
