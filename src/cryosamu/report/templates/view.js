"use strict";
// What a page's block says of one entry, unpacked: see cryosamu.report.viewer.block.
async function readView(block) {
  const view = JSON.parse(block.textContent);
  const packed = Uint8Array.from(atob(view.arrays), (letter) => letter.charCodeAt(0));
  const inflated = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const bytes = await new Response(inflated).arrayBuffer();
  const voxels = view.size[0] * view.size[1] * view.size[2];
  let start = 0;
  const next = (Kind, count) => {
    const part = bytes.slice(start, start += count * Kind.BYTES_PER_ELEMENT);
    return new Kind(part);
  };
  for (const map of view.maps) map.values = next(Uint8Array, voxels);
  view.backbone = next(Uint16Array, view.residues * 12);
  view.others = next(Uint16Array, view.elements.length * 3);
  view.chains = next(Uint16Array, view.residues);
  return view;
}

// The place in Å of one packed atom, or null where it is missing.
function placeOf(view, packed, atom) {
  if (packed[3 * atom] === 65535) return null;
  return [0, 1, 2].map((k) => view.corner[k] + view.unit * packed[3 * atom + k]);
}

// The model in PDB format, of which 3Dmol works out the helices and strands. The place of the
// chain's colour stands in the column of the B factor.
function modelText(view) {
  const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  const lines = [];
  let number = 0, chain = -1, end = null;
  for (let residue = 0; residue < view.residues; residue++) {
    const places = [0, 1, 2, 3].map((k) => placeOf(view, view.backbone, 4 * residue + k));
    if (view.chains[residue] !== chain) [chain, number, end] = [view.chains[residue], 0, null];
    // A gap in the chain is a gap in the numbers, so that nothing is drawn across it.
    number += end && Math.hypot(...places[0].map((x, k) => x - end[k])) > 2.5 ? 5 : 1;
    end = places[2];
    ["N", "CA", "C", "O"].forEach((name, k) => {
      if (places[k]) lines.push(atomLine("ATOM", name, name[0], letters[chain % 62], number, places[k], chain));
    });
  }
  view.elements.forEach((element, atom) => {
    const place = placeOf(view, view.others, atom);
    lines.push(atomLine("HETATM", element, element, "_", atom, place, 0));
  });
  return lines.join("\n");
}

function atomLine(record, name, element, chain, number, place, colour) {
  const [x, y, z] = place.map((value) => value.toFixed(3).slice(0, 8).padStart(8));
  return record.padEnd(12) + (element.length < 2 ? ` ${name}` : name).padEnd(4) + " GLY " + chain
    + String(number % 10000).padStart(4) + "    " + x + y + z + "  1.00"
    + (colour % 8).toFixed(2).padStart(6) + "          " + element.padStart(2);
}

// The volume that the slider stands at, and the level of each map there, for people to read.
function levelOf(map, stop) {
  return map.black + map.step * map.contours[stop];
}
