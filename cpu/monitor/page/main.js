/* The address says what is shown: #/ all runs, #/run/NAME, #/fleet. */
let current = {changed() {}, close() {}}, lastRun = null;

const place = () => location.hash.replace(/^#\/?/, "").split("/");
const shownRun = () => place()[0] === "run" ? nameInPlace() : null;

function nameInPlace() {
  const rest = place().slice(1).join("/");
  try { return rest ? decodeURIComponent(rest) : lastRun ?? data.runs[0]?.name ?? ""; } catch { return rest; }
}

function route() {
  const [what] = place(), main = $("main");
  const kind = what === "run" || what === "fleet" ? what : data.info.single && !what ? "run" : "runs";
  current.close();
  if (view.big) view.big.enlarge();
  view.hover = view.range = null;
  $("tip").hidden = true;
  if (kind === "run") lastRun = nameInPlace();
  current = kind === "run" ? showRun(main, lastRun) : kind === "fleet" ? showFleet(main) : showRuns(main);
  for (const a of document.querySelectorAll("nav a")) a.toggleAttribute("aria-current", a.dataset.view === kind);
  document.title = (kind === "run" ? lastRun + " · " : kind === "fleet" ? "Fleet · " : "") + "Volley";
  main.dataset.view = kind;
  drawAll();
}

function showLink() {
  const words = {live: "live", lost: "lost", connecting: "connecting"}, link = $("link"), banner = $("banner");
  link.className = "link " + data.link;
  link.lastElementChild.textContent = words[data.link];
  if (data.link === "live" && !banner.hidden && !data.failed) {
    banner.textContent = "Connected again.";
    banner.className = "banner good";
    setTimeout(() => { if (data.link === "live") banner.hidden = true; }, 1500);
  }
  if (data.link === "lost") {
    banner.textContent = "Connection lost: what is shown is from " + new Date().toLocaleTimeString() + ". Trying again …";
    banner.className = "banner";
    banner.hidden = false;
  }
  if (data.failed) banner.textContent = data.failed, banner.className = "banner", banner.hidden = false, data.failed = null;
}

data.listeners.add(what => {
  if (what === "link") showLink();
  if (what === "runs") $("place").textContent = data.info.folder || "";
  current.changed(what);
});

/* ---- keyboard ---- */

function step(by) {
  const runs = visibleRuns(), i = runs.findIndex(r => r.name === lastRun);
  const next = runs[Math.max(0, Math.min(runs.length - 1, i < 0 ? 0 : i + by))];
  if (next) location.hash = "#/run/" + encodeURIComponent(next.name);
}

function flipTheme() {
  theme.set(theme.name === "dark" ? "light" : "dark");
  remember("theme", theme.name);
  current.changed("series");
  drawAll();
}

const keys = {
  "1": () => { location.hash = "#/runs"; },
  "2": () => { location.hash = "#/run" + (lastRun ? "/" + encodeURIComponent(lastRun) : ""); },
  "3": () => { location.hash = "#/fleet"; },
  j: () => step(1),
  k: () => step(-1),
  x: () => setAxis(view.axis === "step" ? "seconds" : "step"),
  s: () => setSmooth(view.smooth >= 0.9 ? 0 : view.smooth >= 0.6 ? 0.94 : 0.7),
  t: flipTheme,
  "?": () => $("help").showModal(),
  "/": () => $("filter")?.focus(),
  Escape: () => { if (view.big) view.big.enlarge(); setRange(null); setHover(null); },
};

document.addEventListener("keydown", e => {
  if (e.ctrlKey || e.metaKey || e.altKey || (e.target.matches("input[type=search], select") && e.key !== "Escape")) return;
  if (!keys[e.key] || $("help").open) return;
  if (e.key === "/" || e.key === "?") e.preventDefault();
  keys[e.key]();
});

/* ---- beginning ---- */

theme.set(remembered("theme") || (matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark"));
matchMedia("(prefers-color-scheme: light)").addEventListener("change", e => {
  if (!remembered("theme")) theme.set(e.matches ? "light" : "dark"), drawAll();
});
$("theme").addEventListener("click", flipTheme);
$("keys").addEventListener("click", () => $("help").showModal());
addEventListener("hashchange", route);
refreshRuns().then(() => { route(); openStream(); }, error => { fail(error); route(); openStream(); });
setInterval(() => { if (!document.hidden && place()[0] !== "fleet") current.changed("clock"); }, 30000);
