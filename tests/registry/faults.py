"""What a hostile registry does to an exchange: actions for ``HostileRegistry.misbehave``."""

import json
import threading
import time

from tests.registry.exchange import Action, Exchange


def answer(
    status: int, code: str = "", *, early: bool = False, body: bytes = b"", **headers: str
) -> Action:
    """Answer ``status`` with an error ``code``; ``early``: before the body was read."""

    def act(exchange: Exchange) -> bool:
        if not early:
            exchange.body()
        text = body or (
            json.dumps({"errors": [{"code": code, "message": "no"}]}).encode() if code else b""
        )
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return exchange.answer(status, named, text)

    return act


def reset(after: int = 0) -> Action:
    """Read ``after`` bytes of the body, then break the connection."""

    def act(exchange: Exchange) -> bool:
        exchange.body(after)
        return exchange.reset()

    return act


def break_upload(after: int) -> Action:
    """Take ``after`` bytes into the upload session, then break the connection."""

    def act(exchange: Exchange) -> bool:
        session = exchange.record.path.rpartition("/")[2]
        upload = exchange.registry.uploads.get(session)
        if upload is not None:
            upload.data += exchange.body(after)
            if not exchange.registry.habits.keep_sessions:
                del exchange.registry.uploads[session]
        return exchange.reset()

    return act


def lose_answer(exchange: Exchange) -> bool:
    """Do what is asked and break the connection instead of answering."""
    exchange.answer = lambda *args, **kwargs: True  # type: ignore[method-assign]
    exchange._route()
    return exchange.reset()


def truncate(after: int) -> Action:
    """Promise the whole blob, send ``after`` bytes of it, and close."""

    def act(exchange: Exchange) -> bool:
        data = exchange.registry.content[exchange.record.path.rpartition("/")[2]]
        start = int((exchange.headers.get("range") or "bytes=0-")[6:].partition("-")[0])
        exchange.close_connection = True
        headers = {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"} if start else {}
        rest = data[start:]
        return exchange.answer(206 if start else 200, headers, rest[:after], length=len(rest))

    return act


def endless(piece: bytes = b"x" * 65536) -> Action:
    """Send a body without an end, until the client goes away."""

    def act(exchange: Exchange) -> bool:
        exchange.body()
        exchange.close_connection = True
        exchange.send_response_only(200)
        exchange.send_header("Content-Type", "application/octet-stream")
        exchange.end_headers()
        while True:
            exchange.wfile.write(piece)

    return act


def replace_body(body: bytes) -> Action:
    """Answer 200 with other bytes than those asked for, with their true length."""

    def act(exchange: Exchange) -> bool:
        return exchange.answer(200, {"Content-Type": "application/octet-stream"}, body)

    return act


def altered(**headers: str) -> Action:
    """Answer as a correct registry does, but with these headers instead."""

    def act(exchange: Exchange) -> bool:
        named = {name.replace("_", "-").lower(): value for name, value in headers.items()}
        plain = exchange.answer

        def changed(
            status: int,
            given: dict[str, str] | None = None,
            body: bytes = b"",
            *,
            length: int | None = None,
        ) -> bool:
            kept = {k: v for k, v in (given or {}).items() if k.lower() not in named}
            return plain(status, kept | {k: v for k, v in named.items() if v}, body, length=length)

        exchange.answer = changed  # type: ignore[method-assign]
        try:
            exchange._route()
        finally:
            exchange.answer = plain  # type: ignore[method-assign]
        return True

    return act


def yes(exchange: Exchange) -> bool:
    """Answer 200 to whatever it is, as any web server might."""
    exchange.body()
    return exchange.answer(200, {"Content-Type": "text/html"}, b"<html>hello</html>")


def with_status(status: int, **headers: str) -> Action:
    """Do what is asked, but answer with another status (and other headers)."""

    def act(exchange: Exchange) -> bool:
        plain = exchange.answer

        def changed(
            code: int,
            given: dict[str, str] | None = None,
            body: bytes = b"",
            *,
            length: int | None = None,
        ) -> bool:
            return plain(status, given, body, length=length)

        exchange.answer = changed  # type: ignore[method-assign]
        try:
            return altered(**headers)(exchange)
        finally:
            # The connection, and with it this object, lives on.
            exchange.answer = plain  # type: ignore[method-assign]

    return act


def hold(waiting: threading.Event) -> Action:
    """Say that a request is there, and let it wait for half a minute."""

    def act(exchange: Exchange) -> bool:
        waiting.set()
        time.sleep(30)
        return False

    return act
