"""What a node's containerd, network plugin and kubelet are told: values in, text out."""

from __future__ import annotations

import json
from pathlib import Path

from .layout import Layout
from .network import DNS_SERVICE, Address

RUN = Path("/run")
"""Private to each node, in memory: what is in it dies with the node."""
CONTAINERD_SOCKET = RUN / "containerd.sock"
POD_BRIDGE = "pods"
KUBELET_PORT = 10250
PROXY_USER = "proxy"


def containerd_config(disk: Path) -> str:
    """
    Containerd 1.6's configuration.

    :param disk: the node's folder.
    """
    # restrict_oom_score_adj: machines without CAP_SYS_RESOURCE, as ours are, can't lower a process's score
    return f"""version = 2
root = "{disk}/containerd"
state = "{RUN}/containerd"
[grpc]
  address = "{CONTAINERD_SOCKET}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{disk}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "lab.local/pause:1"
  restrict_oom_score_adj = true
  disable_apparmor = true
  tolerate_missing_hugetlb_controller = true
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{disk}/cni"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{disk}/registries"
"""


def registry_mirror(url: str) -> str:
    """Our registry in the place of any other."""
    return f'server = "{url}"\n[host."{url}"]\n  capabilities = ["pull", "resolve"]\n'


def pod_network(address: Address) -> str:
    """The network of a node's pods, by the plugins ``bridge`` and ``host-local``."""
    bridge = {
        "type": "bridge",
        "bridge": POD_BRIDGE,
        "isGateway": True,
        "ipMasq": False,  # the host and the other nodes have routes to pods
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": address.pods, "gateway": address.gateway}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    return json.dumps({"cniVersion": "0.4.0", "name": "tests", "plugins": [bridge]}, indent=1)


def kubelet_config(layout: Layout, name: str, address: Address, *, cgroup: str) -> str:
    """
    The kubelet's configuration.

    :param cgroup: under which all pods of this node are.
    """
    pki = layout.pki
    config = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "failCgroupV1": False,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": cgroup,
        "address": address.node,
        "port": KUBELET_PORT,
        "healthzPort": 0,
        "readOnlyPort": 0,
        "tlsCertFile": f"{pki}/{name}.crt",
        "tlsPrivateKeyFile": f"{pki}/{name}.key",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{pki}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "resolvConf": str(layout.node(name) / "resolv.conf"),
        "clusterDomain": "cluster.local",
        "clusterDNS": [DNS_SERVICE],
        "failSwapOn": False,
        "oomScoreAdj": 0,  # see containerd_config
        "podLogsDir": "/var/log/pods",
        "volumePluginDir": str(layout.node(name) / "volume-plugins"),
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "maxPods": 100,
        "serializeImagePulls": False,
        "evictionHard": {
            "memory.available": "64Mi",
            "nodefs.available": "1%",
            "imagefs.available": "1%",
            "nodefs.inodesFree": "1%",
        },
        "nodeLeaseDurationSeconds": 8,  # renewed every quarter of it
        "nodeStatusUpdateFrequency": "5s",
        "syncFrequency": "10s",
        "shutdownGracePeriod": "0s",
        "logging": {"verbosity": 2},
    }
    return json.dumps(config, indent=1)


def proxy_config(layout: Layout, name: str, pod_range: str) -> str:
    """kube-proxy's configuration."""
    config = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "clientConnection": {"kubeconfig": str(layout.kubeconfig(PROXY_USER))},
        "hostnameOverride": name,
        "clusterCIDR": pod_range,
        "oomScoreAdj": 0,  # see containerd_config
        # these are settings of the whole machine
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        "logging": {"verbosity": 1},
    }
    return json.dumps(config, indent=1)
