/* Curves on a canvas: bands of minimum and maximum, smoothing, a cross-hair that all charts of the page share. */
const view = {axis: remembered("axis") || "step", smooth: Number(remembered("smooth")) || 0, range: null, hover: null, charts: new Set(), big: null};

const LEFT = 52, RIGHT = 12, TOP = 8, BOTTOM = 22;

/* About `n` round numbers from low to high. */
function ticks(low, high, n) {
  const raw = (high - low) / Math.max(1, n), base = 10 ** Math.floor(Math.log10(raw));
  const unit = [1, 2, 5, 10].find(f => f * base >= raw * 0.999) * base;
  const out = [];
  for (let x = Math.ceil(low / unit - 1e-9) * unit; x <= high + unit * 1e-9 && out.length < 50; x += unit) out.push(Math.abs(x) < unit * 1e-9 ? 0 : x);
  return out;
}

/* Words for round numbers: as many digits as tell them apart, one unit for all. */
function tickWords(list, format) {
  const most = Math.max(...list.map(Math.abs)), between = list.length > 1 ? list[1] - list[0] : most || 1;
  if (format !== brief && format !== bytes) return list.map(format);
  const units = format === bytes ? [[2 ** 30, " GB"], [2 ** 20, " MB"], [2 ** 10, " kB"]] : [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e4, "k"]];
  const [from, word] = units.find(([unit]) => most >= unit) || [1, ""], unit = from === 1e4 ? 1e3 : from;
  if (most && most < 1e-3) return list.map(x => x ? x.toExponential(1).replace("e-", "e−") : "0");
  const digits = Math.max(0, Math.min(6, Math.ceil(-Math.log10(between / unit) - 0.01)));
  return list.map(x => x ? (x / unit).toFixed(digits) + word : "0");
}

/* Exponential, without the bias of its start. */
function smoothed(values, weight) {
  if (!weight) return values;
  let sum = 0, norm = 0;
  return values.map(v => (sum = sum * weight + v * (1 - weight), norm = norm * weight + 1 - weight, sum / norm));
}

/* The index whose x is nearest; xs rise. */
function nearest(xs, x) {
  let low = 0, high = xs.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (xs[middle] < x) low = middle; else high = middle;
  }
  return Math.abs(xs[low] - x) <= Math.abs(xs[high] - x) ? low : high;
}

class Chart {
  /* given: title, help, format, stacked, floor, target(): number, lines(): [{label, colour, s}], s as in data.loaded */
  constructor(given) {
    Object.assign(this, {format: brief, lines: () => [], target: () => null}, given);
    this.value = h("span.value");
    this.legend = h("div.legend");
    this.canvas = h("canvas", {tabindex: "0", role: "img"});
    this.element = h("figure.chart" + (given.wide ? ".wide" : ""), {}, h("figcaption", {title: given.help || ""}, h("h3", {}, given.title), this.value), this.canvas, this.legend);
    this.canvas.addEventListener("pointermove", e => this.point(e));
    this.canvas.addEventListener("pointerleave", () => setHover(null));
    this.canvas.addEventListener("pointerdown", e => { this.from = e.offsetX; });
    this.canvas.addEventListener("pointerup", e => this.release(e));
    this.canvas.addEventListener("dblclick", () => setRange(null));
    this.canvas.addEventListener("keydown", e => this.key(e));
    this.canvas.addEventListener("blur", () => setHover(null));
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(this.canvas);
    view.charts.add(this);
  }

  close() {
    this.observer.disconnect();
    view.charts.delete(this);
  }

  /* Lines with something in them, smoothed, and where they lie. */
  prepare() {
    this.shown = this.lines().filter(l => l.s && l.s.mean.length).map(l => ({...l, x: l.s[view.axis], y: this.stacked ? l.s.mean : smoothed(l.s.mean, view.smooth)}));
    let [x0, x1] = [Infinity, -Infinity];
    for (const l of this.shown) x0 = Math.min(x0, l.x[0]), x1 = Math.max(x1, l.x[l.x.length - 1]);
    if (view.range) [x0, x1] = view.range;
    if (!(x1 > x0)) x1 = x0 + 1;
    this.x = [x0, x1];
    this.y = this.stacked ? [0, 1] : this.heights();
  }

  heights() {
    let low = Infinity, high = -Infinity;
    for (const l of this.shown)
      for (let i = 0; i < l.y.length; i++) {
        if (l.x[i] < this.x[0] || l.x[i] > this.x[1]) continue;
        low = Math.min(low, view.smooth ? l.y[i] : l.s.min[i]);
        high = Math.max(high, view.smooth ? l.y[i] : l.s.max[i]);
      }
    const target = this.target();
    if (known(target)) low = Math.min(low, target), high = Math.max(high, target);
    if (!(high >= low)) return [0, 1];
    const span = high - low || Math.abs(high) * 0.2 || 1;
    if (low >= 0 && low <= span * 0.6) return [0, high + span * 0.06 || 1];
    return [low - span * 0.06, high + span * 0.06];
  }

  px(x) { return LEFT + (x - this.x[0]) / (this.x[1] - this.x[0]) * (this.width - LEFT - RIGHT); }
  py(y) { return this.height - BOTTOM - (y - this.y[0]) / (this.y[1] - this.y[0]) * (this.height - TOP - BOTTOM); }

  draw() {
    const scale = devicePixelRatio || 1;
    this.width = this.canvas.clientWidth;
    this.height = this.canvas.clientHeight;
    if (!this.width || !this.height) return;
    const [w, t] = [Math.round(this.width * scale), Math.round(this.height * scale)];
    if (this.canvas.width !== w || this.canvas.height !== t) this.canvas.width = w, this.canvas.height = t;
    const g = this.g = this.canvas.getContext("2d");
    g.setTransform(scale, 0, 0, scale, 0, 0);
    g.clearRect(0, 0, this.width, this.height);
    this.prepare();
    this.grid();
    g.save();
    g.beginPath();
    g.rect(LEFT, TOP - 4, this.width - LEFT - RIGHT + 5, this.height - TOP - BOTTOM + 5);
    g.clip();
    if (this.stacked) this.stack(); else this.shown.forEach(l => this.line(l));
    g.restore();
    this.aim();
    this.words();
  }

  grid() {
    const g = this.g;
    g.font = "11px " + theme.get("font");
    g.lineWidth = 1;
    g.strokeStyle = theme.get("grid");
    g.fillStyle = theme.get("muted");
    g.textBaseline = "middle";
    g.textAlign = "right";
    const marks = ticks(...this.y, Math.max(2, this.height / 46)), marked = tickWords(marks, this.format);
    for (const [i, y] of marks.entries()) {
      const at = Math.round(this.py(y)) + 0.5;
      g.beginPath(), g.moveTo(LEFT, at), g.lineTo(this.width - RIGHT, at), g.stroke();
      g.fillText(marked[i], LEFT - 7, at);
    }
    g.textAlign = "center";
    g.textBaseline = "alphabetic";
    if (this.shown.length)
      for (const x of ticks(...this.x, Math.max(2, this.width / 110))) {
        const word = view.axis === "step" ? brief(x) : shortTime(x), half = g.measureText(word).width / 2;
        g.fillText(word, Math.min(this.px(x), this.width - half - 2), this.height - 6);
      }
    else g.fillText("nothing yet", this.width / 2, this.height / 2);
    const target = this.target();
    if (!known(target)) return;
    g.setLineDash([4, 4]);
    g.strokeStyle = theme.get("muted");
    g.beginPath(), g.moveTo(LEFT, this.py(target)), g.lineTo(this.width - RIGHT, this.py(target)), g.stroke();
    g.setLineDash([]);
  }

  path(xs, ys) {
    const g = this.g;
    for (let i = 0; i < xs.length; i++) g.lineTo(this.px(xs[i]), this.py(ys[i]));
  }

  line(l) {
    const g = this.g, last = l.x.length - 1;
    g.fillStyle = g.strokeStyle = l.colour;
    g.lineJoin = "round";
    g.globalAlpha = 0.16;
    g.beginPath();
    this.path(l.x, l.s.max);
    for (let i = last; i >= 0; i--) g.lineTo(this.px(l.x[i]), this.py(l.s.min[i]));
    g.fill();
    if (view.smooth) g.globalAlpha = 0.25, g.lineWidth = 1, g.beginPath(), this.path(l.x, l.s.mean), g.stroke();
    g.globalAlpha = 1;
    g.lineWidth = 1.7;
    g.beginPath();
    this.path(l.x, l.y);
    g.stroke();
    g.beginPath();
    g.arc(this.px(l.x[last]), this.py(l.y[last]), 2.6, 0, 7);
    g.fill();
  }

  /* Shares of a whole, one upon the other; all have the same x. */
  stack() {
    const g = this.g, n = Math.min(...this.shown.map(l => l.x.length));
    if (!this.shown.length) return;
    let under = new Array(n).fill(0);
    for (const l of this.shown) {
      const skip = l.x.length - n, top = under.map((u, i) => u + l.y[i + skip]), x = l.x.slice(skip);
      g.fillStyle = l.colour;
      g.globalAlpha = 0.72;
      g.beginPath();
      this.path(x, top);
      for (let i = n - 1; i >= 0; i--) g.lineTo(this.px(x[i]), this.py(under[i]));
      g.fill();
      under = top;
    }
    g.globalAlpha = 1;
  }

  aim() {
    const g = this.g, x = view.hover;
    if (x === null || !this.shown.length || x < this.x[0] || x > this.x[1]) return;
    g.strokeStyle = theme.get("muted");
    g.lineWidth = 1;
    g.beginPath(), g.moveTo(Math.round(this.px(x)) + 0.5, TOP), g.lineTo(Math.round(this.px(x)) + 0.5, this.height - BOTTOM), g.stroke();
    if (this.stacked) return;
    for (const l of this.shown) {
      const i = nearest(l.x, x);
      g.fillStyle = theme.get("panel");
      g.strokeStyle = l.colour;
      g.lineWidth = 2;
      g.beginPath(), g.arc(this.px(l.x[i]), this.py(l.y[i]), 3.4, 0, 7), g.fill(), g.stroke();
    }
  }

  /* The newest values, or those at the cross-hair. */
  words() {
    const at = l => view.hover === null ? l.s.mean.length - 1 : nearest(l.x, view.hover);
    const one = this.shown.length === 1 ? this.shown[0] : null;
    this.value.textContent = one ? this.format(one.s.mean[at(one)]) : "";
    const key = this.shown.map(l => l.label + l.colour).join("|");
    if (key !== this.key_ && !one) {
      this.legend.replaceChildren(...this.shown.map(l => {
        const dot = h("i");
        dot.style.background = l.colour;
        return h("span", {title: l.help || l.label}, dot, h("b", {}, l.label), h("em"));
      }));
    } else if (one) this.legend.replaceChildren();
    this.key_ = one ? null : key;
    if (!one) this.shown.forEach((l, i) => { this.legend.children[i].lastChild.textContent = this.format(l.s.mean[at(l)]); });
    this.canvas.setAttribute("aria-label", `${this.title}: ` + (this.shown.map(l => `${one ? "" : l.label + " "}${this.format(l.s.mean[at(l)])}`).join(", ") || "nothing yet"));
  }

  point(e) {
    if (!this.shown?.length) return;
    const inside = Math.min(Math.max(e.offsetX, LEFT), this.width - RIGHT);
    setHover(this.x[0] + (inside - LEFT) / (this.width - LEFT - RIGHT) * (this.x[1] - this.x[0]));
    showTip(this, e.clientX, e.clientY);
  }

  release(e) {
    const from = this.from;
    this.from = null;
    if (from === null || from === undefined || Math.abs(e.offsetX - from) < 8 || !this.shown.length) return;
    const at = px => this.x[0] + (px - LEFT) / (this.width - LEFT - RIGHT) * (this.x[1] - this.x[0]);
    setRange([at(Math.min(from, e.offsetX)), at(Math.max(from, e.offsetX))]);
  }

  key(e) {
    if (e.key === "Enter") this.enlarge();
    if (e.key !== "ArrowLeft" && e.key !== "ArrowRight") return;
    e.preventDefault();
    const xs = this.shown?.[0]?.x;
    if (!xs) return;
    const i = nearest(xs, view.hover ?? xs[xs.length - 1]), by = e.shiftKey ? 10 : 1;
    setHover(xs[Math.max(0, Math.min(xs.length - 1, i + (e.key === "ArrowLeft" ? -by : by)))]);
    const box = this.canvas.getBoundingClientRect();
    showTip(this, box.left + this.px(view.hover), box.top + 20);
  }

  enlarge() {
    const big = view.big !== this;
    view.big?.element.classList.remove("big");
    view.big = big ? this : null;
    this.element.classList.toggle("big", big);
    document.body.classList.toggle("enlarged", big);
    this.draw();
  }
}

const shortTime = s => s < 120 ? brief(s) + "s" : s < 7200 ? trim((s / 60).toPrecision(3)) + "m" : trim((s / 3600).toPrecision(3)) + "h";

/* ---- all charts at once ---- */

let drawing = false;
function drawAll() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    for (const chart of view.charts) chart.draw();
  });
}

function setHover(x) {
  if (x === null) $("tip").hidden = true;
  if (view.hover === x) return;
  view.hover = x;
  drawAll();
}

function setRange(range) {
  view.range = range;
  drawAll();
}

function showTip(chart, left, top) {
  const tip = $("tip"), x = view.hover;
  const rows = chart.shown.map(l => {
    const i = nearest(l.x, x), dot = h("i"), extremes = l.s.max[i] > l.s.min[i] && !chart.stacked;
    dot.style.background = l.colour;
    return h("div", {}, dot, h("span", {}, l.label), h("b", {}, chart.format(l.y[i])), extremes ? h("small", {}, `${chart.format(l.s.min[i])} … ${chart.format(l.s.max[i])}`) : null);
  });
  const first = chart.shown[0], i = nearest(first.x, x);
  tip.replaceChildren(h("header", {}, `step ${whole(first.s.step[i])}`, h("span", {}, duration(first.s.seconds[i]))), ...rows);
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  tip.style.left = Math.max(6, Math.min(innerWidth - box.width - 6, left + 16)) + "px";
  tip.style.top = Math.max(6, Math.min(innerHeight - box.height - 6, top + 16)) + "px";
}

/* The controls that all charts obey. */
function chartControls() {
  const axis = h("div.switch", {role: "group", "aria-label": "Axis"}, ...[["step", "Steps"], ["seconds", "Time"]].map(([key, word]) =>
    h("button", {"data-axis": key, "aria-pressed": String(view.axis === key), onclick: () => setAxis(key)}, word)));
  const slider = h("input", {type: "range", min: "0", max: "0.98", step: "0.02", value: String(view.smooth), "aria-label": "Smoothing", oninput: e => setSmooth(Number(e.target.value))});
  return h("div.controls", {}, axis, h("label.smooth", {}, "Smoothing", slider));
}

function setAxis(axis) {
  view.axis = axis;
  view.range = null;
  remember("axis", axis);
  for (const b of document.querySelectorAll("[data-axis]")) b.setAttribute("aria-pressed", String(b.dataset.axis === axis));
  drawAll();
}

function setSmooth(weight) {
  view.smooth = weight;
  remember("smooth", weight);
  for (const s of document.querySelectorAll(".smooth input")) s.value = weight;
  drawAll();
}
