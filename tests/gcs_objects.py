"""The objects of a Google Cloud Storage of tests, and what it refuses."""

import base64
import dataclasses
import datetime
import hashlib
import json
import pathlib
import threading

_WRITES = ('start', 'upload', 'write', 'rename', 'delete')
_PERMISSIONS = {'bucket': 'storage.buckets.get', 'list': 'storage.objects.list',
                'stat': 'storage.objects.get', 'read': 'storage.objects.get',
                'delete': 'storage.objects.delete'}
_CODES = {401: 'AuthenticationRequired', 403: 'AccessDenied',
          404: 'NoSuchKey', 416: 'InvalidRange'}


class Refused(Exception):
    """An answer that is no success, in Google's words."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status, self.message = status, message

    def body(self, is_xml):
        """As JSON; of a read, which asks the older interface, as XML."""
        if is_xml:
            code = _CODES.get(self.status, 'InternalError')
            return (f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>"
                    f'{code}</Code><Message>{self.message}</Message></Error>'
                    ).encode()
        return json.dumps({'error': {
            'code': self.status, 'message': self.message, 'errors': [{
                'message': self.message, 'domain': 'global',
                'reason': _CODES.get(self.status, 'backendError')}]}},
            indent=2).encode()


@dataclasses.dataclass
class Object:
    """One object: content and the number of the write it came by."""
    content: bytes
    generation: int
    updated: str

    def metadata(self):
        return {'size': str(len(self.content)), 'updated': self.updated,
                'generation': str(self.generation)}

    def headers(self):
        digest = base64.b64encode(hashlib.md5(self.content).digest())
        return {'x-goog-hash': f'md5={digest.decode()}',
                'x-goog-generation': str(self.generation),
                'ETag': f'"{hashlib.md5(self.content).hexdigest()}"',
                'Accept-Ranges': 'bytes'}


class Store:
    """Buckets of objects in memory; safe from several threads.

    Attributes:
      objects: {bucket: {name: Object}}.
      read_only, denied, public: names of buckets that refuse to be written,
        that refuse everything, that are read without credentials.
    """

    def __init__(self):
        self.objects = {}
        self.read_only, self.denied, self.public = set(), set(), set()
        self._lock = threading.RLock()
        self._generation = 1_700_000_000_000_000

    def check(self, kind, bucket, has_credentials):
        """Raises Refused if the bucket does not take a kind of request."""
        if bucket not in self.objects:
            raise Refused(404, 'The specified bucket does not exist.')
        writes = kind in _WRITES
        permission = _PERMISSIONS.get(kind, 'storage.objects.create')
        said = (f'does not have {permission} access to the Google Cloud '
                f"Storage object. Permission '{permission}' denied on "
                'resource (or it may not exist).')
        if not has_credentials and (writes or bucket not in self.public):
            raise Refused(401, f'Anonymous caller {said}')
        if bucket in self.denied or writes and bucket in self.read_only:
            raise Refused(403, f'tester@example.com {said}')

    def get(self, bucket, name):
        with self._lock:
            if name not in self.objects[bucket]:
                raise Refused(404, f'No such object: {bucket}/{name}')
            return self.objects[bucket][name]

    def put(self, bucket, name, content, only_new=False):
        with self._lock:
            if only_new and name in self.objects[bucket]:
                raise Refused(412, 'At least one of the pre-conditions you '
                              'specified did not hold.')
            self._generation += 1
            now = datetime.datetime.now(datetime.UTC)
            self.objects[bucket][name] = Object(
                content, self._generation, now.strftime('%FT%T.%fZ'))
            return self.objects[bucket][name]

    def remove(self, bucket, name):
        with self._lock:
            self.get(bucket, name)
            del self.objects[bucket][name]

    def list(self, bucket, prefix, delimiter, after, size):
        """Returns one page of names and folders below a prefix, sorted."""
        with self._lock:
            names = [name for name in self.objects[bucket]
                     if name.startswith(prefix)]
        entries = set()
        for name in names:
            folder, found, _ = name[len(prefix):].partition(delimiter or '\0')
            entries.add((prefix + folder + delimiter, 'prefixes')
                        if found else (name, 'items'))
        left = sorted(entry for entry in entries if entry[0] > after)
        page = {}
        for name, kind in left[:size]:
            page.setdefault(kind, []).append(
                {'name': name} if kind == 'items' else name)
        if len(left) > size:
            page['nextPageToken'] = left[size - 1][0]
        return page


class Bucket:
    """One bucket, as a test sees it.

    Attributes:
      url: 'gs://NAME'.
      server: the gcs_server.Server that holds it.
      environment: what a process needs to reach it.
    """

    def __init__(self, server, name):
        server.store.objects[name] = {}
        self.server, self.name, self.url = server, name, f'gs://{name}'
        self.environment = server.environment

    def names(self, prefix=''):
        """Returns the names of objects, markers of folders left out."""
        return sorted(name for name in self.server.store.objects[self.name]
                      if name.startswith(prefix) and not name.endswith('/'))

    def read(self, name):
        """Returns the content of an object."""
        return self.server.store.objects[self.name][name].content

    def write(self, name, content):
        self.server.store.put(self.name, name, content)

    def upload(self, folder, prefix):
        """Writes the files of a local folder below a prefix."""
        for path in sorted(pathlib.Path(folder).rglob('*')):
            if path.is_file():
                self.write(f'{prefix}/{path.relative_to(folder).as_posix()}',
                           path.read_bytes())

    def download(self, prefix, folder):
        """Writes the objects below a prefix into a local folder."""
        for name in self.names(f'{prefix}/'):
            path = pathlib.Path(folder, name[len(prefix) + 1:])
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.read(name))
