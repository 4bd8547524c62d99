"""What kopf brings along, and what it keeps."""

import subprocess
import sys

from mintls.controllers.kopfstorage import NoMemories

_UNWANTED = ("kubernetes", "kubernetes_asyncio", "pykube")


def test_an_operator_imports_no_client_library_that_kopf_would_like() -> None:
    """In a process of its own: another test may have imported one."""
    program = f"import mintls.cli.operator, sys; print([name for name in {_UNWANTED} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]", "20 MiB and a third of its imports"


def test_a_client_library_can_be_imported_afterwards() -> None:
    program = "import mintls.cli.operator, kubernetes.client; print(kubernetes.client.V1Secret.__name__)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "V1Secret"


async def test_kopf_remembers_nothing_of_an_object() -> None:
    memories = NoMemories()
    body = {"metadata": {"uid": "u", "name": "billing", "namespace": "shop"}}
    first = await memories.recall(body, noticed_by_listing=True)
    assert first.noticed_by_listing
    assert list(memories.iter_all_memories()) == []
    assert await memories.recall(body) is not first
