// What the page does beyond being read: light and dark, the gallery's filter and order, keys, printing.
(() => {
  "use strict";
  const root = document.documentElement;
  const byId = (id) => document.getElementById(id);
  const all = (selector) => [...document.querySelectorAll(selector)];
  root.classList.add("js");

  // Light and dark: as the system has it until someone chooses. A page that may not store the choice forgets it.
  const theme = byId("theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";
  const label = () => { theme.textContent = isDark() ? "Light" : "Dark"; };
  const remember = (value) => { try { localStorage.setItem("camflow-theme", value); } catch { /* not allowed here */ } };
  const remembered = () => { try { return localStorage.getItem("camflow-theme"); } catch { return null; } };
  const switchTheme = () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    remember(root.dataset.theme);
    label();
  };
  if (["light", "dark"].includes(remembered())) root.dataset.theme = remembered();
  theme.hidden = false;
  theme.addEventListener("click", switchTheme);
  system.addEventListener("change", label);
  label();

  const keys = byId("keys");
  const help = byId("help");
  const showHelp = (shown) => { help.hidden = !shown; keys.setAttribute("aria-expanded", String(shown)); };
  keys.hidden = false;
  keys.addEventListener("click", () => showHelp(help.hidden));

  // The gallery.
  const cards = all(".card");
  const filter = byId("filter");
  const chips = all(".chip");
  const seen = () => all(".card:not([hidden])");
  const chosen = () => chips.filter((chip) => chip.getAttribute("aria-pressed") === "true");
  const quality = (card) => Number(card.dataset.quality ?? NaN);
  const byName = (a, b) => a.dataset.name.localeCompare(b.dataset.name);
  const orders = {
    best: (a, b) => quality(b) - quality(a),
    worst: (a, b) => quality(a) - quality(b),
    name: byName,
  };

  const fits = (card) => {
    const text = filter.value.trim().toLowerCase();
    const classes = chosen().map((chip) => ` ${chip.dataset.class} `);
    const split = byId("split").value;
    return card.getAttribute("aria-label").toLowerCase().includes(text)
      && classes.every((id) => card.dataset.classes.includes(id))
      && (split === "" || card.dataset.split === split);
  };
  const refresh = () => {
    cards.forEach((card) => { card.hidden = !fits(card); });
    all(".images").forEach((group) => { group.hidden = !group.querySelector(".card:not([hidden])"); });
    byId("none").hidden = seen().length > 0;
    byId("shown").textContent = `${seen().length} of ${cards.length} images`;
  };
  const sort = () => {
    const order = orders[byId("sorted").value];
    all(".cards").forEach((group) => {
      const scored = (card) => Number.isFinite(quality(card));
      const own = [...group.children];
      const last = order === byName ? [] : own.filter((card) => !scored(card));
      group.append(...own.filter((card) => !last.includes(card)).sort((a, b) => order(a, b) || byName(a, b)), ...last);
    });
  };
  const clear = () => {
    filter.value = "";
    byId("split").value = "";
    chips.forEach((chip) => chip.setAttribute("aria-pressed", "false"));
    refresh();
  };
  const choose = (card) => {
    card?.focus({ preventScroll: true });
    card?.scrollIntoView({ block: "start" });
  };
  // From the chosen image to the next or the previous one; without one to the first that is below the top edge.
  const move = (by) => {
    const shown = seen();
    const at = shown.indexOf(document.activeElement.closest(".card"));
    const below = shown.findIndex((card) => card.getBoundingClientRect().bottom > 160);
    const next = at >= 0 ? at + by : Math.max(below, 0);
    choose(shown[Math.min(Math.max(next, 0), shown.length - 1)]);
  };
  if (cards.length > 0) {
    document.querySelector(".controls").hidden = false;
    filter.addEventListener("input", refresh);
    byId("split").addEventListener("change", refresh);
    byId("sorted").addEventListener("change", sort);
    chips.forEach((chip) => chip.addEventListener("click", () => {
      chip.setAttribute("aria-pressed", String(chip.getAttribute("aria-pressed") !== "true"));
      refresh();
    }));
  }

  const onCard = () => document.activeElement.matches(".card");
  const actions = {
    j: () => move(1),
    k: () => move(-1),
    ArrowDown: () => onCard() && (move(1), true),
    ArrowUp: () => onCard() && (move(-1), true),
    ArrowRight: () => onCard() && (move(1), true),
    ArrowLeft: () => onCard() && (move(-1), true),
    g: () => choose(seen()[0]),
    "/": () => filter?.focus(),
    t: switchTheme,
    "?": () => showHelp(help.hidden),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key === "Escape") {
      showHelp(false);
      if (cards.length > 0) clear();
      if (document.activeElement === filter) filter.blur();
      return;
    }
    if (event.target.matches("input, select, textarea")) return;
    const action = actions[event.key];
    if (action && action() !== false) event.preventDefault();
  });

  // A link into something folded unfolds it; on paper nothing is folded.
  const unfold = () => {
    const target = location.hash && byId(decodeURIComponent(location.hash.slice(1)));
    const folded = target && target.closest("details");
    if (folded) { folded.open = true; target.scrollIntoView(); }
  };
  addEventListener("hashchange", unfold);
  document.addEventListener("click", (event) => { if (event.target.closest("a[href^='#']")) setTimeout(unfold); });
  unfold();
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = all("details:not([open])");
    opened.forEach((details) => { details.open = true; });
  });
  addEventListener("afterprint", () => opened.forEach((details) => { details.open = false; }));

  // The part of the page that is being read.
  const links = new Map(all("nav a").map((link) => [link.hash.slice(1), link]));
  const reading = new IntersectionObserver((entries) => {
    for (const entry of entries.filter((entry) => entry.isIntersecting)) {
      links.forEach((link) => link.removeAttribute("aria-current"));
      links.get(entry.target.id).setAttribute("aria-current", "true");
    }
  }, { rootMargin: "-12% 0px -80% 0px" });
  links.forEach((_, id) => reading.observe(byId(id)));
})();
