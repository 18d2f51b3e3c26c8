"""A stand-in for a Kubernetes API server: it checks each Job and runs its pod as a process.

It knows what snakemake-executor-plugin-kubernetes asks for and no more. A Job is held against the
real server's schema, a request against the Role of `cluster.yaml`. A pod is a process in an empty
folder of its own; what a claim mounts must lie at the same path on this machine.
"""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import kubernetes_validate

VERSION = "1.37"
VERBS = {"POST": "create", "DELETE": "delete", "GET": "get"}
PATH = re.compile(
    r"/(?:api|apis/(?P<group>\w+))/v1/namespaces/(?P<namespace>[\w-]+)"
    r"/(?P<resource>\w+)(?:/(?P<name>[\w-]+))?(?:/(?P<part>\w+))?$"
)


@dataclass
class Pod:
    """The process of a Job."""

    job: dict
    process: subprocess.Popen[bytes]
    log: Path

    def describe(self) -> dict:
        code = self.process.poll()
        state = {"running": {}} if code is None else {"terminated": {"exitCode": code}}
        container = self.job["spec"]["template"]["spec"]["containers"][0]
        status = {"name": container["name"], "state": state, "ready": code is None}
        status |= {"image": container["image"], "imageID": "", "restartCount": 0}
        name = f"{self.job['metadata']['name']}-pod"
        return {"metadata": {"name": name}, "status": {"containerStatuses": [status]}}

    def stop(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@dataclass
class Cluster:
    """What the server holds.

    Attributes
    ----------
    allowed
        (group, resource, verb) of the Role; `asked` is what was needed of it.
    jobs
        Every Job that was ever created, in turn.
    refused
        Requests that the Role does not allow, and Jobs that are none.
    killed
        So many of the first pods are killed once they run.
    """

    allowed: set[tuple[str, str, str]]
    folder: Path
    environment: dict[str, str]
    killed: int = 0
    asked: set[tuple[str, str, str]] = field(default_factory=set)
    secrets: dict[str, dict[str, str]] = field(default_factory=dict)
    pods: dict[str, Pod] = field(default_factory=dict)
    jobs: list[dict] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def run(self, job: dict) -> None:
        kubernetes_validate.validate(
            {"apiVersion": "batch/v1", "kind": "Job", **job}, VERSION, strict=True
        )
        self.jobs.append(job)
        container = job["spec"]["template"]["spec"]["containers"][0]
        environment = dict(self.environment)
        for variable in container.get("env", []):
            source = variable["valueFrom"]["secretKeyRef"]
            environment[variable["name"]] = self.secrets[source["name"]][source["key"]]
        log = self.folder / f"{job['metadata']['name']}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                container["command"] + container["args"],
                cwd=tempfile.mkdtemp(dir=self.folder),
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        pod = Pod(job, process, log)
        self.pods[job["metadata"]["name"]] = pod
        if len(self.jobs) <= self.killed:
            pod.stop()

    def answer(self, verb: str, path: dict[str, str | None], query: str, body: dict) -> dict | str:
        resource, name = path["resource"], path["name"]
        if resource == "secrets":
            if verb == "create":
                data = body.get("data", {})
                self.secrets[body["metadata"]["name"]] = {
                    key: base64.b64decode(value).decode() for key, value in data.items()
                }
                return body
            del self.secrets[name]
        elif resource == "jobs":
            if verb == "create":
                self.run(body)
                return body
            if verb == "get":
                code = self.pods[name].process.poll()
                state = "active" if code is None else "failed" if code else "succeeded"
                return {"metadata": {"name": name}, "status": {state: 1}}
            self.pods.pop(name).stop()
        elif verb == "list":
            name = query.removeprefix("labelSelector=job-name%3D")
            return {"items": [self.pods[name].describe()] if name in self.pods else []}
        elif verb == "get":
            return self.pods[name.removesuffix("-pod")].log.read_text()
        return {"kind": "Status", "status": "Success"}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def _handle(self) -> None:
        cluster: Cluster = self.server.cluster
        address, _, query = self.path.partition("?")
        path = PATH.match(address).groupdict()
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        verb = "list" if self.command == "GET" and not path["name"] else VERBS[self.command]
        resource = "/".join(filter(None, (path["resource"], path["part"])))
        needed = (path["group"] or "", resource, verb)
        status, answer = 403, {"kind": "Status", "reason": f"{needed} is not allowed"}
        with self.server.turn:
            cluster.asked.add(needed)
            if needed in cluster.allowed:
                try:
                    answer = cluster.answer(verb, path, query, json.loads(body or b"{}"))
                    status = 200
                except KeyError as error:
                    status, answer = 404, {"kind": "Status", "reason": f"no {error}"}
                except kubernetes_validate.ValidationError as error:
                    status, answer = 422, {"kind": "Status", "reason": error.message}
            if status in (403, 422):
                cluster.refused.append(answer["reason"])
        text = answer if isinstance(answer, str) else json.dumps(answer)
        self.send_response(status)
        self.send_header(
            "Content-Type", "text/plain" if isinstance(answer, str) else "application/json"
        )
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    do_GET = do_POST = do_DELETE = _handle  # noqa: N815


@contextmanager
def serving(cluster: Cluster) -> Iterator[str]:
    """Serve a cluster on loopback while the block runs; yield its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.cluster, server.turn = cluster, threading.Lock()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        for pod in cluster.pods.values():
            pod.stop()
