"""Brings published weights to a local disk, and checks them. No TensorFlow.

A download that was cut off is continued where it ended. Size and MD5 are those
that the server states with the file.
"""

import base64
from collections.abc import Iterator
import contextlib
import dataclasses
import hashlib
import http.client
import os
import pathlib
import ssl
import urllib.error
import urllib.request
import zipfile

import tqdm

from ddep_tf import errors, files

_ATTEMPTS = 5  # At a connection that breaks again and again.
_SECONDS = 60  # Without a byte, after which a connection counts as broken.
_BLOCK = 2 ** 20  # Bytes.


@dataclasses.dataclass(frozen=True)
class PublishedFile:
    """A published .npz file.

    Attributes:
      url: where it is published.
      path: where it belongs, below --data_dir.
      license: a note on it; what its publisher says counts.
      keys: some arrays that it holds.
    """
    url: str
    path: str
    license: str
    keys: tuple[str, ...]


FILES = {'r50_vit_b16': PublishedFile(
    url='https://storage.googleapis.com/vit_models/imagenet21k/'
        'R50+ViT-B_16.npz',
    path='weights/R50+ViT-B_16.npz',
    license='Apache 2.0',
    keys=('conv_root/kernel', 'embedding/kernel', 'head/kernel',
          'Transformer/posembed_input/pos_embedding'))}


def fetch(file: PublishedFile, data_dir: str | os.PathLike) -> pathlib.Path:
    """Downloads a file unless it is there, and checks it.

    Args:
      file: PublishedFile.
      data_dir: root folder of the data, on a local disk.

    Returns:
      Its path.

    Raises:
      UserError: it cannot be reached, or what arrived is not the file.
    """
    files.require_local(data_dir, '--data_dir', 'name a local folder, or give '
                        'the address of the weights where they are used, such '
                        'as --init_encoder=gs://vit_models/...')
    target = files.path(data_dir, file.path)
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        _download(file.url, target)
    check(file, data_dir)
    return target


def check(file: PublishedFile, data_dir: str | os.PathLike) -> None:
    """UserError unless the file is there, whole, and holds the arrays."""
    target = files.path(data_dir, file.path)
    if not target.is_file():
        raise errors.UserError(f'there is no {target}: download {file.url}')
    _check_content(file, target, target)


def _check_content(file, path, target):
    try:
        with path.open('rb') as stream, zipfile.ZipFile(stream) as archive:
            damaged = archive.testzip()
            names = set(archive.namelist())
    except Exception as error:  # As of `npz.read_npz`.
        damaged, names = str(error), set()
    missing = [key for key in file.keys if f'{key}.npy' not in names]
    if damaged or missing:
        raise errors.UserError(
            f'{target} is not the published file '
            f'({damaged or "it lacks " + ", ".join(missing)}): remove it, and '
            'start again')


def _download(url, target):
    """Downloads `url` to `target`, by a file beside it that may be there."""
    part = target.with_name(target.name + files.PART)
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            with _opened(url, 'HEAD') as head:
                size, md5 = _stated(head)
            if part.exists() and part.stat().st_size > size:
                part.unlink()
            _append(url, part, size)
            break
        except (urllib.error.URLError, http.client.HTTPException,
                ssl.SSLError, ConnectionError, TimeoutError) as error:
            refused = isinstance(error, urllib.error.HTTPError) and (
                error.code < 500)
            if refused or attempt == _ATTEMPTS or not part.exists():
                reason = getattr(error, 'reason', '') or error
                raise errors.UserError(
                    f'{url} cannot be had ({reason}): start again to go on, '
                    f'or download it elsewhere and copy it to {target}'
                ) from error
    if part.stat().st_size != size or md5 not in ('', _md5(part)):
        part.unlink()
        raise errors.UserError(f'what {url} sent is not what it states (size '
                               'or MD5), and was removed: start again')
    part.replace(target)


@contextlib.contextmanager
def _opened(url, method, **headers) -> Iterator[http.client.HTTPResponse]:
    request = urllib.request.Request(url, method=method, headers=headers)
    with urllib.request.urlopen(request, timeout=_SECONDS) as response:
        yield response


def _stated(head):
    """Returns (size, MD5 in base64 or '') from the headers of a file."""
    hashes = dict(text.strip().split('=', 1)
                  for line in head.headers.get_all('x-goog-hash', ())
                  for text in line.split(','))
    return int(head.headers['Content-Length']), hashes.get('md5', '')


def _append(url, part, size):
    """Downloads what `part` lacks."""
    have = part.stat().st_size if part.exists() else 0
    if have == size:
        return
    with _opened(url, 'GET', Range=f'bytes={have}-') as response:
        whole = response.status != http.HTTPStatus.PARTIAL_CONTENT
        with part.open('wb' if whole else 'ab') as file, tqdm.tqdm(
                total=size, initial=0 if whole else have, unit='B',
                unit_scale=True, desc=part.name) as bar:
            while block := response.read(_BLOCK):
                file.write(block)
                bar.update(len(block))
    if part.stat().st_size < size:
        raise ConnectionError('the connection ended early')


def _md5(path):
    digest = hashlib.md5(usedforsecurity=False)
    with path.open('rb') as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return base64.b64encode(digest.digest()).decode()
