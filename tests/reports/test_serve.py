"""The report on loopback, served by the command, as browsers ask for it."""

import http.client
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys

import pytest

import report_cases

ROOT = pathlib.Path(__file__).resolve().parents[2]


def _start(*flags):
    return subprocess.Popen(
        [sys.executable, 'launch/report.py', *flags], cwd=ROOT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
        # In the background of a shell Ctrl-C is ignored, and inherited so.
        preexec_fn=lambda: signal.signal(  # noqa: PLW1509
            signal.SIGINT, signal.SIG_DFL))


@pytest.fixture(scope='module')
def served(tmp_path_factory):
    """(port, folder) of a report that is served."""
    folder = tmp_path_factory.mktemp('exp') / 'exp'
    report_cases.make_experiment(folder, ('scratch',), (0,))
    process, port = _serve(folder)
    yield port, folder
    process.kill()
    process.communicate()


def _serve(folder):
    """Returns (process, port) once it answers."""
    process = _start(f'--run_dir={folder}', '--serve')
    assert process.stdout.readline().startswith('report: ')
    line = process.stdout.readline()
    port, = re.findall(r'http://127\.0\.0\.1:(\d+)/ ', line)
    return process, int(port)


def _ask(port, path='/', method='GET', **headers):
    """Returns (status, headers, body)."""
    connection = http.client.HTTPConnection('127.0.0.1', port, timeout=30)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def test_the_page_is_served_as_it_is_now(served):
    port, folder = served
    path = folder / 'report.html'
    for name in ('/', '/report.html'):
        status, headers, body = _ask(port, name)
        assert (status, body) == (200, path.read_bytes())
        assert headers['Content-Type'] == 'text/html; charset=utf-8'
        assert headers['X-Content-Type-Options'] == 'nosniff'
    status, headers, body = _ask(port, method='HEAD')
    assert (status, body) == (200, b'')
    assert int(headers['Content-Length']) == path.stat().st_size
    written = path.read_bytes()
    path.write_bytes(b'written again')
    assert _ask(port)[2] == b'written again'
    path.write_bytes(written)


@pytest.mark.parametrize('path', [
    '/runs.csv', '/experiment.json', '/figures/', '/../exp/runs.csv',
    '/%2e%2e/exp/runs.csv', '/report.html/', '/etc/passwd', '*'])
def test_nothing_else_is_served(served, path):
    status, _, body = _ask(served[0], path)
    assert status == 404 and b'only the report' in body


@pytest.mark.parametrize('host', ['example.org', 'example.org:{port}',
                                  '127.0.0.1', '127.0.0.1.example.org:{port}',
                                  'localhost:1', ''])
def test_names_of_other_sites_are_refused(served, host):
    port = served[0]
    status, _, body = _ask(port, Host=host.format(port=port))
    assert status == 403 and b'<' not in body
    assert _ask(port, Host=f'localhost:{port}')[0] == 200


def test_only_reading_is_answered(served):
    for method in ('POST', 'PUT', 'DELETE', 'OPTIONS'):
        assert _ask(served[0], method=method)[0] == 501


def test_it_listens_on_loopback_alone(served):
    port, _ = served
    # Another address of loopback, which a server on all addresses has too.
    with socket.socket() as other, pytest.raises(ConnectionRefusedError):
        other.connect(('127.0.0.2', port))


def test_a_port_that_is_taken_is_one_line(served):
    port, folder = served
    process = _start(f'--run_dir={folder}', '--serve', f'--port={port}')
    _, err = process.communicate(timeout=120)
    assert process.returncode == 2 and err.count('\n') == 1
    assert err.startswith(f'report.py: --port {port} cannot be had (')


def test_serving_needs_an_experiment():
    process = _start('--serve', '--results_dir=results/camvid_small')
    _, err = process.communicate(timeout=120)
    assert process.returncode == 2
    assert err == 'report.py: --serve needs --run_dir: name an experiment\n'


def test_ctrl_c_ends_it_without_a_word(served):
    process, port = _serve(served[1])
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, '', '')
    with pytest.raises(ConnectionRefusedError):
        _ask(port)
