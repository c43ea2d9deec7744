"""One table of URIs that somebody may put into XCom, with the verdict that every place must come to."""

from __future__ import annotations

from typing import Final

IN = "in"
"""Below an allowed prefix, in its one spelling."""
SPELLED = "in, spelled otherwise"
"""Below an allowed prefix once it is normalized. Airflow's side reads the normal form; a job, whose clients may read the
text literally, refuses it."""
OUT = "out"
"""A proper URI of another place."""
BAD = "bad"
"""Not a URI that means one object of one store: refused wherever it is taken apart."""

PREFIXES: Final = ("s3://bucket/root", "file://{root}", "s3://lake/")
"""``{root}`` is a folder of the test, ``{trap}`` the host and port of a server that must not be asked."""

TABLE: Final[tuple[tuple[str, str], ...]] = (
    ("s3://bucket/root/runs/x", IN),
    ("s3://bucket/root", IN),
    ("s3://bucket/root/manual__2026-01-01T00:00:00+00:00/x", IN),
    ("s3://bucket/root/..x/y", IN),
    ("s3://bucket/root/x..", IN),
    ("s3://bucket/root/．．/x", IN),  # full-width dots are letters to every store
    ("s3://bucket/root/․․/x", IN),  # one-dot leaders
    ("s3://bucket/root/..∕x", IN),  # a division slash is none
    ("s3://bucket/root/x?versionId=1", IN),
    ("s3://bucket/root/x#y", IN),
    ("s3://bucket/root/a b", IN),
    ("s3://bucket/root/x@y", IN),
    ("s3://lake/any", IN),
    ("file://{root}/x", IN),
    ("file://{root}/a%20b", IN),
    ("S3://bucket/root/x", IN),
    ("s3://bucket/root/x/", IN),
    ("s3://bucket//root/x", SPELLED),
    ("s3://bucket/root//x", SPELLED),
    ("file://localhost{root}/x", SPELLED),
    ("file:////{root}/x", SPELLED),
    ("s3://bucket", OUT),
    ("s3://bucket/", OUT),
    ("s3://bucket/roo", OUT),
    ("s3://bucket/root-2/x", OUT),
    ("s3://bucket/rooted/x", OUT),
    ("s3://Bucket/root/x", OUT),
    ("s3://bucket/Root/x", OUT),
    ("s3://bucket2/root/x", OUT),
    ("s3://bucket.evil.example/root/x", OUT),
    ("s3://bucket:80/root/x", OUT),
    ("s3://{trap}/root/x", OUT),
    ("s3://lake.evil/any", OUT),
    ("s3://lake-2/any", OUT),
    ("s3://xn--bcket-kva/root/x", OUT),
    ("s3://bücket/root/x", OUT),
    ("gs://bucket/root/x", OUT),
    ("az://bucket/root/x", OUT),
    ("abfss://bucket@evil.dfs.core.windows.net/root/x", OUT),
    ("abfs://root@{trap}/x", OUT),
    ("memory://bucket/root/x", OUT),
    ("file:///etc/passwd", OUT),
    ("file:///proc/self/environ", OUT),
    ("file:///", OUT),
    ("file://{root}-2/x", OUT),
    ("s3://bucket/root/../secret", BAD),
    ("s3://bucket/root/./x", BAD),
    ("s3://bucket/root/..", BAD),
    ("s3://bucket/root/%2e%2e/secret", BAD),
    ("s3://bucket/root/%2E./secret", BAD),
    ("s3://bucket/root/%252e%252e/secret", BAD),
    ("s3://bucket/root/..%2fsecret", BAD),
    ("s3://bucket/root/%2e%2e%2fsecret", BAD),
    ("s3://bucket/root/..%5csecret", BAD),
    ("s3://bucket/root\\..\\secret", BAD),
    ("s3:\\\\bucket\\root\\x", BAD),
    ("s3://bucket/root/x\ny", BAD),
    ("s3://bucket/root/x\0y", BAD),
    ("s3://bucket/root/x%00y", BAD),
    ("s3://bucket/root/x%0d%0aHost:evil", BAD),
    ("s3://root@evil/root/x", BAD),
    ("s3://bucket@{trap}/root/x", BAD),
    ("s3://user:key@bucket/root/x", BAD),
    ("s3:///root/x", BAD),
    ("s3:/bucket/root/x", BAD),
    ("s3:bucket/root/x", BAD),
    ("//bucket/root/x", BAD),
    ("file://evil{root}/x", BAD),
    ("file://{root}/../secret", BAD),
    ("file://{root}/%2e%2e/secret", BAD),
    ("file:{root}/x", BAD),
    ("{root}/x", BAD),
    ("http://169.254.169.254/latest/meta-data/", BAD),
    ("http://{trap}/root/x", BAD),
    ("https://bucket.s3.amazonaws.com/root/x", BAD),
    ("ftp://{trap}/root/x", BAD),
    ("hdfs://{trap}/root/x", BAD),
    ("simplecache::s3://bucket/root/x", BAD),
    ("zip://x::s3://bucket/root/x", BAD),
    ("data:text/plain,x", BAD),
    (" s3://bucket/root/x", BAD),
    ("", BAD),
)
