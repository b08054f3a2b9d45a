-- The bench: declarations as they stood, what was released by whom, challengers in shadow, drift.

alter table slot
  add column indicator_baseline double precision,          -- the indicator of a new part
  add column indicator_falls boolean not null default false,
  add column levels double precision[],                    -- on the way to indicator_eol; null: shares of it
  add column delivery_d double precision check (delivery_d >= 0);   -- where no part fits, or none is sold

-- When the end of a cycle became known: somebody may tell weeks later. Until then the cycle was, for all we knew, running.
alter table cycle add column recorded_at timestamptz;
update cycle set recorded_at = greatest(upper(period), coalesce(
  (select min(e.recorded_at) from event e where e.unit_id = cycle.unit_id and e.slot_id = cycle.slot_id
   and e.type = 'part_fitted' and e.occurred_at = upper(cycle.period)), upper(period))) where not upper_inf(period);
create index cycle_of_slot on cycle (slot_id, cycle_id);
create index forecast_of_slot on forecast (slot_id, forecast_id);

create table declaration(                    -- what stood after a declaration that changed something; never changed itself
  declaration_id int generated always as identity primary key,
  tenant_id int not null references tenant,
  version int not null check (version > 0),
  source text not null,                      -- the file as it was given
  content jsonb not null,                    -- all of the tenant's channels, product models and slots from then on
  sha256 char(64) not null,                  -- of content
  declared_at timestamptz not null,
  unique (tenant_id, version));
call isolate('wearwell.declaration', 'select');
revoke update, delete on declaration from wearwell_gateway;

-- A version is immutable; that it is in force is a row of model_release. The columns released_at and released_by are
-- read no more, and go with a later release.
alter table model_version add column fitted_on jsonb not null default '{}';   -- as of when, from how much, sha256 of it
create table model_release(                  -- a release, or a roll-back that undoes the one before; only ever added
  release_id int generated always as identity primary key,
  tenant_id int not null,
  slot_id int not null,
  kind text not null check (kind in ('release', 'rollback')),
  model_version_id int,                      -- in force from then on; null: the declaration alone
  predictor text not null,                   -- the slot's from then on
  predictor_before text not null,
  actor text not null,                       -- staff:3, gateway
  note text not null default '',
  released_at timestamptz not null,
  foreign key (tenant_id, slot_id) references slot (tenant_id, slot_id),
  foreign key (tenant_id, model_version_id) references model_version (tenant_id, model_version_id));
create index release_of_slot on model_release (slot_id, release_id);
insert into model_release (tenant_id, slot_id, kind, model_version_id, predictor, predictor_before, actor, released_at)
  select tenant_id, slot_id, 'release', model_version_id, predictor, predictor, released_by, released_at
  from model_version where released_at is not null order by released_at, model_version_id;
call isolate('wearwell.model_release', 'select');
revoke update, delete on model_release from wearwell_gateway;
revoke update, delete on model_version from wearwell_gateway;

create table shadow(                         -- a challenger that forecasts beside the champion, and tells nobody
  shadow_id int generated always as identity primary key,
  tenant_id int not null,
  slot_id int not null,
  model_version_id int not null,
  actor text not null,
  started_at timestamptz not null,
  ended_at timestamptz,
  through bigint not null default 0,         -- the last forecast that it was held beside
  foreign key (tenant_id, slot_id) references slot (tenant_id, slot_id),
  foreign key (tenant_id, model_version_id) references model_version (tenant_id, model_version_id));
create unique index one_live_shadow on shadow (slot_id) where ended_at is null;
call isolate('wearwell.shadow', 'select');

create table shadow_forecast(                -- what the challenger said, from the inputs of the forecast beside it
  tenant_id int not null,
  forecast_id bigint not null,
  model_version_id int not null,
  eol_q10 timestamptz not null,
  eol_q50 timestamptz not null,
  eol_q90 timestamptz not null,
  order_at timestamptz not null,
  pct_left real not null,
  primary key (forecast_id, model_version_id),
  foreign key (tenant_id, forecast_id) references forecast (tenant_id, forecast_id),
  foreign key (tenant_id, model_version_id) references model_version (tenant_id, model_version_id));
call isolate('wearwell.shadow_forecast', 'select');
revoke update, delete on shadow_forecast from wearwell_gateway;

create table drift(                          -- where each alarm of a slot stands
  tenant_id int not null,
  slot_id int not null,
  code text not null,                        -- exposure_rate, indicator, pit, interval, support
  looked_at timestamptz not null,
  alarm boolean not null,
  p_value double precision not null,
  n int not null,                            -- units in the recent part
  then_value double precision,               -- what is compared: before, and lately
  now_value double precision,
  says text not null,
  primary key (slot_id, code),
  foreign key (tenant_id, slot_id) references slot (tenant_id, slot_id));
call isolate('wearwell.drift', 'select');
