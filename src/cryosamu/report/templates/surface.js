"use strict";
// The surface on which a map has a given value, as a closed net of triangles ("surface nets",
// Gibson 1998): one point in each cell that the surface passes through, at the mean of its
// crossings with the cell's edges. `values` runs x fastest; its outermost voxels lie below `level`.
// Points are in Å; `corner` is the place of voxel (0, 0, 0).
function surfaceOf(values, size, level, voxel, corner) {
  const strides = [1, size[0], size[0] * size[1]];
  const [points, pointOf] = pointsOfCells(values, size, strides, level);
  const faces = facesBetween(values, size, strides, level, pointOf);
  const normals = normalsOf(points, faces, voxel);
  const placed = (array, shift, scale) => Array.from({ length: array.length / 3 }, (_, i) => ({
    x: array[3 * i] * scale[0] + shift[0],
    y: array[3 * i + 1] * scale[1] + shift[1],
    z: array[3 * i + 2] * scale[2] + shift[2],
  }));
  return {
    vertexArr: placed(points, corner, voxel),
    normalArr: placed(normals, [0, 0, 0], [1, 1, 1]),
    faceArr: faces,
  };
}

// Returns the points, in voxels, and the number of the point of each cell (-1 where there is none).
function pointsOfCells(values, size, strides, level) {
  const points = [];
  const pointOf = new Int32Array(values.length).fill(-1);
  const corners = Array.from({ length: 8 }, (_, k) => (k & 1) * strides[0] + (k >> 1 & 1) * strides[1] + (k >> 2) * strides[2]);
  // Pairs of corners that an edge joins: they differ in one bit.
  const edges = [];
  for (let k = 0; k < 8; k++) for (const bit of [1, 2, 4]) if (!(k & bit)) edges.push([k, k | bit, bit]);
  for (let z = 0; z < size[2] - 1; z++) {
    for (let y = 0; y < size[1] - 1; y++) {
      for (let x = 0; x < size[0] - 1; x++) {
        const cell = x + y * strides[1] + z * strides[2];
        let inside = 0;
        for (let k = 0; k < 8; k++) if (values[cell + corners[k]] >= level) inside |= 1 << k;
        if (inside === 0 || inside === 255) continue;
        let crossings = 0, px = 0, py = 0, pz = 0;
        for (const [a, b, bit] of edges) {
          if ((inside >> a & 1) === (inside >> b & 1)) continue;
          const low = values[cell + corners[a]], high = values[cell + corners[b]];
          const way = (level - low) / (high - low);
          px += (a & 1) + (bit === 1 ? way : 0);
          py += (a >> 1 & 1) + (bit === 2 ? way : 0);
          pz += (a >> 2) + (bit === 4 ? way : 0);
          crossings++;
        }
        pointOf[cell] = points.length / 3;
        points.push(x + px / crossings, y + py / crossings, z + pz / crossings);
      }
    }
  }
  return [points, pointOf];
}

// Two triangles for each voxel edge that the surface crosses, seen anticlockwise from outside.
function facesBetween(values, size, strides, level, pointOf) {
  const faces = [];
  const last = values.length - strides[2];
  for (let axis = 0; axis < 3; axis++) {
    const step = strides[axis], u = strides[(axis + 1) % 3], v = strides[(axis + 2) % 3];
    for (let i = strides[2]; i < last; i++) {
      const here = values[i] >= level;
      if (here === values[i + step] >= level) continue;
      const quad = [pointOf[i - u - v], pointOf[i - v], pointOf[i], pointOf[i - u]];
      const [a, b, c, d] = here ? quad : quad.reverse();
      faces.push(a, b, c, a, c, d);
    }
  }
  return faces;
}

// The mean normal of the faces around each point, weighted by their areas.
function normalsOf(points, faces, voxel) {
  const normals = new Float32Array(points.length);
  const side = (from, to, k) => (points[3 * to + k] - points[3 * from + k]) * voxel[k];
  for (let f = 0; f < faces.length; f += 3) {
    const a = faces[f], b = faces[f + 1], c = faces[f + 2];
    const p = [side(a, b, 0), side(a, b, 1), side(a, b, 2)];
    const q = [side(a, c, 0), side(a, c, 1), side(a, c, 2)];
    for (let k = 0; k < 3; k++) {
      const l = (k + 1) % 3, m = (k + 2) % 3;
      const part = p[l] * q[m] - p[m] * q[l];
      for (const corner of [a, b, c]) normals[3 * corner + k] += part;
    }
  }
  for (let i = 0; i < normals.length; i += 3) {
    const length = Math.hypot(normals[i], normals[i + 1], normals[i + 2]) || 1;
    for (let k = 0; k < 3; k++) normals[i + k] /= length;
  }
  return normals;
}
