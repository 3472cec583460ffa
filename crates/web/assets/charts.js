// Draws the record's curves with uPlot over the data that the page itself carries, keeps them moving
// with the live stream, and leaves gaps open. Without this file the page shows the server's drawing.
'use strict';
(() => {
  const { aceso } = globalThis;
  const { rules } = aceso;
  const AXIS = 44; // width of every value axis, so that all plots share one time axis
  const one = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const two = (n) => String(n).padStart(2, '0');
  const clock = (s) => { const d = new Date(s * 1000); return `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`; };
  const minute = (s) => clock(s).slice(0, 5);
  let plots = [];
  let frame = null;
  let drawn = null; // the element the plots belong to
  let dirty = false;

  const colour = (name) => {
    const probe = document.createElement('span');
    probe.className = `probe ${name}`;
    document.body.append(probe);
    const found = getComputedStyle(probe).color;
    probe.remove();
    return found;
  };
  const faint = (rgb, alpha) => rgb.replace(/^rgb\(([^)]*)\)$/, (_, parts) => `rgba(${parts}, ${alpha})`);

  // One row per bucket: start in ms, lowest, mean, highest, and whether the line breaks before it. Raw
  // units throughout.
  const read = (figure) => figure.dataset.points.split(';').filter(Boolean).map((row) => {
    const [bucket, min, mean, max, broken] = row.split(' ').map(Number);
    return { at: frame.from + bucket * frame.bucket, min, mean, max, count: 1, broken: broken === 1 };
  });
  const columns = (plot) => rules.columns(plot.rows, plot.gap, plot.scale);
  // A value without neighbours is a dot: a line has nothing to join it with.
  const lonely = (u, series) => {
    const data = u.data[series];
    return data.map((value, at) => at).filter((at) => data[at] != null && data[at - 1] == null && data[at + 1] == null);
  };
  const span = () => [(frame.until - frame.length) / 1000, frame.until / 1000];

  const decorate = (plot) => (u) => {
    const { ctx } = u;
    const { left, top, width, height } = u.bbox;
    const dot = devicePixelRatio;
    ctx.save();
    ctx.beginPath();
    ctx.rect(left, top, width, height);
    ctx.clip();
    for (const limit of plot.limits) {
      const y = Math.round(u.valToPos(limit.value / plot.scale, 'y', true));
      if (y < top || y > top + height) continue;
      ctx.strokeStyle = plot.ink[limit.style];
      ctx.globalAlpha = 0.85;
      ctx.lineWidth = dot;
      ctx.setLineDash([2 * dot, 4 * dot]);
      ctx.beginPath(); ctx.moveTo(left, y); ctx.lineTo(left + width, y); ctx.stroke();
    }
    ctx.setLineDash([]);
    ctx.globalAlpha = 1;
    ctx.font = `700 ${11 * dot}px system-ui, sans-serif`;
    ctx.textBaseline = 'top';
    for (const mark of frame.marks) {
      if (mark.metric !== plot.metric && !(mark.metric === 0 && plot === plots[0])) continue;
      const from = Math.max(left, u.valToPos(mark.from / 1000, 'x', true));
      const until = Math.min(left + width, u.valToPos((mark.until || frame.until) / 1000, 'x', true));
      if (until < left || from > left + width) continue;
      ctx.fillStyle = plot.ink[mark.style];
      ctx.fillRect(from, top, Math.max(until - from, 3 * dot), 5 * dot);
      const wide = ctx.measureText(mark.label).width;
      ctx.fillStyle = plot.ink.text;
      ctx.fillText(mark.label, Math.min(Math.max(from, left + 2 * dot), left + width - wide - 2 * dot), top + 8 * dot);
    }
    ctx.restore();
  };

  const say = (plot, u) => {
    const at = u.cursor.idx;
    const [xs, highs, lows, means] = u.data;
    if (at == null || means[at] == null) { plot.said.textContent = plot.rest; return; }
    const show = (value) => value.toFixed(plot.decimals).replace('-', '−');
    const range = highs[at] === lows[at] ? '' : ` (${show(lows[at])}–${show(highs[at])})`;
    plot.said.textContent = `${clock(xs[at])}: ${show(means[at])}${range}`;
  };

  const build = (figure, last, ink) => {
    const data = figure.dataset;
    const plot = {
      figure, metric: Number(data.metric), scale: Number(data.scale), decimals: Number(data.decimals), gap: Number(data.gapMs), broken: data.broken === 'true',
      said: one('[data-cursor]', figure), ink, rows: read(figure),
      limits: data.limits.split(';').filter(Boolean).map((limit) => { const [style, , value] = limit.split(' '); return { style, value: Number(value) }; }),
    };
    plot.rest = plot.said.textContent;
    const [low, high] = data.axis.split(' ').map((raw) => Number(raw) / plot.scale);
    const canvas = one('.canvas', figure);
    const stroke = getComputedStyle(one('.k', figure)).backgroundColor;
    canvas.replaceChildren();
    const axis = { stroke: ink.muted, grid: { stroke: ink.line, width: 1 }, ticks: { show: false }, font: '11px system-ui, sans-serif' };
    plot.u = new uPlot({
      width: Math.max(200, canvas.clientWidth), height: Number(data.height) + (last ? 18 : 0),
      padding: [9, 8, last ? 0 : 8, 0],
      legend: { show: false },
      cursor: { sync: { key: 'trends' }, drag: { x: false, y: false }, points: { size: 8 }, focus: { prox: -1 } },
      scales: {
        x: { time: true, range: () => span() },
        y: { range: (u, min, max) => [Math.min(low, min == null ? low : min), Math.max(high, max == null ? high : max)] },
      },
      axes: [
        { ...axis, show: last, size: 26, values: (u, splits) => splits.map((s) => (frame.length <= 900000 && s % 60 ? clock(s) : minute(s))), space: 70 },
        { ...axis, size: AXIS, space: 34 },
      ],
      series: [
        {},
        { stroke: null, points: { show: false }, spanGaps: false },
        { stroke: null, points: { show: false }, spanGaps: false },
        { stroke, width: 1.75, points: { show: true, size: 4, fill: stroke, filter: lonely }, spanGaps: false },
      ],
      bands: [{ series: [1, 2], fill: faint(stroke, 0.2) }],
      hooks: { draw: [decorate(plot)], setCursor: [(u) => say(plot, u)] },
    }, columns(plot), canvas);
    const pad = one('.u-over', canvas);
    if (pad) pad.setAttribute('aria-hidden', 'true');
    canvas.setAttribute('role', 'img');
    canvas.setAttribute('aria-label', figure.dataset.spoken);
    return plot;
  };

  const start = () => {
    plots.forEach((plot) => plot.u.destroy());
    plots = [];
    const trends = one('#trends');
    drawn = trends;
    if (!trends || !window.uPlot) return;
    const data = trends.dataset;
    frame = {
      from: Number(data.fromMs), until: Number(data.untilMs), bucket: Number(data.bucketMs),
      length: Number(data.untilMs) - Number(data.fromMs), patient: (one('#now') || { dataset: {} }).dataset.patient,
    };
    frame.marks = data.marks.split(';').filter(Boolean).map((mark) => {
      const [metric, from, until, style, ...label] = mark.split(' ');
      return { metric: Number(metric), from: Number(from), until: Number(until) >= frame.until ? null : Number(until), style, label: label.join(' ') };
    });
    const ink = { text: colour('text'), muted: colour('muted'), line: colour('line'), high: colour('high'), medium: colour('medium'), low: colour('medium'), tech: colour('tech') };
    const figures = all('figure.plot', trends);
    trends.classList.add('drawn');
    plots = figures.map((figure, at) => build(figure, at === figures.length - 1, ink));
  };

  document.addEventListener('aceso:values', ({ detail }) => {
    if (!frame || detail.p !== frame.patient) return;
    for (const [metric, at, raw] of detail.r) {
      const plot = plots.find((known) => known.metric === metric);
      if (plot) rules.add(plot, frame, at, raw);
    }
    frame.until = Math.max(frame.until, detail.now);
    dirty = true;
  });
  document.addEventListener('aceso:alarm', ({ detail }) => {
    if (!frame || detail.p !== frame.patient) return;
    const known = frame.marks.find((mark) => mark.metric === detail.metric && mark.until === null);
    const stars = { high: '***', medium: '**', low: '*', tech: '' }[detail.priority];
    if (detail.phase === 'closed' || detail.phase === 'recovered') { if (known) known.until = detail.now; }
    else if (known) { known.style = detail.priority; known.label = stars; }
    else frame.marks.push({ metric: detail.metric, from: detail.raised, until: null, style: detail.priority, label: stars });
    dirty = true;
  });

  setInterval(() => {
    if (!dirty || !frame) return;
    dirty = false;
    const from = frame.until - frame.length;
    for (const plot of plots) {
      while (plot.rows.length && plot.rows[0].at < from - frame.bucket) plot.rows.shift();
      plot.u.setData(columns(plot));
    }
  }, 1000);
  let wide = innerWidth;
  addEventListener('resize', () => {
    if (innerWidth === wide) return;
    wide = innerWidth;
    plots.forEach((plot) => plot.u.setSize({ width: Math.max(200, one('.canvas', plot.figure).clientWidth), height: plot.u.height }));
  });
  // Paper is light, whatever the screen's theme: curves on a canvas are drawn again for it.
  for (const media of ['(prefers-color-scheme: dark)', 'print']) matchMedia(media).addEventListener('change', start);
  // For the browser checks: what is drawn, as numbers.
  aceso.plots = () => plots.map(({ metric, u }) => ({ metric, xs: u.data[0], means: u.data[3] }));
  document.addEventListener('aceso:drawn', () => { if (one('#trends') !== drawn) start(); });
})();
