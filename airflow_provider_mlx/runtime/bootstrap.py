"""
The command that starts a job: it hashes the bundle and runs the runtime from it.

The digest travels in the job request, the bundle in the artifact root: who can only write to the bucket cannot change
what runs, and the verifier is not inside what it verifies.
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
"""For a bundle that is a file of the job. SageMaker allows 256 characters for one argument."""

FETCHING_BOOTSTRAP = """\
import sys,hashlib,os,tempfile
def fetch(u):
    if '://' not in u:
        import gzip
        return gzip.decompress(open(u,'rb').read())
    root,_,name=u.rpartition('/')
    try:
        import obstore,obstore.store
        return bytes(obstore.get(obstore.store.from_url(root),name).bytes())
    except ImportError:
        pass
    try:
        import boto3
        b,_,k=u.partition('://')[2].partition('/')
        return boto3.client('s3').get_object(Bucket=b,Key=k)['Body'].read()
    except ImportError:
        import fsspec
        return fsspec.open(u).open().read()
u,d=sys.argv[1:3]
try:
    b=fetch(u)
except Exception as e:
    print('mlx: the bundle',u,'cannot be read:',type(e).__name__,e);sys.exit(78)
h=hashlib.sha256(b).hexdigest()
if h!=d:print('mlx: bundle',u,'is',h,'not',d);sys.exit(79)
z=os.path.join(tempfile.mkdtemp(),'bundle.zip')
with open(z,'wb') as f:f.write(b)
sys.argv[1]=z
sys.path.insert(0,z)
from airflow_provider_mlx.runtime.main import main
main()
"""
"""For a bundle that is a gzip file of the job, or an object in a store that a client in the image reads."""


def bootstrap_command(
    *, python: str, bundle_path: str, bundle_sha256: str, context: str, context_sha256: str
) -> list[str]:
    """
    The argument list of a job.

    :param python: the interpreter in the job's image, as ``python3``.
    :param bundle_path: where the bundle lies in the job's file system, as ``….zip`` or ``….zip.gz``; or its URI.
    :param context: path or URI of the attempt's ``context.json``.
    """
    script = FETCHING_BOOTSTRAP if "://" in bundle_path or bundle_path.endswith(".gz") else BOOTSTRAP
    return [python, "-c", script, bundle_path, bundle_sha256, context, context_sha256]
