"use strict";
// Slices through both maps of an entry, at a place that a slider chooses.
const ACROSS = { x: [1, 2, 0], y: [0, 2, 1], z: [0, 1, 2] };

for (const [figure, entry] of figures) {
  const cuts = figure.querySelector(".cuts");
  const axis = cuts.querySelector("select"), place = cuts.querySelector("input");
  axis.addEventListener("change", () => { place.value = 50; drawCuts(entry); });
  place.addEventListener("input", () => drawCuts(entry));
}

// Draws deposited map, enhanced map and difference; the model's Cα atoms near the plane as dots.
function drawCuts({ figure, data }) {
  if (!data) return;
  const cuts = figure.querySelector(".cuts");
  const [right, up, axis] = ACROSS[cuts.querySelector("select").value];
  const share = Number(cuts.querySelector("input").value) / 100;
  const plane = 1 + Math.round(share * (data.size[axis] - 3));
  const height = data.origin[axis] + plane * data.voxel[axis];
  cuts.querySelector("output").textContent = `${"xyz"[axis]} = ${height.toFixed(1)} Å`;
  const grey = data.maps.map((map) => greyOf(map, data.size, right, up, axis, plane));
  const shades = [
    (i) => Array(3).fill(255 * grey[0][i]),
    (i) => Array(3).fill(255 * grey[1][i]),
    (i) => signedColour((grey[1][i] - grey[0][i]) * 1.25),
  ];
  cuts.querySelectorAll("canvas").forEach((canvas, k) => {
    paint(canvas, data.size[right] - 2, data.size[up] - 2, shades[k]);
    if (cuts.querySelector(".atoms").checked) dots(canvas, data, right, up, axis, height, k === 2);
  });
}

// Values from 0 (black) to 1 (white), rows from the top; without the outermost voxels, which are
// empty to close the surfaces.
function greyOf(map, size, right, up, axis, plane) {
  const strides = [1, size[0], size[0] * size[1]];
  const found = [];
  for (let row = size[up] - 2; row > 0; row--) {
    for (let column = 1; column < size[right] - 1; column++) {
      const voxel = plane * strides[axis] + row * strides[up] + column * strides[right];
      found.push(Math.min(1, map.values[voxel] / map.white));
    }
  }
  return found;
}

function signedColour(value) {
  const share = Math.min(1, Math.abs(value));
  const end = value > 0 ? [178, 41, 43] : [33, 84, 168];
  return end.map((part) => 245 + (part - 245) * share);
}

function paint(canvas, width, height, shade) {
  const small = new OffscreenCanvas(width, height), pen = small.getContext("2d");
  const image = pen.createImageData(width, height);
  for (let i = 0; i < width * height; i++) image.data.set([...shade(i), 255], 4 * i);
  pen.putImageData(image, 0, 0);
  [canvas.width, canvas.height] = [canvas.width, Math.round(canvas.width * height / width)];
  const large = canvas.getContext("2d");
  large.imageSmoothingQuality = "high";
  large.drawImage(small, 0, 0, canvas.width, canvas.height);
}

function dots(canvas, data, right, up, axis, height, dark) {
  const pen = canvas.getContext("2d");
  const scale = canvas.width / ((data.size[right] - 2) * data.voxel[right]);
  for (let residue = 0; residue < data.residues; residue++) {
    const place = placeOf(data, data.backbone, 4 * residue + 1);
    if (Math.abs(place[axis] - height) > 1.9) continue;
    const across = (place[right] - data.origin[right] - data.voxel[right] / 2) * scale;
    const along = canvas.height - (place[up] - data.origin[up] - data.voxel[up] / 2) * scale;
    pen.beginPath();
    pen.arc(across, along, Math.max(1.8, 0.5 * scale), 0, 2 * Math.PI);
    pen.fillStyle = data.chainColours[data.chains[residue] % 8];
    pen.fill();
    pen.strokeStyle = dark ? "#fff" : "#000";
    pen.stroke();
  }
}
