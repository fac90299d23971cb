"""The requests that Google Cloud Storage knows, and its answers to them."""

import dataclasses
import json
import re
import urllib.parse

import gcs_objects

API_HOST, DOWNLOAD_HOST = 'www.googleapis.com', 'storage.googleapis.com'
_QUANTUM = 2 ** 18  # An upload that is cut off keeps multiples of 256 KiB.


@dataclasses.dataclass
class Request:
    """One request, as the log keeps it."""
    kind: str    # See parse.
    bucket: str
    name: str    # Of the object; of a list, the prefix.
    query: dict
    body: bytes = b''

    def __str__(self):
        return f'{self.kind} {self.bucket}/{self.name}'


def parse(method, target, headers):
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


class Answers:
    """Answers requests from a store, and keeps uploads that are under way.

    Attributes:
      store: a gcs_objects.Store.
      page_size: most entries of one answer to a list.
    """

    def __init__(self, store):
        self.store, self.page_size, self._uploads = store, 1000, {}

    def answer(self, request, headers, status=0):
        """Returns (status, headers, body); a `status` is that of a fault."""
        try:
            if status:
                raise gcs_objects.Refused(status, 'We encountered an internal '
                                          'error. Please try again.')
            self.store.check(request.kind, request.bucket,
                             'Authorization' in headers)
            return getattr(self, f'_{request.kind}')(request, headers)
        except gcs_objects.Refused as refused:
            return refused.status, {}, refused.body(request.kind == 'read')

    def keep(self, request, part):
        """Keeps what arrived of an upload before its line was cut."""
        kept = self._uploads[request.query['upload_id']]
        kept += part
        del kept[len(kept) // _QUANTUM * _QUANTUM:]

    def _bucket(self, request, headers):
        return _json({'name': request.bucket, 'location': 'US'})

    def _list(self, request, headers):
        query = request.query
        size = min(int(query.get('maxResults', 1000)), self.page_size)
        return _json(self.store.list(
            request.bucket, request.name, query.get('delimiter', ''),
            query.get('pageToken', ''), size))

    def _stat(self, request, headers):
        return _json(self.store.get(request.bucket, request.name).metadata())

    def _read(self, request, headers):
        found = self.store.get(request.bucket, request.name)
        size, facts = len(found.content), found.headers()
        asked = re.fullmatch(r'bytes=(\d+)-(\d*)', headers.get('Range', ''))
        if not asked:
            return 200, facts, found.content
        start, end = int(asked[1]), min(int(asked[2] or size), size - 1)
        if start >= size:
            raise gcs_objects.Refused(
                416, 'The requested range cannot be satisfied.')
        facts['Content-Range'] = f'bytes {start}-{end}/{size}'
        return 206, facts, found.content[start:end + 1]

    def _start(self, request, headers):
        """Opens an upload that can be resumed."""
        upload = str(len(self._uploads))
        self._uploads[upload] = bytearray()
        query = urllib.parse.urlencode({
            'uploadType': 'resumable', 'name': request.name,
            'upload_id': upload})
        return 200, {'Location': f'https://{API_HOST}/upload/storage/v1/b/'
                                 f'{request.bucket}/o?{query}'}, b''

    def _upload(self, request, headers):
        kept = self._uploads[request.query['upload_id']]
        start, total = _content_range(headers, len(request.body))
        if start != len(kept):
            raise gcs_objects.Refused(503, f'Have {len(kept)} bytes')
        kept += request.body
        if len(kept) < total:
            return self._status(request, headers)
        return _json(self.store.put(request.bucket, request.name,
                                   bytes(kept)).metadata())

    def _status(self, request, headers):
        """Says how much of an upload has arrived."""
        kept = self._uploads[request.query['upload_id']]
        _, total = _content_range(headers, 0)
        if len(kept) == total:
            return _json({})
        return 308, ({'Range': f'bytes=0-{len(kept) - 1}'} if kept else {}), b''

    def _write(self, request, headers):
        return _json(self.store.put(
            request.bucket, request.name, request.body,
            only_new=request.query.get('ifGenerationMatch') == '0').metadata())

    def _rename(self, request, headers):
        target = request.query['target']
        self.store.check('write', target[0], True)
        found = self.store.get(request.bucket, request.name)
        copied = self.store.put(*target, found.content)
        return _json({'done': True, 'resource': copied.metadata()})

    def _delete(self, request, headers):
        self.store.remove(request.bucket, request.name)
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
