"""What a refusal or a silence of the API server means to whoever reads or scales."""

from http import HTTPStatus

from config.errors import ActuationError, ObservationError, Refused, Unreachable
from connectors.kubernetes.api import ApiError

_FINAL = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.METHOD_NOT_ALLOWED,
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
    }
)


def unread(error: ApiError) -> ObservationError:
    """Return what a failed read means: no answer, or one that says no."""
    if error.status == 0 or error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Unreachable(f"the fleet was not read: {error}")
    return ObservationError(f"the fleet was not read: {error}")


def unwritten(error: ApiError, *, what: str, rule: str = "") -> ActuationError:
    """Return what a failed write means.

    Args:
        error: The answer, or its absence.
        what: The object and the number that was to be written.
        rule: The right that is missing where the answer is 403, in words.
    """
    if error.status not in _FINAL:
        return ActuationError(f"{what} was not written: {error}")
    lacks = f"; needed is {rule}" if error.is_forbidden and rule else ""
    return Refused(f"{what} was refused: {error}{lacks}")
