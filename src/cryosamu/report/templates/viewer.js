"use strict";
// Both maps of an entry side by side under one camera. A browser holds few WebGL contexts, so few
// pairs of viewers are made; the entries that come into sight take them over from one another.
const MOST_PAIRS = 2;
const FRONT = 0; // 3Dmol's name for a surface that is seen from outside only
const pairs = [];
const figures = new Map();

const inSight = new IntersectionObserver((changes) => {
  for (const change of changes) if (change.isIntersecting) show(figures.get(change.target));
}, { rootMargin: "120px" });
for (const figure of document.querySelectorAll("figure.viewer")) {
  figures.set(figure, prepared(figure));
  inSight.observe(figure);
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const pair of pairs) for (const { viewer } of pair.sides) paintBackground(viewer);
});

function prepared(figure) {
  const entry = {
    figure,
    stages: [...figure.querySelectorAll(".stage")],
    volume: figure.querySelector(".volume"),
    opacity: figure.querySelector(".opacity"),
    model: figure.querySelector(".model"),
    state: "waiting",
    seen: null,
  };
  const later = (work) => {
    let asked = false;
    return () => {
      if (!asked && entry.state === "shown") requestAnimationFrame(() => { asked = false; draw(entry, work); });
      asked = entry.state === "shown";
    };
  };
  entry.volume.addEventListener("input", later(setSurfaces));
  entry.opacity.addEventListener("input", later(setSurfaces));
  entry.model.addEventListener("change", later(setModel));
  figure.querySelector(".again").addEventListener("click", () => {
    entry.volume.value = entry.volume.defaultValue;
    entry.opacity.value = entry.opacity.defaultValue;
    if (entry.state === "shown") draw(entry, lookFromStart, setSurfaces);
  });
  return entry;
}

async function show(entry) {
  if (entry.state !== "waiting") return;
  entry.state = "coming";
  try {
    entry.data ??= await readView(document.getElementById(entry.figure.dataset.block));
    entry.pair = freePair();
    entry.pair.entry = entry;
    entry.pair.sides.forEach(({ holder, viewer }, place) => {
      entry.stages[place].replaceChildren(holder);
      viewer.resize();
      viewer.removeAllModels();
      viewer.addModel(modelText(entry.data), "pdb");
    });
    entry.state = entry.figure.dataset.state = "shown";
    draw(entry, setModel, entry.seen ? lookAsBefore : lookFromStart, setSurfaces);
    drawCuts(entry);
  } catch (error) {
    entry.state = "failed";
    for (const stage of entry.stages) stage.textContent = "This browser cannot show the maps in 3D.";
    console.warn(error);
  }
}

// A pair that is not in use: a new one while there are few, else the one that was taken longest ago.
function freePair() {
  if (pairs.length < MOST_PAIRS) {
    const sides = [0, 1].map(() => {
      const holder = document.createElement("div");
      holder.className = "holder";
      document.body.append(holder);
      const viewer = $3Dmol.createViewer(holder, { orthographic: true, upscale: false });
      if (!viewer) throw new Error("WebGL is not to be had");
      paintBackground(viewer);
      return { holder, viewer, surface: null };
    });
    const pair = { sides, entry: null, drawing: false };
    sides.forEach(({ viewer }, place) => {
      viewer.setViewChangeCallback((view) => together(pair, () => sides[1 - place].viewer.setView(view, true)));
    });
    pairs.push(pair);
    return pair;
  }
  const pair = pairs.shift();
  pairs.push(pair);
  leave(pair);
  return pair;
}

// What the entry showed last stays as a picture; it comes to life when it is in sight again.
function leave(pair) {
  const entry = pair.entry;
  entry.seen = pair.sides[0].viewer.getView();
  pair.sides.forEach((side, place) => {
    const still = new Image();
    still.src = side.viewer.pngURI();
    still.alt = entry.stages[place].getAttribute("aria-label");
    entry.stages[place].replaceChildren(still);
    side.viewer.removeAllShapes();
    side.surface = null;
  });
  entry.state = entry.figure.dataset.state = "waiting";
  inSight.unobserve(entry.figure);
  requestAnimationFrame(() => inSight.observe(entry.figure));
}

// Does what changes both sides, without either of them telling the other meanwhile.
function together(pair, work) {
  if (pair.drawing) return;
  pair.drawing = true;
  work();
  pair.drawing = false;
}

function paintBackground(viewer) {
  const style = getComputedStyle(document.documentElement);
  viewer.setBackgroundColor(style.getPropertyValue("--raised").trim());
}

function draw(entry, ...changes) {
  together(entry.pair, () => {
    for (const change of changes) change(entry);
    for (const { viewer } of entry.pair.sides) viewer.render();
  });
}

function setSurfaces(entry) {
  const stop = Number(entry.volume.value);
  const { data, pair, figure } = entry;
  data.maps.forEach((map, place) => {
    const side = pair.sides[place];
    if (side.surface) side.viewer.removeShape(side.surface);
    const mesh = surfaceOf(map.values, data.size, map.contours[stop], data.voxel, data.origin);
    side.surface = side.viewer.addCustom({
      ...mesh, color: map.colour, opacity: Number(entry.opacity.value) / 100, side: FRONT,
    });
    entry.stages[place].previousElementSibling.querySelector("output").textContent =
      `level ${levelOf(map, stop).toPrecision(3)}`;
  });
  const share = data.shares[stop];
  figure.querySelector(".enclosed").textContent =
    `${(100 * share).toFixed(share % 0.01 > 1e-6 && share % 0.01 < 0.00999 ? 1 : 0)} % of the molecule, ${Math.round(share * data.molecule).toLocaleString("en")} Å³`;
}

function setModel(entry) {
  const { data, pair, model } = entry;
  for (const { viewer } of pair.sides) {
    const cartoon = { colorfunc: (atom) => data.chainColours[atom.b], arrows: true, thickness: 0.5 };
    viewer.setStyle({}, model.checked ? { cartoon } : {});
    if (model.checked) viewer.setStyle({ hetflag: true }, { stick: { radius: 0.3 } });
  }
}

// The viewpoint of the pictures above; the narrower side of the stage takes the whole molecule.
function lookFromStart({ data, pair }) {
  for (const { viewer, holder } of pair.sides) {
    viewer.zoomTo();
    viewer.setView([...data.centre.map((x) => -x), 0, ...data.quaternion], true);
    const aspect = Math.max(1, holder.clientWidth / holder.clientHeight);
    viewer.setPerceivedDistance(aspect * data.extent / 2 / Math.tan(Math.PI / 9));
    viewer.setSlab(-data.extent, data.extent);
  }
}

function lookAsBefore(entry) {
  lookFromStart(entry);
  for (const { viewer } of entry.pair.sides) viewer.setView(entry.seen, true);
}

// The page must still scroll where the pointer happens to be on a map: the wheel zooms once the
// map was clicked or has the keyboard's focus.
for (const stage of document.querySelectorAll(".viewer .stage")) {
  stage.addEventListener("wheel", (event) => {
    if (!stage.contains(document.activeElement)) event.stopPropagation();
  }, { capture: true });
  stage.addEventListener("pointerdown", () => stage.focus({ preventScroll: true }), { capture: true });
  stage.addEventListener("keydown", (event) => {
    const entry = figures.get(stage.closest("figure.viewer"));
    const turns = { ArrowLeft: [-10, "y"], ArrowRight: [10, "y"], ArrowUp: [-10, "x"], ArrowDown: [10, "x"] };
    const zooms = { "+": 1.15, "-": 1 / 1.15 };
    if (entry.state !== "shown" || !(event.key in turns || event.key in zooms)) return;
    const { viewer } = entry.pair.sides[entry.stages.indexOf(stage)];
    if (event.key in turns) viewer.rotate(...turns[event.key]);
    else viewer.zoom(zooms[event.key]);
    event.preventDefault();
  });
}
