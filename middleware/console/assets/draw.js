// What is drawn, and how things are said. All text from outside becomes a text node:
// nothing here makes markup of a string.

const svgNS = 'http://www.w3.org/2000/svg';

// h makes an element. Children that are no nodes become text.
export function h(tag, props = {}, ...children) {
  const el = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (key === 'class') el.className = value;
    else if (key.startsWith('on')) el.addEventListener(key.slice(2), value);
    else el.setAttribute(key, value === true ? '' : String(value));
  }
  append(el, children);
  return el;
}

export function append(el, children) {
  for (const child of children.flat(Infinity)) {
    if (child === undefined || child === null || child === false || child === '') continue;
    el.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return el;
}

function s(tag, attributes, ...children) {
  const el = document.createElementNS(svgNS, tag);
  for (const [key, value] of Object.entries(attributes)) el.setAttribute(key, value);
  el.append(...children);
  return el;
}

// The shapes differ, not only the colours.
const shapes = {
  well: () => [s('circle', { cx: 8, cy: 8, r: 5 })],
  helped: () => [s('circle', { cx: 8, cy: 8, r: 5, fill: 'none', 'stroke-width': 2, stroke: 'currentColor' }), s('path', { d: 'M8 3a5 5 0 0 1 0 10z' })],
  care: () => [s('path', { d: 'M8 2.500 14.500 13.500H1.500z' })],
  out: () => [s('rect', { x: 2.5, y: 2.5, width: 11, height: 11, rx: 1.5 }), s('path', { class: 'cut', d: 'M5.500 5.500l5 5m0-5-5 5' })],
  miss: () => [s('path', { class: 'stroke', d: 'M4 4l8 8m0-8-8 8' })],
  wait: () => [s('circle', { class: 'stroke', cx: 8, cy: 8, r: 5 }), s('path', { class: 'stroke', d: 'M8 5v3l2 1.500' })],
  stand: () => [s('path', { d: 'M3 3.500c3 1 7 1 10 0 .5 5-1.500 9-5 9.500-3.500-.5-5.500-4.500-5-9.500z' })],
  rung: () => [s('path', { class: 'stroke', d: 'M2.500 4h4v4h4v4h3' })],
  person: () => [s('circle', { cx: 8, cy: 5, r: 2.7 }), s('path', { d: 'M2.800 14c.4-3.600 2.500-5 5.200-5s4.800 1.400 5.200 5z' })],
  good: () => [s('circle', { cx: 8, cy: 8, r: 6 }), s('path', { class: 'cut', d: 'M5 8.200l2.200 2.200L11 6' })],
  bad: () => [s('rect', { x: 2, y: 2, width: 12, height: 12, rx: 1.5 }), s('path', { class: 'cut', d: 'M5.500 5.500l5 5m0-5-5 5' })],
  note: () => [s('circle', { cx: 8, cy: 8, r: 3 })],
};

export function icon(name) {
  const el = s('svg', { viewBox: '0 0 16 16', class: `icon ${name}`, 'aria-hidden': 'true', focusable: 'false' });
  el.append(...shapes[name]());
  return el;
}

export const moods = { out: 'out', care: 'in need of care', helped: 'others answer', well: 'in form' };

const states = { closed: 'closed', open: 'open', 'half-open': 'half-open: on trial', isolated: 'isolated by hand', held: 'held by the provider' };
export const stateWords = (state) => states[state] ?? state;

// Times.

const offset = { ms: 0 }; // of the server's clock
export function setClock(now) { offset.ms = Date.parse(now) - Date.now(); }
export const serverNow = () => Date.now() + offset.ms;

export function duration(ms) {
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`;
  const sec = ms / 1000;
  if (sec < 10) return `${Number(sec.toFixed(1))} s`;
  if (sec < 60) return `${Math.round(sec)} s`;
  if (sec < 3600) return `${Math.floor(sec / 60)} min ${Math.round(sec % 60) % 60} s`;
  if (sec < 86400) return `${Math.floor(sec / 3600)} h ${Math.floor(sec % 3600 / 60)} min`;
  return `${Math.floor(sec / 86400)} d ${Math.floor(sec % 86400 / 3600)} h`;
}

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false });
export function at(time) {
  const d = new Date(time);
  return h('time', { datetime: time, title: d.toString() }, clock.format(d));
}

// until counts down, since counts up; tick keeps them right.
export const until = (time) => ticking(h('time', { datetime: time, 'data-until': time }));
export const since = (time) => ticking(h('time', { datetime: time, 'data-since': time }));
function ticking(el) {
  const to = el.dataset.until, from = el.dataset.since;
  const seconds = (ms) => duration(Math.max(0, Math.round(ms / 1000)) * 1000).replace(/^0 ms$/, '0 s');
  el.textContent = to ? seconds(Date.parse(to) - serverNow()) : seconds(serverNow() - Date.parse(from));
  return el;
}
export function tick() { document.querySelectorAll('[data-until],[data-since]').forEach(ticking); }

// What a step of a call is, in a sentence.
const kinds = {
  attempt_failed: (x) => ['miss', [who(x), ' failed', reason(x)]],
  retry_scheduled: (x) => ['wait', ['asked again after ', duration(x.delay_ms ?? 0)]],
  retries_ended: (x) => ['note', ['not asked again: ', words(x.stop)]],
  stand_in_called: (x) => ['stand', [who(x), ' stands in']],
  stand_in_failed: (x) => ['miss', [who(x), ' failed as stand-in', reason(x)]],
  rung_failed: (x) => ['rung', ['the ', x.level, ' answer failed too', reason(x)]],
  person_asked: (x) => ['person', ['a person is asked ', x.incident ? h('a', { href: `#/question/${encodeURIComponent(x.incident)}` }, 'see the question') : '']],
  person_decided: (x) => ['person', [b(x.by || 'nobody'), x.by ? ' decided: ' : ' decided in time: ', x.decision, x.to ? ` ${x.to}` : '']],
  recovered: (x) => [x.strategy === 'degradation' ? 'rung' : 'good', x.strategy === 'degradation' ? ['a ', b(x.level), ' answer is given'] : ['answered by ', who(x), ` (${words(x.strategy)}`, x.level === 'full' ? ')' : `, ${x.level})`]],
  failed: (x) => ['bad', ['nobody could answer', reason(x)]],
  breaker_changed: (x) => [x.to === 'closed' ? 'good' : x.to === 'half-open' ? 'care' : 'bad', ['breaker ', x.from, ' → ', b(x.to), x.delay_ms ? ` for ${duration(x.delay_ms)}` : '']],
  level_changed: (x) => [x.to === 'full' ? 'good' : 'rung', ['level ', x.from, ' → ', b(x.to)]],
  answered_late: (x) => ['wait', [who(x), ' answered late; the answer is kept']],
  stream_continued: () => ['note', ['the stream goes on']],
  hidden_requests: (x) => ['note', [x.count, ' requests in one attempt: the client retries too']],
  renewed: (x) => [x.error ? 'miss' : 'good', [x.error ? 'the credential could not be renewed' : 'the credential was renewed']],
  hedged: (x) => ['stand', [who(x), ' is asked too, after ', duration(x.delay_ms ?? 0)]],
  effect: (x) => ['note', ['effect ', b(x.detail), ': ', words(x.to)]],
  decision_refused: (x) => ['miss', [b(x.by || 'somebody'), ' decided, and it was refused']],
  parked: (x) => ['person', ['the call is parked until a person has decided ', x.incident ? h('a', { href: `#/question/${encodeURIComponent(x.incident)}` }, 'see the question') : '']],
  work_abandoned: () => ['care', ['an attempt was left running']],
};
const b = (text) => h('b', {}, text);
const who = (x) => b(x.served_by || 'somebody');
const reason = (x) => (x.class ? ` (${words(x.class)})` : '');
export const words = (code) => String(code ?? '').replaceAll('_', ' ');
export function say(x) { return (kinds[x.kind] ?? (() => ['note', [words(x.kind)]]))(x); }

// steps is a call in words.
export function steps(call) {
  const t0 = Date.parse(call.began);
  return h('ol', { class: 'steps' },
    call.steps.map((x) => {
      const [shape, text] = say(x);
      return h('li', {}, icon(shape), h('span', { class: 'when' }, `+${duration(Date.parse(x.time) - t0)}`),
        h('span', {}, text, x.error ? h('q', { class: 'said' }, x.error) : ''));
    }),
    call.dropped ? h('li', {}, icon('note'), h('span', { class: 'when' }), h('span', {}, `${call.dropped} more steps are not kept`)) : '');
}

// score is a call as a line: a mark for each step, the gaps as long as they took.
export function score(call) {
  const line = h('div', { class: 'score', 'aria-hidden': 'true' });
  let waiting = 0, last = Date.parse(call.began), marks = 0;
  for (const x of call.steps) {
    const [shape] = say(x);
    const now = Date.parse(x.time);
    if (x.kind === 'retry_scheduled') { waiting = x.delay_ms ?? 0; continue; }
    if (x.kind === 'retries_ended') continue;
    if (++marks > 24) break;
    if (line.firstChild) {
      const gap = h('span', { class: waiting ? 'gap waits' : 'gap' }, waiting ? h('i', {}, duration(waiting)) : '');
      gap.style.flexGrow = String(1 + Math.sqrt(Math.max(0, now - last)));
      line.append(gap);
    }
    line.append(icon(shape));
    waiting = 0;
    last = now;
  }
  if (!call.end) line.append(h('span', { class: 'gap goes' }));
  return line;
}

// chain draws the layers, each inside of the one before; lit where a call gets through.
export function chain(layers, agent) {
  let inner = null;
  for (const l of [...layers].reverse()) {
    const shut = l.stage === 'breaker' && ['open', 'isolated', 'held'].includes(agent.breaker);
    const head = h('div', { class: 'head' }, h('span', { class: 'stage' }, l.stage), h('span', { class: 'does' }, l.text), chips(l.stage, agent));
    inner = h('li', { class: `layer ${l.stage}${shut ? ' shut' : ''}` }, head, inner ? h('ol', {}, inner) : '');
  }
  return h('ol', { class: 'chain', 'aria-label': `The layers of ${agent.name}, outermost first` }, inner);
}

const chip = (tone, ...text) => h('span', { class: `chip ${tone}` }, ...text);

export function chips(stage, a) {
  const all = [];
  switch (stage) {
    case 'breaker':
      if (a.breaker) all.push(chip(a.breaker === 'closed' ? 'good' : a.breaker === 'half-open' ? 'warn' : 'bad', stateWords(a.breaker)));
      if (a.shut_until) all.push(chip('bad', 'for ', until(a.shut_until)));
      break;
    case 'retry':
      if (a.budget_size) all.push(chip(a.budget_left < a.budget_size / 4 ? 'warn' : '', `budget ${a.budget_left} of ${a.budget_size}`));
      if (a.spent) all.push(chip('warn', 'spent'));
      break;
    case 'degrade':
      if (a.level) all.push(chip(a.level === 'full' ? 'good' : 'warn', a.level, a.pinned ? ', pinned' : ''));
      break;
    case 'pace':
      if (a.calls_per_minute) all.push(chip('', `${a.calls_per_minute} calls a minute`));
      if (a.tokens_per_minute) all.push(chip('', `${a.tokens_per_minute} tokens a minute`));
      if (a.waiting) all.push(chip('warn', `${a.waiting} waiting`));
      break;
    case 'bulkhead':
      all.push(chip('', `${a.in_flight ?? 0} in flight`));
      break;
    case 'fallback':
      if (a.others_since) all.push(chip('warn', 'others answer since ', since(a.others_since)));
      break;
    case 'timeout':
      if (a.left_behind) all.push(chip('warn', `${a.left_behind} left running`));
      break;
    default:
  }
  return all;
}
