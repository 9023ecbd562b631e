/* Who takes part: the runs of this machine, and the members of distributed runs with their heartbeats and update policy. */

/* The scheme of a run in words, from its settings. */
function policyOf(options) {
  const o = new Map(options.map(([key, value]) => [key, value])), algo = o.get("run.algo"), update = o.get("dist.update");
  if (o.get("run.sync") === "allreduce") return ["synchronous all-reduce", "gradients are averaged over all ranks at every update"];
  if (o.get("run.sync") === "gossip") return ["gossip", "weights are averaged with neighbouring ranks"];
  if (o.get("run.sharding") && o.get("run.sharding") !== "none") return ["sharded table, by " + o.get("run.sharding"), "each state and action has one owner"];
  if (o.get("run.merge") && o.get("run.merge") !== "none") return ["merged tables: " + o.get("run.merge"), "a server merges the workers' tables"];
  if (o.get("dist.tables") && o.get("dist.tables") !== "auto") return ["tables: " + o.get("dist.tables"), `every ${o.get("dist.every")} updates`];
  const scheme = update && update !== "auto" ? update : algo === "a3c" || algo === "gorila" ? "async" : null;
  const words = {
    sync: "a barrier: the mean over all living workers' gradients",
    async: `each gradient as it comes; staleness ${o.get("dist.max_staleness") === "0" ? "unbounded" : "at most " + o.get("dist.max_staleness")}${o.get("dist.weigh_staleness") === "true" ? ", weighed" : ""}`,
    coordinated: `the mean of ${o.get("dist.collect") === "0" ? "one gradient per living worker" : o.get("dist.collect") + " gradients"}`,
    overlapped: "pushed in parts beside the next computation",
    fedavg: `${o.get("dist.local_steps")} local steps, then weights averaged${o.get("dist.adaptive") === "true" ? "; K follows the lag" : ""}`,
  };
  return scheme ? [scheme, words[scheme] || ""] : ["alone", "one process acts and learns"];
}

function memberRow(m, ttl) {
  const w = m.what, bar = h("i"), age = m.alive ? m.beat_s : m.silent_s;
  const rest = Object.entries(w).filter(([k]) => !["role", "version", "steps", "update", "scheme", "env", "algo", "host", "seq"].includes(k)).map(([k, v]) => `${k} ${v}`).join(" · ");
  bar.style.width = m.alive ? Math.max(0, 100 - 100 * age / ttl) + "%" : "0";
  return h("tr" + (m.alive ? "" : ".gone"), {},
    h("td", {}, h("span.dot." + (m.alive ? "live" : "bad"), {}, m.alive ? "alive" : "gone")),
    h("td.who", {}, h("b", {}, m.name), h("small", {}, [w.host, rest].filter(Boolean).join(" · "))),
    h("td", {}, w.role || "member"),
    h("td", {}, w.update || w.scheme || "–"),
    h("td.number", {}, known(w.version) ? whole(w.version) : "–", h("small", {}, "version")),
    h("td.number", {}, known(w.steps) ? brief(w.steps) : known(w.seq) ? brief(w.seq) : "–", h("small", {}, known(w.steps) ? "steps" : "pushes")),
    h("td.beat", {title: m.alive ? "since its words changed" : "since it was seen"}, h("div.bar", {}, bar), h("small", {}, m.alive ? `${age.toFixed(1)} s ago` : `silent ${duration(Math.round(age))}`)),
    h("td.number", {}, duration(Math.round(m.here_s)), h("small", {}, "here")));
}

async function storeRun(entry) {
  const run = data.runs.find(r => r.name.split("/").pop() === entry.run), c = run ? await configOf(run.name).catch(() => null) : null;
  const [policy, words] = c ? policyOf(c.options) : [entry.members.find(m => m.what.update)?.what.update || "unknown", ""];
  const ttl = Number(c?.options.find(o => o[0] === "dist.ttl_s")?.[1]) || 5, alive = entry.members.filter(m => m.alive).length;
  const members = [...entry.members].sort((a, b) => b.alive - a.alive || (b.what.role === "learner") - (a.what.role === "learner") || a.name.localeCompare(b.name, "en", {numeric: true}));
  return h("section.fleet", {}, h("div.bar-top", {}, h("h2", {}, run ? h("a", {href: "#/run/" + encodeURIComponent(run.name)}, entry.run) : entry.run),
    h("span.chip", {title: words}, policy), h("span.quiet", {}, words), h("span.controls", {}, h("b", {}, `${alive} alive`), entry.members.length > alive ? h("span.quiet", {}, `${entry.members.length - alive} gone`) : null)),
    h("div.scroll", {}, h("table.runs", {}, h("tbody", {}, members.map(m => memberRow(m, ttl))))));
}

function machineTable() {
  const live = data.runs.filter(r => r.live);
  if (!live.length) return h("p.quiet", {}, "No run is live in this folder.");
  return h("div.scroll", {}, h("table.runs", {}, h("tbody", {}, live.map(r => h("tr", {},
    h("td", {}, h("span.dot.live", {}, "live")),
    h("td.who", {}, h("a", {href: "#/run/" + encodeURIComponent(r.name)}, titleOf(r)), h("small", {}, r.name)),
    h("td.number", {}, brief(r.values["charts/SPS"]), h("small", {}, "steps/s")),
    h("td.number", {}, brief(r.values["system/cpu"]), h("small", {}, "processors")),
    h("td.number", {}, bytes(r.values["system/memory_bytes"]), h("small", {}, "memory")),
    h("td.number", {}, brief(r.values["run/updates"]), h("small", {}, "updates")),
    h("td.number", {}, `${Math.max(0, Math.round(Date.now() / 1000 - r.updated))} s`, h("small", {}, "since its last line")))))));
}

function actorRow(a, late) {
  const good = a.state === "serving" && !late, words = late ? "not told any more" : a.state;
  return h("tr" + (a.state === "gone" ? ".gone" : ""), {},
    h("td", {}, h("span.dot." + (good ? "live" : "bad"), {}, words)),
    h("td.who", {}, h("b", {}, a.name), h("small", {}, a.packed ? "packed" : "")),
    h("td.number", {}, whole(a.environments), h("small", {}, "environments")),
    h("td.number", {}, `${Number(a.round_trip_ms).toFixed(2)} ms`, h("small", {}, "round trip")),
    h("td.number", {}, brief(a.rows), h("small", {}, "rows")),
    h("td.number", {}, `${Number(a.heard_s).toFixed(1)} s`, h("small", {}, "since it was heard")));
}

/* Slow: it answers, but not in time. Gone: the connection is lost, or it was silent for the deadline. */
async function remoteActors(run) {
  const list = (await ask("/api/actors?run=" + encodeURIComponent(run.name))).actors;
  if (!list || !Array.isArray(list.actors)) return null;
  const late = Date.now() / 1000 - list.time > 30;
  return h("section.fleet", {}, h("div.bar-top", {}, h("h2", {}, h("a", {href: "#/run/" + encodeURIComponent(run.name)}, titleOf(run))),
    h("span.chip", {}, "remote actors"), h("span.quiet", {}, `${list.listen} · round trip ${Number(list.round_trip_p50_ms).toFixed(2)} ms, 99th percentile ${Number(list.round_trip_p99_ms).toFixed(2)} ms`),
    h("span.controls", {}, h("b", {}, `${list.connected} here`), h("span.quiet", {}, `${list.slow} slow · ${list.lost} lost`))),
    h("div.scroll", {}, h("table.runs", {}, h("tbody", {}, list.actors.map(a => actorRow(a, late))))));
}

function showFleet(main) {
  const stores = h("div"), machine = h("div");
  let timer, closed = false;
  main.replaceChildren(h("div.bar-top", {}, h("h1", {}, "Fleet"), h("span.quiet", {}, "who acts, who learns, and when they were last heard")),
    h("h2", {}, "Runs of this folder"), machine, stores);
  const look = async () => {
    try {
      const answer = await ask("/api/fleet"), sections = [];
      for (const run of data.runs.filter(r => r.live && known(r.values["actors/connected"]))) sections.push(await remoteActors(run));
      for (const store of answer.stores) {
        sections.push(h("h2.store", {}, "Store ", h("code", {}, store.url), store.error ? h("span.dot.bad", {title: store.error}, "out of reach") : null));
        if (store.error) sections.push(h("p.quiet", {}, store.error));
        else if (!store.runs.length) sections.push(h("p.quiet", {}, "Nobody is alive there."));
        for (const entry of store.runs) sections.push(await storeRun(entry));
      }
      if (!answer.stores.length) sections.push(h("p.quiet", {}, answer.pending ? "Looking …" : "No run of this folder uses a store. Runs spread over processes or machines (--algo a3c, --dist.update, --store redis://…) show their members here."));
      if (!closed) stores.replaceChildren(...sections.filter(s => s));
    } catch (error) { fail(error); }
    if (!closed) timer = setTimeout(look, 2000);
  };
  machine.replaceChildren(machineTable());
  look();
  return {changed(what) { if (what !== "link") machine.replaceChildren(machineTable()); }, close() { closed = true; clearTimeout(timer); }};
}
