"""What can be asked of a cluster beyond its name."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """Settings that only the embedded provider has."""

    audit_log: bool = False
    """Write an audit log (metadata of every request)."""
    apiserver_args: tuple[str, ...] = ()
    """Further flags of kube-apiserver; a repeated one overrides ours."""

    def __bool__(self) -> bool:
        """Whether anything is asked for."""
        return self != Options()

    def describe(self) -> str:
        """The options as they are typed; ``no options`` for none."""
        typed = ["--audit-log"] if self.audit_log else []
        typed += [f"--apiserver-arg={argument}" for argument in self.apiserver_args]
        return " ".join(typed) or "no options"
