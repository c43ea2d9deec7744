"""Every form of a connection leads to the same cluster by our own reading and by the official hook."""

from __future__ import annotations

import base64
import json
import ssl
import subprocess
import sys
from types import SimpleNamespace

import pytest

from airflow_provider_mlx.backends.kubernetes import credentials
from airflow_provider_mlx.backends.kubernetes.credentials import (
    ClusterAccess,
    cluster_access,
    connection_extra,
    plain_access,
)
from airflow_provider_mlx.exceptions import JobMisconfigured


@pytest.fixture(scope="module")
def pem(tmp_path_factory):
    """A certificate and its key."""
    folder = tmp_path_factory.mktemp("pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=ca",
         "-keyout", "key", "-out", "certificate"], cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    return SimpleNamespace(
        certificate=(folder / "certificate").read_text(), key=(folder / "key").read_text(), folder=folder
    )


def kubeconfig(cluster, user):
    return {
        "apiVersion": "v1", "kind": "Config", "current-context": "one",
        "clusters": [{"name": "c", "cluster": cluster}, {"name": "other", "cluster": {"server": "https://other:1"}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [
            {"name": "one", "context": {"cluster": "c", "user": "u"}},
            {"name": "two", "context": {"cluster": "other", "user": "u"}},
        ],
    }  # fmt: skip


def connection(**extra):
    return SimpleNamespace(conn_id="k8s", extra_dejson=extra)


def encoded(text):
    return base64.b64encode(text.encode()).decode()


def facts(access):
    token = access.token() if access.token else None
    return {**vars(access), "token": token}


@pytest.mark.parametrize(
    "form",
    ["token", "certificate", "certificate files", "another context", "a path", "old spelling", "server name"],
)
def test_our_own_reading_and_the_hook_agree_on(form, pem, tmp_path):
    cluster = {"server": "https://one:6443", "certificate-authority-data": encoded(pem.certificate)}
    user = {"token": "t0ken"}
    extra = {}
    if form == "certificate":
        user = {"client-certificate-data": encoded(pem.certificate), "client-key-data": encoded(pem.key)}
    if form == "server name":
        cluster["tls-server-name"] = "kubernetes.default"
    if form == "another context":
        extra["cluster_context"] = "two"
    config = kubeconfig(cluster, user)
    if form == "certificate files":
        config["users"][0]["user"] = {"client-certificate": "certificate", "client-key": "key"}
        path = pem.folder / "config"
        path.write_text(json.dumps(config))
        extra["kube_config_path"] = str(path)
    elif form == "a path":
        (tmp_path / "config").write_text(json.dumps(config))
        extra["kube_config_path"] = str(tmp_path / "config")
    else:
        extra["extra__kubernetes__kube_config" if form == "old spelling" else "kube_config"] = json.dumps(config)
    given = connection(**extra)
    plain = plain_access(connection_extra(given))
    assert plain is not None
    assert facts(plain) == facts(credentials._by_hook(given))


def test_a_kubeconfigs_proxy_is_used_as_kubectl_does():
    config = kubeconfig({"server": "https://one:6443", "proxy-url": "http://proxy:3128"}, {"token": "t"})
    assert cluster_access(connection(kube_config=json.dumps(config))).proxy == "http://proxy:3128"


def test_in_cluster_both_agree_and_a_renewed_token_is_used(monkeypatch, pem, tmp_path):
    (tmp_path / "token").write_text("first\n")
    (tmp_path / "ca.crt").write_text(pem.certificate)
    monkeypatch.setattr(credentials, "SERVICE_ACCOUNT", tmp_path)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    from kubernetes.config import incluster_config

    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))
    given = connection(in_cluster=True)
    access = plain_access(connection_extra(given))
    hook = credentials._by_hook(given)
    assert access is not None
    assert access.token is not None
    assert hook.token is not None
    assert (access.server, access.token()) == (hook.server, hook.token().strip()) == ("https://10.0.0.1:443", "first")
    (tmp_path / "token").write_text("second")
    assert access.token() == "second"


def test_an_exec_plugin_is_the_hooks_business(tmp_path, pem):
    plugin = tmp_path / "plugin"
    credential = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": "made"},
    }
    plugin.write_text(f"#!{sys.executable}\nprint('''{json.dumps(credential)}''')\n")
    plugin.chmod(0o755)
    command = {"apiVersion": "client.authentication.k8s.io/v1", "command": str(plugin), "interactiveMode": "Never"}
    config = kubeconfig({"server": "https://one:6443"}, {"exec": command})
    given = connection(kube_config=json.dumps(config))
    assert plain_access(connection_extra(given)) is None
    access = cluster_access(given)
    assert access.token is not None
    assert access.token() == "made"


@pytest.mark.parametrize(
    "extra",
    [
        pytest.param({"kube_config": "{", "conn": 1}, id="no JSON"),
        pytest.param({"kube_config_path": "/nowhere/config"}, id="no file"),
        pytest.param({"kube_config": "{}", "kube_config_path": "/a"}, id="two at once"),
    ],
)
def test_a_connection_that_leads_nowhere_says_so(extra):
    with pytest.raises(JobMisconfigured) as refused:
        cluster_access(connection(**extra))
    assert "`k8s` leads to no cluster" in str(refused.value)
    assert "set one of in_cluster, kube_config and kube_config_path" in str(refused.value)


def test_the_checks_of_tls_are_on_unless_the_connection_says_otherwise(pem):
    access = ClusterAccess(
        "https://one", certificate_authority=pem.certificate, client_certificate=(pem.certificate, pem.key)
    )
    context = access.tls()
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert len(context.get_ca_certs()) == 1
    config = json.dumps(kubeconfig({"server": "https://one:6443"}, {"token": "t"}))
    unverified = cluster_access(connection(kube_config=config, disable_verify_ssl=True))
    assert unverified.verify is False
    assert unverified.tls().verify_mode is ssl.CERT_NONE
