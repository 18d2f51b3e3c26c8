"""The Kubernetes profile as it is started by run.yaml: pods, the bucket, the volume, the Role.

There is no cluster here. The head's own script runs against a stand-in for the API server and a
real S3 server on loopback; a pod is a process.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import yaml
from kubernetes_api import Cluster, serving

REPOSITORY = Path(__file__).parents[3]
PROFILE = REPOSITORY / "workflow" / "profiles" / "kubernetes"
PLUGINS = Path(sys.prefix) / "kubernetes"
TARGET = "results/curate/clusters.parquet"

if not (PLUGINS / "installed").exists():
    pytest.skip(f"{PLUGINS} is not there: `make test` makes it", allow_module_level=True)


def documents(name):
    return list(yaml.safe_load_all((PROFILE / name).read_text()))


def allowed_verbs():
    """The Role's (group, resource, verb)."""
    (role,) = (one for one in documents("cluster.yaml") if one["kind"] == "Role")
    return {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


@pytest.fixture(scope="module")
def bucket_address(tmp_path_factory):
    """An S3-compatible server in memory."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    log = tmp_path_factory.mktemp("moto") / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, PLUGINS / "bin" / "moto_server", "-p", str(port)],
            env=os.environ | {"PYTHONPATH": str(PLUGINS)},
            stdout=output,
            stderr=output,
        )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"{address}/moto-api/", timeout=5).close()
            break
        except (urllib.error.URLError, ConnectionError):
            assert process.poll() is None, log.read_text()
            time.sleep(0.2)
    yield address
    process.kill()
    process.wait()


@pytest.fixture(scope="module")
def environment(bucket_address, tmp_path_factory):
    """What a container of the image sees."""
    home = tmp_path_factory.mktemp("home")
    (secret,) = (one for one in documents("cluster.yaml") if one["kind"] == "Secret")
    values = dict.fromkeys(secret["stringData"], "key")
    values["SNAKEMAKE_STORAGE_S3_ENDPOINT_URL"] = bucket_address
    return values | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(PLUGINS),
        "HOME": str(home),
        "OMP_NUM_THREADS": "1",
        "PIP_FIND_LINKS": str(PLUGINS / "packages"),
        "PIP_NO_DEPS": "1",
        "PIP_NO_INDEX": "1",
    }


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """What the recipe copies to /opt/cryosamu, the profile with less patience."""
    folder = tmp_path_factory.mktemp("image")
    for name in ("Snakefile", "config.yaml"):
        shutil.copy(REPOSITORY / name, folder)
    for name in ("workflow", "envs"):
        shutil.copytree(REPOSITORY / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def head(tmp_path_factory, environment, image):
    """Return a function that runs the head's script on a cluster for a target."""
    root = tmp_path_factory.mktemp("cluster")
    shared, configuration, pods = (root / name for name in ("shared", "configuration", "pods"))
    for folder in (shared, configuration, pods):
        folder.mkdir()
    profile = image / "workflow" / "profiles" / "kubernetes" / "config.yaml"
    settings = yaml.safe_load(profile.read_text())
    settings["kubernetes-persistent-volumes"] = [f"cryosamu:{shared}"]
    settings |= {"jobs": 2, "seconds-between-status-checks": 1, "latency-wait": 5}
    settings["set-resources"] = {"fetch_models": {"gpu": 1}}
    profile.write_text(yaml.safe_dump(settings))
    (job,) = (one for one in documents("run.yaml") if one["kind"] == "Job")
    container = job["spec"]["template"]["spec"]["containers"][0]
    script = container["args"][0].replace("/opt/cryosamu", str(image))
    script = script.replace("/etc/cryosamu", str(configuration))

    def run(killed=0):
        cluster = Cluster(allowed_verbs(), pods, environment, killed)
        with serving(cluster) as address, socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
            probe.close()
            overlay = yaml.safe_load((REPOSITORY / "workflow" / "demo.yaml").read_text())
            overlay["archive"]["mirror_root"] = f"http://127.0.0.1:{port}"
            (configuration / "mine.yaml").write_text(yaml.safe_dump(overlay))
            kubeconfig = {
                "clusters": [{"name": "c", "cluster": {"server": address}}],
                "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
                "users": [{"name": "c", "user": {}}],
                "current-context": "c",
            }
            (root / "kubeconfig").write_text(yaml.safe_dump(kubeconfig))
            finished = subprocess.run(
                [
                    *("cryosamu", "archive", "serve", "--port", str(port), "--"),
                    *(*container["command"], script, "head", TARGET),
                ],
                cwd=shared,
                env=environment | {"KUBECONFIG": str(root / "kubeconfig")},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=900,
                check=False,
            )
        logs = "".join(path.read_text() for path in pods.glob("*.log"))
        assert finished.returncode == 0, finished.stdout + logs
        return cluster, finished.stdout, shared / "run"

    return run


def test_a_run_in_pods_with_one_of_them_killed(head, environment):
    cluster, text, folder = head(killed=1)
    assert "Using workflow specific profile" in text
    assert cluster.refused == []
    assert cluster.asked == cluster.allowed
    assert cluster.secrets == {}
    # The killed pod's job came again, and no other.
    targets = [re.search(r"--target-jobs (\S+)", command_of(job))[1] for job in cluster.jobs]
    assert targets[0] in targets[1:]
    assert len(targets) == len(set(targets)) + 1
    accounts = {
        one["metadata"]["name"]
        for one in documents("cluster.yaml")
        if one["kind"] == "ServiceAccount" and not one["automountServiceAccountToken"]
    }
    for job in cluster.jobs:
        pod = job["spec"]["template"]["spec"]
        assert {pod["serviceAccountName"]} == accounts
        assert {"cpu", "memory", "ephemeral-storage"} <= set(limits_of(job))
    with_gpu = [job for job in cluster.jobs if "fetch_models" in command_of(job)]
    assert with_gpu
    assert all(limits_of(job)["nvidia.com/gpu"] == "1" for job in with_gpu)
    assert (folder / TARGET).is_file()
    assert keys_in_bucket(environment) >= {
        f"run/{TARGET}",
        "run/results/catalogue/catalogue.parquet",
    }

    cluster, text, _ = head()
    assert "Nothing to be done" in text
    assert cluster.jobs == []


def limits_of(job):
    return job["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]


def command_of(job):
    return job["spec"]["template"]["spec"]["containers"][0]["args"][-1]


def keys_in_bucket(environment):
    program = (
        "import os, boto3; name = 'SNAKEMAKE_STORAGE_S3_'; s3 = boto3.resource('s3',"
        " endpoint_url=os.environ[name + 'ENDPOINT_URL'], region_name='us-east-1',"
        " aws_access_key_id=os.environ[name + 'ACCESS_KEY'],"
        " aws_secret_access_key=os.environ[name + 'SECRET_KEY']);"
        " print(*(one.key for one in s3.Bucket('cryosamu').objects.all()))"
    )
    command = [sys.executable, "-c", program]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return set(run.stdout.split())
