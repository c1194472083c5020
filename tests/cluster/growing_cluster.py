"""A Ray cluster whose autoscaler starts nodes on this machine, of which there are none at first."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from ray_kit import OBJECT_STORE_BYTES, await_true, descendants

_NODE = {"CPU": 1, "object_store_memory": OBJECT_STORE_BYTES}
_LISTS = (
    "cluster_synced_files",
    "rsync_exclude",
    "rsync_filter",
    "initialization_commands",
    "setup_commands",
    "head_setup_commands",
    "worker_setup_commands",
    "head_start_ray_commands",
    "worker_start_ray_commands",
)


class GrowingCluster:
    """A head without cores, and Ray's autoscaler with its provider for tests."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"127.0.0.1:{port}"
        config = folder / "autoscaling.json"
        config.write_text(json.dumps(self._config()))
        ray = Path(sys.executable).with_name("ray")
        self._process = subprocess.Popen(
            [
                *(ray, "start", "--head", "--block", f"--port={port}", "--num-cpus=0"),
                *("--include-dashboard=false", f"--object-store-memory={OBJECT_STORE_BYTES}"),
                f"--autoscaling-config={config}",
            ],
            env={**os.environ, "RAY_FAKE_CLUSTER": "1", "AUTOSCALER_UPDATE_INTERVAL_S": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        await_true(self._listens)

    def close(self) -> None:
        """End the head, and the nodes, which outlive it."""
        pids = list(descendants(self._process.pid))
        self._process.terminate()
        self._process.wait(timeout=60)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _listens(self) -> bool:
        host, _, port = self.address.partition(":")
        with contextlib.suppress(OSError):
            socket.create_connection((host, int(port)), 1.0).close()
            return True
        return False

    def _config(self) -> dict[str, object]:
        head = {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0}
        node = {"resources": _NODE, "node_config": {}, "min_workers": 0, "max_workers": 2}
        return {
            "cluster_name": "growing",
            "max_workers": 2,
            "upscaling_speed": 1.0,
            "idle_timeout_minutes": 5,
            "provider": {"type": "fake_multinode", "gcs_address": self.address},
            "available_node_types": {"ray.head.default": head, "node": node},
            "head_node_type": "ray.head.default",
            "auth": {},
            "docker": {},
            "file_mounts": {},
            "file_mounts_sync_continuously": False,
            **{name: [] for name in _LISTS},
        }
