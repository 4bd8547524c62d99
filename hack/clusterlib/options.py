"""What can be asked of a cluster beyond its name."""

import dataclasses
from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """Settings of a cluster; all but ``node`` are the embedded provider's alone."""

    node: bool = False
    """Have a node that runs pods; kind has one always, and what an existing cluster has is not ours to say."""
    audit_log: bool = False
    """Write an audit log (metadata of every request)."""
    apiserver_args: tuple[str, ...] = ()
    """Further flags of kube-apiserver; a repeated one overrides ours."""

    def only_embedded(self) -> "Options":
        """The part of it that no other provider has."""
        return dataclasses.replace(self, node=False)

    def __bool__(self) -> bool:
        """Whether anything is asked for."""
        return self != Options()

    def describe(self) -> str:
        """The options as they are typed; ``no options`` for none."""
        typed = ["--node"] if self.node else []
        typed += ["--audit-log"] if self.audit_log else []
        typed += [f"--apiserver-arg={argument}" for argument in self.apiserver_args]
        return " ".join(typed) or "no options"
