/* One run: how it does, what it does with its time, what it looks like, how it is set. */
const PANELS = [
  {title: "Return", metrics: {"charts/episodic_return": "per episode", "charts/return_mean_100": "mean of 100"}, wide: true, target: true},
  {title: "Rates per second", metrics: {"charts/SPS": "acting: agent steps", "charts/frames_per_second": "frames, before frame skip", "charts/SPS_learn": "learning: transitions"}},
  {title: "Where the time goes", metrics: {"time/step": "environments", "time/act": "inference", "time/learn": "learning", "time/save": "saving", "time/other": "other"}, stacked: true},
  {title: "Episode length", metrics: {"charts/episodic_length": "agent steps"}},
  {title: "Policy lag", metrics: {"run/policy_lag": "updates", "fleet/staleness": "staleness"}},
  {title: "Queues", metrics: {"queues/stepping": "being stepped", "queues/ready": "waiting for an action", "queues/learner": "waiting for the learner"}},
  {title: "Replay, filled", metrics: {"replay/fill": "of the capacity"}},
  {title: "Replay ratio", metrics: {"replay/ratio": "learned from per acted"}},
  {title: "Processors busy", metrics: {"system/cpu": "processors"}},
  {title: "GPU busy", metrics: {"system/gpu": "share of the time"}},
  {title: "Memory", metrics: {"system/memory_bytes": "process", "system/gpu_memory_bytes": "GPU", "replay/bytes": "replay"}},
];
const UNSHOWN = new Set(["run/steps", "run/updates", "run/episodes", "run/steps_total", "run/return_target", "checkpoint/saved", "checkpoint/failed", "pool/restarts", "pool/hung"]);
const pretty = name => { const word = name.split("/").pop().replaceAll("_", " "); return word[0].toUpperCase() + word.slice(1); };

function panelCharts(run) {
  const has = data.loaded.get(run.name) || {}, used = new Set(UNSHOWN), charts = [];
  for (const p of PANELS) {
    const names = Object.keys(p.metrics).filter(n => has[n]);
    names.forEach(n => used.add(n));
    if (names.length) charts.push(new Chart({...p, help: names.map(n => has[n].help).filter(Boolean).join("; "), format: formatOf(names[0]), target: () => p.target ? data.run(run.name)?.target : null,
      lines: () => names.map((n, i) => ({label: p.metrics[n], colour: theme.colour(i), s: data.loaded.get(run.name)?.[n], help: has[n].help}))}));
  }
  for (const name of Object.keys(has).sort()) {
    if (used.has(name)) continue;
    const colour = charts.length;
    charts.push(new Chart({title: pretty(name), help: has[name].help || name, format: formatOf(name), lines: () => [{label: name, colour: theme.colour(colour), s: data.loaded.get(run.name)?.[name]}]}));
  }
  return charts;
}

/* ---- numbers ---- */

function tilesOf(run) {
  const v = run.values, rate = v["charts/SPS"], left = run.steps_planned - run.step, more = Object.keys(v).length;
  return [
    ["Return, mean of 100", brief(returnOf(run)), known(run.target) ? "target " + brief(run.target) : `${brief(v["run/episodes"])} episodes`],
    ["Steps", brief(run.step), `of ${brief(run.steps_planned)}`],
    ["Acting", brief(rate), v["charts/frames_per_second"] > rate * 1.01 ? `steps/s · ${brief(v["charts/frames_per_second"])} frames/s` : "steps/s"],
    ["Learning", brief(v["charts/SPS_learn"]), "transitions/s"],
    ["Updates", brief(v["run/updates"]), known(v["run/policy_lag"]) ? `lag ${brief(v["run/policy_lag"])}` : "of the weights"],
    [run.live ? "Time left" : "Took", run.live ? (rate > 0 && left > 0 ? duration(left / rate) : "–") : duration(run.seconds), run.live ? `${duration(run.seconds)} so far` : "ended " + ago(run.updated)],
    more && known(v["system/cpu"]) ? ["Processors", brief(v["system/cpu"]), bytes(v["system/memory_bytes"])] : null,
    known(v["system/gpu"]) ? ["GPU", formatOf("system/gpu")(v["system/gpu"]), bytes(v["system/gpu_memory_bytes"])] : null,
    known(v["replay/fill"]) ? ["Replay", formatOf("replay/fill")(v["replay/fill"]), `${brief(v["replay/ratio"])} learned per acted`] : null,
    v["pool/restarts"] || v["pool/hung"] ? ["Restarts", brief(v["pool/restarts"] || 0), `${brief(v["pool/hung"] || 0)} hung`] : null,
    v["checkpoint/failed"] ? ["Not saved", brief(v["checkpoint/failed"]), "checkpoints"] : null,
  ].filter(Boolean).map(([name, value, more]) => h("div.tile" + (name === "Not saved" ? ".bad" : ""), {}, h("span", {}, name), h("b", {}, value), h("small", {}, more)));
}

/* ---- pictures ---- */

class Pictures {
  constructor() {
    this.canvases = data.info.frames.map(actor => h("canvas", {role: "img", "aria-label": "environment " + actor, width: 1, height: 1}));
    this.element = h("section.pictures", {hidden: true}, this.canvases.map((c, i) => h("figure", {}, c, h("figcaption", {}, "environment " + data.info.frames[i]))));
    this.timer = this.canvases.length ? setInterval(() => this.look(), 1000) : null;
    this.look();
  }
  async look() {
    if (document.hidden || this.busy || data.link === "lost") return;
    this.busy = true;
    try { for (let i = 0; i < this.canvases.length; i++) await this.fetchOne(i); } catch { /* the link says so */ }
    this.busy = false;
  }
  async fetchOne(i) {
    const answer = await fetch("/api/frame?i=" + i, {cache: "no-store"});
    if (!answer.ok) return;
    if (answer.headers.get("content-type") !== "image/png") return this.explain((await answer.json()).why);
    const image = await createImageBitmap(await answer.blob()), canvas = this.canvases[i];
    canvas.width = image.width, canvas.height = image.height;
    canvas.getContext("2d").drawImage(image, 0, 0);
    image.close();
    this.element.hidden = false;
  }
  explain(why) {
    if (!why) return;
    this.element.replaceChildren(h("p.quiet", {}, why));
    this.element.hidden = false;
    this.close();
  }
  close() { clearInterval(this.timer); }
}

/* ---- settings ---- */

function settingsTable(options, words) {
  const rows = options.filter(([key, value, usual, help]) => words ? `${key} ${value} ${help}`.toLowerCase().includes(words) : value !== usual);
  if (!rows.length) return h("p.quiet", {}, words ? "No setting matches." : "All settings are the defaults.");
  return h("table.settings", {}, h("tbody", {}, rows.map(([key, value, usual, help]) =>
    h("tr" + (value !== usual ? ".changed" : ""), {}, h("th", {}, key), h("td", {}, value || "–", value !== usual && usual ? h("small", {}, "default " + usual) : null), h("td.help", {}, help)))));
}

async function fillSettings(place, run) {
  const c = await configOf(run.name), table = h("div.scroll");
  const search = h("input", {type: "search", placeholder: "all settings", "aria-label": "Search all settings", oninput: () => table.replaceChildren(settingsTable(c.options, search.value.trim().toLowerCase()))});
  table.append(settingsTable(c.options, ""));
  const machine = c.system ? ["host", "device", "device_kind", "cpu", "processors", "memory_bytes", "commit", "version", "started"].filter(k => c.system[k] !== undefined && c.system[k] !== null)
    .map(k => h("tr", {}, h("th", {}, k.replace("_bytes", "").replaceAll("_", " ")), h("td", {}, k === "memory_bytes" ? bytes(c.system[k]) : typeof c.system[k] === "object" ? JSON.stringify(c.system[k]) : String(c.system[k])))) : [];
  const saved = c.checkpoints.sort((a, b) => b[2] - a[2]).map(([name, size, time]) => h("tr", {}, h("th", {}, name), h("td", {}, bytes(size)), h("td.quiet", {}, ago(time))));
  place.replaceChildren(
    h("div", {}, h("div.bar-top", {}, h("h2", {}, "Settings"), h("span.quiet", {}, "changed from the defaults"), h("div.controls", {}, search)), table),
    h("div", {}, h("h2", {}, "Machine"), h("div.scroll", {}, h("table.settings", {}, h("tbody", {}, machine))), h("h2", {}, "Checkpoints"),
      saved.length ? h("div.scroll", {}, h("table.settings", {}, h("tbody", {}, saved))) : h("p.quiet", {}, "None yet.")));
}

/* ---- the view ---- */

function headOf(run) {
  const [kind, word] = statusOf(run);
  return [h("h1", {}, titleOf(run)), h("span.dot." + kind, {}, word), h("span.quiet", {}, run.error || `${run.name} · seed ${run.seed} · preset ${run.preset}`), chartControls()];
}

function showRun(main, name) {
  const run = data.run(name);
  if (!run) {
    main.replaceChildren(h("h1", {}, "No such run"), h("p.quiet", {}, name ? `There is no run ${name} here any more.` : "There is no run yet."), h("p", {}, h("a", {href: "#/"}, "All runs")));
    return {changed(what) { if (what === "runs" && data.run(name)) route(); }, close() {}};
  }
  const tiles = h("section.tiles"), grid = h("section.charts"), settings = h("section.two"), pictures = new Pictures(), head = h("div.bar-top");
  let charts = [], shape = "", live = null;
  main.replaceChildren(head, tiles, pictures.element, grid, settings);
  const fill = () => {
    const now = data.run(name);
    if (!now) return;
    tiles.replaceChildren(...tilesOf(now));
    if (live !== now.live) head.replaceChildren(...headOf(now)), live = now.live;
    const names = Object.keys(data.loaded.get(name) || {}).sort().join();
    if (names !== shape) { // metrics that were not there before
      charts.forEach(c => c.close());
      charts = panelCharts(now);
      grid.replaceChildren(...charts.map(c => c.element));
      shape = names;
    }
    drawAll();
  };
  fill();
  keepSeries([name]);
  seriesOf(name).then(fill, fail);
  fillSettings(settings, run).catch(fail);
  return {
    changed(what) {
      if (what === "runs" && !data.run(name)) return route();
      if (what !== "link") fill();
    },
    close() {
      charts.forEach(c => c.close());
      pictures.close();
    },
  };
}
