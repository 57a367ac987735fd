"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const make = (tag, properties = {}, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };
  const COLORS = ["#d1495b", "#2f7ed8", "#1d9a6c", "#c07f00", "#8a5fc7", "#0e9aa7", "#b0578d", "#7a7a2c"];
  const films = data.films;
  const colorOf = (film) => COLORS[(film - (data.reference ? 1 : 0) + COLORS.length) % COLORS.length];
  const state = {
    frame: 0, before: 0, after: films.length - 1, split: 0.5,
    zoom: 0, // picture pixels to screen pixels; 0 fits the whole picture
    x: 0, y: 0, // the picture's point in the middle of a pane
    sideBySide: false, width: 1, height: 1,
  };
  if (data.best >= 0) state.after = data.best;
  const view = $("view");

  // The picture and its panes ------------------------------------------------------------------
  let panes = [];
  function layer(film, clipped) {
    const img = make("img", { src: data.frames[state.frame].pictures[film], alt: films[film], draggable: false });
    const node = make("div", { className: "layer" }, img);
    return { node, img, film, clipped };
  }
  function numbersOf(film) {
    const values = data.frames[state.frame].values[film] || {};
    return data.metrics
      .filter((metric) => (metric.name === "psnr" || metric.name === "ssim") && values[metric.name] != null)
      .map((metric) => `${values[metric.name].toFixed(metric.digits)}${metric.unit ? " " + metric.unit : ""}`)
      .join(" / ");
  }
  const caption = (film) => films[film] + (numbersOf(film) ? ` · ${numbersOf(film)}` : "");
  function build() {
    view.replaceChildren();
    const shown = state.sideBySide ? films.map((_, film) => [film]) : [[state.before, state.after]];
    panes = shown.map((pair) => {
      const layers = pair.map((film, place) => layer(film, place === 1));
      const pane = { node: make("div", { className: "pane" }, ...layers.map((one) => one.node)), layers };
      pane.node.append(make("span", { className: "name left", textContent: caption(pair[0]) }));
      if (pair.length === 2) {
        pane.node.append(make("span", { className: "name right", textContent: caption(pair[1]) }));
        pane.line = make("div", { className: "line" });
        pane.node.append(pane.line);
      }
      view.append(pane.node);
      return pane;
    });
    const frame = data.frames[state.frame];
    state.width = frame.width;
    state.height = frame.height;
    arrange();
    draw();
    $("which").textContent = `${state.frame + 1} / ${data.frames.length}`;
    [...$("strip").querySelectorAll("button")].forEach((button, place) =>
      button.setAttribute("aria-current", String(place === state.frame)));
    document.querySelectorAll(".mark").forEach((mark) =>
      mark.classList.toggle("now", Number(mark.dataset.frame) === state.frame));
  }
  function arrange() {
    // No higher than the picture needs: on a phone there is little room.
    const needed = (view.clientWidth * state.height) / state.width;
    view.style.height = state.sideBySide ? "" : `${Math.max(220, Math.min(innerHeight * 0.72, needed))}px`;
    // The number of columns that shows the panes largest.
    let columns = 1, best = 0;
    for (let count = 1; count <= panes.length; count++) {
      const rows = Math.ceil(panes.length / count);
      const scale = Math.min(view.clientWidth / count / state.width, view.clientHeight / rows / state.height);
      if (scale > best) [best, columns] = [scale, count];
    }
    view.style.gridTemplateColumns = `repeat(${columns}, minmax(0, 1fr))`;
    view.style.gridAutoRows = "minmax(0, 1fr)";
  }
  const paneSize = () => [panes[0].node.clientWidth, panes[0].node.clientHeight];
  function fitScale() {
    const [width, height] = paneSize();
    return Math.min(width / state.width, height / state.height);
  }
  const scale = () => (state.zoom ? state.zoom / devicePixelRatio : fitScale());
  function clampPan() {
    const [width, height] = paneSize();
    const size = scale();
    const limit = (length, room) => {
      const half = room / size / 2;
      return half * 2 >= length ? [length / 2, length / 2] : [half, length - half];
    };
    const [left, right] = limit(state.width, width), [top, bottom] = limit(state.height, height);
    state.x = Math.min(right, Math.max(left, state.x));
    state.y = Math.min(bottom, Math.max(top, state.y));
  }
  function draw() {
    if (!state.zoom) [state.x, state.y] = [state.width / 2, state.height / 2];
    clampPan();
    const [width, height] = paneSize(), size = scale();
    // Whole screen pixels, or every picture pixel would be blurred over two.
    const snap = (value) => Math.round(value * devicePixelRatio) / devicePixelRatio;
    const left = snap(width / 2 - state.x * size), top = snap(height / 2 - state.y * size);
    for (const pane of panes) {
      for (const { node, img, clipped } of pane.layers) {
        img.style.transform = `translate(${left}px, ${top}px) scale(${size})`;
        img.style.imageRendering = size * devicePixelRatio >= 1.999 ? "pixelated" : "auto";
        img.style.width = `${state.width}px`;
        node.style.clipPath = clipped ? `inset(0 0 0 ${state.split * 100}%)` : "";
      }
      if (pane.line) pane.line.style.left = `${state.split * 100}%`;
    }
    view.classList.toggle("zoomed", state.zoom > 0);
    view.dataset.scale = size;
    view.dataset.x = state.x;
    view.dataset.y = state.y;
    $("zoom").textContent = `${Math.round(size * devicePixelRatio * 100)}%`;
    $("split").value = Math.round(state.split * 1000);
    $("split").closest("label").hidden = state.sideBySide;
  }
  function zoomTo(level, at, exactly = false) {
    const [width, height] = paneSize(), before = scale();
    const [dx, dy] = at ? [at[0] - width / 2, at[1] - height / 2] : [0, 0];
    const x = state.x + dx / before, y = state.y + dy / before;
    const least = fitScale() * devicePixelRatio;
    const shrinking = !exactly && level < before * devicePixelRatio;
    state.zoom = shrinking && level <= least * 1.001 ? 0 : Math.min(32, level);
    state.x = x - dx / scale();
    state.y = y - dy / scale();
    draw();
  }
  function fit() {
    state.zoom = 0;
    draw();
  }
  const zoomBy = (factor, at) => zoomTo(scale() * devicePixelRatio * factor, at);
  function choose(frame) {
    state.frame = (frame + data.frames.length) % data.frames.length;
    build();
    $("strip").children[state.frame].scrollIntoView({ block: "nearest", inline: "nearest" });
  }
  function setSplit(split) {
    state.split = Math.min(1, Math.max(0, split));
    draw();
  }
  function swap() {
    [state.before, state.after] = [state.after, state.before];
    $("before").value = state.before;
    $("after").value = state.after;
    build();
  }
  function setMode(sideBySide) {
    state.sideBySide = sideBySide;
    $("mode").setAttribute("aria-pressed", String(sideBySide));
    build();
  }
  const flip = () => setSplit(state.split > 0.5 ? 0 : 1);

  // Mouse, fingers -----------------------------------------------------------------------------
  const pointers = new Map();
  let dragged = null, pinch = 0;
  const within = (event) => {
    const pane = event.target.closest(".pane") || panes[0].node;
    const box = pane.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top, box];
  };
  const spread = () => {
    const [one, two] = [...pointers.values()];
    return Math.hypot(one[0] - two[0], one[1] - two[1]);
  };
  view.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    const [x, y, box] = within(event);
    view.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, [x, y]);
    const near = Math.abs(x - state.split * box.width) < 26;
    dragged = { box, what: !state.sideBySide && (near || !state.zoom) ? "line" : "picture" };
    if (pointers.size === 2) pinch = spread();
  });
  view.addEventListener("pointermove", (event) => {
    if (!pointers.has(event.pointerId)) return read(event);
    const before = pointers.get(event.pointerId);
    const now = [event.clientX - dragged.box.left, event.clientY - dragged.box.top];
    pointers.set(event.pointerId, now);
    if (pointers.size === 2) {
      const wide = spread(), [one, two] = [...pointers.values()];
      if (pinch > 0) zoomBy(wide / pinch, [(one[0] + two[0]) / 2, (one[1] + two[1]) / 2]);
      pinch = wide;
    } else if (dragged.what === "line") {
      setSplit(now[0] / dragged.box.width);
    } else {
      state.x -= (now[0] - before[0]) / scale();
      state.y -= (now[1] - before[1]) / scale();
      draw();
    }
  });
  for (const kind of ["pointerup", "pointercancel"]) {
    view.addEventListener(kind, (event) => pointers.delete(event.pointerId));
  }
  view.addEventListener("wheel", (event) => {
    event.preventDefault();
    const [x, y] = within(event);
    zoomBy(Math.exp(-event.deltaY * 0.0015), [x, y]);
  }, { passive: false });
  view.addEventListener("dblclick", (event) => {
    const [x, y] = within(event);
    if (state.zoom) fit();
    else zoomTo(4, [x, y], true);
  });
  const eye = make("canvas", { width: 1, height: 1 }).getContext("2d", { willReadFrequently: true });
  function read(event) {
    const pane = panes.find((one) => one.node.contains(event.target));
    if (!pane) return;
    const [x, y] = within(event), [width, height] = paneSize(), size = scale();
    const column = Math.floor(state.x + (x - width / 2) / size), row = Math.floor(state.y + (y - height / 2) / size);
    const inside = column >= 0 && row >= 0 && column < state.width && row < state.height;
    const words = inside ? panes.flatMap((one) => one.layers).map(({ img, film }) => {
      eye.drawImage(img, column, row, 1, 1, 0, 0, 1, 1);
      return `${films[film]} ${[...eye.getImageData(0, 0, 1, 1).data].slice(0, 3).join(" ")}`;
    }) : [];
    $("readout").textContent = inside ? `x ${column}, y ${row} · R G B: ${words.join(" · ")}` : "";
  }

  // Keys and buttons ---------------------------------------------------------------------------
  const step = 60;
  const pan = (x, y) => { state.x += x / scale(); state.y += y / scale(); draw(); };
  const sideways = (sign) => (state.zoom ? pan(sign * step, 0) : setSplit(state.split + sign * 0.02));
  const keys = {
    "[": () => choose(state.frame - 1), "]": () => choose(state.frame + 1),
    ",": () => choose(state.frame - 1), ".": () => choose(state.frame + 1),
    "+": () => zoomBy(1.5), "=": () => zoomBy(1.5), "-": () => zoomBy(1 / 1.5),
    0: fit, 1: () => zoomTo(1, null, true), x: swap, f: flip, s: () => setMode(!state.sideBySide),
  };
  const arrows = {
    ArrowLeft: () => sideways(-1), ArrowRight: () => sideways(1),
    ArrowUp: () => pan(0, -step), ArrowDown: () => pan(0, step),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches?.("select, input")) return;
    const vertical = event.key === "ArrowUp" || event.key === "ArrowDown";
    const arrow = event.target === view && (state.zoom || !vertical) ? arrows[event.key] : undefined;
    const action = keys[event.key] || arrow;
    if (!action) return;
    event.preventDefault();
    action();
  });
  for (const id of ["before", "after"]) {
    films.forEach((name, film) => $(id).append(make("option", { value: film, textContent: name })));
    $(id).value = state[id];
    $(id).addEventListener("change", () => {
      state[id] = Number($(id).value);
      build();
    });
  }
  const clicks = {
    swap, flip, mode: keys.s, in: keys["+"], out: keys["-"], fit: keys[0], pixel: keys[1],
    previous: keys["["], next: keys["]"],
  };
  for (const [id, action] of Object.entries(clicks)) $(id).addEventListener("click", action);
  $("split").addEventListener("input", () => setSplit($("split").value / 1000));

  // The film strip -----------------------------------------------------------------------------
  if (data.reference) $("order").textContent = "Frames, the worst first";
  data.frames.forEach((frame, place) => {
    const thumb = make("img", { src: frame.pictures[films.length - 1], alt: "", loading: "lazy" });
    const button = make("button", { type: "button" }, thumb,
      make("span", { textContent: frame.label }), make("span", { className: "faint", textContent: frame.score }));
    button.addEventListener("click", () => choose(place));
    $("strip").append(make("li", {}, button));
  });

  // Plots --------------------------------------------------------------------------------------
  const SVG = "http://www.w3.org/2000/svg";
  const draws = (tag, attributes, text) => {
    const element = document.createElementNS(SVG, tag);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text !== undefined) element.textContent = text;
    return element;
  };
  const { times } = data.plot;
  const LEFT = 46, RIGHT = 8, TOP = 8, BOTTOM = 20, HIGH = 170;
  function plot(metric) {
    const lines = data.plot.films
      .map((film) => ({ film, values: data.plot.values[film][metric.name] }))
      .filter(({ values }) => values && values.some((value) => value !== null));
    if (!lines.length) return;
    const svg = draws("svg", { role: "img", "aria-label": `${metric.title} over time` });
    const words = make("figcaption");
    const quiet = () => {
      words.replaceChildren(make("b", { textContent: metric.title + (metric.unit ? `, ${metric.unit}` : "") }), ` · ${metric.about}`);
    };
    quiet();
    $("plots").append(make("figure", {}, words, svg));
    const known = lines.flatMap(({ values }) => values.filter((value) => value !== null));
    let low = Math.min(...known), high = Math.max(...known);
    if (high - low < 1e-9) [low, high] = [low - 1, high + 1];
    const begin = times[0], end = times[times.length - 1];
    const gaps = times.slice(1).map((time, place) => time - times[place]).sort((a, b) => a - b);
    const broken = 4 * gaps[Math.floor(gaps.length / 4)];
    let across, down;
    const render = () => {
      const width = svg.clientWidth || 400;
      across = (time) => LEFT + ((time - begin) / (end - begin || 1)) * (width - LEFT - RIGHT);
      down = (value) => TOP + ((high - value) / (high - low)) * (HIGH - TOP - BOTTOM);
      svg.replaceChildren();
      for (const part of [0, 0.5, 1]) {
        const value = low + (high - low) * part, y = down(value);
        svg.append(draws("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y, y2: y }),
          draws("text", { x: LEFT - 4, y: y + 4, "text-anchor": "end" }, value.toFixed(Math.min(metric.digits, 3))));
      }
      svg.append(draws("text", { x: LEFT, y: HIGH - 4 }, `${begin.toFixed(1)} ${data.plot.unit}`),
        draws("text", { x: width - RIGHT, y: HIGH - 4, "text-anchor": "end" }, `${end.toFixed(1)} ${data.plot.unit}`));
      data.frames.forEach((frame, place) => svg.append(draws("line", {
        class: place === state.frame ? "mark now" : "mark", "data-frame": place,
        x1: across(frame.time), x2: across(frame.time), y1: TOP, y2: HIGH - BOTTOM,
      })));
      for (const { film, values } of lines) {
        // Solid between neighbours; faint over what was not looked at.
        let solid = "", faint = "", pen = false;
        values.forEach((value, place) => {
          if (value === null) return;
          const point = `${across(times[place]).toFixed(1)} ${down(value).toFixed(1)}`;
          const near = pen && times[place] - times[place - 1] <= broken;
          solid += `${near ? "L" : "M"}${point}`;
          faint += `${pen ? "L" : "M"}${point}`;
          pen = true;
        });
        for (const [path, opacity] of [[faint, 0.3], [solid, 1]]) svg.append(draws("path", {
          d: path, fill: "none", stroke: colorOf(film), "stroke-width": 1.8, "stroke-opacity": opacity,
        }));
        if (times.length <= 150) values.forEach((value, place) => value !== null && svg.append(
          draws("circle", { cx: across(times[place]), cy: down(value), r: 2.2, fill: colorOf(film) })));
      }
    };
    const timeAt = (event) => {
      const width = svg.clientWidth;
      const part = (event.offsetX - LEFT) / (width - LEFT - RIGHT);
      return begin + Math.min(1, Math.max(0, part)) * (end - begin);
    };
    const nearest = (list, time) => list.reduce((best, value, place) =>
      (Math.abs(value - time) < Math.abs(list[best] - time) ? place : best), 0);
    svg.addEventListener("click", (event) => choose(nearest(data.frames.map((frame) => frame.time), timeAt(event))));
    svg.addEventListener("pointermove", (event) => {
      const place = nearest(times, timeAt(event));
      const said = lines.filter(({ values }) => values[place] !== null)
        .map(({ film, values }) => `${films[film]} ${values[place].toFixed(metric.digits)}`);
      words.textContent = `${metric.title} at ${times[place].toFixed(2)} ${data.plot.unit}: ${said.join(", ")}`;
    });
    svg.addEventListener("pointerleave", quiet);
    new ResizeObserver(render).observe(svg);
  }
  if (times.length > 1) {
    data.plot.films.forEach((film) => {
      const line = make("i");
      line.style.background = colorOf(film);
      $("legend").append(make("span", {}, line, films[film]));
    });
    data.metrics.forEach(plot);
  } else {
    $("plots-section").hidden = true;
  }

  build();
  new ResizeObserver(() => { arrange(); draw(); }).observe(view);
  document.documentElement.dataset.ready = "yes";
})();
