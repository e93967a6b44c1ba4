// What the HTML report does beyond being read: charts, sorting, filters, the theme.
// Without it (or before it) every section is there, with still images of the charts.
"use strict";
(() => {
  const root = document.documentElement;
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  // Asked for at every redraw of every axis, so looked up once for each theme.
  const palette = new Map();
  const colour = (name) => {
    if (!palette.has(name)) palette.set(name, getComputedStyle(root).getPropertyValue(name).trim());
    return palette.get(name);
  };
  const said = document.getElementById("said");
  const say = (text) => { said.textContent = text; };

  // Theme: the system's, until somebody chooses. A page from a file may have no storage.
  const stored = { get: () => { try { return localStorage.getItem("mcgitops-theme"); } catch { return null; } },
    set: (value) => { try { localStorage.setItem("mcgitops-theme", value); } catch { /* not kept */ } } };
  const darkness = matchMedia("(prefers-color-scheme: dark)");
  const toggle = document.getElementById("theme");
  const isDark = () => (root.dataset.theme || (darkness.matches ? "dark" : "light")) === "dark";
  const themed = () => {
    palette.clear();
    toggle.setAttribute("aria-pressed", String(isDark()));
    for (const chart of charts.values()) chart.redraw(false);
  };
  const charts = new Map();
  if (["dark", "light"].includes(stored.get())) root.dataset.theme = stored.get();
  toggle.hidden = false;
  toggle.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    stored.set(root.dataset.theme);
    themed();
  });
  darkness.addEventListener("change", themed);

  // Sorting: the header's button; rows without a number come last either way.
  const value = (row, column) => {
    const cell = row.cells[column];
    return cell && cell.dataset.v !== undefined ? Number(cell.dataset.v) : null;
  };
  const compare = (column, numeric, sign) => (a, b) => {
    if (!numeric) return sign * a.cells[column].textContent.trim().localeCompare(b.cells[column].textContent.trim(), "en", { numeric: true });
    const [x, y] = [value(a, column), value(b, column)];
    const [noX, noY] = [x === null || Number.isNaN(x), y === null || Number.isNaN(y)];
    if (noX || noY) return noX - noY;
    return sign * (x - y);
  };
  for (const table of all("table[data-sort]")) {
    const body = table.tBodies[0];
    const rows = [...body.rows];
    const first = new Map(rows.map((row, index) => [row, index]));
    const headers = all("thead th", table);
    headers.forEach((header, column) => {
      const name = header.textContent.trim();
      if (!name) return;
      const numeric = header.classList.contains("n") || header.dataset.by === "v";
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = name;
      header.replaceChildren(button);
      header.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => {
        const turn = { none: "descending", descending: "ascending", ascending: "none" };
        const turnText = { none: "ascending", ascending: "descending", descending: "none" };
        const next = (numeric ? turn : turnText)[header.getAttribute("aria-sort")];
        for (const other of headers) if (other.hasAttribute("aria-sort")) other.setAttribute("aria-sort", "none");
        header.setAttribute("aria-sort", next);
        const order = next === "none" ? (a, b) => first.get(a) - first.get(b) : compare(column, numeric, next === "ascending" ? 1 : -1);
        body.append(...rows.sort(order));
        say(next === "none" ? `${name}: in the original order` : `Sorted by ${name}, ${next}`);
      });
    });
  }

  // Filters: a search box, and a checkbox for what changed, over the rows or figures of a section.
  for (const box of all("[data-filter]")) {
    const items = all(box.dataset.filter);
    const text = new Map(items.map((item) => [item, (item.dataset.text || item.textContent).toLowerCase()]));
    const only = box.querySelector("input[type=checkbox]");
    const search = box.querySelector("input[type=search]");
    const shown = box.querySelector("output");
    const apply = () => {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      let count = 0;
      for (const item of items) {
        const fits = words.every((word) => text.get(item).includes(word));
        const hide = !fits || Boolean(only && only.checked && item.dataset.same !== undefined);
        if (item.hidden !== hide) item.hidden = hide;
        count += !hide;
      }
      shown.textContent = count === items.length ? "" : `${count} of ${items.length} shown`;
    };
    box.hidden = false;
    search.addEventListener("input", apply);
    if (only) only.addEventListener("change", apply);
    apply();
  }

  // Charts. The data: see mcgitops/report/packing.py.
  const LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%/()*+-;,=.?@^_`{|}~";
  const digits = new Uint8Array(128);
  [...LETTERS].forEach((letter, index) => { digits[letter.charCodeAt(0)] = index; });
  const bytes = (text) => {
    const rest = text.length % 5;
    const padded = rest ? text + "~".repeat(5 - rest) : text;
    const found = new Uint8Array(padded.length / 5 * 4);
    for (let from = 0, to = 0; from < padded.length; from += 5) {
      let word = 0;
      for (let index = 0; index < 5; index++) word = word * 85 + digits[padded.charCodeAt(from + index)];
      found[to++] = word >>> 24; found[to++] = word >>> 16 & 255; found[to++] = word >>> 8 & 255; found[to++] = word & 255;
    }
    return found.subarray(0, found.length - (rest ? 5 - rest : 0));
  };
  const inflated = async (text) => {
    const stream = new Blob([bytes(text)]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  };
  const series = async (packed) => {
    const raw = await inflated(packed.b);
    let at = 0;
    const doubles = (count) => {
      const view = new DataView(new ArrayBuffer(8 * count));
      for (let plane = 0; plane < 8; plane++) for (let i = 0; i < count; i++) view.setUint8(8 * i + plane, raw[at++]);
      return new Float64Array(count).map((_, i) => view.getFloat64(8 * i));
    };
    const floats = (count) => {
      const words = new Uint32Array(count);
      for (const shift of [24, 16, 8]) for (let i = 0; i < count; i++) words[i] |= raw[at++] << shift;
      const ys = new Float32Array(words.buffer);
      return ys.some(Number.isNaN) ? Array.from(ys, (y) => (Number.isNaN(y) ? null : y)) : ys;
    };
    const sides = [];
    packed.n.forEach((count, index) => {
      const axis = packed.x[index];
      const xs = axis === 1 ? sides[0][0] : axis === 0 ? doubles(count) : new Float64Array(count).map((_, i) => axis[0] + i * axis[1]);
      sides.push([xs, floats(count)]);
    });
    const [head, base] = sides;
    if (!base[0].length) return [head[0], head[1]];
    return base[0] === head[0] ? [head[0], base[1], head[1]] : uPlot.join([[base[0], base[1]], head]);
  };
  const number = (y) => (y === null || y === undefined ? "–" : Number(y.toPrecision(5)).toLocaleString("en", { maximumSignificantDigits: 5 }).replace("-", "−"));
  const shortly = (splits) => splits.map((y) => (Math.abs(y) >= 1e6 || (y && Math.abs(y) < 1e-4) ? y.toExponential(1) : String(Number(y.toPrecision(6)))).replace("-", "−"));

  const HEIGHT = 220;
  const DASHED = 500; // of more points the dashes would only be noise
  const draw = async (figure, packed, width) => {
    const place = figure.querySelector(".plot");
    const readout = figure.querySelector(".readout");
    const data = await series(packed);
    const hasBase = data.length === 3;
    const names = hasBase ? ["base", "head"] : ["head"];
    const axis = { stroke: () => colour("--quiet"), grid: { stroke: () => colour("--line"), width: 1 }, ticks: { stroke: () => colour("--line"), width: 1 }, values: (_, splits) => shortly(splits) };
    const chart = new uPlot({
      width, height: HEIGHT,
      legend: { show: false },
      cursor: { drag: { x: true, y: false }, points: { size: 7 } },
      scales: { x: { time: false } },
      axes: [axis, { ...axis, size: 62 }],
      series: [{}, ...names.map((name) => ({
        label: name, stroke: () => colour(`--${name}`), width: name === "base" ? 1.5 : 2,
        dash: name === "base" && data[0].length <= DASHED ? [5, 4] : undefined, points: { show: false }, spanGaps: true,
      }))],
      hooks: { setCursor: [(u) => {
        const i = u.cursor.idx;
        if (i === null || i === undefined) return;
        const near = (line) => { for (let k = 0; k < 50; k++) { for (const j of [i - k, i + k]) if (line[j] !== null && line[j] !== undefined) return line[j]; } return null; };
        const parts = names.map((name, index) => `${name} ${number(near(u.data[index + 1]))}`);
        readout.textContent = `${place.dataset.x} ${number(u.data[0][i])}: ${parts.join(", ")}`;
      }] },
    }, data, place);
    chart.root.setAttribute("aria-hidden", "true");
    place.classList.add("drawn");
    figure.classList.toggle("solid", data[0].length > DASHED);
    charts.set(figure, chart);
    new ResizeObserver(([entry]) => {
      const now = wide(entry.contentRect.width);
      if (Math.abs(chart.width - now) > 1) chart.setSize({ width: now, height: HEIGHT });
    }).observe(place);

    const xs = data[0];
    const full = () => chart.setScale("x", { min: xs[0], max: xs[xs.length - 1] });
    const zoom = (factor) => {
      const { min, max } = chart.scales.x;
      const middle = chart.cursor.idx ? xs[chart.cursor.idx] : (min + max) / 2;
      const half = (max - min) * factor / 2;
      const low = Math.max(xs[0], middle - half), high = Math.min(xs[xs.length - 1], middle + half);
      if (high > low) chart.setScale("x", { min: low, max: high });
    };
    const step = (by) => {
      const { min, max } = chart.scales.x;
      const first = xs.findIndex((x) => x >= min);
      let last = xs.length - 1;
      while (last > first && xs[last] > max) last--;
      const stride = Math.max(1, Math.round((last - first) / 100));
      const from = chart.cursor.idx ?? (by > 0 ? first - stride : last + stride);
      const index = Math.min(last, Math.max(first, from + by * stride));
      const line = data.slice(1).find((values) => values[index] !== null && values[index] !== undefined);
      chart.setCursor({ left: chart.valToPos(xs[index], "x"), top: line ? chart.valToPos(line[index], "y") : 0 });
    };
    const actions = { ArrowRight: () => step(1), ArrowLeft: () => step(-1), "+": () => zoom(0.5), "-": () => zoom(2), 0: full, Escape: full };
    place.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || !Object.hasOwn(actions, event.key)) return;
      event.preventDefault();
      actions[event.key]();
    });
    for (const button of all("button[data-line]", figure)) {
      button.addEventListener("click", () => {
        const on = button.getAttribute("aria-pressed") !== "true";
        button.setAttribute("aria-pressed", String(on));
        chart.setSeries(names.indexOf(button.dataset.line) + 1, { show: on });
      });
    }
    figure.querySelector("button[data-zoom=in]").addEventListener("click", () => zoom(0.5));
    figure.querySelector("button[data-zoom=out]").addEventListener("click", () => zoom(2));
    figure.querySelector("button[data-zoom=all]").addEventListener("click", full);
    figure.querySelector(".keys").hidden = false;
  };

  const figures = all("figure[data-chart]");
  const packed = figures.length ? JSON.parse(document.getElementById("data").textContent) : [];
  const wide = (width) => Math.max(200, Math.floor(width));
  let drawn = 0;
  const seen = new IntersectionObserver((entries) => {
    // all widths before the first chart: each one read afterwards would lay out the page anew
    const near = entries.filter((entry) => entry.isIntersecting);
    const widths = near.map((entry) => wide(entry.target.querySelector(".plot").clientWidth));
    near.forEach(({ target }, index) => {
      seen.unobserve(target);
      draw(target, packed[Number(target.dataset.chart)], widths[index])
        .catch((error) => { console.error(error); }) // the still image stays
        .finally(() => { root.dataset.drawn = String(++drawn); });
    });
  }, { rootMargin: "400px" });
  for (const figure of figures) seen.observe(figure);
  themed();
  root.dataset.ready = "true";
})();
