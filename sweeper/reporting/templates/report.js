"use strict";
(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const places = [...document.querySelectorAll(".plot")];
  const waiting = places.filter((place) => !isSmall(place));
  const unseen = new Set(places.filter(isSmall));
  const drawn = [];

  function isSmall(place) { return place.closest(".small") !== null; }

  function draw(place) {
    const figure = figures[Number(place.dataset.figure)];
    drawn.push(place);
    unseen.delete(place);
    watcher.unobserve(place);
    return Plotly.newPlot(place, figure.data, figure.layout, {displaylogo: false, responsive: true, typesetMath: false, displayModeBar: isSmall(place) ? false : "hover"});
  }

  // One picture at a time, so that the page can be read and scrolled from the start.
  function next() {
    if (waiting.length === 0) { told(); document.documentElement.dataset.opened ??= String(Math.round(performance.now())); return; }
    draw(waiting.shift()).catch((error) => console.error(error)).finally(() => setTimeout(next));
  }

  // For whoever measures: how many pictures stand, beside `opened`, the milliseconds until all wide ones stood.
  function told() { document.documentElement.dataset.drawn = String(drawn.length); }

  // A trial's own picture is drawn when it comes near the window: there may be hundreds, and each takes its time.
  const watcher = new IntersectionObserver((entries) => {
    const near = entries.filter((entry) => entry.isIntersecting && unseen.has(entry.target)).map((entry) => entry.target);
    near.forEach((place) => { draw(place).catch((error) => console.error(error)); });
    if (near.length > 0) { told(); }
  }, {rootMargin: "600px"});

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
    unseen.forEach((place) => draw(place));
    told();
    document.body.classList.add("printing");
    resize();
  });
  window.addEventListener("afterprint", () => { document.body.classList.remove("printing"); resize(); });

  unseen.forEach((place) => watcher.observe(place));
  next();
})();
