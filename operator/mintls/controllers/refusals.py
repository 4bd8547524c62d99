"""What a refused request means for an object: a reason that programs can tell apart, and what a person can do."""

from mintls.kube.errors import ApiError, Forbidden, Invalid
from mintls.reconcile.credential import Violation
from mintls.reconcile.reasons import Reason


def violation_of(error: ApiError, what: str) -> Violation:
    """The violation that a failed request is.

    Args:
        error: What the API server said, or that it said nothing.
        what: What did not come about, such as "the Secret was not written".
    """
    if isinstance(error, Invalid) and error.immutable:
        target = error.target
        return Violation(
            Reason.SECRET_IMMUTABLE,
            f'{what}: Secret "{target.name}" in namespace "{target.namespace}" is immutable; delete it, and it is made '
            "anew at once, with the same client id",
        )
    return Violation(_reason(error), f"{what}: {error}")


def _reason(error: ApiError) -> Reason:
    if isinstance(error, Forbidden) and error.quota:
        return Reason.QUOTA_EXCEEDED
    if isinstance(error, Forbidden) and error.right_missing:
        return Reason.RIGHT_MISSING
    return Reason.WRITE_FAILED
