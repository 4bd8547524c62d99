"""Free ports on the loopback interface.

A port that is free now may be taken a moment later: whoever starts a server on one has to look at how the server
failed and come back for another (``components.ADDRESS_IN_USE``).
"""

import socket
import time

LOOPBACK = "127.0.0.1"


def free_port() -> int:
    """A TCP port that nothing on the loopback interface listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def is_free(port: int) -> bool:
    """Whether a server could listen on *port* now.

    With SO_REUSEADDR, as Go's listeners have it: connections in TIME_WAIT are then no obstacle.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
            probe.listen(1)
        except OSError:
            return False
        return True


def wait_until_free(ports: list[int], seconds: float) -> list[int]:
    """Wait for at most *seconds* until all *ports* are free; returns those that are still held."""
    deadline = time.monotonic() + seconds
    held = [port for port in ports if not is_free(port)]
    while held and time.monotonic() < deadline:
        time.sleep(0.02)
        held = [port for port in held if not is_free(port)]
    return held
