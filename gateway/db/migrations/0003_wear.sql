-- Wear: cycles, models, forecasts, prompts.

create table model_version(                  -- an immutable set of learned numbers; forecasts name it
  model_version_id int generated always as identity primary key,
  tenant_id int not null,
  slot_id int not null,
  predictor text not null,
  artifact jsonb not null,
  sha256 char(64) not null,
  note text not null default '',
  labels int not null default 0,             -- finished cycles that it learned from
  created_at timestamptz not null,
  released_at timestamptz,
  released_by text check (released_by in ('gateway', 'staff')),   -- the gateway never replaces what staff released
  check ((released_at is null) = (released_by is null)),
  foreign key (tenant_id, slot_id) references slot (tenant_id, slot_id),
  unique (slot_id, sha256), unique (tenant_id, model_version_id));
call isolate('wearwell.model_version', 'select');

create table cycle(                          -- one part in one slot of one unit, from fitting to removal
  cycle_id bigint generated always as identity primary key,
  tenant_id int not null,
  model_id int not null,
  unit_id bigint not null,
  slot_id int not null,
  part_id int,
  period tstzrange not null check (not isempty(period)),
  start_runtime_h double precision,
  end_runtime_h double precision,
  source text not null check (source in ('factory', 'owner', 'technician', 'device', 'inferred')),
  removed_reason text check (removed_reason in ('worn', 'early', 'failed', 'unknown')),
  label jsonb,                               -- the finished cycle as training data: features at the end, censored or not
  check (end_runtime_h is null or start_runtime_h is null or end_runtime_h >= start_runtime_h),
  check ((upper(period) is null) or removed_reason is not null),
  foreign key (tenant_id, model_id, unit_id) references unit (tenant_id, model_id, unit_id),
  foreign key (model_id, slot_id) references slot (model_id, slot_id),   -- the slot is one of this unit's model
  exclude using gist (unit_id with =, slot_id with =, period with &&),
  unique (tenant_id, cycle_id, unit_id, slot_id));
create unique index one_open_cycle on cycle (unit_id, slot_id) where upper_inf(period);
call isolate('wearwell.cycle', 'select');

create table wear_clock(                     -- exposure summed up to a while ago, so that each new reading need not sum it again
  tenant_id int not null,
  unit_id bigint not null,
  slot_id int not null,
  cycle_id bigint not null,
  made_at timestamptz not null,
  through timestamptz not null,              -- the last hour it holds
  first_hour timestamptz not null,
  last_ts timestamptz not null,
  head double precision,                     -- the counter at the unit's first word
  run double precision,                      -- running hours of this part, and those weighted by load
  loaded double precision,
  run_loaded double precision,
  primary key (unit_id, slot_id),
  foreign key (tenant_id, cycle_id, unit_id, slot_id) references cycle (tenant_id, cycle_id, unit_id, slot_id));
call isolate('wearwell.wear_clock');

create table forecast(                       -- the distribution of the end-of-life date as it stood at made_at
  forecast_id bigint generated always as identity primary key,
  tenant_id int not null,
  unit_id bigint not null,
  slot_id int not null,
  cycle_id bigint not null,
  model_version_id int,
  made_at timestamptz not null,
  eol_q10 timestamptz not null,
  eol_q50 timestamptz not null,
  eol_q90 timestamptz not null,
  order_at timestamptz not null,             -- the day that costs least: EOL quantile less delivery
  pct_left real not null check (pct_left between 0 and 100),
  basis text not null check (basis in ('measured', 'estimated')),
  predictor text not null,
  reasons jsonb not null,                    -- {"sentence": …, "parts": [{"code", "text", "value"}]}
  inputs jsonb not null,                     -- the numbers that went in
  check (eol_q10 <= eol_q50 and eol_q50 <= eol_q90),
  foreign key (tenant_id, cycle_id, unit_id, slot_id) references cycle (tenant_id, cycle_id, unit_id, slot_id),
  foreign key (tenant_id, model_version_id) references model_version (tenant_id, model_version_id),
  unique (tenant_id, forecast_id));
create index forecast_history on forecast (cycle_id, made_at);
create index forecast_of_unit on forecast (unit_id, slot_id);
call isolate('wearwell.forecast', 'select');

create table slot_state(                     -- where each slot of each unit stands now: what lists and pages read
  tenant_id int not null,
  unit_id bigint not null,
  slot_id int not null,
  cycle_id bigint not null,
  forecast_id bigint,
  stage text not null default 'ok' check (stage in ('ok', 'soon', 'due', 'overdue')),
  pct_left real,
  eol_q10 timestamptz,
  eol_q50 timestamptz,
  eol_q90 timestamptz,
  order_at timestamptz,
  basis text,
  stale boolean not null default false,      -- no word from the unit for long
  updated_at timestamptz not null,
  primary key (unit_id, slot_id),
  foreign key (tenant_id, cycle_id, unit_id, slot_id) references cycle (tenant_id, cycle_id, unit_id, slot_id),
  foreign key (tenant_id, forecast_id) references forecast (tenant_id, forecast_id));
create index slot_state_due on slot_state (tenant_id, eol_q50, unit_id, slot_id);
create index slot_state_order on slot_state (order_at);
create index slot_state_age on slot_state (updated_at);
call isolate('wearwell.slot_state', 'select');

create table prompt(                         -- the one question per cycle
  prompt_id bigint generated always as identity primary key,
  tenant_id int not null,
  unit_id bigint not null,
  slot_id int not null,
  cycle_id bigint not null,
  forecast_id bigint,
  party_id bigint,                           -- who was asked; null while nobody owns the unit
  key text not null,                         -- replace:{cycle_id}: a rerun finds the same prompt
  state text not null default 'open' check (state in ('open', 'snoozed', 'ordered', 'answered', 'closed')),
  answer text check (answer in ('order', 'remind', 'spare', 'changed', 'elsewhere', 'wrong')),
  remind_at timestamptz,
  created_at timestamptz not null,
  answered_at timestamptz,
  closed_at timestamptz,
  foreign key (tenant_id, cycle_id, unit_id, slot_id) references cycle (tenant_id, cycle_id, unit_id, slot_id),
  foreign key (tenant_id, forecast_id) references forecast (tenant_id, forecast_id),
  foreign key (tenant_id, party_id) references party (tenant_id, party_id),
  unique (tenant_id, key), unique (tenant_id, prompt_id));
create index prompt_of_cycle on prompt (cycle_id);
create index prompt_of_unit on prompt (unit_id);
create index prompt_open on prompt (unit_id, slot_id) where state in ('open', 'snoozed', 'ordered');
call isolate('wearwell.prompt', 'select, update');

create table outbox(                         -- what is to be said, written in the transaction that caused it
  message_id bigint generated always as identity primary key,
  tenant_id int not null references tenant,
  key text not null,                         -- deterministic: one effect, one row
  channel text not null check (channel in ('email', 'mqtt')),
  party_id bigint,                           -- for email
  device text,                               -- for mqtt
  kind text not null,                        -- which message: prompt, receipt_of_payment, shipped, forecast, replay, …
  payload jsonb not null,                    -- ids and numbers; links and addresses are made when it is sent
  created_at timestamptz not null,
  due_at timestamptz not null,
  attempts int not null default 0,
  sent_at timestamptz,
  failed_at timestamptz,                     -- given up
  error text,
  rendered jsonb,                            -- kept by the null adapter only: the outbox one can read
  foreign key (tenant_id, party_id) references party (tenant_id, party_id),
  unique (tenant_id, key));
create index outbox_waiting on outbox (due_at) where sent_at is null and failed_at is null;
create index outbox_of_party on outbox (party_id, kind, due_at) where party_id is not null;
call isolate('wearwell.outbox', 'select, insert');
