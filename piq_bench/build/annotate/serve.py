"""Runs the server of the pages until it is interrupted."""

import secrets
import socket
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from piq_bench.build.annotate.guard import LOCAL, Guard, is_loopback, own_names
from piq_bench.errors import BadUsage, Problem, printable

NEEDED = {  # name of a module, and of the package that brings it
    "starlette": "starlette",
    "uvicorn": "uvicorn",
    "jinja2": "jinja2",
    "krippendorff": "krippendorff",
    "sklearn": "scikit-learn",
}
MOST_CONNECTIONS = 200
TOKEN_BYTES = 24


def require() -> None:
    """Refuse if a package of the extra is missing; called before long computations."""
    missing = [package for module, package in NEEDED.items() if find_spec(module) is None]
    if missing:
        remedy = "pip install 'piq-bench[annotate]'"
        raise BadUsage("annotate", [Problem("not-installed", name, "is not installed", remedy) for name in missing])


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 takes a free one.

    Raises:
        BadUsage: if the address cannot be used.
    """
    try:
        family, kind, number, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        made = socket.socket(family, kind, number)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind(address)
            made.listen()
        except OSError:
            made.close()
            raise
    except OSError as error:
        found = f"{printable(host)}:{port}: {printable(error.strerror or error)}"
        raise BadUsage("annotate", [Problem("address", "--host", found, "choose another --port or --host")]) from None
    return made


def guarded(inner: Any, host: str, port: int) -> Guard:  # noqa: ANN401  (any ASGI application)
    """The pages behind their guard: without a token only where nothing but this machine can reach them."""
    if is_loopback(host):
        names = tuple(dict.fromkeys([*LOCAL, host.lower(), f"[{host}]"]))
        return Guard(inner, None, port, names)
    return Guard(inner, secrets.token_urlsafe(TOKEN_BYTES), port, own_names(host))


def serve(inner: Any, host: str, port: int, tell: Callable[[str], None]) -> None:  # noqa: ANN401
    """Serve the pages until Ctrl-C.

    Args:
        inner: the pages.
        host: the name or address to listen on.
        port: the port; 0 takes a free one.
        tell: called once with the address to open.
    """
    import uvicorn

    listening = listen(host, port)
    port = listening.getsockname()[1]
    guard = guarded(inner, host, port)
    config = uvicorn.Config(
        guard,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        ws="none",
        lifespan="off",
        limit_concurrency=MOST_CONNECTIONS,
        timeout_graceful_shutdown=2,
    )
    shown = host if host not in ("0.0.0.0", "::") else socket.gethostname()  # noqa: S104  (only compared)
    shown = f"[{shown}]" if ":" in shown else shown
    tell(f"http://{shown}:{port}/" + (f"?token={guard.token}" if guard.token else ""))
    with listening:
        uvicorn.Server(config).run(sockets=[listening])
