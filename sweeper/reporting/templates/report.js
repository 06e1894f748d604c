"use strict";
(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const waiting = [...document.querySelectorAll(".plot")];
  const drawn = [];

  function draw(place) {
    const figure = figures[Number(place.dataset.figure)];
    const small = place.closest(".small") !== null;
    drawn.push(place);
    return Plotly.newPlot(place, figure.data, figure.layout, {displaylogo: false, responsive: true, typesetMath: false, displayModeBar: small ? false : undefined});
  }

  // One picture at a time, so that the page can be read and scrolled from the start.
  function next() {
    if (waiting.length === 0) { document.documentElement.dataset.drawn = String(drawn.length); return; }
    draw(waiting.shift()).catch((error) => console.error(error)).finally(() => setTimeout(next));
  }

  function key(row, column) {
    const cell = row.cells[column];
    const text = cell.dataset.value ?? cell.textContent.trim();
    const number = Number(text.replaceAll(",", ""));
    return text === "" || text === "–" ? null : Number.isNaN(number) ? text : number;
  }

  // What has no value stays at the end whichever way the rest is sorted.
  function compare(one, other, sign) {
    if (one === null || other === null) { return (one === null) - (other === null); }
    if (typeof one === "number" && typeof other === "number") { return sign * (one - other); }
    return sign * String(one).localeCompare(String(other), "ko");
  }

  function sort(heading) {
    const table = heading.closest("table");
    const rising = heading.getAttribute("aria-sort") !== "ascending";
    table.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
    heading.setAttribute("aria-sort", rising ? "ascending" : "descending");
    const rows = [...table.tBodies[0].rows].map((row) => [key(row, heading.cellIndex), row]);
    rows.sort(([one], [other]) => compare(one, other, rising ? 1 : -1));
    table.tBodies[0].append(...rows.map(([, row]) => row));
  }

  document.querySelectorAll(".sortable th").forEach((heading) => {
    heading.tabIndex = 0;
    heading.addEventListener("click", () => sort(heading));
    heading.addEventListener("keydown", (event) => { if (event.key === "Enter") { sort(heading); } });
  });

  function resize() { drawn.forEach((place) => Plotly.Plots.resize(place)); }

  // A printed page is narrower than most windows: draw again at its width.
  window.addEventListener("beforeprint", () => {
    while (waiting.length > 0) { draw(waiting.shift()); }
    document.body.classList.add("printing");
    resize();
  });
  window.addEventListener("afterprint", () => { document.body.classList.remove("printing"); resize(); });

  next();
})();
