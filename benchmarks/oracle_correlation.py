"""cctbx's five correlations of a padded map: run by `evaluation.py` in cctbx's environment."""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "oracle"))
from derive_golden import crystal, flex, mmtbx, np, read_map, read_model


def main() -> None:
    """Print seconds and MB of one run."""
    map_path, model_path, resolution, edge = sys.argv[1:]
    data, origin, symmetry = read_map(Path(map_path))
    lengths = symmetry.unit_cell().parameters()[:3]
    # x, y, z order, as derive_golden's maps have it.
    shape = [max(int(edge), count) for count in data.all()]
    box = np.zeros(shape)
    nx, ny, nz = data.all()
    box[:nx, :ny, :nz] = data.as_numpy_array()
    cell = [length * size / n for length, size, n in zip(lengths, shape, data.all(), strict=True)]
    symmetry = crystal.symmetry(unit_cell=(*cell, 90, 90, 90), space_group_symbol="P1")
    structure, _ = read_model(Path(model_path), symmetry, origin)
    data = flex.double(box)
    wall, processor = time.perf_counter(), time.process_time()
    mmtbx.maps.correlation.five_cc(
        map=data,
        xray_structure=structure,
        d_min=float(resolution),
        compute_cc_box=True,
        compute_cc_image=True,
    )
    print(
        json.dumps(
            {
                "five CCs s": round(time.perf_counter() - wall, 3),
                "five CCs CPU s": round(time.process_time() - processor, 3),
                "MB peak": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
            }
        )
    )


if __name__ == "__main__":
    main()
