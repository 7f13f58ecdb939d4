// The app: what is known, kept up to date by the stream, and which view shows it.

import { append, h, setClock, tick } from './draw.js';
import { record, recoveries, stage } from './views.js';
import { questions } from './questions.js';

const api = new URL('api/v1/', document.baseURI);
const $ = (id) => document.getElementById(id);

const know = { me: {}, agents: new Map(), order: [], calls: new Map(), changes: [], record: [], fleet: null, inbox: { total: 0, rev: null, trouble: '' } };
const most = { calls: 200, changes: 100, record: 200 };

async function answerOf(response) {
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(body.error || `The server said ${response.status}.`);
  return body;
}

const views = { stage, agent: stage, questions, question: questions, calls: recoveries, record };
let open = null; // the view that is shown
let queued = false, shown = -1000;

const app = {
  me: () => know.me,
  agents: () => know.order.map((id) => know.agents.get(id)).filter(Boolean),
  calls: () => [...know.calls.values()].sort((a, b) => (a.began < b.began ? 1 : a.began > b.began ? -1 : 0)),
  changes: () => know.changes,
  record: () => know.record,
  inbox: () => know.inbox,
  fleet: () => know.fleet,
  wide: () => matchMedia('(min-width: 56rem)').matches,
  route() {
    const [, view = 'stage', id] = location.hash.split('/');
    return { view: views[view] ? view : 'stage', id: id ? safeDecode(id) : undefined };
  },
  get: (path) => fetch(new URL(path, api), { headers: { Accept: 'application/json' } }).then(answerOf),
  post: (path, body) => fetch(new URL(path, api), { method: 'POST', headers: { 'Content-Type': 'application/json', 'Understudy-Console': '1' }, body: JSON.stringify(body) }).then(answerOf),
  render() {
    if (queued) return;
    queued = true;
    const now = () => { queued = false; shown = performance.now(); show(); };
    const wait = document.hidden ? 500 : 150 - (performance.now() - shown); // the title counts in the background too
    if (wait > 0) setTimeout(now, wait); else requestAnimationFrame(now);
  },
  confirm,
};

function safeDecode(text) {
  try { return decodeURIComponent(text); } catch { return text; }
}

function show() {
  const { view } = app.route();
  if (open?.make !== views[view]) {
    open = { make: views[view], ...views[view](app) };
    $('main').replaceChildren(open.root);
  }
  open.update();
  $('main').dataset.shown = location.hash;
  for (const a of document.querySelectorAll('nav a')) {
    const here = views[a.dataset.view] === views[view];
    if (here) a.setAttribute('aria-current', 'page'); else a.removeAttribute('aria-current');
  }
  const count = $('open-count');
  count.hidden = !know.inbox.total;
  count.replaceChildren(` ${know.inbox.total}`, h('span', { class: 'unseen' }, ' open'));
  document.title = know.inbox.total ? `(${know.inbox.total}) Understudy` : 'Understudy';
  $('me').textContent = know.me.name ? know.me.name : know.me.now ? 'only looking' : '';
}

// said tells those who do not see the page what has changed; not more than is bearable.
let saying = [];
function said(text) {
  if (saying.length === 0) setTimeout(() => { $('said').textContent = saying.slice(-3).join('. '); saying = []; }, 500);
  saying.push(text);
}

function alarm(text) {
  const box = h('p', {}, text, h('button', { type: 'button', 'aria-label': 'Dismiss', onclick: () => box.remove() }, '×'));
  $('alarm').replaceChildren(box);
}

// confirm asks for a reason before something is done.
function confirm(title, text, extra, act) {
  const dialog = $('ask');
  const reason = h('input', { id: 'why', type: 'text', maxlength: 500, autocomplete: 'off' });
  const level = extra === 'level' ? h('select', { id: 'level' }, ['reduced', 'minimal', 'emergency', 'full'].map((l) => h('option', { value: l }, l))) : null;
  const form = h('form', {
    onsubmit: (event) => {
      event.preventDefault();
      dialog.close();
      act({ reason: reason.value, ...(level ? { level: level.value } : {}) }).catch((e) => alarm(e.message));
    },
  }, h('h2', { id: 'ask-title' }, title), h('p', {}, text), level ? h('label', { class: 'row', for: 'level' }, 'Level', level) : '',
  h('label', { class: 'row', for: 'why' }, 'Why (for the record)', reason),
  h('div', { class: 'acts' }, h('button', { type: 'submit', class: 'main' }, title.split(':')[0]), h('button', { type: 'button', onclick: () => dialog.close() }, 'Cancel')));
  dialog.replaceChildren(form);
  dialog.showModal();
}

// The stream.

const take = {
  hello(m) {
    know.me = m;
    know.agents.clear(); know.calls.clear();
    know.order = []; know.changes = []; know.record = []; know.fleet = null;
    know.inbox = { total: 0, rev: null, trouble: '' };
    setClock(m.now);
    online(true);
  },
  beat(m) { setClock(m.now); },
  agents(m) {
    for (const a of m.agents) {
      const was = know.agents.get(a.id);
      if (was && was.breaker !== a.breaker) said(`Breaker of ${a.name}: ${a.breaker}`);
      know.agents.set(a.id, a);
    }
    if (m.order) {
      know.order = m.order;
      const here = new Set(m.order);
      for (const id of know.agents.keys()) if (!here.has(id)) know.agents.delete(id);
    }
  },
  calls(m) {
    for (const c of m.calls) know.calls.set(c.id, c);
    if (know.calls.size > most.calls) for (const c of app.calls().slice(most.calls)) know.calls.delete(c.id);
  },
  changes(m) { know.changes = [...m.changes, ...know.changes].slice(0, most.changes); },
  record(m) { know.record = [...m.record, ...know.record].slice(0, most.record); },
  fleet(m) {
    if (know.fleet && know.fleet.away !== m.away) said(m.away ? 'The store of the fleet is away' : 'The store of the fleet is back');
    know.fleet = m;
  },
  questions(m) {
    if (m.total > know.inbox.total && know.inbox.rev !== null) said(`${m.total} questions are open`);
    know.inbox = m;
  },
};

function online(yes) {
  const line = $('line');
  line.className = yes ? 'line on' : 'line off';
  line.textContent = yes ? 'Live' : 'Reconnecting';
}

function listen() {
  const source = new EventSource(new URL('stream', api));
  for (const [what, does] of Object.entries(take)) {
    source.addEventListener(what, (event) => { does(JSON.parse(event.data)); app.render(); });
  }
  source.onerror = async () => {
    online(false);
    if (source.readyState !== EventSource.CLOSED) return; // it comes back by itself
    source.close();
    try { await app.get('me'); } catch (e) { append($('main'), []); alarm(e.message); }
    setTimeout(listen, 5000);
  };
}

addEventListener('hashchange', () => { app.render(); $('main').focus({ preventScroll: true }); scrollTo(0, 0); });
matchMedia('(min-width: 56rem)').addEventListener('change', app.render);
setInterval(tick, 1000);
listen();
app.render();
