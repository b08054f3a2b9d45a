-- What a unit's own signals say happened to a part, where nobody told it; and the flow at which an indicator is read.

create table doubt(                          -- one for each thing noticed in one wear cycle
  doubt_id bigint generated always as identity primary key,
  tenant_id int not null,
  unit_id bigint not null,
  slot_id int not null,
  cycle_id bigint not null,
  key text not null,                         -- {cycle_id}:{how many came before}: noticed twice, it is there once
  kind text not null check (kind in ('replaced', 'cleaned', 'reset', 'unreset', 'unknown', 'sensor')),
  probability real not null check (probability between 0 and 1),   -- that another part is in place since
  happened_at timestamptz not null,          -- the first hour after it
  found_at timestamptz not null,
  evidence jsonb not null,                   -- the numbers it rests on
  -- open: its owner is asked; acted: beyond doubt, the cycle closes by it; noted: shown, nothing asked;
  -- confirmed, denied: the owner's answer; closed: the cycle ended otherwise, or what was noticed is over
  state text not null check (state in ('open', 'acted', 'noted', 'confirmed', 'denied', 'closed')),
  answered_at timestamptz,
  foreign key (tenant_id, cycle_id, unit_id, slot_id) references cycle (tenant_id, cycle_id, unit_id, slot_id),
  unique (tenant_id, key));
create index doubt_of_cycle on doubt (cycle_id);
create index doubt_of_unit on doubt (unit_id);
create unique index one_question on doubt (cycle_id) where state in ('open', 'acted');
call isolate('wearwell.doubt', 'select, update');

alter table forecast add flags text[] not null default '{}';     -- what makes it less sure: gateway/replenish/suspicion.py
alter table slot_state add flags text[] not null default '{}';

alter table slot add flow_channel text;                          -- the flow that the indicator depends on, such as fan_rpm
alter table slot add flow_ref double precision check (flow_ref > 0);   -- the flow at which indicator_eol is declared
alter table slot add flow_exponent double precision not null default 1.6 check (flow_exponent > 0);
