"""
The ARNs of secrets, by which policies name them.

https://docs.aws.amazon.com/secretsmanager/latest/userguide/troubleshoot.html: "Secrets Manager … automatically adds
several random characters" to a secret's name: a hyphen and six. moto keeps secrets as AWS does in this.
"""

from __future__ import annotations

from moto.secretsmanager.models import secretsmanager_backends


def secret_arn(account: str, region: str, named: str) -> str:
    """
    Of what a request names, by its name, its ARN, or its ARN without the random end.

    What is not there has no random end, so that a policy that names it with one does not say whether it is.
    """
    plain = f"arn:aws:secretsmanager:{region}:{account}:secret:"
    for secret in list(secretsmanager_backends[account][region].secrets.values()):
        if named in (secret.name, secret.arn, secret.arn[:-7]):
            return str(secret.arn)
    return named if named.startswith("arn:") else f"{plain}{named}"
