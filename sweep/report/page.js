"use strict";
const root = document.documentElement;
const dark = matchMedia("(prefers-color-scheme: dark)");
let chosen = null;
try { chosen = localStorage.getItem("sweep.theme"); } catch { /* not from a file, in some browsers */ }
const toggle = document.getElementById("theme");
function paint() {
  root.dataset.theme = chosen ?? (dark.matches ? "dark" : "light");
  const other = root.dataset.theme === "dark" ? "light" : "dark";
  toggle.textContent = `${other[0].toUpperCase()}${other.slice(1)} theme`;
}
toggle.hidden = false;
toggle.addEventListener("click", () => {
  chosen = root.dataset.theme === "dark" ? "light" : "dark";
  try { localStorage.setItem("sweep.theme", chosen); } catch { /* it holds for this view, then */ }
  paint();
});
dark.addEventListener("change", paint);
paint();

const tip = document.getElementById("tip");
document.addEventListener("pointermove", (event) => {
  const said = event.target.closest?.("[data-tip]")?.dataset.tip;
  tip.style.display = said ? "block" : "none";
  if (!said) return;
  tip.textContent = said;
  const left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8);
  const below = event.clientY + 16 + tip.offsetHeight < innerHeight;
  tip.style.left = `${Math.max(8, left)}px`;
  tip.style.top = `${below ? event.clientY + 16 : event.clientY - tip.offsetHeight - 10}px`;
});

function key(row, column) {
  const cell = row.cells[column];
  return "value" in cell.dataset ? Number(cell.dataset.value) : cell.textContent;
}
function compare(one, other) {
  if (typeof one !== typeof other) return typeof one === "number" ? -1 : 1;
  if (typeof one === "string") return one.localeCompare(other);
  if (Number.isNaN(one) || Number.isNaN(other)) return Number.isNaN(one) - Number.isNaN(other);
  return one - other;
}
for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const head = button.closest("th");
    const body = head.closest("table").tBodies[0];
    const up = head.getAttribute("aria-sort") !== "ascending";
    for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const rows = [...body.rows].map((row) => [key(row, head.cellIndex), row]);
    rows.sort((a, b) => (up ? 1 : -1) * compare(a[0], b[0]));
    body.append(...rows.map((pair) => pair[1]));
  });
}
