"""HTTP/1.1 of the server of a worker process: uvicorn's on httptools, but requests to upgrade are plain requests.

A server may ignore `Upgrade` (RFC 9110 7.8), and this one has nothing to go over to. httptools takes a message that
asks for an upgrade to end with its headers, so uvicorn would lose its body and read that as the next request. Java's
HTTP client asks for HTTP/2 in this way with every first request to an `http` address, whatever its method.
"""

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_INVALID = "Invalid HTTP request received."


class HttpProtocol(HttpToolsProtocol):
    """One connection."""

    def data_received(self, data: bytes) -> None:
        """Parses what has come; the head of a request to upgrade is parsed a second time, without that wish."""
        self._unset_keepalive_if_required()
        rest = memoryview(data)
        try:
            while True:
                try:
                    self.parser.feed_data(rest)
                    return
                except httptools.HttpParserUpgrade as upgrade:
                    rest = rest[upgrade.args[0] :]
                    if self._should_upgrade():
                        head = self._head_without_upgrade()
                        # The parser before may be at the end of what it reads: its message may be the last one.
                        self.parser = httptools.HttpRequestParser(self)
                        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
                        self.parser.feed_data(head)
        except httptools.HttpParserError:
            self.logger.warning(_INVALID)
            self.send_400_response(_INVALID)

    def _should_upgrade(self) -> bool:
        """Whether uvicorn is to leave a message alone that the parser ends with its headers. CONNECT is one, too."""
        return self.parser.get_method() != b"CONNECT"

    def _head_without_upgrade(self) -> bytes:
        version = self.parser.get_http_version().encode()
        lines = [b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, version)]
        lines += [b"%s: %s" % header for header in self.headers if header[0] != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])
