-- What was measured of a slot's models, by whichever command or page: a release of what never was is told so.

create table measured(                       -- written by evaluate, compare and report, and by comparisons of the console
  tenant_id int not null,
  slot_id int not null,
  contender text not null,                   -- a version's number, or a predictor's name: fitted anew on each day
  at timestamptz not null,                   -- when last
  primary key (slot_id, contender),
  foreign key (tenant_id, slot_id) references slot (tenant_id, slot_id));
call isolate('wearwell.measured', 'select');

insert into measured (tenant_id, slot_id, contender, at)
select tenant_id, slot_id, challenger, max(done_at) from comparison
where exists (select from jsonb_each(found -> 'outcomes') o
              where o.key like 'challenger %' and (o.value ->> 'cycles')::float > 0)
group by tenant_id, slot_id, challenger;
