"""How errors look in AWS's protocols: https://smithy.io/2.0/aws/protocols/."""

from __future__ import annotations

import json
from typing import Final
from xml.sax.saxutils import escape

from .errors import AwsError

_JSON: Final = ("sagemaker", "logs", "secretsmanager", "ssm")
"""Services that speak awsJson1_1."""


def error_body(service: str, refused: AwsError) -> tuple[bytes, str]:
    """An error's body and content type."""
    if service in _JSON:
        text = json.dumps({"__type": refused.code, "message": refused.message})
        return text.encode(), "application/x-amz-json-1.1"
    inner = f"<Code>{escape(refused.code)}</Code><Message>{escape(refused.message)}</Message>"
    if service == "s3":  # restXml without a wrapper
        return f"<Error>{inner}<RequestId>mlx</RequestId></Error>".encode(), "application/xml"
    whole = f"<ErrorResponse><Error><Type>Sender</Type>{inner}</Error><RequestId>mlx</RequestId></ErrorResponse>"
    return whole.encode(), "text/xml"
