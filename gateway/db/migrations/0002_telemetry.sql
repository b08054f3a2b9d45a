-- What units said: readings, their sequence, what was refused, and the hourly rollups features are made of.

create table channel(                        -- one measured quantity; a new sensor is a row here and nothing else
  channel_id int generated always as identity primary key,
  tenant_id int not null references tenant,
  name text not null check (name ~ '^[a-z0-9_]{1,32}$'),
  unit text not null,                        -- h, Pa, ug/m3, %, …
  kind text not null check (kind in ('counter', 'gauge', 'state')),
  low double precision not null default '-infinity',
  high double precision not null default 'infinity',
  unique (tenant_id, name), unique (tenant_id, channel_id));
call isolate('wearwell.channel', 'select');

-- `ts` is the corrected device time and part of the key: a hypertable's unique key must hold its time.
-- It is computed once per (unit, session) from an anchor that never moves, so a redelivery finds the same key.
-- slot_id 0 means the whole unit. clock: s synced, r relative, n none. flags: 1 counter went back, 2 late, 4 future.
do $$
declare
  columns text := 'tenant_id int not null, unit_id bigint not null, slot_id int not null, channel_id int not null,
    ts timestamptz not null, value double precision not null, session bigint not null, seq bigint not null,
    device_ts timestamptz, received_at timestamptz not null, clock "char" not null, flags smallint not null default 0,
    primary key (unit_id, channel_id, slot_id, ts, session, seq)';
begin
  if exists (select from pg_available_extensions where name = 'timescaledb')
     and exists (select from pg_settings where name like 'timescaledb.%') then   -- the server has loaded it
    create extension if not exists timescaledb with schema public;
    execute format('create table reading (%s)', columns);
    perform create_hypertable('wearwell.reading', 'ts', chunk_time_interval => interval '7 days', create_default_indexes => false);
  else
    execute format('create table reading (%s) partition by range (ts)', columns);
    create table reading_rest partition of reading default;
  end if;
end $$;
grant select, insert, delete on reading to wearwell_gateway;

-- Monthly partitions where TimescaleDB is not; asking again for one that stands does nothing.
-- The gateway role may call it without owning the table.
create function reading_partitions(since timestamptz, until timestamptz) returns int
language plpgsql security definer set search_path = wearwell, public, pg_temp as $$
declare
  month timestamp := date_trunc('month', since at time zone 'UTC');
  made int := 0;
  part text;
begin
  if not exists (select from pg_partitioned_table where partrelid = 'wearwell.reading'::regclass) then
    return 0;
  end if;
  while month <= until at time zone 'UTC' loop
    part := 'reading_' || to_char(month, 'YYYYMM');
    if to_regclass('wearwell.' || part) is null then
      execute format('create table %I partition of reading for values from (%L) to (%L)',
                     part, month at time zone 'UTC', (month + interval '1 month') at time zone 'UTC');
      made := made + 1;
    end if;
    month := month + interval '1 month';
  end loop;
  return made;
end $$;
revoke all on function reading_partitions(timestamptz, timestamptz) from public;
grant execute on function reading_partitions(timestamptz, timestamptz) to wearwell_gateway;

-- TimescaleDB refuses row-level security on compressed hypertables, so the app role reads through this view on both stores.
create view reading_of_tenant with (security_barrier) as
  select * from reading where tenant_id = current_tenant();
grant select on reading_of_tenant to wearwell_app;

create table unit_session(                   -- one run of a unit's sequence counter
  tenant_id int not null,
  unit_id bigint not null,
  session bigint not null,
  high_seq bigint not null default 0,        -- greatest sequence number stored
  anchor timestamptz,                        -- when its uptime clock read zero; fixed at the first relative reading
  opened_at timestamptz not null,
  primary key (unit_id, session),
  foreign key (tenant_id, unit_id) references unit (tenant_id, unit_id));
call isolate('wearwell.unit_session', 'select');

create table gap(                            -- sequence numbers that should be here and are not
  gap_id bigint generated always as identity primary key,
  tenant_id int not null,
  unit_id bigint not null,
  session bigint not null,
  seqs int8range not null check (not isempty(seqs)),
  found_at timestamptz not null,
  asked_at timestamptz,                      -- last replay command
  asks int not null default 0,
  closed_at timestamptz,
  outcome text check (outcome in ('filled', 'lost')),
  check ((closed_at is null) = (outcome is null)),
  foreign key (tenant_id, unit_id) references unit (tenant_id, unit_id));
create index gap_missing on gap (unit_id, session, gap_id) where outcome is distinct from 'filled';
create index gap_open on gap (found_at) where closed_at is null;
call isolate('wearwell.gap', 'select');

create table counter_high(                   -- the greatest value of each counter: what "went back" is measured against
  tenant_id int not null,
  unit_id bigint not null,
  slot_id int not null,
  channel_id int not null,
  value double precision not null,
  ts timestamptz not null,
  primary key (unit_id, slot_id, channel_id),
  foreign key (tenant_id, unit_id) references unit (tenant_id, unit_id));
call isolate('wearwell.counter_high', 'select');

create table quarantine(                     -- what was refused, whole, with its reason, until someone looks
  quarantine_id bigint generated always as identity primary key,
  tenant_id int references tenant,           -- null while the unit is unknown
  device text,
  topic text not null,
  payload bytea not null,
  content_type text,
  reason text not null,                      -- a code such as unknown_unit
  detail text not null,                      -- a sentence for a person
  received_at timestamptz not null,
  digest bytea not null,                     -- a redelivery finds its row
  released_at timestamptz,
  unique (topic, digest, reason));
create index quarantine_open on quarantine (reason, received_at) where released_at is null;
call isolate('wearwell.quarantine', 'select');

create table reading_hourly(                 -- equal, always, to a recomputation from reading
  tenant_id int not null,
  unit_id bigint not null,
  slot_id int not null,
  channel_id int not null,
  hour timestamptz not null,
  n int not null,
  low double precision not null,
  high double precision not null,
  mean double precision not null,
  first double precision not null,
  last double precision not null,
  last_ts timestamptz not null,
  rise double precision not null,            -- sum of a counter's increases, the step into this hour included
  primary key (unit_id, slot_id, channel_id, hour));
call isolate('wearwell.reading_hourly', 'select');

create table rescore(                        -- marks of news since the last forecast: added, never changed, so that
  mark_id bigint generated always as identity primary key,   -- who stores never waits for who scores
  unit_id bigint not null,
  tenant_id int not null,
  since timestamptz not null,
  foreign key (tenant_id, unit_id) references unit (tenant_id, unit_id));
create index rescore_unit on rescore (unit_id);
call isolate('wearwell.rescore');

create table event(                          -- what happened, once: from a unit, an owner, a payment, a parcel
  event_id bigint generated always as identity primary key,
  tenant_id int not null,
  unit_id bigint,
  slot_id int,
  type text not null,                        -- gateway.events names them all
  key text not null,                         -- deterministic: a second telling finds the first
  payload jsonb not null default '{}',       -- opaque ids only, never a person
  occurred_at timestamptz not null,
  recorded_at timestamptz not null,
  handled_at timestamptz,
  foreign key (tenant_id, unit_id) references unit (tenant_id, unit_id),
  foreign key (tenant_id, slot_id) references slot (tenant_id, slot_id),
  unique (tenant_id, key));
create index event_waiting on event (event_id) where handled_at is null;
create index event_timeline on event (unit_id, occurred_at desc);
call isolate('wearwell.event', 'select, insert');
