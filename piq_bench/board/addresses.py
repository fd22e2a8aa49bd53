"""Opens addresses that strangers wrote, by https and only on the public internet.

A name or an address of this machine, of its network or of a cloud's metadata service is refused: first as it is
written, then, since a public name may lead to a private address, as it resolves at the moment of connecting. The
address that was checked is the one that is connected to. Redirects follow the same rules.
"""

import http.client
import socket
import urllib.request
from contextlib import AbstractContextManager
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from piq_bench.errors import quoted

LOCAL_NAMES = ("localhost", "local", "internal", "intranet", "lan", "home", "corp", "private", "home.arpa")


def is_public(host: str) -> bool:
    """Whether a host, as it is written, may be on the public internet.

    >>> [is_public(host) for host in ("example.org", "93.184.215.14", "127.0.0.1", "[::1]", "localhost", "printer")]
    [True, True, False, False, False, False]
    """
    name = host.strip("[]").rstrip(".").casefold()
    if _is_address(name):
        return is_public_address(name)
    return "." in name and not any(name.endswith(f".{local}") for local in LOCAL_NAMES)


def is_public_address(text: str) -> bool:
    """Whether an IP address is one of the public internet; also the IPv4 address inside an IPv6 one is looked at."""
    address = ip_address(text.partition("%")[0])
    inner = [getattr(address, name, None) for name in ("ipv4_mapped", "sixtofour")]
    teredo = getattr(address, "teredo", None)
    found = [address, *(one for one in inner if one is not None), *(teredo or ())]
    return all(one.is_global and not one.is_multicast for one in found)


def open_https(address: str, seconds: float) -> AbstractContextManager[http.client.HTTPResponse]:
    """Open an https address of the public internet.

    Args:
        address: what to open.
        seconds: largest time without a byte.

    Raises:
        ValueError: if the address, or one that it redirects to, is not https or is not public.
        OSError: if it cannot be opened.
    """
    _require_public(address)
    opener = urllib.request.build_opener(OnlyHttps(), _PublicHandler())
    response: AbstractContextManager[http.client.HTTPResponse] = opener.open(address, timeout=seconds)
    return response


class OnlyHttps(urllib.request.HTTPRedirectHandler):
    """Follows redirects to other public hosts, but never to other protocols, local files or local hosts."""

    def redirect_request(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: str) -> Any:  # noqa: ANN401
        """The request that a redirect asks for, if it may be made."""
        if urlsplit(newurl).scheme != "https":
            raise ValueError(f"the address redirects to {quoted(newurl)}, which is not https")
        _require_public(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _PublicHandler(urllib.request.HTTPSHandler):
    def https_open(self, req: Any) -> Any:  # noqa: ANN401
        return self.do_open(_PublicConnection, req)


class _PublicConnection(http.client.HTTPSConnection):
    """A connection to a public address; where a proxy is set, the proxy is of the user and decides itself."""

    def connect(self) -> None:
        if getattr(self, "_tunnel_host", None) is None:
            self._create_connection = _connected
        super().connect()


def _connected(
    place: tuple[str, int], timeout: float | None = None, source: tuple[str, int] | None = None
) -> socket.socket:
    """A socket to the first address of a host that answers, once all its addresses are known to be public."""
    host, port = place
    found = list(dict.fromkeys(str(one[4][0]) for one in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))
    for address in found:
        if not is_public_address(address):
            raise ValueError(f"{quoted(host)} leads to {address}, which is not public")
    error: OSError = OSError(f"{quoted(host)} has no address")
    for address in found:
        try:
            return socket.create_connection((address, port), timeout, source)
        except OSError as failure:
            error = failure
    raise error


def _require_public(address: str) -> None:
    host = urlsplit(address).hostname or ""
    if not is_public(host):
        raise ValueError(f"{quoted(host)} is not a host of the public internet")


def _is_address(name: str) -> bool:
    try:
        ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True
