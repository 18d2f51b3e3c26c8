"""What is applied to a cluster fits the real server's schemas, and its parts fit each other."""

from __future__ import annotations

import json
import re

import kubernetes_validate
import pytest
import yaml

VERSIONS = ("1.31", "1.34", "1.37")


@pytest.fixture(scope="module")
def folder(repository):
    return repository / "workflow" / "profiles" / "kubernetes"


@pytest.fixture(scope="module")
def profile(folder):
    return yaml.safe_load((folder / "config.yaml").read_text())


@pytest.fixture(scope="module")
def documents(folder):
    """By kind and name."""
    texts = [(folder / name).read_text() for name in ("cluster.yaml", "run.yaml")]
    found = [one for text in texts for one in yaml.safe_load_all(text)]
    return {(one["kind"], one["metadata"]["name"]): one for one in found}


@pytest.fixture(scope="module")
def pod(documents):
    return documents["Job", "cryosamu-head"]["spec"]["template"]["spec"]


@pytest.mark.parametrize("version", VERSIONS)
def test_manifests_fit_the_servers_schemas(documents, version):
    for document in documents.values():
        kubernetes_validate.validate(document, version, strict=True)


def test_a_misspelt_key_would_be_noticed(documents):
    broken = json.loads(json.dumps(documents["Job", "cryosamu-head"]))
    broken["spec"]["template"]["spec"]["container"] = []
    with pytest.raises(kubernetes_validate.ValidationError, match="container"):
        kubernetes_validate.validate(broken, VERSIONS[-1], strict=True)


def test_all_is_in_one_namespace(documents, profile):
    namespaces = {one["metadata"].get("namespace") for one in documents.values()}
    assert namespaces == {profile["kubernetes-namespace"], None}
    assert ("Namespace", profile["kubernetes-namespace"]) in documents


def test_head_and_jobs_share_image_and_volume(documents, profile, pod):
    (container,) = pod["containers"]
    assert container["image"] == profile["container-image"]
    (volume,) = profile["kubernetes-persistent-volumes"]
    claim, path = volume.split(":")
    assert documents["PersistentVolumeClaim", claim]["spec"]["accessModes"] == ["ReadWriteMany"]
    assert {"name": "shared", "persistentVolumeClaim": {"claimName": claim}} in pod["volumes"]
    assert {"name": "shared", "mountPath": path} in container["volumeMounts"]
    assert container["workingDir"] == path


def test_results_lead_to_the_buckets_local_copies(profile, pod):
    script = pod["containers"][0]["args"][0]
    prefix = profile["default-storage-prefix"].removeprefix("s3://")
    copies = f"{profile['local-storage-prefix']}/s3/{prefix}/results"
    assert profile["remote-job-local-storage-prefix"] == profile["local-storage-prefix"]
    assert f"mkdir -p run/{copies}\n" in script
    assert f"ln -sfn {copies} results\n" in script
    assert profile["keep-storage-local-copies"]


def test_nothing_runs_as_root_or_from_a_moving_tag(documents, profile, pod):
    assert re.fullmatch(r"[\w./-]+:\d+\.\d+\.\d+", profile["container-image"])
    assert pod["securityContext"]["runAsNonRoot"]
    (container,) = pod["containers"]
    context = container["securityContext"]
    assert not context["allowPrivilegeEscalation"]
    assert context["readOnlyRootFilesystem"]
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert set(container["resources"]) == {"requests", "limits"}


def test_jobs_have_no_business_with_the_cluster(documents, profile, pod):
    jobs = documents["ServiceAccount", profile["kubernetes-service-account-name"]]
    assert not jobs["automountServiceAccountToken"]
    (subject,) = documents["RoleBinding", "cryosamu-head"]["subjects"]
    assert subject["name"] == pod["serviceAccountName"] != jobs["metadata"]["name"]


def test_the_keys_reach_the_head_under_snakemakes_names(documents, pod):
    (source,) = pod["containers"][0]["envFrom"]
    secret = documents["Secret", source["secretRef"]["name"]]
    assert all(name.startswith("SNAKEMAKE_STORAGE_S3_") for name in secret["stringData"])
