import socket

from clusterlib.ports import LOOPBACK, free_port, is_free, wait_until_free


def test_a_free_port_can_be_listened_on() -> None:
    assert is_free(free_port())


def test_a_port_that_is_listened_on_is_not_free() -> None:
    with socket.create_server((LOOPBACK, 0)) as server:
        assert not is_free(server.getsockname()[1])


def test_ports_still_held_after_the_wait_are_named() -> None:
    with socket.create_server((LOOPBACK, 0)) as server:
        held = server.getsockname()[1]
        assert wait_until_free([held, free_port()], seconds=0.05) == [held]


def test_a_port_is_free_again_when_its_server_is_gone() -> None:
    with socket.create_server((LOOPBACK, 0)) as server:
        port = server.getsockname()[1]
    assert wait_until_free([port], seconds=1) == []
