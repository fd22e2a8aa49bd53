"""Lets through only requests of our own pages, from people who may see the data set, and of bounded size.

A page of another site that is open in the same browser must neither read nor click here. It cannot name this host under
a domain of its own (DNS rebinding): the Host header must be an address or the name of this machine. It cannot post:
posts must come from the same origin and be JSON. Beyond this machine, every request needs the token.
"""

import asyncio
import ipaddress
import json
import secrets
import socket
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlencode

from piq_bench.documents import parse_json

MAX_BODY_BYTES = 256 << 10
BODY_SECONDS = 20
LOCAL = ("localhost", "127.0.0.1", "[::1]")
BODY = "piq.body"  # where the parsed body is found in a request's scope
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self';"
    " connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]


@dataclass(frozen=True)
class Guard:
    """An application around the pages, which refuses what it must not let through.

    Attributes:
        inner: the pages.
        token: what every request must bring; None where only this machine can ask.
        port: where the server listens; the cookie is named after it, since browsers share cookies between ports.
        names: host names under which the server may be asked, without the port.
    """

    inner: Application
    token: str | None
    port: int
    names: tuple[str, ...] = LOCAL

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":  # neither is a websocket served, nor is anything done at the start
            return None
        headers = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]]
        host = [value for name, value in headers if name == "host"]
        if len(host) != 1 or not self.is_own(host[0]):
            return await refuse(send, 421, "This server does not answer under that name.")
        if self.token is not None:
            query = parse_qs(scope["query_string"].decode("latin-1"), max_num_fields=20)
            if _equal(query.pop("token", [""])[0], self.token) and scope["method"] == "GET":
                return await self.let_in(send, scope["path"], query)
            if not any(_equal(value, self.token) for value in self.cookies(headers)):
                return await refuse(send, 403, "Open the address that `piq annotate` printed, with its token.")
        if scope["method"] not in ("GET", "HEAD"):
            if scope["method"] != "POST" or not is_same_origin(dict(headers), host[0]):
                return await refuse(send, 403, "Only the pages of this server may do that.")
            try:
                scope[BODY] = await asyncio.wait_for(_body(receive), BODY_SECONDS)
            except TimeoutError:
                return await refuse(send, 408, "The request took too long.")
            except OverflowError:
                return await refuse(send, 413, f"A request has at most {MAX_BODY_BYTES} bytes.")
            except ValueError:
                return await refuse(send, 400, "The request is no JSON object.")
        return await self.inner(scope, receive, _with_headers(send))

    def is_own(self, host: str) -> bool:
        """Whether a Host header names this server: by an address or one of its names, and by its port."""
        name, _, port = host.rpartition(":") if not host.endswith("]") and ":" in host else (host, "", "80")
        if port != str(self.port):
            return False
        if name.lower() in self.names:
            return True
        try:
            ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
        except ValueError:
            return False
        return self.token is not None  # an address cannot be rebound, but only a token opens this machine to others

    def cookies(self, headers: Iterable[tuple[str, str]]) -> list[str]:
        """The tokens that a browser has kept."""
        parts = (
            part.strip().partition("=") for name, value in headers if name == "cookie" for part in value.split(";")
        )
        return [value for name, _, value in parts if name == self.cookie]

    @property
    def cookie(self) -> str:
        """The name of the cookie that keeps the token."""
        return f"piq-annotate-{self.port}"

    async def let_in(self, send: Send, path: str, query: dict[str, list[str]]) -> None:
        """Keep the token in a cookie and take it out of the address."""
        rest = urlencode(query, doseq=True)
        target = "/" + path.lstrip("/\\") + (f"?{rest}" if rest else "")
        target = "".join(c for c in target if 32 < ord(c) < 127)
        cookie = f"{self.cookie}={self.token}; HttpOnly; SameSite=Lax; Path=/"
        await _answer(send, 303, b"", [("Location", target), ("Set-Cookie", cookie), ("Cache-Control", "no-store")])


def own_names(host: str) -> tuple[str, ...]:
    """The names under which a server that listens on a host may be asked."""
    own = {*LOCAL, host.lower(), socket.gethostname().lower(), socket.getfqdn().lower()}
    return tuple(sorted(own | {f"[{name}]" for name in own if ":" in name and not name.startswith("[")}))


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens on a host."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_same_origin(headers: dict[str, str], host: str) -> bool:
    """Whether a request comes from a page of this server: browsers say so, and pages of others cannot forge it."""
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    origin = headers.get("origin")
    site = headers.get("sec-fetch-site", "same-origin")
    return kind == "application/json" and site == "same-origin" and origin in (f"http://{host}", f"https://{host}")


async def refuse(send: Send, status: int, reason: str) -> None:
    """Answer with a reason."""
    body = json.dumps({"refused": reason}).encode()
    await _answer(send, status, body, [("Content-Type", "application/json"), ("Connection", "close")])


async def _answer(send: Send, status: int, body: bytes, headers: list[tuple[str, str]]) -> None:
    own = [*headers, *HEADERS.items(), ("Content-Length", str(len(body)))]
    raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in own]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})


async def _body(receive: Receive) -> dict[str, object]:
    """The JSON object that a request holds, read piece by piece."""
    body = b""
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise ValueError("the browser is gone")
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > MAX_BODY_BYTES:
            raise OverflowError
    content = parse_json(body)
    if not isinstance(content, dict):
        raise ValueError("no object")
    return content


def _with_headers(send: Send) -> Send:
    raw = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]

    async def send_with(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *raw]
        await send(message)

    return send_with


def _equal(given: str, wanted: str) -> bool:
    return secrets.compare_digest(given.encode("utf-8", "surrogatepass"), wanted.encode())
