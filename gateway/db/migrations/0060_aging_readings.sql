-- How readings age: compressed once the late window is over (TimescaleDB), let go after their time. What is made of them stays.

create table reading_kept(                   -- one row, of the store and not of a tenant
  one boolean primary key default true check (one),
  since timestamptz not null);               -- readings from here on have all been kept; earlier ones may be gone
insert into reading_kept values (true, '-infinity');
grant select on reading_kept to wearwell_gateway;

create function reading_is_hypertable() returns boolean language plpgsql stable set search_path = wearwell, public, pg_temp as $$
begin
  if to_regclass('timescaledb_information.hypertables') is null then
    return false;
  end if;
  return exists (select from timescaledb_information.hypertables
                 where hypertable_schema = 'wearwell' and hypertable_name = 'reading');
end $$;

-- A query of the product asks for one unit's channel, or for one hour of it.
do $$ begin
  if wearwell.reading_is_hypertable() and current_setting('timescaledb.license', true) = 'timescale' then
    if not (select compression_enabled from timescaledb_information.hypertables
            where hypertable_schema = 'wearwell' and hypertable_name = 'reading') then   -- else somebody chose already
      alter table wearwell.reading set (timescaledb.compress,
        timescaledb.compress_segmentby = 'unit_id, channel_id, slot_id', timescaledb.compress_orderby = 'ts, session, seq');
    end if;
  end if;
end $$;

-- Have the store compress readings that are older than so many days, by its own policy; 0: never. Returns whether it can.
create function compress_readings(days int) returns boolean
language plpgsql security definer set search_path = wearwell, public, pg_temp as $$
declare
  stands interval;
begin
  if not reading_is_hypertable() or current_setting('timescaledb.license', true) is distinct from 'timescale' then
    return false;
  end if;
  select (config ->> 'compress_after')::interval into stands from timescaledb_information.jobs
    where proc_name = 'policy_compression' and hypertable_schema = 'wearwell' and hypertable_name = 'reading';
  if stands is distinct from nullif(make_interval(days => days), interval '0') then
    perform remove_compression_policy('wearwell.reading', if_exists => true);
    if days > 0 then
      perform add_compression_policy('wearwell.reading', compress_after => make_interval(days => days));
    end if;
  end if;
  return true;
end $$;
revoke all on function compress_readings(int) from public;
grant execute on function compress_readings(int) to wearwell_gateway;

-- Drop the partitions or chunks whose readings all happened before a time, and return how many. Ingest waits meanwhile,
-- so this waits no longer for ingest than a migration does, and then fails.
create function let_go_readings(before timestamptz) returns int
language plpgsql security definer set search_path = wearwell, public, pg_temp set lock_timeout = '1500ms' as $$
declare
  horizon timestamptz;
  part text;
  gone int := 0;
begin
  if reading_is_hypertable() then
    select max(range_end) into horizon from timescaledb_information.chunks
      where hypertable_schema = 'wearwell' and hypertable_name = 'reading' and range_end <= before;
    if horizon is not null then
      select count(*) into gone from drop_chunks('wearwell.reading', older_than => horizon);
    end if;
  else
    horizon := date_trunc('month', before at time zone 'UTC') at time zone 'UTC';
    for part in select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
      where i.inhparent = 'wearwell.reading'::regclass and c.relname ~ '^reading_[0-9]{6}$'
        and to_date(right(c.relname, 6), 'YYYYMM') < horizon at time zone 'UTC' order by 1
    loop
      execute format('drop table %I', part);
      gone := gone + 1;
    end loop;
    delete from reading_rest where ts < horizon;
  end if;
  update reading_kept set since = horizon where since < horizon;
  return gone;
end $$;
revoke all on function let_go_readings(timestamptz) from public;
grant execute on function let_go_readings(timestamptz) to wearwell_gateway;
