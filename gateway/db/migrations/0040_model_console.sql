-- Models in the console: comparisons that staff ask for, and what staff may decide there.

create table comparison(                     -- asked for in the console, worked out by `wearwell work`, then only read
  comparison_id int generated always as identity primary key,
  tenant_id int not null,
  slot_id int not null,
  challenger text not null,                  -- a version's number, or a predictor's name: fitted anew on each day
  actor text not null,                       -- staff:3
  asked_at timestamptz not null,
  done_at timestamptz,
  found jsonb,                               -- gateway/bench/compare.py: Comparison, as plain data
  failed text,                               -- else why it could not be worked out
  check ((done_at is null) = (found is null and failed is null)),
  foreign key (tenant_id, slot_id) references slot (tenant_id, slot_id));
create unique index one_open_comparison on comparison (slot_id) where done_at is null;
create index comparison_of_slot on comparison (slot_id, comparison_id);
call isolate('wearwell.comparison', 'select, insert');

-- Editors and administrators decide in the console what the command line lets them decide; rows are only ever added.
grant insert on model_release to wearwell_app;
grant insert, update (ended_at) on shadow to wearwell_app;
grant update (predictor) on slot to wearwell_app;
