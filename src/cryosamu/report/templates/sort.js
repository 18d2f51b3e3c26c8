"use strict";
// Tables sort on a click on a column's title; a second click turns the order round.
for (const header of document.querySelectorAll("table.sortable th[data-column]")) {
  const button = document.createElement("button");
  button.type = "button";
  button.title = "Sort by this column";
  button.append(...header.childNodes);
  header.append(button);
  button.addEventListener("click", () => sortBy(header));
}

function sortBy(header) {
  const column = Number(header.dataset.column);
  const upwards = header.getAttribute("aria-sort") !== "ascending";
  const body = header.closest("table").tBodies[0];
  for (const other of header.parentElement.children) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", upwards ? "ascending" : "descending");
  const rows = [...body.rows].map((row) => [keyOf(row.cells[column]), row]);
  rows.sort(([a], [b]) => compareKeys(a, b, upwards));
  body.append(...rows.map(([, row]) => row));
}

function keyOf(cell) {
  if ("value" in cell.dataset) return Number(cell.dataset.value);
  return cell.classList.contains("number") ? null : cell.textContent.trim();
}

// Missing values stay at the end in both orders; EMD-900 comes before EMD-1000.
function compareKeys(a, b, upwards) {
  if (a === null || b === null) return (a === null) - (b === null);
  const order = typeof a === "number" && typeof b === "number"
    ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
  return upwards ? order : -order;
}

// Paper shows what is folded away on the screen.
addEventListener("beforeprint", () => {
  for (const folded of document.querySelectorAll("details")) folded.open = true;
});
