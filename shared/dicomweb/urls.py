"""Absolute URLs of the service as its clients see it (PLT-10, STO-93, STO-94)."""

from urllib.parse import quote

from starlette.requests import Request

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
_LOOPBACK_ADDRESSES = frozenset({"127.0.0.1", "::1"})


def origin(request: Request, public_url: str) -> str:
    """Scheme and host: those of `public_url` if that is set, else what proxies say, else what the request says."""
    if public_url:
        return public_url.rstrip("/")
    headers = request.headers
    scheme = _first(headers.get("x-forwarded-proto")) or request.scope["scheme"]
    return f"{scheme}://{_first(headers.get('x-forwarded-host')) or _host(request)}"


def api_url(request: Request, version: str, partition: str | None, public_url: str) -> str:
    """What stands before `/studies`: origin, version segment and, on partitioned paths, the partition.

    A proxy that publishes the service below another path says so with `X-Forwarded-Prefix`.
    """
    prefix = "" if public_url else _first(request.headers.get("x-forwarded-prefix")).strip("/")
    if not prefix:
        prefix = version if partition is None else f"{version}/partitions/{quote(partition, safe='')}"
    return f"{origin(request, public_url)}/{prefix}"


def request_url(request: Request, public_url: str) -> str:
    """The URL of the request itself, without its query."""
    return origin(request, public_url) + quote(request.scope["path"], safe="/$")


def _first(header: str | None) -> str:
    return (header or "").partition(",")[0].strip()


def _host(request: Request) -> str:
    """The `Host` header. Some clients leave the port out of it; for a server that they reach at a loopback address,
    without a host in between, it can be told from the connection."""
    host = request.headers.get("host")
    if not host:
        return _address(request)
    if host.lower() not in _LOOPBACK or "x-ms-invocation-id" in request.headers:
        return host
    address, port = request.scope.get("server") or ("", None)
    usual = 443 if request.scope["scheme"] == "https" else 80
    return f"{host}:{port}" if address in _LOOPBACK_ADDRESSES and port not in (None, usual) else host


def _address(request: Request) -> str:
    """HTTP/1.0 clients may leave out `Host`."""
    host, port = request.scope.get("server") or ("localhost", None)
    return host if port is None else f"{host}:{port}"


def host_name(request: Request) -> str:
    """Name or address of the host as the client knows it, without a port."""
    host = _first(request.headers.get("x-forwarded-host")) or request.headers.get("host") or _address(request)
    name, separator, port = host.rpartition(":")
    return name if separator and port.isdigit() else host
