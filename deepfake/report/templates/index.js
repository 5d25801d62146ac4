const table = document.querySelector("tbody");
const rows = [...table.rows];
const search = document.querySelector("#search");
const boxes = [...document.querySelectorAll("[name=label]")];
const shown = document.querySelector("#shown");
function filter() {
  const wanted = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
  const text = search.value.toLowerCase();
  for (const row of rows) {
    row.hidden = !wanted.has(row.dataset.label) || !row.textContent.toLowerCase().includes(text);
  }
  shown.textContent = rows.filter((row) => !row.hidden).length;
}
function sort(event) {
  const head = event.currentTarget.closest("th");
  const rising = head.getAttribute("aria-sort") !== "ascending";
  for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", rising ? "ascending" : "descending");
  const key = (row) => row.cells[head.cellIndex].dataset.key;
  const compare = head.dataset.kind === "number" ? (a, b) => key(a) - key(b) : (a, b) => key(a).localeCompare(key(b), undefined, { numeric: true });
  rows.sort((a, b) => (rising ? 1 : -1) * compare(a, b));
  table.append(...rows);
}
document.querySelectorAll("th button").forEach((button) => button.addEventListener("click", sort));
[search, ...boxes].forEach((input) => input.addEventListener("input", filter));
document.querySelector("form").hidden = false;
filter();
