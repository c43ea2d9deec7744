"""
The command that starts a job: it hashes the bundle and runs the runtime from it.

The digest travels in the job request, the bundle in the artifact root: who can only write to the bucket cannot change
what runs, and the verifier is not inside what it verifies. SageMaker allows 256 characters for one argument.
"""

from __future__ import annotations

BOOTSTRAP = (
    "import sys,hashlib\n"
    "z,d=sys.argv[1:3]\n"
    "h=hashlib.sha256(open(z,'rb').read()).hexdigest()\n"
    "if h!=d:print('mlx: bundle',z,'is',h,'not',d);sys.exit(79)\n"
    "sys.path.insert(0,z)\n"
    "from airflow_provider_mlx.runtime.main import main\n"
    "main()"
)


def bootstrap_command(
    *, python: str, bundle_path: str, bundle_sha256: str, context: str, context_sha256: str
) -> list[str]:
    """
    The argument list of a job.

    :param python: the interpreter in the job's image, as ``python3``.
    :param bundle_path: where the bundle lies in the job's file system.
    :param context: path or URI of the attempt's ``context.json``.
    """
    return [python, "-c", BOOTSTRAP, bundle_path, bundle_sha256, context, context_sha256]
