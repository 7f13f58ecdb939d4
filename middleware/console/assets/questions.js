// The questions that wait for a person, and the form to decide one.

import { h, icon, serverNow, until, words } from './draw.js';
import { keyed } from './views.js';

const pageSize = 50;

export function questions(app) {
  const list = h('ul', { class: 'cast' }), none = h('p', { class: 'empty' }, 'No question is open. The agents manage by themselves.');
  const sum = h('p', { class: 'sum' }), trouble = h('p', { class: 'trouble' });
  const before = h('button', { type: 'button', onclick: () => turn(false) }, 'Earlier'), after = h('button', { type: 'button', onclick: () => turn(true) }, 'Later');
  const pager = h('div', { class: 'pager' }, before, after);
  const detail = h('section', { class: 'detail', 'aria-label': 'Question' });
  const root = h('div', { class: 'split' },
    h('section', { class: 'list', 'aria-labelledby': 'questions-title' }, h('h2', { id: 'questions-title' }, 'Open questions'), sum, trouble, none, list, pager), detail);
  let pages = [''], page = null, rev = null, asking = false, part = null; // where each page begins

  function turn(on) {
    if (on && page?.next) pages.push(page.next); else if (!on && pages.length > 1) pages.pop();
    rev = null;
    update();
  }

  function load() {
    if (asking) return;
    asking = true;
    rev = app.inbox().rev;
    app.get(`questions?after=${encodeURIComponent(pages.at(-1))}&limit=${pageSize}`).then((p) => {
      if (p.entries.length === 0 && pages.length > 1) { pages = ['']; rev = null; }
      page = p;
    }).catch((e) => { trouble.textContent = e.message; }).finally(() => { asking = false; app.render(); });
  }

  function update() {
    if (!app.me().inbox) {
      sum.textContent = 'This console has no inbox.';
      none.hidden = pager.hidden = true;
      return;
    }
    if (rev !== app.inbox().rev) load();
    trouble.textContent = app.inbox().trouble ? `The inbox cannot be read: ${app.inbox().trouble}` : '';
    const all = page?.entries ?? [], total = page?.total ?? 0, from = (pages.length - 1) * pageSize;
    const id = app.route().id ?? (app.wide() ? all[0]?.id : undefined);
    none.hidden = !page || total > 0;
    sum.textContent = total > pageSize ? `${from + 1} to ${from + all.length} of ${total}, the oldest in front.` : total > 1 ? 'The oldest is in front.' : '';
    pager.hidden = total <= pageSize;
    before.disabled = pages.length === 1;
    after.disabled = !page?.next;
    keyed(list, all.map((q) => ({ ...q, chosen: q.id === id })), (q) => q.id, card);
    root.classList.toggle('one', app.route().id !== undefined);
    if (!id) {
      part = null;
      detail.replaceChildren();
      return;
    }
    if (part?.id !== id) {
      part = one(app, id);
      detail.replaceChildren(part.root);
    }
    part.update();
  }
  return { root, update };
}

function card(q) {
  return h('li', { class: 'card' },
    h('a', { href: `#/question/${encodeURIComponent(q.id)}`, 'aria-current': q.chosen ? 'true' : null, 'data-focus': 'a' },
      icon('person'), h('span', { class: 'name' }, q.agent), h('span', { class: 'role' }, words(q.class)),
      h('span', { class: 'state' }, q.request || q.attempts?.at(-1)?.error || q.id),
      h('span', { class: 'state' }, dated(q.deadline) ? ['expires in ', until(q.deadline)] : '', claimed(q) ? [' · with ', h('b', {}, claimed(q))] : '',
        q.votes?.length ? ` · ${q.votes.length} of ${q.quorum} votes` : '')));
}

// A time that nobody has set is the year 1 in Go.
const dated = (time) => time && !time.startsWith('0001-');
const claimed = (q) => (q.claim && Date.parse(q.claim.until) > serverNow() ? q.claim.by : '');
const over = (q) => q.state !== 'open';

function one(app, id) {
  const head = h('div', {}), told = h('div', {}), form = decision(app, id), said = h('p', { class: 'trouble', role: 'alert' });
  const claim = h('div', { class: 'acts' });
  const root = h('div', {}, h('a', { class: 'back', href: '#/questions' }, '← Open questions'), head, told, claim, said, form.root);
  let question = null, rev = null, sign = '', asking = false;
  let problem = '', gone = ''; // why what was done last was refused, which stays; why it cannot be read

  function load() {
    if (asking) return;
    asking = true;
    rev = app.inbox().rev;
    app.get(`questions/${encodeURIComponent(id)}`).then((q) => { question = q; gone = ''; }).catch((e) => {
      question = { ...(question ?? { id, agent: '' }), state: 'over' };
      gone = e.message;
    }).finally(() => { asking = false; app.render(); });
  }

  const act = (what, body) => app.post(`questions/${encodeURIComponent(id)}/${what}`, body).then(() => { problem = ''; })
    .catch((e) => { problem = e.message; }).finally(() => { rev = null; app.render(); });

  function update() {
    if (rev === null || rev !== app.inbox().rev) load();
    if (said.textContent !== (problem || gone)) said.textContent = problem || gone;
    if (!question) return;
    const q = question, me = app.me(), by = claimed(q), next = JSON.stringify([q, by, me]);
    if (next === sign) return;
    sign = next;
    const tried = (q.attempts?.length ?? 0) + (q.more ?? 0);
    head.replaceChildren(h('h2', {}, icon('person'), q.agent || 'A question', h('small', {}, words(q.class))),
      h('p', { class: 'sum' }, over(q) ? '' : dated(q.deadline) ? ['Expires in ', until(q.deadline), ', and silence is never a yes. '] : '', q.round > 1 ? `Asked for the ${q.round}. time. ` : '',
        q.ticket ? 'Its call is parked. ' : '', h('span', { class: 'id' }, q.id)));
    told.replaceChildren(
      q.request ? h('section', {}, h('h3', {}, 'What was asked'), h('pre', { tabindex: '0', 'aria-label': 'What was asked' }, q.request)) : h('p', { class: 'sum' }, 'What was asked is not shown here.'),
      tried ? h('section', {}, h('h3', {}, `What went wrong (${tried} attempt${tried === 1 ? '' : 's'})`),
        h('ol', { class: 'steps' }, q.attempts.map((a) => h('li', {}, icon('miss'), h('span', { class: 'when' }, words(a.class)), h('span', {}, h('b', {}, a.agent), a.error ? h('q', { class: 'said' }, a.error) : ''))))) : '',
      (q.votes ?? []).map((v) => vote('person', v, ' says: ')), q.votes?.length && !over(q) ? h('p', { class: 'sum' }, `${q.quorum} people must say the same.`) : '',
      over(q) && q.decision ? vote('good', q.decision, ' decided: ') : '',
      over(q) && !q.decision && q.state !== 'over' ? h('p', { class: 'verdict' }, icon('wait'), `It is ${q.state}${q.reason ? `: ${q.reason}` : ''}. Nobody decided it.`) : '');
    claim.replaceChildren(...(over(q) || !me.decide ? [] : [
      by === me.name ? h('button', { type: 'button', onclick: () => act('release', {}) }, 'Give it back')
        : h('button', { type: 'button', onclick: () => act('claim', { from: by }) }, by ? `Take over from ${by}` : 'I look after this'),
      by ? h('span', {}, by === me.name ? 'You look after it.' : `${by} looks after it.`) : '',
    ].filter(Boolean)));
    form.update(q, me, act);
  }
  return { id, root, update };
}

const vote = (shape, v, how) => h('p', { class: 'verdict' }, icon(shape), h('span', {}, h('b', {}, v.by || 'Somebody'), how, v.action, v.agent ? ` ${v.agent}` : '', v.reason ? h('q', { class: 'said' }, v.reason) : ''));

// decision is the form: it stays while what is around it changes.
function decision(app, id) {
  const name = `action-${id}`;
  const choice = (value, label, hint) => h('label', { class: 'choice' }, h('input', { type: 'radio', name, value, onchange: fit }), h('span', {}, h('b', {}, label), ' ', hint));
  const answer = h('textarea', { id: 'answer', rows: 4, maxlength: 20000 }), agent = h('select', { id: 'agent' }), reason = h('input', { id: 'reason', type: 'text', maxlength: 500, autocomplete: 'off' });
  const answerRow = h('label', { class: 'row', for: 'answer', hidden: true }, 'The answer', answer);
  const agentRow = h('label', { class: 'row', for: 'agent', hidden: true }, 'Whom to ask', agent);
  const useAgent = choice('use agent', 'Ask another agent', 'in its place');
  const send = h('button', { type: 'submit', class: 'main' }, 'Decide');
  const root = h('form', { class: 'decide', hidden: true, onsubmit: submit },
    h('fieldset', {}, h('legend', {}, 'Decide'), choice('retry', 'Ask again', 'with all its layers'), choice('answer', 'Answer yourself', 'in its place'), useAgent,
      choice('abort', 'Give up', 'the caller gets the error')),
    answerRow, agentRow, h('label', { class: 'row', for: 'reason' }, 'Why (for the record)', reason), send);
  let act = null;

  const chosen = () => root.querySelector('input[type=radio]:checked')?.value;
  function fit() {
    answerRow.hidden = chosen() !== 'answer';
    agentRow.hidden = chosen() !== 'use agent';
    send.disabled = !chosen();
  }
  function submit(event) {
    event.preventDefault();
    const body = { action: chosen(), reason: reason.value };
    if (body.action === 'answer') body.answer = answer.value;
    if (body.action === 'use agent') body.agent = agent.value;
    if (!body.action || send.disabled) return;
    send.disabled = true;
    act('decide', body).finally(fit);
  }
  function update(q, me, does) {
    act = does;
    root.hidden = over(q) || !me.decide;
    useAgent.hidden = !q.agents?.length;
    const offered = JSON.stringify(q.agents ?? []);
    if (agent.dataset.offered !== offered) {
      agent.dataset.offered = offered;
      agent.replaceChildren(...(q.agents ?? []).map((a) => h('option', { value: a }, a)));
    }
    fit();
  }
  return { root, update };
}
