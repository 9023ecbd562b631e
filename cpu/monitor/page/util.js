/* Elements, numbers for people, and the theme. Words from runs reach the document as text alone, never as markup. */
const $ = id => document.getElementById(id);

/* h("p.note", {title: "..."}, "text", child) */
function h(what, given = {}, ...children) {
  const [tag, ...classes] = what.split(".");
  const e = document.createElement(tag || "div");
  if (classes.length) e.className = classes.join(" ");
  for (const [key, value] of Object.entries(given)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) e.addEventListener(key.slice(2), value);
    else if (key in e && typeof value !== "string") e[key] = value;
    else e.setAttribute(key, value === true ? "" : value);
  }
  e.append(...children.flat().filter(c => c !== null && c !== undefined && c !== false));
  return e;
}

function svg(tag, given) {
  const e = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(given)) e.setAttribute(key, value);
  return e;
}

const known = x => typeof x === "number" && Number.isFinite(x);

/* 950, 61.2k, 1.31M, 0.0123 */
function brief(x) {
  if (!known(x)) return "–";
  const a = Math.abs(x);
  for (const [unit, word] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]])
    if (a >= unit * (unit === 1e3 ? 10 : 0.9995)) return trim((x / unit).toPrecision(3)) + word;
  if (a >= 1000) return x.toFixed(0);
  if (a !== 0 && a < 1e-3) return x.toExponential(2).replace("e-", "e−");
  return trim(x.toPrecision(a >= 100 ? 4 : 3));
}
const trim = text => text.includes(".") && !text.includes("e") ? text.replace(/\.?0+$/, "") : text;
const whole = x => known(x) ? Math.round(x).toLocaleString("en") : "–";

function bytes(x) {
  if (!known(x)) return "–";
  for (const [unit, word] of [[2 ** 40, "TB"], [2 ** 30, "GB"], [2 ** 20, "MB"], [2 ** 10, "kB"]])
    if (x >= unit) return trim((x / unit).toPrecision(3)) + " " + word;
  return x + " B";
}

function duration(s) {
  if (!known(s)) return "–";
  if (s < 60) return trim(s.toFixed(s < 10 ? 1 : 0)) + " s";
  if (s < 3600) return Math.floor(s / 60) + " min " + String(Math.floor(s % 60)).padStart(2, "0") + " s";
  if (s < 86400) return Math.floor(s / 3600) + " h " + String(Math.floor(s % 3600 / 60)).padStart(2, "0") + " min";
  return Math.floor(s / 86400) + " d " + Math.floor(s % 86400 / 3600) + " h";
}

function ago(unix) {
  const s = Math.max(0, Date.now() / 1000 - unix);
  return s < 5 ? "now" : duration(s < 60 ? Math.round(s) : s).replace(/ \d+ s$/, s < 60 ? "$&" : "") + " ago";
}

/* By the metric's name, how its values are written. */
function formatOf(name) {
  if (name.startsWith("time/") || name === "replay/fill" || name === "system/gpu") return x => known(x) ? (100 * x).toFixed(x < 0.0995 ? 1 : 0) + " %" : "–";
  if (name.endsWith("bytes")) return bytes;
  return brief;
}

/* ---- theme ---- */

const palettes = {
  dark: ["#59a5ff", "#ffb454", "#5fd38d", "#ff7b72", "#c9a0ff", "#56d4dd", "#e3d26f", "#ff9ecb"],
  light: ["#1768d1", "#c05f00", "#1c8546", "#cc3340", "#7d46c2", "#0d8290", "#8a7400", "#bf3989"],
};
const theme = {
  name: "dark",
  css: null,
  set(name) {
    this.name = name;
    document.documentElement.dataset.theme = name;
    this.css = getComputedStyle(document.documentElement);
  },
  colour(i) { return palettes[this.name][i % palettes.dark.length]; },
  get(name) { return this.css.getPropertyValue("--" + name).trim(); },
};
const remembered = key => { try { return localStorage.getItem("volley." + key); } catch { return null; } };
const remember = (key, value) => { try { localStorage.setItem("volley." + key, value); } catch { /* private window */ } };
