"""Google Cloud Storage on loopback, for TensorFlow's own gs:// client.

A proxy that answers CONNECT, then speaks TLS for Google's hosts. It knows the
requests of TensorFlow's client (tsl/platform/cloud/gcs_file_system.cc) and
plain downloads, and fails, cuts or holds those that a test names.
"""

import contextlib
import dataclasses
import http.server
import json
import pathlib
import re
import threading
import time
import urllib.parse

import trustme

import gcs_objects

HOSTS = ('www.googleapis.com', 'storage.googleapis.com')
_QUANTUM = 2 ** 18  # An upload that is cut off keeps multiples of 256 KiB.


@dataclasses.dataclass
class Request:
    """One request, as the log keeps it."""
    kind: str    # See _parse.
    bucket: str
    name: str    # Of the object; of a list, the prefix.
    query: dict
    body: bytes = b''

    def __str__(self):
        return f'{self.kind} {self.bucket}/{self.name}'


@dataclasses.dataclass
class _Fault:
    """What happens to the next requests whose text the pattern finds."""
    pattern: str
    times: int
    skip: int
    status: int = 0               # Answered in place of what was asked.
    cut: int | None = None        # Bytes of the body, then the line is cut.
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


class Server:
    """The store, what it was asked, and the faults it is told.

    Attributes:
      store: a gcs_objects.Store.
      log: of all Requests, oldest first.
      environment: what a process needs to reach the server.
      page_size: most entries of one answer to a list.
      latency: seconds before each answer.
    """

    def __init__(self, folder: pathlib.Path):
        authority = trustme.CA()
        self.context = _context(authority)
        certificate = folder / 'authority.pem'
        authority.cert_pem.write_to_path(str(certificate))
        self.store = gcs_objects.Store()
        self.uploads, self.log, self._faults = {}, [], []
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
            'GCS_RETRY_CONFIG_INIT_DELAY_TIME_US': '1000',
            'GCS_RETRY_CONFIG_MAX_DELAY_TIME_US': '20000'}

    def reset(self):
        """Forgets the log, the faults and the settings; keeps the objects."""
        self.page_size, self.latency = 1000, 0
        self.log.clear()
        self._faults.clear()

    def close(self):
        self._http.shutdown()
        self._http.server_close()

    def fail(self, pattern, status, times=1, skip=0):
        """Answers requests such as 'upload bucket/name' with a status."""
        self._faults.append(_Fault(pattern, times, skip, status=status))

    def cut(self, pattern, after=0, times=1, skip=0):
        """Cuts the line after so many bytes of a request's body."""
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
    import ssl
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*HOSTS).configure_cert(context)
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
        request = _parse(self.command, self.path, self.headers)
        fault = gcs.fault(request)
        time.sleep(gcs.latency)
        try:
            self._take_body(request, fault)
            if fault and fault.hold and not fault.hold.answered:
                self._hold(fault.hold)
            gcs.log.append(request)
            status, headers, body = self._answer(gcs, request, fault)
            if fault and fault.hold:
                self._hold(fault.hold)
        except _Cut:
            self.close_connection = True
            return
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_PUT = do_DELETE = do_GET

    def _take_body(self, request, fault):
        """Reads the body; one that is cut stays with its upload."""
        most = fault.cut if fault and fault.cut is not None else None
        body = b''
        for part in self._parts():
            body += part
            if most is not None and len(body) >= most:
                break
        if most is None:
            request.body = body
            return
        kept = self.server.gcs.uploads.get(request.query.get('upload_id'))
        if request.kind == 'upload' and kept is not None:
            kept += body[:most]
            del kept[len(kept) // _QUANTUM * _QUANTUM:]
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

    def _answer(self, gcs, request, fault):
        """Returns status, headers and body."""
        try:
            if fault and fault.status:
                raise gcs_objects.Refused(fault.status, 'We encountered an '
                                          'internal error. Please try again.')
            gcs.store.check(request.kind, request.bucket,
                            'Authorization' in self.headers)
            return getattr(self, f'_{request.kind}')(gcs, request)
        except gcs_objects.Refused as refused:
            return refused.status, {}, refused.body(request.kind == 'read')

    def _bucket(self, gcs, request):
        return _json({'name': request.bucket, 'location': 'US'})

    def _list(self, gcs, request):
        query = request.query
        size = min(int(query.get('maxResults', 1000)), gcs.page_size)
        return _json(gcs.store.list(
            request.bucket, request.name, query.get('delimiter', ''),
            query.get('pageToken', ''), size))

    def _stat(self, gcs, request):
        return _json(gcs.store.get(request.bucket, request.name).metadata())

    def _read(self, gcs, request):
        found = gcs.store.get(request.bucket, request.name)
        size, headers = len(found.content), found.headers()
        asked = re.fullmatch(r'bytes=(\d+)-(\d*)',
                             self.headers.get('Range', ''))
        if not asked:
            return 200, headers, found.content
        start, end = int(asked[1]), min(int(asked[2] or size), size - 1)
        if start >= size:
            raise gcs_objects.Refused(
                416, 'The requested range cannot be satisfied.')
        headers['Content-Range'] = f'bytes {start}-{end}/{size}'
        return 206, headers, found.content[start:end + 1]

    def _start(self, gcs, request):
        """Opens an upload that can be resumed."""
        upload = str(len(gcs.uploads))
        gcs.uploads[upload] = bytearray()
        query = urllib.parse.urlencode({
            'uploadType': 'resumable', 'name': request.name,
            'upload_id': upload})
        return 200, {'Location': f'https://{HOSTS[0]}/upload/storage/v1/b/'
                                 f'{request.bucket}/o?{query}'}, b''

    def _upload(self, gcs, request):
        kept = gcs.uploads[request.query['upload_id']]
        start, total = _content_range(self.headers, len(request.body))
        if start != len(kept):
            raise gcs_objects.Refused(503, f'Have {len(kept)} bytes')
        kept += request.body
        if len(kept) < total:
            return self._status(gcs, request)
        return _json(gcs.store.put(request.bucket, request.name,
                                   bytes(kept)).metadata())

    def _status(self, gcs, request):
        """Says how much of an upload has arrived."""
        kept = gcs.uploads[request.query['upload_id']]
        _, total = _content_range(self.headers, 0)
        if len(kept) == total:
            return _json({})
        return 308, ({'Range': f'bytes=0-{len(kept) - 1}'} if kept else {}), b''

    def _write(self, gcs, request):
        return _json(gcs.store.put(
            request.bucket, request.name, request.body,
            only_new=request.query.get('ifGenerationMatch') == '0').metadata())

    def _rename(self, gcs, request):
        target = request.query['target']
        gcs.store.check('write', target[0], True)
        found = gcs.store.get(request.bucket, request.name)
        copied = gcs.store.put(*target, found.content)
        return _json({'done': True, 'resource': copied.metadata()})

    def _delete(self, gcs, request):
        gcs.store.remove(request.bucket, request.name)
        return 204, {}, b''


def _json(value):
    return 200, {'Content-Type': 'application/json'}, json.dumps(
        value).encode()


def _content_range(headers, length):
    """'bytes 0-9/10' or 'bytes */10' -> where it starts, bytes in all."""
    text = headers.get('Content-Range')
    if text is None:
        return 0, length
    span, total = re.fullmatch(r'bytes (\S+)/(\d+)', text).groups()
    return int(span.split('-')[0]) if span != '*' else 0, int(total)


def _parse(method, target, headers):
    """Returns what a request asks for, of these kinds:

    bucket, list, stat, read: of a bucket, of names, of one object, of its
      content
    start, upload, status: of an upload that can be resumed
    write, rename, delete: of an object
    """
    address = urllib.parse.urlsplit(target)
    query = dict(urllib.parse.parse_qsl(address.query))
    parts = address.path.strip('/').split('/')
    if parts[0] == 'upload':
        kind = {'POST': 'start' if query['uploadType'] == 'resumable'
                else 'write', 'PUT': 'upload'}[method]
        if headers.get('Content-Range', '').startswith('bytes */'):
            kind = 'status'
        return Request(kind, parts[4], query['name'], query)
    if parts[:2] != ['storage', 'v1']:
        bucket, _, name = address.path[1:].partition('/')
        return Request('read', bucket, urllib.parse.unquote(name), query)
    names = [urllib.parse.unquote(part) for part in parts[3:]]
    if 'rewriteTo' in names:
        query['target'] = (names[5], names[7])
        return Request('rename', names[0], names[2], query)
    if len(names) == 3:
        kind = {'GET': 'stat', 'DELETE': 'delete'}[method]
        return Request(kind, names[0], names[2], query)
    if len(names) == 2:
        return Request('list', names[0], query.get('prefix', ''), query)
    return Request('bucket', names[0], '', query)
