"""How AWS says no, and how the endpoint says that it cannot do what AWS would."""

from __future__ import annotations


class AwsError(Exception):
    """
    An answer that is an error, as a service's model or its users report it.

    :param code: AWS's word for it, for instance ``ValidationException``.
    :param status: of HTTP; nearly all errors of SageMaker are 400.
    """

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.status = code, message, status


class Unsupported(Exception):
    """A request that AWS would carry out and this endpoint would not, or not honestly: extend it, or ask for less."""


def validation(message: str) -> AwsError:
    """Refuse a request as SageMaker does; ``CommonErrors`` lists ``ValidationException`` for every operation."""
    return AwsError("ValidationException", message)
