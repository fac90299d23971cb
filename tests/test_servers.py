"""Whether a server answers, by a socket that does and one that does not."""

import socket

import pytest

from ddep_tf import servers

pytestmark = pytest.mark.quick


@pytest.fixture(params=['127.0.0.1', '::1'])
def listening(request):
    family = socket.AF_INET6 if ':' in request.param else socket.AF_INET
    try:
        server = socket.create_server((request.param, 0), family=family)
    except OSError as error:
        pytest.skip(f'no address {request.param} here: {error}')
    with server:
        host = f'[{request.param}]' if ':' in request.param else request.param
        yield server, f'{host}:{server.getsockname()[1]}'


def test_one_that_answers(listening, capsys):
    _, address = listening
    assert servers.refusal(address) is None
    assert servers.wait(address, 0.0) is None
    assert not capsys.readouterr().out


def test_one_that_is_gone(listening, capsys):
    server, address = listening
    server.close()
    assert isinstance(servers.refusal(address), ConnectionRefusedError)
    assert isinstance(servers.wait(address, 0.0), ConnectionRefusedError)
    assert isinstance(servers.wait(address, 1.5), ConnectionRefusedError)
    assert capsys.readouterr().out.count(f'waiting for {address} ') == 1


def test_no_address():
    assert isinstance(servers.refusal('nonsense'), ValueError)
    assert isinstance(servers.wait('nonsense', 600.0), ValueError)
