"""A table of clients, and the clients that it is of."""

from builders.objects import INSTALLATION
from mintls.api.v1alpha1 import OAuthClient
from mintls.reconcile.clienttable import ClientTable, ObjectKey, Standing


class Clients:
    """What a store of OAuthClients and the table that follows it are together.

    Attributes:
        known: The clients.
        table: Their table.
    """

    def __init__(self) -> None:
        self.known: dict[ObjectKey, OAuthClient] = {}
        self.table = ClientTable(INSTALLATION, self.known.get)

    def changed(self, key: ObjectKey, new: OAuthClient | None) -> frozenset[ObjectKey]:
        """A client is other than before, or gone; gives the others whose standing may have changed."""
        old = self.known.pop(key, None)
        if new is not None:
            self.known[key] = new
        return self.table.changed(key, old, new)

    def standing(self, key: ObjectKey) -> Standing:
        """What is known of a client."""
        return self.table.standing(key)
