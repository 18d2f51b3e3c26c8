"""Time, peak memory and disk of `cryosamu catalogue` over many maps, from a made-up archive.

    python benchmarks/catalogue.py 4000 40000

A server process on loopback answers as EMDB and RCSB do, without their distances: the hours that
politeness adds are the requests counted here times `archive.seconds_between_requests`. A sixth of
the maps is in curation's window, as in EMDB; models have three chains of 350 residues on average.
The query is killed in the middle and run again. One JSON line per size goes to standard output.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from cryosamu.archive.urls import SEARCH_FIELDS

RESIDUES = "ACDEFGHIKLMNPQRSTVWY"


def main() -> None:
    """Run every size on the command line."""
    for size in [int(one) for one in sys.argv[1:]] or [4000]:
        print(json.dumps(measure(size)), flush=True)


def measure(maps: int) -> dict[str, float | int]:
    """Return what one catalogue costs."""
    requests = multiprocessing.Value("q", 0)
    here, there = multiprocessing.Pipe()
    server = multiprocessing.Process(target=serve, args=(maps, requests, there), daemon=True)
    server.start()
    address = here.recv()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "config.yaml").write_text(
            f"archive: {{mirror_root: '{address}', seconds_between_requests: 0}}\n"
        )
        begun = time.monotonic()
        interrupted = start(folder)
        while requests.value < maps // 20 and interrupted.poll() is None:
            time.sleep(0.01)
        interrupted.send_signal(signal.SIGKILL)
        interrupted.wait()
        first = requests.value
        peak = run(folder)
        seconds = time.monotonic() - begun
        asked = requests.value
        again = time.monotonic()
        run(folder)
        result = {
            "maps": maps,
            "requests_until_killed": first,
            "requests": asked,
            "requests_of_a_third_run": requests.value - asked,
            "seconds": round(seconds, 1),
            "seconds_of_a_third_run": round(time.monotonic() - again, 1),
            "peak_megabytes": round(peak / 1000),
            "answers_megabytes": round(sum(megabytes(folder / "store")), 1),
            "table_megabytes": round(sum(megabytes(folder / "catalogue.parquet")), 1),
        }
    server.terminate()
    return result


def start(folder: Path) -> subprocess.Popen[bytes]:
    """Start the command."""
    command = ["cryosamu", "catalogue", "--config", "config.yaml", "-o", "catalogue.parquet"]
    return subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL)


def run(folder: Path) -> int:
    """Run the command to its end and return its peak memory in kB."""
    process = start(folder)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0
    return usage.ru_maxrss


def megabytes(path: Path) -> list[float]:
    """Return the sizes of a file, or of the files in a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return [file.stat().st_size / 1e6 for file in files if file.is_file()]


def serve(maps: int, requests: Synchronized[int], address: Connection) -> None:
    """Serve a made-up archive of so many maps until terminated."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            requests.value += 1
            parts = urlsplit(self.path)
            path = unquote(parts.path)
            if "/search/obsolete_date" in path:
                return self.say(",".join(SEARCH_FIELDS) + "\n")
            if "/search/" in path:
                query = parse_qs(parts.query)
                return self.say(listing(maps, int(query["page"][0]), int(query["rows"][0])))
            return self.say(json.dumps(record(path.rsplit("/", 1)[1])))

        def do_POST(self) -> None:
            requests.value += 1
            question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if "variables" in question:
                entries = [description(one) for one in question["variables"]["ids"]]
                return self.say(json.dumps({"data": {"entries": entries}}))
            self.send_response(204)
            return self.end_headers()

        def say(self, text: str) -> None:
            body = text.encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    address.send(f"http://127.0.0.1:{server.server_port}")
    server.serve_forever()


def listing(maps: int, page: int, rows: int) -> str:
    """Return one page of the search."""
    lines = [",".join(SEARCH_FIELDS)]
    for number in range((page - 1) * rows, min(page * rows, maps)):
        rng = random.Random(number)
        resolution = rng.uniform(4, 8) if rng.random() < 1 / 6 else rng.uniform(2, 4)
        models = ",".join(pdb_id(2 * number + one) for one in range(1 + (rng.random() < 0.2)))
        halves = ",".join(f"emd_{10000 + number}_half_map_{one}.map.gz" for one in (1, 2))
        lines.append(
            f'EMD-{10000 + number},"A title, of some sixty letters, such as depositors write",REL,'
            f'singleParticle,{resolution:.2f},"{models}",FSC 0.143 CUT-OFF,2020-03-04T00:00:00Z,'
            f'2021-05-06T00:00:00Z,,1.06,"{halves}"'
        )
    return "\n".join([*lines, ""])


def pdb_id(number: int) -> str:
    """Return a PDB id of a number below 1.3 million."""
    letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    tail = ""
    for _ in range(3):
        number, digit = divmod(number, 36)
        tail = letters[digit] + tail
    return f"{1 + number}{tail}"


def description(identifier: str) -> dict[str, object]:
    """Return what RCSB says of a model."""
    rng = random.Random(identifier)
    entities = []
    for _ in range(rng.randint(1, 5)):
        length = rng.randint(100, 600)
        polymer = {
            "rcsb_entity_polymer_type": "Protein",
            "rcsb_sample_sequence_length": length,
            "pdbx_seq_one_letter_code_can": "".join(rng.choices(RESIDUES, k=length)),
        }
        chains = {"asym_ids": ["A", "B"]}
        entities.append(
            {"entity_poly": polymer, "rcsb_polymer_entity_container_identifiers": chains}
        )
    return {
        "rcsb_id": identifier,
        "rcsb_accession_info": {"revision_date": "2022-07-08T00:00:00Z"},
        "rcsb_entry_container_identifiers": {"emdb_ids": []},
        "rcsb_entry_info": {"deposited_modeled_polymer_monomer_count": rng.randint(100, 9000)},
        "polymer_entities": entities,
    }


def record(identifier: str) -> dict[str, object]:
    """Return an entry's record; the archive's own is ten times as long."""
    number = identifier.removeprefix("EMD-")
    halves = [{"file": f"emd_{number}_half_map_{n}.map.gz", "size_kbytes": 4e4} for n in (1, 2)]
    return {
        "emdb_id": identifier,
        "admin": {},
        "map": {
            "file": f"emd_{number}.map.gz",
            "size_kbytes": 65537,
            "dimensions": {"col": 256, "row": 256, "sec": 256},
            "pixel_spacing": {"x": {"valueOf_": "1.06"}},
            "contour_list": {"contour": [{"primary": True, "level": 0.02}]},
        },
        "interpretation": {"half_map_list": {"half_map": halves}},
        "sample": {"padding": "x" * 5000},
    }


if __name__ == "__main__":
    main()
