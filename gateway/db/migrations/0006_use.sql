-- Use day by day, and what a cohort's use is like: what a date on the calendar rests on.

create table use_days(                       -- exposure per UTC day of one unit, in the unit that its slot counts in
  tenant_id int not null,
  unit_id bigint not null,
  slot_id int not null,
  basis text not null,                       -- load channel and reference that the days were counted with
  made_at timestamptz not null,
  through date not null,                     -- the last day it holds
  days real[] not null,                      -- oldest first, at most 400
  primary key (unit_id, slot_id),
  foreign key (tenant_id, unit_id) references unit (tenant_id, unit_id),
  foreign key (tenant_id, slot_id) references slot (tenant_id, slot_id));
create index use_days_of_slot on use_days (slot_id, unit_id);
call isolate('wearwell.use_days');

create table use_cohort(                     -- learned from the days of a slot's units; forecasts keep what came of it
  tenant_id int not null,
  slot_id int primary key,
  basis text not null,
  made_at timestamptz not null,
  units int not null,                        -- that it was learned from
  learned jsonb not null,
  foreign key (tenant_id, slot_id) references slot (tenant_id, slot_id));
call isolate('wearwell.use_cohort');
