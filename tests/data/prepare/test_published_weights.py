"""Downloads over HTTP from a server on loopback that cuts connections."""

import base64
import contextlib
import dataclasses
import hashlib
import http.server
import io
import threading

import numpy as np
import pytest

from ddep_tf import errors
from ddep_tf.data.prepare import published_weights

pytestmark = pytest.mark.quick
FILE = published_weights.FILES['r50_vit_b16']


def _npz(keys):
    data = io.BytesIO()
    np.savez(data, **{key: np.arange(100_000.0) for key in keys})
    return data.getvalue()


class _Handler(http.server.BaseHTTPRequestHandler):
    """Serves `content` with ranges; breaks off after `cuts` bytes of it."""
    content, cuts, md5, asked = b'', [], '', []

    def do_HEAD(self):
        if self.path != '/R50+ViT-B_16.npz':
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header('Content-Length', str(len(self.content)))
        self.send_header('x-goog-hash', 'crc32c=AAAAAA==')
        self.send_header('x-goog-hash', f'md5={self.md5}')
        self.end_headers()

    def do_GET(self):
        start = int(self.headers['Range'].removeprefix('bytes=').strip('-'))
        self.asked.append(start)
        rest = self.content[start:]
        self.send_response(206)
        self.send_header('Content-Length', str(len(rest)))
        self.end_headers()
        self.wfile.write(rest[:self.cuts.pop(0)] if self.cuts else rest)

    def log_message(self, *args):
        pass


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv('no_proxy', '*')


@pytest.fixture
def handler():
    """Serves a whole file; yields the handler, whose `file` is it."""
    class Handler(_Handler):
        content = _npz(FILE.keys)
        md5 = base64.b64encode(hashlib.md5(content).digest()).decode()
        cuts, asked = [], []
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        Handler.file = dataclasses.replace(
            FILE, url=f'http://127.0.0.1:{server.server_port}'
            '/R50+ViT-B_16.npz')
        yield Handler
        server.shutdown()
        thread.join()


def test_a_file_arrives_once(handler, tmp_path):
    for _ in range(2):
        path = published_weights.fetch(handler.file, tmp_path)
        assert path == tmp_path / 'weights' / 'R50+ViT-B_16.npz'
        assert path.read_bytes() == handler.content
    assert handler.asked == [0] and len(list(path.parent.iterdir())) == 1


def test_a_cut_download_goes_on(handler, tmp_path):
    handler.cuts = [1_000_000, 500_000]
    path = published_weights.fetch(handler.file, tmp_path)
    assert path.read_bytes() == handler.content
    assert handler.asked == [0, 1_000_000, 1_500_000]


def test_the_next_start_goes_on_where_the_last_gave_up(handler, tmp_path):
    handler.cuts = [10_000] * 5
    with pytest.raises(errors.UserError, match='start again to go on'):
        published_weights.fetch(handler.file, tmp_path)
    assert not (tmp_path / FILE.path).exists()
    path = published_weights.fetch(handler.file, tmp_path)
    assert handler.asked[-1] == 50_000
    assert path.read_bytes() == handler.content


@pytest.mark.parametrize('spoil', ['md5', 'longer', 'keys'])
def test_another_content_is_refused(handler, tmp_path, spoil):
    part = tmp_path / (FILE.path + '.part')
    part.parent.mkdir()
    if spoil == 'md5':  # What lies there is of another version.
        part.write_bytes(b'x' * 1000)
    elif spoil == 'longer':
        part.write_bytes(b'x' * (len(handler.content) + 1))
    else:
        handler.content, handler.md5 = _npz(['other']), ''
        handler.md5 = base64.b64encode(
            hashlib.md5(handler.content).digest()).decode()
    with (contextlib.nullcontext() if spoil == 'longer' else pytest.raises(
            errors.UserError, match='MD5|lacks conv_root/kernel')):
        published_weights.fetch(handler.file, tmp_path)
    assert not part.exists()


def test_a_damaged_file_is_found_by_the_check(handler, tmp_path):
    path = published_weights.fetch(handler.file, tmp_path)
    published_weights.check(handler.file, tmp_path)
    data = bytearray(path.read_bytes())
    data[100_000] ^= 1
    path.write_bytes(data)
    for damaged in (data, data[:-100], b''):
        path.write_bytes(damaged)
        with pytest.raises(errors.UserError, match='is not the published'):
            published_weights.check(handler.file, tmp_path)
    path.unlink()
    with pytest.raises(errors.UserError, match='there is no'):
        published_weights.check(handler.file, tmp_path)


@pytest.mark.parametrize('url', [
    'http://127.0.0.1:9/R50+ViT-B_16.npz',  # The discard port: nobody answers.
    'http://nowhere.invalid/R50+ViT-B_16.npz'])
def test_offline_one_line_tells_what_to_fetch_by_hand(tmp_path, url):
    file = dataclasses.replace(FILE, url=url)
    with pytest.raises(errors.UserError) as caught:
        published_weights.fetch(file, tmp_path)
    line = str(caught.value)
    assert url in line and str(tmp_path / FILE.path) in line
    assert '\n' not in line


def test_a_file_that_is_gone_is_not_asked_for_again(handler, tmp_path):
    file = dataclasses.replace(
        handler.file, url=handler.file.url.replace('R50', 'R51'))
    with pytest.raises(errors.UserError, match='Not Found'):
        published_weights.fetch(file, tmp_path)


def test_a_bucket_is_told_to_be_read_directly():
    with pytest.raises(errors.UserError, match='--init_encoder=gs://'):
        published_weights.fetch(FILE, 'gs://b/data')
