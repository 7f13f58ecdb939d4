// The questions that wait for a person, and the form to decide one.

import { append, duration, h, icon, until, words } from './draw.js';
import { keyed } from './views.js';

const pageSize = 50;

export function questions(app) {
  const list = h('ul', { class: 'cast' }), none = h('p', { class: 'empty' }, 'No question is open. The agents manage by themselves.');
  const sum = h('p', { class: 'sum' }), trouble = h('p', { class: 'trouble' });
  const before = h('button', { type: 'button', onclick: () => turn(-pageSize) }, 'Earlier'), after = h('button', { type: 'button', onclick: () => turn(pageSize) }, 'Later');
  const pager = h('div', { class: 'pager' }, before, after);
  const detail = h('section', { class: 'detail', 'aria-label': 'Question' });
  const root = h('div', { class: 'split' },
    h('section', { class: 'list', 'aria-labelledby': 'questions-title' }, h('h2', { id: 'questions-title' }, 'Open questions'), sum, trouble, none, list, pager), detail);
  let from = 0, page = null, rev = null, asking = false, part = null;

  function turn(by) { from = Math.max(0, from + by); rev = null; update(); }

  function load() {
    if (asking) return;
    asking = true;
    rev = app.inbox().rev;
    app.get(`questions?after=${from}&limit=${pageSize}`).then((p) => {
      if (p.questions.length === 0 && from > 0) { from = Math.max(0, Math.ceil(p.total / pageSize - 1) * pageSize); rev = null; }
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
    const all = page?.questions ?? [], total = page?.total ?? 0;
    const id = app.route().id ?? (app.wide() ? all[0]?.id : undefined);
    none.hidden = !page || total > 0;
    sum.textContent = total > pageSize ? `${from + 1} to ${from + all.length} of ${total}; what expires first is in front.` : total > 0 ? 'What expires first is in front.' : '';
    pager.hidden = total <= pageSize;
    before.disabled = from === 0;
    after.disabled = from + pageSize >= total;
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
      h('span', { class: 'state' }, q.request || q.error || q.id),
      h('span', { class: 'state' }, q.deadline ? ['expires in ', until(q.deadline)] : '', q.claimed ? [' · with ', h('b', {}, q.claimed)] : '')));
}

function one(app, id) {
  const head = h('div', {}), told = h('div', {}), form = decision(app, id), said = h('p', { class: 'trouble', role: 'alert' });
  const claim = h('div', { class: 'acts' });
  const root = h('div', {}, h('a', { class: 'back', href: '#/questions' }, '← Open questions'), head, told, claim, said, form.root);
  let question = null, rev = null, sign = '', asking = false;

  function load() {
    if (asking) return;
    asking = true;
    rev = app.inbox().rev;
    app.get(`questions/${encodeURIComponent(id)}`).then((q) => { question = q; said.textContent = ''; }).catch((e) => {
      question = { ...(question ?? { id, agent: '', tried: 0 }), over: 'over' };
      said.textContent = e.message;
    }).finally(() => { asking = false; app.render(); });
  }

  const act = (what, body) => app.post(`questions/${encodeURIComponent(id)}/${what}`, body).then(() => { said.textContent = ''; })
    .catch((e) => { said.textContent = e.message; }).finally(() => { rev = null; app.render(); });

  function update() {
    if (rev === null || rev !== app.inbox().rev) load();
    const next = JSON.stringify([question, app.me()]);
    if (next === sign || !question) return;
    sign = next;
    const q = question, me = app.me();
    head.replaceChildren(h('h2', {}, icon('person'), q.agent || 'A question', h('small', {}, words(q.class))),
      h('p', { class: 'sum' }, q.over ? '' : q.deadline ? ['Expires in ', until(q.deadline), ', and silence is never a yes. '] : '', q.round > 1 ? `Asked for the ${q.round}. time. ` : '',
        q.shut_for_ms ? `Its breaker was shut for ${duration(q.shut_for_ms)}. ` : '', h('span', { class: 'id' }, q.id)));
    told.replaceChildren(
      q.request ? h('section', {}, h('h3', {}, 'What was asked'), h('pre', { tabindex: '0', 'aria-label': 'What was asked' }, q.request)) : h('p', { class: 'sum' }, me.requests ? '' : 'What was asked is not shown here.'),
      q.attempts ? h('section', {}, h('h3', {}, `What went wrong (${q.tried} attempt${q.tried === 1 ? '' : 's'})`),
        h('ol', { class: 'steps' }, q.attempts.map((a) => h('li', {}, icon('miss'), h('span', { class: 'when' }, words(a.class)), h('span', {}, h('b', {}, a.agent), a.error ? h('q', { class: 'said' }, a.error) : ''))))) : '',
      q.requests ? h('section', {}, h('h3', {}, 'What others would be asked'), Object.entries(q.requests).map(([name, text]) => [h('h4', {}, name), h('pre', { tabindex: '0', 'aria-label': `What ${name} would be asked` }, text)])) : '',
      q.decided ? h('p', { class: 'verdict' }, icon('good'), append(h('span', {}), [h('b', {}, q.decided.by), ' decided: ', q.decided.action, q.decided.agent ? ` ${q.decided.agent}` : '', q.decided.reason ? h('q', { class: 'said' }, q.decided.reason) : ''])) : '');
    const mine = q.claimed && q.claimed === me.name;
    claim.replaceChildren(...(q.over || !me.decide ? [] : [
      mine ? h('button', { type: 'button', onclick: () => act('release', {}) }, 'Give it back')
        : h('button', { type: 'button', onclick: () => act('claim', { from: q.claimed ?? '' }) }, q.claimed ? `Take over from ${q.claimed}` : 'I look after this'),
      mine ? h('span', {}, 'You look after it.') : q.claimed ? h('span', {}, `${q.claimed} looks after it.`) : '',
    ].filter(Boolean)));
    form.update(q, me, act);
  }
  return { id, root, update };
}

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
    root.hidden = Boolean(q.over) || !me.decide;
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
