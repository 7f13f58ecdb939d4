// The fleet that this process belongs to, as it looks from here.

import { h, icon, since } from './draw.js';

const count = (n, one, many) => `${n} ${n === 1 ? one : many}`;

// fleet stands above the cast, where there is one.
export function fleet(app) {
  const says = h('div', {});
  const root = h('section', { class: 'fleet', 'aria-labelledby': 'fleet-title', hidden: true }, h('h2', { id: 'fleet-title' }, 'The fleet'), says);
  let sign = '';

  function update() {
    const f = app.fleet(), next = JSON.stringify(f);
    root.hidden = !f;
    if (!f || next === sign) return;
    sign = next;
    says.replaceChildren(...lines(f).map(([shape, ...text]) => h('p', { class: `mood ${shape}` }, icon(shape), h('span', {}, ...text))));
  }
  return { root, update };
}

// lines are what there is to say of it, each with a shape; the worst first.
function lines(f) {
  if (f.trouble) return [['out', h('b', {}, 'The fleet cannot be asked.'), h('q', { class: 'said' }, f.trouble)]];
  const all = [];
  if (!f.replica && f.away) all.push(['care', h('b', {}, 'Nothing is shared yet.')]);
  else if (f.away) {
    all.push(['out', h('b', {}, f.error ? 'The store is away' : 'The store is not reached yet'), f.since ? [', for ', since(f.since)] : '',
      '. This replica is on its own.', f.error ? h('q', { class: 'said' }, f.error) : '']);
  }
  if (f.unpublished) all.push(['wait', `${count(f.unpublished, 'breaker or ladder has', 'breakers and ladders have')} news that the others do not know yet.`]);
  if (f.skipped) all.push(['care', `${count(f.skipped, 'record', 'records')} could not be read, and ${f.skipped === 1 ? 'was' : 'were'} left alone.`]);
  if (f.replica) {
    all.push([f.away ? 'note' : 'well', h('b', {}, count(f.replicas, 'replica lives', 'replicas live')), f.away ? ', as far as is known' : '',
      '. This is ', h('span', { class: 'id' }, f.replica)]);
  }
  return all;
}
