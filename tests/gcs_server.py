"""Google Cloud Storage on loopback, for TensorFlow's own gs:// client.

A proxy that answers CONNECT, then speaks TLS for Google's hosts. It knows the
requests of TensorFlow's client (tsl/platform/cloud/gcs_file_system.cc) and
plain downloads, and fails, cuts or holds those that a test names.
"""

import contextlib
import dataclasses
import http.server
import pathlib
import re
import ssl
import threading
import time

import trustme

import gcs_answers
import gcs_objects


@dataclasses.dataclass
class _Fault:
    """What happens to the next requests whose text the pattern finds."""
    pattern: str
    times: int
    skip: int
    status: int = 0               # Answered in place of what was asked.
    cut: int | None = None        # Bytes, then the line is cut.
    hold: 'Held | None' = None


class Held:
    """A request that waits, so that its sender can be killed meanwhile."""

    def __init__(self, answered):
        self.answered = answered  # Done before it waits, or never.
        self.reached, self.ended = threading.Event(), threading.Event()

    def wait(self, process, seconds=200):
        """Waits until a process has sent it."""
        end = time.time() + seconds
        while time.time() < end and process.poll() is None:
            if self.reached.wait(0.05):
                return
        process.kill()
        raise AssertionError(process.communicate())


# TensorFlow waits for minutes else; it reads them when it is imported.
RETRIES = {'GCS_RETRY_CONFIG_INIT_DELAY_TIME_US': '1000',
           'GCS_RETRY_CONFIG_MAX_DELAY_TIME_US': '20000'}


class Server:
    """The store, what it was asked, and the faults it is told.

    Attributes:
      store: a gcs_objects.Store.
      answers: gcs_answers.Answers from it; has page_size.
      log: of all Requests, oldest first.
      environment: what a process needs to reach the server.
      latency: seconds before each answer.
    """

    def __init__(self, folder: pathlib.Path):
        authority = trustme.CA()
        self.context = _context(authority)
        certificate = folder / 'authority.pem'
        authority.cert_pem.write_to_path(str(certificate))
        self.store = gcs_objects.Store()
        self.answers = gcs_answers.Answers(self.store)
        self.log, self._faults = [], []
        self._lock = threading.Lock()
        self.reset()
        self._http = _HTTPServer(('127.0.0.1', 0), _Handler)
        self._http.gcs = self
        threading.Thread(target=self._http.serve_forever, args=[0.05],
                         daemon=True).start()
        self.environment = {
            'https_proxy': f'http://127.0.0.1:{self._http.server_port}',
            'no_proxy': '', 'CURL_CA_BUNDLE': str(certificate),
            'SSL_CERT_FILE': str(certificate),  # Python's own downloads.
            'GOOGLE_AUTH_TOKEN_FOR_TESTING': 'token', 'NO_GCE_CHECK': 'true',
            **RETRIES}

    def reset(self):
        """Forgets the log, the faults and the settings; keeps the objects."""
        self.answers.page_size, self.latency = 1000, 0
        self.log.clear()
        self._faults.clear()

    def close(self):
        self._http.shutdown()
        self._http.server_close()

    def fail(self, pattern, status, times=1, skip=0):
        """Answers requests such as 'upload bucket/name' with a status."""
        self._faults.append(_Fault(pattern, times, skip, status=status))

    def cut(self, pattern, after=0, times=1, skip=0):
        """Cuts the line after so many bytes of what is sent or, of a read,
        received."""
        self._faults.append(_Fault(pattern, times, skip, cut=after))

    @contextlib.contextmanager
    def hold(self, pattern, answered=False, skip=0):
        """Holds a request until the block ends, then cuts the line.

        Args:
          pattern: found in 'KIND BUCKET/NAME'.
          answered: whether what was asked is done before.
          skip: requests that pass first.

        Yields:
          a Held.
        """
        held = Held(answered)
        self._faults.append(_Fault(pattern, 1, skip, hold=held))
        try:
            yield held
        finally:
            held.ended.set()

    def count(self, pattern):
        """Returns how many requests of the log a pattern finds."""
        return sum(bool(re.search(pattern, str(one))) for one in self.log)

    def fault(self, request):
        """Returns the fault of a request, counted down, or None."""
        with self._lock:
            for fault in self._faults:
                if fault.times and re.search(fault.pattern, str(request)):
                    if fault.skip:
                        fault.skip -= 1
                        return None
                    fault.times -= 1
                    return fault
        return None


def _context(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(gcs_answers.API_HOST, gcs_answers.DOWNLOAD_HOST
                         ).configure_cert(context)
    return context


class _HTTPServer(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        """Clients that were killed break their lines: nothing to print."""


class _Cut(Exception):
    """The line is cut."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    disable_nagle_algorithm = True

    def log_message(self, *args):
        pass

    def do_CONNECT(self):
        self.send_response(200)
        self.end_headers()
        self.request = self.server.gcs.context.wrap_socket(
            self.request, server_side=True)
        self.setup()
        self.close_connection = False

    def finish(self):
        super().finish()
        self.request.close()

    def do_GET(self):
        gcs = self.server.gcs
        request = gcs_answers.parse(self.command, self.path, self.headers)
        fault = gcs.fault(request) or _Fault('', 0, 0)
        time.sleep(gcs.latency)
        try:
            self._take_body(request, fault.cut)
            if fault.hold and not fault.hold.answered:
                self._hold(fault.hold)
            gcs.log.append(request)
            answer = gcs.answers.answer(request, self.headers, fault.status)
            if fault.hold:
                self._hold(fault.hold)
            self._send(*answer, fault.cut)
        except _Cut:
            self.close_connection = True

    do_POST = do_PUT = do_DELETE = do_GET

    def _take_body(self, request, cut):
        """Reads the body; what arrives of one that is cut is kept."""
        body = bytearray()
        for part in self._parts():
            body += part
            if cut is not None and len(body) > cut:
                break
        request.body = bytes(body)
        if cut is not None and request.kind != 'read':
            if request.kind == 'upload':
                self.server.gcs.answers.keep(request, body[:cut])
            raise _Cut

    def _send(self, status, headers, body, cut):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body[:cut])
        if cut is not None:
            raise _Cut

    def _parts(self):
        """Yields the body; the client sends uploads in chunks."""
        if self.headers.get('Transfer-Encoding') != 'chunked':
            yield self.rfile.read(int(self.headers.get('Content-Length') or 0))
            return
        while length := int(self.rfile.readline(), 16):
            yield self.rfile.read(length)
            self.rfile.readline()
        self.rfile.readline()

    def _hold(self, held):
        held.reached.set()
        held.ended.wait(300)
        raise _Cut
