// The views: each gives the elements of its part of the page. What they need is asked
// of the app, which knows the state and speaks to the API.

import { append, at, chain, chips, duration, h, icon, moods, say, score, since, stateWords, steps, until, words } from './draw.js';
import { fleet } from './fleet.js';

// keyed shows items in a list, and touches only what changed; focus stays.
export function keyed(list, items, key, make) {
  const old = new Map();
  for (const el of list.children) old.set(el.dataset.key, el);
  const focused = list.contains(document.activeElement) ? document.activeElement : null;
  const held = focused && [focused.closest('[data-key]')?.dataset.key, focused.getAttribute('data-focus')];
  let before = null;
  for (const item of items) {
    const k = key(item), sign = JSON.stringify(item);
    let el = old.get(k);
    old.delete(k);
    if (el?.sign !== sign) {
      const next = make(item, el);
      next.dataset.key = k;
      next.sign = sign;
      el?.replaceWith(next);
      el = next;
    }
    const place = before ? before.nextSibling : list.firstChild;
    if (place !== el) list.insertBefore(el, place);
    before = el;
  }
  for (const el of old.values()) el.remove();
  if (held && document.activeElement !== focused) {
    for (const el of list.children) if (el.dataset.key === held[0]) el.querySelector(`[data-focus="${held[1]}"]`)?.focus({ preventScroll: true });
  }
}

const rank = { out: 0, care: 0, helped: 1, well: 1 };
const castSize = 60;

// stage is the cast, and the chain of one of it.
export function stage(app) {
  const filter = h('input', { id: 'filter', type: 'search', placeholder: 'Name or role', autocomplete: 'off', oninput: () => { shown = castSize; update(); } });
  const summary = h('p', { class: 'sum' });
  const list = h('ul', { class: 'cast' });
  const more = h('button', { type: 'button', class: 'more', onclick: () => { shown += castSize; update(); } });
  const detail = h('section', { class: 'detail', 'aria-label': 'Agent' });
  const shares = fleet(app);
  let shown = castSize, part = null;
  const root = h('div', { class: 'split' },
    h('div', { class: 'list' }, shares.root, h('section', { 'aria-labelledby': 'cast-title' },
      h('h2', { id: 'cast-title' }, 'The cast'), summary,
      h('label', { class: 'filter', for: 'filter' }, h('span', { class: 'unseen' }, 'Filter the cast'), filter), list, more)),
    detail);

  function update() {
    shares.update();
    const all = app.agents();
    const counts = {};
    for (const a of all) counts[a.mood] = (counts[a.mood] ?? 0) + 1;
    summary.replaceChildren(...(all.length === 0 ? ['No agent is on stage yet.'] : Object.keys(moods).filter((m) => counts[m])
      .map((m) => h('span', { class: `mood ${m}` }, icon(m), `${counts[m]} ${moods[m]}`))));
    const asked = filter.value.trim().toLowerCase();
    const found = all.filter((a) => !asked || a.name.toLowerCase().includes(asked) || (a.role ?? '').toLowerCase().includes(asked))
      .map((a, i) => [rank[a.mood] ?? 1, i, a]).sort((x, y) => x[0] - y[0] || x[1] - y[1]).map((x) => x[2]);
    const id = app.route().id ?? (app.wide() ? found[0]?.id : undefined);
    keyed(list, found.slice(0, shown).map((a) => ({ ...a, chosen: a.id === id })), (a) => a.id, card);
    more.hidden = found.length <= shown;
    more.textContent = `Show more (${found.length - shown})`;
    root.classList.toggle('one', app.route().id !== undefined);
    const chosen = all.find((a) => a.id === id);
    if (!chosen) {
      part = null;
      detail.replaceChildren(id ? h('p', { class: 'empty' }, 'This agent is not on stage any more.') : '');
      return;
    }
    if (part?.id !== id) {
      part = agentPart(app, id);
      detail.replaceChildren(part.root);
    }
    part.update(chosen);
  }
  return { root, update };
}

function card(a) {
  return h('li', { class: `card ${a.mood}` },
    h('a', { href: `#/agent/${encodeURIComponent(a.id)}`, 'aria-current': a.chosen ? 'true' : null, 'data-focus': 'a' },
      icon(a.mood), h('span', { class: 'name' }, a.name), part(a) ? h('span', { class: 'role' }, part(a)) : '',
      h('span', { class: 'state' }, line(a))));
}

// part is an agent's role, where its name does not say it already.
function part(a) {
  const role = words(a.role).toLowerCase();
  return role === a.name.toLowerCase() ? '' : role;
}

// line is how an agent is, in a few words.
function line(a) {
  const all = [];
  if (a.breaker && a.breaker !== 'closed') all.push(['breaker ', stateWords(a.breaker), a.shut_until ? [', ', until(a.shut_until)] : '']);
  if (a.level && (a.level !== 'full' || a.pinned)) all.push([a.level, ' answers', a.pinned ? ', pinned' : '']);
  if (a.spent) all.push(['retries spent']);
  if (a.failures) all.push([`${a.failures} failed call${a.failures === 1 ? '' : 's'}`]);
  if (a.left_behind) all.push([`${a.left_behind} left running`]);
  if (a.others_since) all.push(['others answer for ', since(a.others_since)]);
  if (all.length === 0) all.push([moods[a.mood] ?? a.mood]);
  return all.slice(0, 2).map((x, i) => (i ? [' · ', x] : x));
}

const chains = new Map(); // of the last agents that were looked at

function agentPart(app, id) {
  const facts = h('dl', { class: 'facts' }), acts = h('div', { class: 'acts' }), drawing = h('div', {}), notes = h('ul', { class: 'notes' });
  const head = h('div', {}), worst = h('p', { class: 'worst' }), lately = h('ul', { class: 'calls' }), none = h('p', { class: 'empty' }, 'Nothing has happened to its calls lately.');
  const root = h('div', {}, h('a', { class: 'back', href: '#/stage' }, '← The cast'), head, facts, acts,
    h('h3', {}, 'Its chain'), worst, drawing, notes, h('h3', {}, 'Its last recoveries'), none, lately);
  let explained = chains.get(id) ?? null, sign = '', asked = 0;

  function explain() {
    asked = Date.now();
    app.get(`agents/${encodeURIComponent(id)}`).then((a) => {
      explained = a.chain;
      sign = '';
      chains.set(id, explained);
      if (chains.size > 50) chains.delete(chains.keys().next().value);
      app.render();
    }).catch(() => {});
  }

  function update(a) {
    if (Date.now() - asked > 10_000) explain();
    const calls = app.calls().filter((c) => c.agent === a.name).slice(0, 5);
    none.hidden = calls.length > 0;
    keyed(lately, calls, (c) => c.id, callCard);
    const next = JSON.stringify([a, app.me(), explained]);
    if (next === sign) return;
    sign = next;
    head.replaceChildren(h('h2', {}, icon(a.mood), a.name, part(a) ? h('small', {}, part(a)) : ''));
    const rows = [
      ['Breaker', a.breaker ? chips('breaker', a) : 'none'],
      ['Level', a.level ? chips('degrade', a) : 'no ladder'],
      ['Retry budget', a.budget_size ? meter(a.budget_left, a.budget_size) : 'no retries'],
      a.calls_per_minute || a.tokens_per_minute ? ['Pace', chips('pace', a)] : null,
      ['Failed calls', [a.failures, a.spent ? ', retries spent' : '']],
      a.in_flight || a.waiting ? ['Under way', `${a.in_flight ?? 0} in flight, ${a.waiting ?? 0} waiting`] : null,
      a.last_error ? ['Last failure', [h('b', {}, words(a.last_class)), ' ', h('q', { class: 'said' }, a.last_error)]] : null,
      a.shared_with ? ['Breaker shared', a.shared_with.join(', ')] : null,
    ];
    facts.replaceChildren(...rows.filter(Boolean).flatMap(([k, v]) => [h('dt', {}, k), append(h('dd', {}), [v])]));
    acts.replaceChildren(...(app.me().control ? buttons(app, a) : []));
    drawing.replaceChildren(explained ? chain(explained.layers, a) : '');
    notes.replaceChildren(...(explained?.notes ?? []).map((n) => h('li', {}, n)));
    worst.replaceChildren(explained ? worstCase(explained) : '');
  }
  return { id, root, update };
}

function meter(left, size) {
  const bar = h('meter', { min: 0, max: size, low: size / 4, value: left, 'aria-label': 'Retry budget' });
  return [bar, ` ${left} of ${size}`];
}

function worstCase(e) {
  const n = (count, noun) => `${count} ${noun}${count === 1 ? '' : 's'}`;
  return `At worst one call costs ${n(e.calls, 'call')}${e.rungs ? `, ${n(e.rungs, 'reduced answer')}` : ''}` +
    `${e.bounded ? `, ${e.time}` : ', and as long as its caller waits'}${e.questions ? `; then ${n(e.questions, 'question')} to a person` : ''}.`;
}

function buttons(app, a) {
  const act = (what, title, text, extra) => h('button', { type: 'button', 'data-focus': what, 'aria-label': `${title} ${a.name}`,
    onclick: () => app.confirm(`${title}: ${a.name}`, text, extra, (body) => app.post(`agents/${encodeURIComponent(a.id)}/${what}`, body)) }, title);
  const shared = a.shared_with ? ` The breaker is shared by ${a.shared_with.join(', ')}.` : '';
  return [
    a.breaker && a.breaker !== 'isolated' ? act('isolate', 'Isolate', `Nobody calls it until somebody resets it; stand-ins answer.${shared}`) : '',
    act('reset', 'Reset', `Its breaker closes, and what it failed is forgotten.${a.breaker ? shared : ''}`),
    a.level ? act('pin', 'Pin a level', 'Calls are answered at this level until it is given free, and the agent is not asked.', 'level') : '',
    a.level && (a.pinned || a.level !== 'full') ? act('unpin', 'Restore', 'The agent is asked again, and answers in full if it can.') : '',
  ].filter(Boolean);
}

function callCard(c, old) {
  const list = h('div', {});
  const details = h('details', { ontoggle: () => { if (details.open && !list.firstChild) list.append(steps(c)); } },
    h('summary', { 'data-focus': 's' }, `${c.steps.length + (c.dropped ?? 0)} step${c.steps.length === 1 ? '' : 's'}`, ended(c)), list);
  if (old?.querySelector('details')?.open) { details.open = true; list.append(steps(c)); }
  const result = c.end === 'recovered' && c.strategy === 'degradation' ? ['got a ', h('b', {}, c.level), ' answer']
    : c.end === 'recovered' ? ['answered by ', h('b', {}, c.served_by), `, ${words(c.strategy)}`, c.level === 'full' ? '' : `, ${c.level}`]
    : c.end === 'failed' ? 'nobody could answer' : 'under way';
  return h('li', { class: `call ${c.end || 'goes'}` },
    h('p', { class: 'title' }, icon(c.end === 'failed' ? 'bad' : c.end === '' ? 'wait' : c.strategy === 'degradation' ? 'rung' : 'good'),
      h('b', {}, c.agent), h('span', {}, result), at(c.began)),
    score(c), details);
}

const ended = (c) => (c.end ? `, ${duration(Date.parse(c.last) - Date.parse(c.began))}` : '');

// recoveries are the last calls that something happened to.
export function recoveries(app) {
  const list = h('ul', { class: 'calls' }), none = h('p', { class: 'empty' }, 'All calls have gone well: there is nothing to tell.');
  const only = h('select', { id: 'only', onchange: update }, [['', 'All'], ['recovered', 'Answered'], ['failed', 'Not answered'], ['goes', 'Under way']].map(([v, t]) => h('option', { value: v }, t)));
  const root = h('section', { class: 'plain', 'aria-labelledby': 'calls-title' },
    h('h2', { id: 'calls-title' }, 'Recoveries'), h('p', { class: 'sum' }, 'The last calls in which something went wrong, and who saved them. Calls that go well leave no trace.'),
    h('label', { class: 'pick', for: 'only' }, 'Show ', only), none, list);
  function update() {
    const calls = app.calls().filter((c) => !only.value || (c.end || 'goes') === only.value).slice(0, 40);
    none.hidden = calls.length > 0;
    keyed(list, calls, (c) => c.id, callCard);
  }
  return { root, update };
}

// record is who did what, and what the breakers and ladders did.
export function record(app) {
  const people = h('ul', { class: 'entries' }), moves = h('ul', { class: 'entries' });
  const nobody = h('p', { class: 'empty' }, 'Nobody has changed anything here.'), still = h('p', { class: 'empty' }, 'No breaker and no level has moved.');
  const root = h('div', { class: 'halves' },
    h('section', { 'aria-labelledby': 'people-title' }, h('h2', { id: 'people-title' }, 'What people did'), nobody, people),
    h('section', { 'aria-labelledby': 'moves-title' }, h('h2', { id: 'moves-title' }, 'What breakers and levels did'), still, moves));
  const did = { isolate: 'isolated', reset: 'reset', pin: 'pinned', unpin: 'restored', claim: 'claimed', release: 'gave back', decide: 'decided' };
  function update() {
    const entries = app.record().slice(0, 60), changes = app.changes().slice(0, 60);
    nobody.hidden = entries.length > 0;
    still.hidden = changes.length > 0;
    keyed(people, entries, (e) => e.time + e.did + e.by, (e) => h('li', {}, icon(e.problem ? 'miss' : 'person'), at(e.time),
      h('span', {}, h('b', {}, e.by), ` ${e.problem ? 'tried to ' + e.did : did[e.did] ?? e.did} `, e.agent || h('span', { class: 'id' }, e.incident),
        e.what ? `: ${e.what}` : '', e.reason ? h('q', { class: 'said' }, e.reason) : '', e.problem ? h('q', { class: 'said' }, e.problem) : '')));
    keyed(moves, changes, (c) => c.time + c.kind + c.agent, (c) => {
      const [shape, text] = say(c);
      return h('li', {}, icon(shape), at(c.time), h('span', {}, h('b', {}, c.agent), ' ', text, c.error ? h('q', { class: 'said' }, c.error) : ''));
    });
  }
  return { root, update };
}
