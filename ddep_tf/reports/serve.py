"""Serves a report's page to browsers of this machine, and nothing else."""

from collections.abc import Callable
import contextlib
import http.server
import os
import pathlib

from ddep_tf import errors, files

HOST = '127.0.0.1'
_PATHS = ('/', '/report.html')


def serve(path: str | os.PathLike, port: int = 0,
          ready: Callable[[str], None] = print) -> None:
    """Serves one page until it is interrupted.

    Args:
      path: the page, read anew each time it is asked for.
      port: on this machine's loopback address; 0 takes a free one.
      ready: called with the page's address once it answers.

    Raises:
      UserError: the port cannot be had.
    """
    try:
        server = _Server((HOST, port), _Handler)
    except OSError as error:
        raise errors.UserError(f'--port {port} cannot be had '
                               f'({error.strerror}): name another one, or 0 '
                               'for any that is free') from None
    server.page = files.path(path)
    with server, contextlib.suppress(KeyboardInterrupt):
        ready(f'http://{HOST}:{server.server_port}/')
        server.serve_forever()


class _Server(http.server.ThreadingHTTPServer):
    page: pathlib.Path


class _Handler(http.server.BaseHTTPRequestHandler):
    """Answers GET and HEAD of the page."""
    server: _Server
    timeout = 30  # Seconds for a request to arrive.

    def do_GET(self) -> None:
        body = self._head()
        self.wfile.write(body)

    def do_HEAD(self) -> None:
        self._head()

    def _head(self) -> bytes:
        """Sends status and headers; returns the body."""
        status, body = self._answer()
        self.send_response(status)
        kind = 'html' if status == 200 else 'plain'
        for name, value in (
                ('Content-Type', f'text/{kind}; charset=utf-8'),
                ('Content-Length', str(len(body))),
                ('Cache-Control', 'no-store'),
                ('X-Content-Type-Options', 'nosniff'),
                ('X-Frame-Options', 'DENY'),
                ('Cross-Origin-Resource-Policy', 'same-origin')):
            self.send_header(name, value)
        self.end_headers()
        return body

    def _answer(self) -> tuple[int, bytes]:
        """Returns (status, body)."""
        port = self.server.server_port
        # A page of another site may have its own name lead to this machine.
        if self.headers.get('Host') not in (f'{HOST}:{port}',
                                            f'localhost:{port}'):
            return 403, b'not for this host\n'
        if self.path not in _PATHS:
            return 404, b'there is only the report, at /\n'
        try:
            return 200, self.server.page.read_bytes()
        except OSError as error:
            return 500, f'{error.strerror}\n'.encode()

    def log_message(self, *args) -> None:
        """Says nothing: the terminal has the address alone."""
